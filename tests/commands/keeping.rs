//! The client keeps its user's things: no answer of the server is lost for want of a place, no file
//! or folder that Daypass did not make is changed, no URL is opened but a sign-in page, and nothing
//! is signed that was not shown.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use crate::support::{
    agent::Agent,
    command::Done,
    env::TestEnv,
    files::{chmod, write_program},
};
use daypass::dev::issuer::Behaviour;
use ssh_agent_lib::agent::Session;
use ssh_key::{Algorithm, LineEnding, PrivateKey, certificate::Builder, rand_core::OsRng};
use tokio::process::Command;

/// How many events the ledger has.
fn size(env: &TestEnv) -> u64 {
    env.authority().store.size()
}

/// An Ed25519 key as ssh-keygen leaves it; answers with the private key's text.
fn user_key(path: &Path) -> String {
    let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    key.set_comment("alice@laptop");
    key.write_openssh_file(path, LineEnding::LF).unwrap();
    let public = key.public_key().to_openssh().unwrap();
    fs::write(format!("{}.pub", path.display()), public).unwrap();
    fs::read_to_string(path).unwrap()
}

/// A certificate for the key at `path` by a CA that Daypass has nothing to do with.
fn foreign_certificate(path: &Path) -> String {
    let ca = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    let key = PrivateKey::read_openssh_file(path).unwrap();
    let mut builder = Builder::new(vec![7; 32], key.public_key(), 0, 9).unwrap();
    builder.valid_principal("alice").unwrap();
    builder.sign(&ca).unwrap().to_openssh().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_of_the_users_gives_passes_from_an_empty_state_folder() {
    let env = TestEnv::new().with_sshd().start().await;
    let key = env.folder().join("id_ed25519");
    let text = user_key(&key);
    let words = [key.to_str().unwrap()];
    env.run("alice", "login --as alice --key", &words)
        .await
        .exits("alice signs in with a key of hers", 0);
    for words in [
        "ssh web-1 -- true",
        "ensure --host web-1",
        "pass --role shell",
        "pass --role shell --host web-1",
    ] {
        for folder in ["hosts", "passes"] {
            let _ = fs::remove_dir_all(env.state("alice").join(folder));
        }
        let before = size(&env);
        env.daypass("alice", words).await.exits(words, 0);
        assert_eq!(size(&env) - before, 1, "{words}: one pass");
    }
    assert_eq!(fs::read_to_string(&key).unwrap(), text);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_cannot_be_written_is_found_before_the_server_is_asked() {
    let env = TestEnv::new()
        .with_sshd()
        .signed_in(&["alice"])
        .start()
        .await;
    let state = env.state("alice");
    let at = |name: &str| env.folder().join(name);
    fs::write(at("file"), "mine").unwrap();
    fs::create_dir_all(state.join("passes/shell/pass")).unwrap();
    fs::create_dir_all(state.join("hosts")).unwrap();
    fs::write(state.join("hosts/web-1"), "").unwrap();
    symlink("nothing", state.join("hosts/web-2")).unwrap();
    fs::create_dir_all(state.join("hosts/web-3/pass-cert.pub")).unwrap();
    let in_file = at("file/pass").display().to_string();
    let before = size(&env);
    for (case, words, more, code) in [
        (
            "a folder in the key's place",
            "pass --role shell",
            vec![],
            1,
        ),
        (
            "a file in the folder's place",
            "ensure --host web-1",
            vec![],
            1,
        ),
        ("the same for ssh", "ssh web-1 -- true", vec![], 1),
        ("a link to nothing", "ensure --host web-2", vec![], 1),
        (
            "a folder in the certificate's place",
            "ssh web-3 -- true",
            vec![],
            1,
        ),
        (
            "no such folder",
            "pass --role shell --out /proc/x/pass",
            vec![],
            1,
        ),
        (
            "a file for a folder",
            "pass --role shell --out",
            vec![&*in_file],
            1,
        ),
        ("no agent", "pass --role shell --agent", vec![], 2),
        (
            "a request that waits",
            "request prod --reason INC-7 --host web-1 --wait 1s",
            vec![],
            5,
        ),
    ] {
        let done = env.run("alice", words, &more).await;
        assert_eq!(done.code, code, "{case}: {done:?}");
        if code == 1 {
            assert!(
                done.stderr.contains("nothing was asked for yet"),
                "{case}: {done:?}"
            );
        }
        if code != 5 {
            assert_eq!(size(&env), before, "{case}: no pass was made and lost");
        }
    }
    fs::remove_dir_all(state.join("passes")).unwrap();
    env.daypass("alice", "pass --role shell")
        .await
        .exits("all else was in order", 0);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_a_read_only_one_and_a_pinned_file_are_found_before_the_server_is_asked() {
    let env = TestEnv::new()
        .with_sshd()
        .signed_in(&["alice"])
        .start()
        .await;
    let folder = env.folder().join("out");
    fs::create_dir(&folder).unwrap();
    let out = folder.join("pass").display().to_string();
    let daypass = env!("CARGO_BIN_EXE_daypass");
    let pass = format!("'{daypass}' pass --role shell --out '{out}'");
    let mount = format!("mount -t tmpfs -o size=4k none '{}'", folder.display());
    let before = size(&env);
    for (case, script, made) in [
        ("a full disk", format!("{mount} && {pass}"), 0),
        (
            "a read-only one",
            format!("mount -t tmpfs -o ro none '{}' && {pass}", folder.display()),
            0,
        ),
        (
            "a file that another one is mounted over",
            format!("{pass} && mount --bind '{out}.pub' '{out}.pub' && {pass}"),
            1,
        ),
    ] {
        let mut command = env.command("alice", "", &[]);
        let inner = command.as_std_mut();
        let mut unshare = Command::new("unshare");
        // An ordinary user mounts as the root of a namespace.
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            unshare.args(["--user", "--map-root-user"]);
        }
        unshare
            .args(["--mount", "sh", "-c", &script])
            .envs(
                inner
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let done = Done::of(unshare).await;
        assert_eq!(done.code, 1, "{case}: {done:?}");
        assert!(
            done.stderr.contains("nothing was asked for yet"),
            "{case}: {done:?}"
        );
        assert_eq!(
            size(&env) - before,
            made,
            "{case}: no pass was made and lost"
        );
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_takes_no_pass_is_found_before_the_server_is_asked() {
    let env = TestEnv::new()
        .with_sshd()
        .signed_in(&["alice"])
        .start()
        .await;
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(folder.path()).await;
    let socket = agent.socket.clone();
    let put = async |words: &str| {
        let mut command = env.command("alice", words, &[]);
        command.env("SSH_AUTH_SOCK", &socket);
        Done::of(command).await
    };
    let before = size(&env);
    let mut client = agent.client().await.unwrap();
    client.lock("secret".to_owned()).await.unwrap();
    let words = "pass --role shell --agent";
    put(words).await.exits("the agent is locked", 1);
    assert_eq!(size(&env), before, "no pass was made and lost");
    let tokens = env.issuer().hits("/token");
    put("login --as alice --agent")
        .await
        .exits("a sign-in too", 1);
    assert_eq!(env.issuer().hits("/token"), tokens);
    client.unlock("secret".to_owned()).await.unwrap();
    fs::create_dir(env.state("alice").join("agent.json")).unwrap();
    put(words).await.exits("its list cannot be written", 1);
    assert_eq!(size(&env), before, "no pass was made and lost");
    fs::remove_dir(env.state("alice").join("agent.json")).unwrap();
    assert_eq!(agent.keys().await, 0, "no try is left over");
    put(words).await.exits("the agent is open", 0);
    assert_eq!(agent.keys().await, 1);
    agent.process.kill().unwrap();
    agent.process.wait().unwrap();
    put(words).await.exits("the agent is gone", 1);
    assert_eq!(size(&env) - before, 1);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_cannot_be_kept_is_not_begun() {
    let env = TestEnv::new().with_sshd().start().await;
    for name in ["session.json", "key", "key.pub"] {
        let person = format!("state-{name}");
        let path = env.state(&person).join(name);
        fs::create_dir_all(&path).unwrap();
        chmod(&env.state(&person), 0o700);
        let done = env.daypass(&person, "login --as alice").await;
        let done = done.exits(name, 1);
        assert!(done.stderr.contains(name), "{done:?}");
        assert_eq!(env.issuer().hits("/token"), 0, "{name}");
        assert_eq!(env.issuer().hits("/authorize"), 0, "{name}");
        fs::remove_dir(&path).unwrap();
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_or_an_emergency_is_not_spent_for_a_pass_that_cannot_be_kept() {
    let env = TestEnv::new()
        .with_sshd()
        .signed_in(&["bob", "carol"])
        .start()
        .await;
    let opened = env.daypass("bob", "request prod --reason INC-7").await;
    let id = opened.exits("bob asks", 5).json()["id"].to_string();
    env.daypass("carol", format!("approve {id} --yes"))
        .await
        .exits("carol approves", 0);
    let passes = env.state("bob").join("passes");
    fs::write(&passes, "").unwrap();
    let words = format!("pass --request {id}");
    let before = size(&env);
    env.daypass("bob", &words).await.exits("no place", 1);
    assert_eq!(size(&env), before);
    fs::remove_file(&passes).unwrap();
    env.daypass("bob", &words).await.exits("it is still his", 0);

    let key = |name: &str| env.world().files().emergency_key(name);
    let (alice, bob) = (key("alice"), key("bob"));
    let (alice, bob) = (alice.to_str().unwrap(), bob.to_str().unwrap());
    let at = |name: &str| env.folder().join(name).display().to_string();
    let mine = at("mine");
    fs::write(&mine, "mine").unwrap();
    let prepare = "emergency prepare prod-root --reason INC-7";
    let words = ["--emergency-key", bob, "--file", &mine];
    let refused = env.run("bob", prepare, &words).await;
    refused.exits("another file is not replaced", 2);
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    let sheet = at("sheet.json");
    let words = ["--emergency-key", bob, "--file", &sheet];
    env.run("bob", prepare, &words)
        .await
        .exits("bob prepares", 0);
    let words = [&*sheet, "--emergency-key", alice];
    let signed = env.run("alice", "emergency sign", &words).await;
    signed.exits("alice signs", 0);
    let before = size(&env);
    for (case, out, code) in [
        ("no such folder", "/proc/x/pass".to_owned(), 1),
        ("a file of his", mine.clone(), 2),
    ] {
        let words = [&*sheet, "--out", &out];
        let refused = env.run("bob", "emergency redeem", &words).await;
        refused.exits(case, code);
        assert_eq!(size(&env), before, "{case}");
    }
    let out = at("pass");
    let words = [&*sheet, "--out", &out];
    let redeemed = env.run("bob", "emergency redeem", &words).await;
    redeemed.exits("the emergency is still his", 0);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn out_never_replaces_a_file_that_daypass_did_not_make() {
    let env = TestEnv::new()
        .with_sshd()
        .signed_in(&["alice"])
        .start()
        .await;
    let at = |name: &str| env.folder().join(name);
    let pass = async |out: &Path| {
        let out = out.to_str().unwrap();
        env.run("alice", "pass --role shell --out", &[out]).await
    };
    let mine = at("id_ed25519");
    let text = user_key(&mine);
    let certificate = at("id_ed25519-cert.pub");
    fs::write(&certificate, foreign_certificate(&mine)).unwrap();
    let before = size(&env);
    let refused = pass(&mine)
        .await
        .exits("another CA's certificate is beside it", 2);
    assert!(
        refused.stderr.contains("choose another name"),
        "{refused:?}"
    );
    fs::remove_file(&certificate).unwrap();
    pass(&mine).await.exits("no certificate", 2);
    symlink(&mine, at("link")).unwrap();
    pass(&at("link")).await.exits("a link to it", 2);
    pass(env.folder()).await.exits("a folder", 2);
    assert_eq!(size(&env), before, "the server was not asked");
    assert_eq!(fs::read_to_string(&mine).unwrap(), text);

    let out = at("out");
    for case in ["the first time", "again"] {
        pass(&out).await.exits(case, 0);
        for name in ["out", "out.pub", "out-cert.pub"] {
            assert_eq!(fs::metadata(at(name)).unwrap().mode() & 0o777, 0o600);
        }
    }
    let key = PrivateKey::read_openssh_file(&out).unwrap();
    // The user's key comes into the place of one that was ours, and Daypass' certificate stays
    // beside it.
    fs::copy(&mine, &out).unwrap();
    pass(&out)
        .await
        .exits("another key beside our certificate", 2);
    assert_eq!(fs::read_to_string(&out).unwrap(), text);
    fs::write(&out, key.to_openssh(LineEnding::LF).unwrap()).unwrap();
    // A hard link elsewhere keeps what it had.
    fs::hard_link(&out, at("hard")).unwrap();
    let kept = fs::read(at("hard")).unwrap();
    env.daypass("alice", "login --as alice --again").await;
    pass(&out).await.exits("our own with a second name", 0);
    assert_eq!(fs::read(at("hard")).unwrap(), kept);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_and_a_dev_world_replace_their_own_files_alone() {
    let env = TestEnv::new()
        .with_sshd()
        .signed_in(&["carol"])
        .start()
        .await;
    let at = |name: &str| env.folder().join(name);
    let export = async |out: &Path| {
        let out = out.to_str().unwrap();
        env.run("carol", "ledger export --out", &[out]).await
    };
    fs::write(at("empty"), "").unwrap();
    for case in ["new", "new", "empty"] {
        export(&at(case)).await.exits(case, 0);
    }
    let mine = at("id_ed25519");
    let text = user_key(&mine);
    symlink(&mine, at("link")).unwrap();
    for (case, out) in [("a key", &mine), ("a link", &at("link"))] {
        export(out).await.exits(case, 2);
    }
    assert_eq!(fs::read_to_string(&mine).unwrap(), text);

    let folder = at("mine");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("daypass.toml"), "mine").unwrap();
    let folder_text = folder.to_str().unwrap();
    let refused = env.run("carol", "dev --dir", &[folder_text]).await;
    let refused = refused.exits("a folder with other files", 1);
    assert!(
        refused.stderr.contains("name an empty folder"),
        "{refused:?}"
    );
    let names = fs::read_dir(&folder).unwrap();
    assert_eq!(names.count(), 1, "nothing was written");
    fs::remove_file(folder.join("daypass.toml")).unwrap();
    chmod(&folder, 0o777);
    let refused = env.run("carol", "dev --dir", &[folder_text]).await;
    refused.exits("a folder that others can write to", 1);
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o777);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_daypass_did_not_make_keeps_its_mode() {
    let env = TestEnv::new().with_sshd().start().await;
    for (case, mode, content, code) in [
        ("a shared folder", 0o1777, None, 2),
        ("a shared one with a lock in it", 0o1777, Some("lock"), 2),
        ("a group's folder", 0o2775, None, 2),
        ("a readable one", 0o755, None, 0),
        ("a private one", 0o700, Some("notes"), 0),
    ] {
        let person = case.replace(' ', "-");
        let folder = env.state(&person);
        fs::create_dir(&folder).unwrap();
        if let Some(name) = content {
            fs::write(folder.join(name), "").unwrap();
        }
        chmod(&folder, mode);
        let done = env.daypass(&person, "login --as alice").await;
        let done = done.exits(case, code);
        let after = fs::metadata(&folder).unwrap().mode() & 0o7777;
        assert_eq!(after, mode, "{case}");
        if code == 0 {
            let session = fs::metadata(folder.join("session.json")).unwrap();
            assert_eq!(session.mode() & 0o777, 0o600, "{case}");
            continue;
        }
        assert!(
            done.stderr.contains("DAYPASS_STATE_DIR="),
            "{case}: {done:?}"
        );
        let status = env.daypass(&person, "status").await;
        status.exits("it is not read either", 2);
        // What the message says to do.
        let inside = format!("{person}/daypass");
        let done = env.daypass(&inside, "login --as alice").await;
        done.exits("a folder inside it", 0);
        let made = fs::metadata(env.state(&inside)).unwrap();
        assert_eq!(made.mode() & 0o777, 0o700, "{case}");
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_of_another_user_is_not_used() {
    let env = TestEnv::new().with_sshd().start().await;
    let folder = env.state("mallory");
    fs::create_dir(&folder).unwrap();
    chmod(&folder, 0o700);
    let chown = |to: u32| std::os::unix::fs::chown(&folder, Some(to), Some(to));
    // Only root can give a folder away. An ordinary user becomes the root of a namespace, in which
    // the real root is another.
    let command = env.command("mallory", "login --as alice", &[]);
    let command = match chown(65534) {
        Ok(()) => command,
        Err(_) => {
            let inner = command.as_std();
            let mut unshare = Command::new("unshare");
            unshare
                .args(["--user", "--map-root-user"])
                .arg(inner.get_program())
                .args(inner.get_args())
                .envs(
                    inner
                        .get_envs()
                        .filter_map(|(name, value)| Some((name, value?))),
                )
                .env("DAYPASS_STATE_DIR", "/usr")
                .stdin(Stdio::null());
            unshare
        }
    };
    let refused = Done::of(command).await.exits("another user's", 2);
    assert!(
        refused.stderr.contains("belongs to another user"),
        "{refused:?}"
    );
    let names = fs::read_dir(&folder).map_or(0, Iterator::count);
    assert_eq!(names, 0, "nothing was written: {refused:?}");
    env.close().await;
}

/// A browser that writes down what it is told to open.
fn browser(folder: &Path) -> (PathBuf, PathBuf) {
    let (program, opened) = (folder.join("xdg-open"), folder.join("opened"));
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >> '{}'\n",
        opened.display()
    );
    write_program(&program, &script);
    (program, opened)
}

/// A login of alice's at a desktop with this browser.
fn login(env: &TestEnv, browser: &Path, words: &str) -> Command {
    let mut command = env.command("alice", words, &[]);
    command
        .env("DISPLAY", ":0")
        .env("BROWSER", browser)
        .env_remove("SSH_CONNECTION")
        .env("DAYPASS_FORMAT", "text");
    command
}

/// Demands that none of these URLs is opened: what names it, the login, and the URL.
async fn assert_none_is_opened(cases: Vec<(&'static str, &'static str, &'static str)>) {
    let env = TestEnv::new().start().await;
    let (program, opened) = browser(env.folder());
    for (name, words, url) in cases {
        env.issuer().behave(Behaviour::Names(name, url));
        let done = Done::of(login(&env, &program, words));
        let done = tokio::time::timeout(Duration::from_secs(120), done).await;
        let done = done.expect("it ends by itself");
        assert!([1, 6].contains(&done.code), "{name} {url}: {done:?}");
        let shown = done.stderr.matches("evil").count() + done.stderr.matches("passwd").count();
        assert!(
            shown <= 2,
            "{name} {url} is named once, in the refusal: {done:?}"
        );
        assert!(!done.stderr.contains('\u{1b}'), "{name} {url}: {done:?}");
        assert!(!opened.exists(), "{name} {url}: nothing is opened");
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn login_opens_no_url_that_is_no_sign_in_page() {
    let wrong = [
        "file:///etc/passwd",
        "smb://evil.example/share",
        "x-evil:run",
        "javascript:alert(1)",
        "http://evil.example/authorize",
        "https://alice@evil.example/authorize",
        "https://evil.example/a b\u{1b}[2J",
    ];
    // Each kind has an issuer of its own, so that they are tried side by side.
    let mut kinds = tokio::task::JoinSet::new();
    for (name, words) in [
        ("authorization_endpoint", "login --browser"),
        ("verification_uri", "login --device"),
        ("verification_uri_complete", "login --device"),
        ("device_authorization_endpoint", "login --device"),
        ("token_endpoint", "login --device"),
    ] {
        let cases = wrong.map(|url| (name, words, url));
        kinds.spawn(assert_none_is_opened(cases.to_vec()));
    }
    kinds.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn login_opens_the_sign_in_page_and_shows_no_code_with_a_line_break() {
    let env = TestEnv::new().start().await;
    let (program, opened) = browser(env.folder());
    let issuer = env.issuer();
    issuer.behave(Behaviour::Names("user_code", "AB\nCD: now run x"));
    Done::of(login(&env, &program, "login --device"))
        .await
        .exits("a code with a line break", 1);

    issuer.behave(Behaviour::Normal);
    let mut waiting = login(&env, &program, "login --browser").spawn().unwrap();
    let seen = tokio::time::timeout(Duration::from_secs(120), async {
        loop {
            match fs::read_to_string(&opened) {
                Ok(text) if text.ends_with('\n') => return text,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    let seen = seen.await.expect("the browser is opened");
    let expected = format!("{}/authorize?", issuer.url());
    assert!(seen.starts_with(&expected), "{seen}");
    waiting.kill().await.unwrap();
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_emergency_sheet_shows_is_what_is_signed_and_whom_it_lets_in() {
    let env = TestEnv::new().with_sshd().start().await;
    let key = |name: &str| env.world().files().emergency_key(name);
    let fingerprint = |name: &str| {
        let key = PrivateKey::read_openssh_file(&key(name)).unwrap();
        key.fingerprint(ssh_key::HashAlg::Sha256).to_string()
    };
    let at = |name: &str| env.folder().join(name).display().to_string();
    let sheet = at("sheet.json");
    let bob = key("bob").display().to_string();
    let alice = key("alice").display().to_string();
    let reason = "INC-7\u{1b}[2J\n  lets in     alice";
    let words = [
        "--reason",
        reason,
        "--emergency-key",
        &bob,
        "--file",
        &sheet,
    ];
    env.run(
        "bob",
        "emergency prepare prod-root --host web-1 --ttl 5m",
        &words,
    )
    .await
    .exits("bob prepares", 0);
    let text = fs::read_to_string(&sheet).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let sign = async |document: &serde_json::Value| {
        fs::write(&sheet, document.to_string()).unwrap();
        let words = [&*sheet, "--emergency-key", &alice];
        env.run("alice", "emergency sign", &words).await
    };

    let signed = sign(&document).await.exits("alice signs", 0);
    let rows: Vec<Vec<&str>> = signed
        .stderr
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let row = |name: &str| {
        let rows = rows.iter().filter(|row| row.join(" ").starts_with(name));
        rows.map(|row| row.join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(row("lets in"), [format!("lets in {}", fingerprint("bob"))]);
    for (name, expected) in [
        ("host", "host web-1"),
        ("role", "role prod-root"),
        ("lifetime", "lifetime at most 5m"),
        ("addresses", "addresses as the role says"),
        ("command", "command as the role says"),
        ("server", "server localhost"),
    ] {
        assert_eq!(row(name), [expected], "{signed:?}");
    }
    assert!(!signed.stderr.contains('\u{1b}'), "{signed:?}");
    assert_eq!(signed.json()["lets_in"], fingerprint("bob"));
    let both: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&sheet).unwrap()).unwrap();

    // Who signed second is not let in, in no order of the file; nor is a holder who has not signed.
    let mut swapped = both.clone();
    swapped["signatures"].as_array_mut().unwrap().reverse();
    let mut unsigned = document.clone();
    unsigned["signatures"] = serde_json::json!([]);
    let mut anothers = both.clone();
    anothers["holder"] = both["signatures"][1]["public_key"].clone();
    let mut alone = both.clone();
    alone["signatures"].as_array_mut().unwrap().remove(0);
    let mut longer = document.clone();
    longer["ask"]["ttl_seconds"] = 3600.into();
    let mut elsewhere = document.clone();
    elsewhere["server"] = "other.example.com".into();
    for (case, document) in [
        ("the second signer first", swapped),
        ("no signature", unsigned),
        ("another holder", anothers),
        ("the second signer alone", alone),
        ("another lifetime", longer),
        ("another server", elsewhere),
    ] {
        let refused = sign(&document).await.exits(case, 1);
        assert!(
            refused.stderr.contains("do not sign it"),
            "{case}: {refused:?}"
        );
        let redeemed = env.run("bob", "emergency redeem", &[&sheet]).await;
        redeemed.exits(case, 1);
    }
    env.close().await;
}
