//! The screens of `daypass login --paste`: what each paste is answered, as
//! `tests/screens/login-paste.md` keeps it. `TRYCMD=overwrite` writes that file anew.

use std::{fmt::Write as _, path::PathBuf, process::Stdio, time::Duration};

use daypass::dev::person::Visitor;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    time::timeout,
};

use crate::support::{command::Terminal, env::TestEnv};

/// Long enough for a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// What a user pastes, from the address where the browser ended.
type Paste = fn(&str) -> String;

const PASTES: [(&str, Paste); 11] = [
    ("The address where the browser ended", |end| {
        format!("{end}\n")
    }),
    ("The same twice, in one line", |end| {
        format!("{end} {end}\n")
    }),
    ("The same twice, in two lines", |end| {
        format!("{end}\n{end}\n")
    }),
    ("Cut off in the code", |end| {
        format!("{}\n", cut(end, "code="))
    }),
    ("Cut off in the state", |end| {
        format!("{}\n", cut(end, "state="))
    }),
    ("Of another sign-in", |end| {
        format!("{}\n", end.replace("state=", "state=x"))
    }),
    ("Another address", |_| {
        "https://id.example.com/authorize?client_id=daypass\n".to_owned()
    }),
    ("The provider's refusal", |end| {
        let (address, query) = end.split_once('?').unwrap();
        let state = query.split('&').find(|it| it.starts_with("state="));
        let error = "error=access_denied&error_description=Bob%1b%5b2J+said+no";
        format!("{address}?{error}&{}\n", state.unwrap())
    }),
    ("64 KiB", |_| format!("{}\n", "x".repeat(64 * 1024))),
    ("An empty line", |_| "\n".to_owned()),
    ("Nothing", |_| String::new()),
];

/// The address up to three bytes after `name`.
fn cut(end: &str, name: &str) -> String {
    let at = end.find(name).unwrap() + name.len() + 3;
    end[..at].to_owned()
}

/// The screen of one sign-in: what was printed, and the exit code.
async fn screen(env: &TestEnv, terminal: &Terminal, paste: Paste) -> String {
    let mut command = terminal.command(&["login", "--paste"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let url = loop {
        let before = said.len();
        let read = timeout(SOON, stderr.read_line(&mut said)).await.unwrap();
        assert!(read.unwrap() > 0, "no address was printed: {said}");
        if said[before..].trim_start().starts_with("http") {
            break said[before..].trim().to_owned();
        }
    };
    let person = Visitor::new("alice", env.password());
    let end = person.destination(&url).await.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The client may end before it has read everything.
    let _ = stdin.write_all(paste(&end).as_bytes()).await;
    drop(stdin);
    timeout(SOON, stderr.read_to_string(&mut said))
        .await
        .unwrap()
        .unwrap();
    let done = timeout(SOON, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let port = end.split(['/', ':']).nth(4).unwrap();
    let (server, _) = env.world().server();
    let text = said + &String::from_utf8(done.stdout).unwrap();
    let text = text
        .replace(&url, "[PAGE]")
        .replace(server.trim_end_matches('/'), "[SERVER]")
        .replace(port, "[PORT]");
    format!(
        "? {}\n{}",
        done.status.code().unwrap(),
        without_times(&text)
    )
}

/// The text without what changes with the clock and the machine.
fn without_times(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let line = match (line.split_once(" for "), line.starts_with("Signed in")) {
            (Some((start, _)), true) => format!("{start} for [..]"),
            _ => line.to_owned(),
        };
        let line = match line.split_once("[PORT] ") {
            Some((start, _)) if line.contains("ssh -L") => format!("{start}[PORT] [..]"),
            _ => line,
        };
        writeln!(lines, "{}", line.trim_end()).unwrap();
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn each_paste_has_its_screen() {
    let env = TestEnv::new().start().await;
    let mut story = "# A sign-in whose browser is on another machine\n".to_owned();
    for (at, (case, paste)) in PASTES.iter().enumerate() {
        let terminal = env.terminal(&format!("pasted-{at}"));
        let screen = screen(&env, &terminal, *paste).await;
        write!(
            story,
            "\n## {case}\n\n```\n$ daypass login --paste\n{screen}```\n"
        )
        .unwrap();
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/screens/login-paste.md");
    if std::env::var("TRYCMD").is_ok_and(|how| how == "overwrite") {
        std::fs::write(&path, &story).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(story, kept, "look at the difference, then TRYCMD=overwrite");
    env.close().await;
}
