//! `daypass dev` and `daypass demo`, as a user starts them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use daypass::dev::{World, sshd::Sshd, tour, world::Options};

/// For what another process has to do; nothing here takes a tenth of it.
const PATIENCE: Duration = Duration::from_secs(90);

fn daypass(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daypass"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a shell command in a world in `dir`.
fn inside(dir: &Path, script: &str) -> Output {
    let dir = dir.to_str().unwrap();
    daypass(&["dev", "--dir", dir, "--", "sh", "-c", script])
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A world that runs in a process of its own, killed at the end where it still runs.
struct Running(Child);

impl Running {
    /// Returns when it says that it runs.
    fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[]).0
    }

    /// The same with more options. Returns what it said, too.
    fn start_with(dir: &Path, options: &[&str]) -> (Self, String) {
        let mut command = daypass(&["dev", "--dir", dir.to_str().unwrap()]);
        command.args(options).stderr(Stdio::piped());
        let mut world = Self(command.spawn().unwrap());
        let said = world.said_until("Ctrl-C ends it");
        assert!(
            said.contains("/web, to approve and audit in a browser"),
            "{said}"
        );
        (world, said)
    }

    /// What it says up to the line with these words, which is the last.
    fn said_until(&mut self, words: &str) -> String {
        let mut said = String::new();
        let mut stderr = self.0.stderr.take().unwrap();
        while !said.ends_with('\n') || !said.contains(words) {
            let mut byte = [0];
            let read = std::io::Read::read(&mut stderr, &mut byte).unwrap();
            assert_eq!(read, 1, "it ended: {said}");
            said.push(char::from(byte[0]));
        }
        self.0.stderr = Some(stderr);
        said
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The port on the line of `DIR/ports` that starts with `part`.
fn port(dir: &Path, part: &str) -> u16 {
    let ports = std::fs::read_to_string(dir.join("ports")).unwrap();
    let line = ports.lines().find_map(|line| line.strip_prefix(part));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn a_command_runs_inside_the_world_and_its_exit_code_is_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    for (case, script, code, says) in [
        ("its code", "exit 7", 7, ""),
        ("a signal", "kill -s KILL $$", 137, ""),
        ("no such program", "no-such-program", 127, ""),
        (
            "the server is there",
            r#"test -n "$DAYPASS_SERVER" && echo yes"#,
            0,
            "yes",
        ),
        (
            "it knows hosts",
            r#"daypass login --as carol >/dev/null && daypass hosts --format json | tr -d ' \n' && daypass admin hosts add web-2 --group web | grep -o 'daypass host setup --server https://[^ ]* --join' | sed 's|https://[^ ]*|URL|'"#,
            0,
            "{\"hosts\":[]}daypass host setup --server URL --join",
        ),
        (
            "so are its files",
            r#"test -s "$DAYPASS_CA_FILE" && test -d "$DAYPASS_STATE_DIR" && test -s "$DAYPASS_DEV/env" && echo yes"#,
            0,
            "yes",
        ),
        (
            "and the host's",
            r#"grep -q "127.0.0.1]:$DAYPASS_SSHD_PORT" "$DAYPASS_KNOWN_HOSTS" && test -s "$DAYPASS_SSH_CONFIG" && echo yes"#,
            0,
            "yes",
        ),
        (
            "daypass is this one",
            "command -v daypass",
            0,
            env!("CARGO_BIN_EXE_daypass"),
        ),
        (
            "env says the same",
            r#"a=$(env | grep ^DAYPASS_ | sort); . "$DAYPASS_DEV/env"; b=$(env | grep ^DAYPASS_ | sort); test "$a" = "$b" && echo same"#,
            0,
            "same",
        ),
    ] {
        let output = inside(folder.path(), script);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{case}: {}",
            text(&output.stderr)
        );
        assert_eq!(text(&output.stdout).trim(), says, "{case}");
    }
}

#[test]
fn a_reused_folder_keeps_its_keys_its_ledger_and_its_policy() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"cd "$DAYPASS_DEV" && cat ca_key.pub tls-ca.pem password sshd/host_key.pub"#;
    let first = inside(folder.path(), script);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let policy = folder.path().join("policy.toml");
    let edited = std::fs::read_to_string(&policy).unwrap() + "# edited\n";
    std::fs::write(&policy, &edited).unwrap();
    let second = inside(folder.path(), script);
    assert_eq!(
        text(&first.stdout),
        text(&second.stdout),
        "{}",
        text(&second.stderr)
    );
    assert_eq!(std::fs::read_to_string(&policy).unwrap(), edited);
}

#[test]
fn a_folder_has_one_world_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Running::start(folder.path());
    let second = inside(folder.path(), "echo never");
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(text(&second.stdout), "");
    let said = text(&second.stderr);
    assert!(said.contains("another world runs in"), "{said}");
    assert!(folder.path().join("env").exists(), "the first one's");
}

#[test]
fn everything_ends_with_the_world_however_that_ends() {
    for (signal, code) in [("TERM", Some(0)), ("INT", Some(0)), ("KILL", None)] {
        let folder = tempfile::tempdir().unwrap();
        let mut world = Running::start(folder.path());
        let ports = ["issuer", "server", "sshd"].map(|part| port(folder.path(), part));
        for port in ports {
            assert!(listens(port), "{signal}");
        }
        world.signal(signal);
        assert_eq!(world.0.wait().unwrap().code(), code, "{signal}");
        let started = Instant::now();
        while ports.into_iter().any(listens) {
            assert!(
                started.elapsed() < PATIENCE,
                "{signal}: something still listens"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        if code.is_some() {
            assert!(!folder.path().join("env").exists(), "{signal}");
        }
    }
}

#[test]
fn a_policy_that_is_wrong_keeps_the_world_from_starting_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("policy.toml"),
        "[limits]\nnonsense = 1\n",
    )
    .unwrap();
    let output = inside(folder.path(), "echo never");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("policy.toml:2"), "{said}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn sighup_reads_the_policy_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = Running::start(folder.path());
    let policy = folder.path().join("policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    let mut said = BufReader::new(world.0.stderr.take().unwrap()).lines();
    for (case, content, expected) in [
        ("nothing new", text.clone(), "the policy is unchanged"),
        ("a broken one", "nonsense".to_owned(), "policy.toml:1"),
        ("a new one", text + "# edited\n", "a new policy is in force"),
    ] {
        std::fs::write(&policy, content).unwrap();
        world.signal("HUP");
        let line = said.next().unwrap().unwrap();
        assert!(line.contains(expected), "{case}: {line}");
    }
}

#[test]
fn plain_ssh_reaches_the_host_also_without_the_worlds_variables() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"daypass login --as alice >&2 &&
        env -i PATH="$PATH" HOME="$HOME" ssh -F "$DAYPASS_SSH_CONFIG" web-1 'echo hello from $(id -un)'"#;
    let output = inside(folder.path(), script);
    let login = Sshd::login().unwrap();
    let said = text(&output.stdout);
    assert_eq!(
        said,
        format!("hello from {login}\n"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_sign_in_needs_the_worlds_password() {
    let folder = tempfile::tempdir().unwrap();
    for (case, script) in [
        (
            "another password",
            r#"echo guess >"$DAYPASS_DEV/password"; daypass login --as alice"#,
        ),
        ("an unknown name", "daypass login --as eve"),
        (
            "out of the world",
            "unset DAYPASS_DEV; daypass login --as alice",
        ),
    ] {
        let output = inside(folder.path(), script);
        assert_ne!(output.status.code(), Some(0), "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_sshd_the_tour_says_so_and_shows_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        program: Some(env!("CARGO_BIN_EXE_daypass").into()),
        without_sshd: true,
        ..Options::default()
    };
    let world = World::start_with(folder.path(), options).await.unwrap();
    let mut said = String::new();
    let verdict = tour::walk(&world, |lines| said.push_str(lines))
        .await
        .unwrap();
    assert_eq!(verdict.broken, 0, "{said}");
    assert!(said.contains("This machine has no sshd"), "{said}");
    assert!(said.contains("/bin/echo 'logs of' nginx"), "{said}");
}

const REPLICAS: [&str; 3] = ["--postgres", "--replicas", "2"];

/// Runs a shell command in another terminal, as one person with a laptop of their own.
fn beside(dir: &Path, person: &str, script: &str) -> Command {
    let script = format!(
        ". {0}/env; export DAYPASS_STATE_DIR={0}/{person}\n{script}",
        dir.display()
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).stdin(Stdio::null());
    command
}

/// The same, to its end.
fn done(dir: &Path, person: &str, script: &str) -> Output {
    beside(dir, person, script).output().unwrap()
}

fn succeeds(output: &Output) -> String {
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

/// The process id after these words in what a world said.
fn process(said: &str, words: &str) -> String {
    let (_, rest) = said.split_once(words).unwrap();
    rest.chars().take_while(char::is_ascii_digit).collect()
}

fn kill(process: &str) {
    let sent = Command::new("kill").args(["-9", process]).status();
    assert!(sent.unwrap().success());
}

/// Waits until no process has the folder in its command line.
fn assert_nothing_runs_in(dir: &Path) {
    let dir = dir.to_str().unwrap();
    let runs = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.map(|it| std::fs::read(it.path().join("cmdline")));
        lines.flatten().any(|line| text(&line).contains(dir))
    };
    let started = Instant::now();
    while runs() {
        assert!(started.elapsed() < PATIENCE, "something still runs");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn with_replicas_one_may_die_and_each_obeys_what_another_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("world");
    let (mut world, said) = Running::start_with(&dir, &REPLICAS);
    let [first, second] = ["server", "replica-2"].map(|part| port(&dir, part));
    let both = format!("https://localhost:{second},https://localhost:{first}\n");
    let asked = done(&dir, "alice", "echo \"$DAYPASS_SERVER\"");
    assert_eq!(text(&asked.stdout), both);
    succeeds(&done(&dir, "alice", "daypass login --as alice"));
    succeeds(&done(
        &dir,
        "alice",
        "daypass pass --role shell --out $DAYPASS_DEV/one",
    ));
    kill(&process(&said, "kill -9 "));
    succeeds(&done(
        &dir,
        "alice",
        "daypass pass --role shell --out $DAYPASS_DEV/two",
    ));
    world.signal("USR2");
    let said = world.said_until("kill -9 ");
    assert!(said.contains(&format!("localhost:{second}")), "{said}");
    let locked =
        "daypass login --as carol && daypass admin lock alice@example.com --reason lost --yes";
    let at = |port: u16, script: &str| {
        format!("export DAYPASS_SERVER=https://localhost:{port}\n{script}")
    };
    succeeds(&done(&dir, "carol", &at(first, locked)));
    let ask = at(second, "daypass pass --role shell --out $DAYPASS_DEV/three");
    let refused = done(&dir, "alice", &ask);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(text(&refused.stderr).contains("lock"), "{refused:?}");
    world.signal("INT");
    assert_eq!(world.0.wait().unwrap().code(), Some(0));
    assert_nothing_runs_in(&dir);
}

/// A command in another terminal, and its lines.
struct Beside {
    child: Child,
    lines: Receiver<String>,
}

impl Beside {
    fn start(dir: &Path, person: &str, script: &str) -> Self {
        let mut command = beside(dir, person, script);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, lines) = channel();
        // Ends when the command does.
        std::thread::spawn(move || out.map_while(Result::ok).try_for_each(|it| sender.send(it)));
        Self { child, lines }
    }

    fn line(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        line.expect("the command goes on")
    }

    fn says(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process ids of the replicas that a world names.
fn replicas(said: &str) -> Vec<String> {
    let after = said.split("kill -9 ").skip(1);
    let digits = after.map(|it| it.chars().take_while(char::is_ascii_digit).collect());
    digits.collect()
}

#[test]
fn ssh_goes_on_while_one_server_after_another_dies() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("world");
    let (mut world, said) = Running::start_with(&dir, &["--postgres", "--replicas", "3"]);
    let last = format!("localhost:{}", port(&dir, "replica-3"));
    let mut processes = replicas(&said);
    assert_eq!(processes.len(), 2, "{said}");
    succeeds(&done(&dir, "alice", "daypass login --as alice"));
    let mut session = Beside::start(&dir, "alice", "exec daypass ssh web-1 -- cat");
    session.says("before\n");
    assert_eq!(session.line(), "before");
    // A new pass each time, so that each asks a server, at any moment of its death.
    let again = "while daypass ssh --fresh web-1 -- echo in; do :; done";
    let many = [(); 3].map(|()| Beside::start(&dir, "alice", again));
    for round in 0..6 {
        kill(&processes[round % 2]);
        for _ in 0..3 {
            for one in &many {
                assert_eq!(one.line(), "in");
            }
        }
        world.signal("USR2");
        processes = replicas(&world.said_until(&last));
    }
    session.says("after\n");
    assert_eq!(session.line(), "after");
    drop(many);
    succeeds(&done(&dir, "carol", "daypass login --as carol"));
    succeeds(&done(&dir, "carol", "daypass ledger verify --decisions"));
}

#[test]
fn a_world_with_replicas_that_was_killed_starts_again_with_its_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("world");
    let (world, _) = Running::start_with(&dir, &REPLICAS);
    succeeds(&done(&dir, "carol", "daypass login --as carol"));
    let list = || {
        let listed = done(&dir, "carol", "daypass ledger list --format json");
        assert!(listed.status.success(), "{listed:?}");
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
        listed["events"].as_array().unwrap().len()
    };
    let before = list();
    drop(world);
    assert_nothing_runs_in(&dir);
    // The file of a database that lost its power, with the pid of another program.
    let stale = dir.join("postgres/data/postmaster.pid");
    let other = std::process::id();
    let lines = format!(
        "{other}\n{}\n1\n5432\n\n\n\n",
        dir.join("postgres/data").display()
    );
    std::fs::write(&stale, &lines).unwrap();
    std::fs::write(dir.join("postgres/.s.PGSQL.5432.lock"), &lines).unwrap();
    let (mut world, _) = Running::start_with(&dir, &REPLICAS);
    // The issuer of a new world has new keys.
    succeeds(&done(&dir, "carol", "daypass login --as carol"));
    assert!(list() > before, "the ledger goes on");
    world.signal("TERM");
    assert_eq!(world.0.wait().unwrap().code(), Some(0));
    let other = daypass(&["dev", "--dir", dir.to_str().unwrap(), "--", "true"]);
    let other = { other }.output().unwrap();
    assert_eq!(other.status.code(), Some(1));
    assert!(
        text(&other.stderr).contains("name another folder"),
        "{other:?}"
    );
}

#[test]
fn a_database_that_cannot_be_started_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("a".repeat(100));
    let command = daypass(&[
        "dev",
        "--dir",
        dir.to_str().unwrap(),
        "--postgres",
        "--",
        "true",
    ]);
    let refused = { command }.output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("name another folder with --dir"), "{said}");
}

/// Debian's folder of PostgreSQL is hidden, and the rest is not on the path.
#[test]
fn a_machine_without_postgresql_is_told_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bin");
    std::fs::create_dir(&path).unwrap();
    for program in ["sh", "id", "true"] {
        let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program));
        let found = found.iter().find(|it| it.exists()).unwrap();
        std::os::unix::fs::symlink(found, path.join(program)).unwrap();
    }
    let dir = folder.path().join("world");
    let dev = daypass(&[
        "dev",
        "--postgres",
        "--dir",
        dir.to_str().unwrap(),
        "--",
        "true",
    ]);
    let hidden = "! test -d /usr/lib/postgresql || mount -t tmpfs none /usr/lib/postgresql && \
                  PATH=\"$HIDDEN\" exec \"$@\"";
    let mut unshare = Command::new("unshare");
    // An ordinary user mounts as the root of a namespace.
    if std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) != 0 {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            hidden,
            "sh",
        ])
        .arg(dev.get_program())
        .args(dev.get_args())
        .env("HIDDEN", &path)
        .stdin(Stdio::null());
    let refused = unshare.output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = text(&refused.stderr);
    assert!(said.contains("apt-get install postgresql"), "{said}");
    assert!(
        said.contains("put initdb and postgres on the PATH"),
        "{said}"
    );
}
