//! Completion in real shells: a test types part of a line and a tab, as a user does. The names come
//! from what the server listed last; no completion asks the server.

use std::{fs, path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, ChildStdout},
    time::timeout,
};

use crate::support::{
    command::{DAYPASS, Done, Terminal},
    env::TestEnv,
    files::{chmod, mode},
    server::TestServer,
};

/// Bound on one answer; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Names that a shell would take for more than one plain word.
const HOSTILE: [&str; 7] = ["$(id)", "`id`", "it's", "a b", "a\nb", "-rf", "a\"b"];

/// The shells that have a line editor to type in.
const EDITORS: [(&str, &str); 2] = [
    ("bash --norc --noprofile -i", ""),
    ("zsh -f -i", "autoload -U compinit; compinit -u -D;"),
];

/// A shell with the completion, at a terminal. `daypass` prints its arguments there.
struct Shell {
    _child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    seen: String,
}

impl Shell {
    async fn open(terminal: &Terminal, (program, first): (&str, &str)) -> Self {
        let name = program.split(' ').next().unwrap();
        let script = write_script(terminal, name).await;
        let mut command = terminal.program("script", &["-qefc", program, "/dev/null"]);
        command.env("PATH", path()).env("TERM", "dumb");
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .expect("script is missing: apt-get install bsdutils");
        let mut shell = Self {
            stdin: child.stdin.take().unwrap(),
            stdout: child.stdout.take().unwrap(),
            _child: child,
            seen: String::new(),
        };
        // The quotes keep the echo of this line from looking like what it prints.
        shell
            .send(&format!(
                "{first} source '{script}'; daypass() {{ printf '<%s>' \"$@\"; echo ' en''ded'; }}; PS1='rea''dy: '\n"
            ))
            .await;
        shell.read_to("ready: ").await;
        shell
    }

    async fn send(&mut self, keys: &str) {
        self.stdin.write_all(keys.as_bytes()).await.unwrap();
        self.stdin.flush().await.unwrap();
    }

    /// Types `daypass`, the keys and Enter. Returns the arguments that the command line had.
    async fn types(&mut self, keys: &str) -> String {
        self.send(&format!("daypass {keys}\n")).await;
        let text = self.read_to(" ended").await;
        let at = text.find('<').unwrap_or_else(|| panic!("{text:?}"));
        text[at..].to_owned()
    }

    /// Reads to the marker, which is left out.
    async fn read_to(&mut self, marker: &str) -> String {
        loop {
            if let Some((before, after)) = self.seen.split_once(marker) {
                let before = before.to_owned();
                self.seen = after.to_owned();
                return before;
            }
            let mut bytes = [0; 4096];
            let count = timeout(PATIENCE, self.stdout.read(&mut bytes)).await;
            let count = count.unwrap_or_else(|_| panic!("{marker:?} is not in {:?}", self.seen));
            let count = count.unwrap();
            assert!(count > 0, "the shell has ended: {:?}", self.seen);
            self.seen
                .push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }
}

/// The search path, with the program under test first.
fn path() -> String {
    let folder = Path::new(DAYPASS).parent().unwrap();
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

async fn write_script(terminal: &Terminal, shell: &str) -> String {
    let script = terminal.home.join(format!("completion.{shell}"));
    let done = terminal.run(&["completions", shell]).await;
    assert_eq!(done.code, 0, "{done:?}");
    fs::write(&script, &done.stdout).unwrap();
    script.to_str().unwrap().to_owned()
}

/// What fish offers for a command line.
async fn fish(terminal: &Terminal, line: &str) -> Vec<String> {
    let script = write_script(terminal, "fish").await;
    let code = "source $argv[1]; complete --do-complete $argv[2]";
    let mut command = terminal.program("fish", &["--no-config", "-c", code, &script, line]);
    command.env("PATH", path());
    let done = Done::of(command).await;
    assert_eq!((done.code, &*done.stderr), (0, ""), "{line}");
    let lines = done.stdout.lines();
    let words = lines.map(|line| line.split('\t').next().unwrap_or_default());
    words.map(str::to_owned).collect()
}

/// What `daypass complete` prints, which must be nothing else.
async fn complete(terminal: &Terminal, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let words = [&["complete", "--", "daypass"], &*words].concat();
    let done = terminal.run(&words).await;
    assert_eq!((done.code, &*done.stderr), (0, ""), "{line}");
    done.stdout.lines().map(str::to_owned).collect()
}

fn offered(terminal: &Terminal) -> Value {
    let text = fs::read_to_string(terminal.file("offered.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_complete_the_roles_hosts_and_requests_that_the_server_listed() {
    let env = TestEnv::new().signed_in(&["alice", "dave"]).start().await;
    let (alice, dave) = (env.terminal("alice"), env.terminal("dave"));
    for name in ["alice", "dave"] {
        env.daypass(name, "roles").await.exits("roles", 0);
    }
    let for_host = "roles --host web-1";
    env.daypass("alice", for_host).await.exits(for_host, 0);
    let request = "request prod --host web-1 --reason INC-1";
    let opened = env.daypass("alice", request).await;
    let id = opened.json()["id"].to_string();
    env.daypass("dave", "requests").await.exits("requests", 0);
    assert_eq!(mode(&alice.file("offered.json")), 0o600);
    // No server answers from here on.
    let TestServer::InProcess(world, _folder) = env.server else {
        panic!("the server is in this process");
    };
    world.stop().await.unwrap();

    for editor in EDITORS {
        let mut shell = Shell::open(&alice, editor).await;
        for (keys, expected) in [
            ("request log\t", "<request><logs>"),
            ("pass --role she\t", "<pass><--role><shell>"),
            ("pass --role=she\t", "<pass><--role=shell>"),
            ("ssh we\t uptime", "<ssh><web-1><uptime>"),
            ("ssh root@we\t", "<ssh><root@web-1>"),
            ("ssh -v -p 22 we\t", "<ssh><-v><-p><22><web-1>"),
            ("ssh web-1 --role she\t", "<ssh><web-1><--role><shell>"),
            ("ssh web-1 echo we\t", "<ssh><web-1><echo><we>"),
            ("roles --host we\t", "<roles><--host><web-1>"),
            ("cancel \t", &format!("<cancel><{id}>")),
            ("help how\t", "<help><how-it-works>"),
            ("help host rem\t", "<help><host><remove>"),
            ("ssh-c\t", "<ssh-config>"),
            ("stat\t --for\tjs\t", "<status><--format><json>"),
            ("pass --out /etc/passw\t", "<pass><--out></etc/passwd"),
        ] {
            let typed = shell.types(keys).await;
            assert!(
                typed.starts_with(expected),
                "{editor:?} {keys:?}: {typed:?}"
            );
        }
        let mut shell = Shell::open(&dave, editor).await;
        for verb in ["approve", "deny", "show"] {
            let typed = shell.types(&format!("{verb} \t")).await;
            assert_eq!(typed, format!("<{verb}><{id}>"), "{editor:?}");
        }
    }
    for (line, expected) in [
        ("daypass request log", "logs"),
        ("daypass pass --role=she", "--role=shell"),
        ("daypass ssh root@we", "root@web-1"),
        ("daypass cancel ", &id),
        ("daypass help how", "how-it-works"),
        ("daypass pass --out /etc/passwd", "/etc/passwd"),
    ] {
        let offers = fish(&alice, line).await;
        assert!(offers.contains(&expected.to_owned()), "{line}: {offers:?}");
    }
    assert_eq!(complete(&dave, "review ").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_a_hostile_role_list_are_never_offered() {
    let folder = tempfile::tempdir().unwrap();
    let alice = Terminal {
        home: folder.path().to_owned(),
        state: folder.path().join("state"),
        variables: Vec::new(),
    };
    fs::create_dir(&alice.state).unwrap();
    chmod(&alice.state, 0o700);
    let names: Vec<_> = HOSTILE.into_iter().chain(["ops@db:1"]).collect();
    let hosts: Vec<_> = HOSTILE.into_iter().chain(["db-1"]).collect();
    let requests = names.iter().enumerate();
    let requests = requests.map(|(id, role)| json!({"id": id, "role": role, "verb": "decide"}));
    let list = json!({
        "roles": names, "hosts": hosts, "asked": hosts, "requests": requests.collect::<Vec<_>>()
    });
    fs::write(alice.file("offered.json"), list.to_string()).unwrap();
    assert_eq!(complete(&alice, "request ").await, ["ops@db:1"]);
    assert_eq!(complete(&alice, "pass --role=").await, ["--role=ops@db:1"]);
    assert_eq!(complete(&alice, "ssh ").await, ["db-1"]);
    assert_eq!(fish(&alice, "daypass request ").await, ["ops@db:1"]);
    let words = ["complete", "--described", "--", "daypass", "approve", ""];
    let described = alice.run(&words).await.stdout;
    let lines: Vec<_> = described.lines().collect();
    assert_eq!(lines.len(), names.len(), "{described:?}");
    assert!(
        HOSTILE.iter().all(|name| !described.contains(name)),
        "{described}"
    );
    for editor in EDITORS {
        let mut shell = Shell::open(&alice, editor).await;
        // The only candidate is inserted as it is.
        assert_eq!(shell.types("request \t").await, "<request><ops@db:1>");
        assert_eq!(shell.types("request ops@d\t").await, "<request><ops@db:1>");
        assert_eq!(shell.types("ssh \t").await, "<ssh><db-1>");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn completion_is_silent_if_nothing_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let terminal = Terminal {
        home: folder.path().to_owned(),
        state: folder.path().join("state"),
        variables: Vec::new(),
    };
    let lines = [
        "request ",
        "ssh ",
        "ssh -p",
        "ssh --role ",
        "pass --role=",
        "approve ",
        "no-such-command x",
        "help no such",
        "--server",
        "roles --host ",
        "request --state-dir /proc/1/x ",
        "request --server :// ",
    ];
    let all_are_silent = async |case: &str| {
        for line in lines {
            assert_eq!(complete(&terminal, line).await, [""; 0], "{case}: {line}");
        }
    };
    all_are_silent("no state folder").await;
    assert!(!terminal.state.exists(), "completion makes no folder");
    fs::create_dir(&terminal.state).unwrap();
    chmod(&terminal.state, 0o777);
    all_are_silent("a folder that other users can write to").await;
    chmod(&terminal.state, 0o700);
    for name in ["session.json", "offered.json", "requested.json"] {
        fs::write(terminal.file(name), "{\"roles\": 7, \0").unwrap();
    }
    all_are_silent("damaged files").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_come_from_ssh_configurations_and_passes_and_logout_forgets_the_list() {
    let env = TestEnv::new().signed_in(&["alice"]).start().await;
    let alice = env.terminal("alice");
    fs::create_dir_all(alice.home.join(".ssh")).unwrap();
    let config = "Host build-* build-7 \"odd host\" $(id)\n  User x\nHost=alias\n";
    fs::write(alice.home.join(".ssh/config"), config).unwrap();
    assert_eq!(complete(&alice, "ssh b").await, ["build-7"]);
    assert_eq!(complete(&alice, "ssh al").await, ["alias"]);

    let words = [
        "ssh-config",
        "install",
        "--host",
        "web-*",
        "--host",
        "cache-1",
    ];
    alice.run(&words).await.exits("install", 0);
    assert_eq!(complete(&alice, "ssh c").await, ["cache-1"]);
    env.daypass("alice", "roles --host web-1")
        .await
        .exits("roles", 0);
    assert_eq!(offered(&alice)["asked"], json!(["web-1"]));
    fs::create_dir_all(alice.file("hosts/db-9")).unwrap();
    assert_eq!(complete(&alice, "ssh d").await, ["db-9"]);

    assert!(
        complete(&alice, "request ")
            .await
            .contains(&"shell".to_owned())
    );
    env.daypass("alice", "logout").await.exits("logout", 0);
    assert!(!alice.file("offered.json").exists());
    assert_eq!(complete(&alice, "request ").await, [""; 0]);
    env.close().await;
}
