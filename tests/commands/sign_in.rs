//! What `login` and `whoami` say at the end of a sign-in: the server's view, or its refusal.

use std::{fs, path::Path, process::Stdio, time::Duration};

use daypass::dev::{issuer::Behaviour, person::Visitor};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    process::{Child, ChildStderr},
};

use crate::support::{
    command::{DAYPASS, Done, Terminal},
    env::TestEnv,
    faketime,
    files::write_program,
    now,
};

async fn start() -> (TestEnv, Terminal) {
    let env = TestEnv::new().start().await;
    let terminal = env.own_terminal();
    (env, terminal)
}

/// Signs in with a token that the issuer made, after this change of its claims.
async fn sign_in_with(env: &TestEnv, terminal: &Terminal, change: impl FnOnce(&mut Value)) -> Done {
    let prepared = terminal.json(&["login", "--print-audience"]).await;
    let mut claims = env.issuer().claims("alice");
    claims["nonce"] = prepared["nonce"].clone();
    change(&mut claims);
    let token = terminal.home.join("token");
    fs::write(&token, env.sign(claims)).unwrap();
    let words = ["login", "--token-file", token.to_str().unwrap()];
    terminal.run_json(&words).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_ends_with_the_number_of_open_roles() {
    let (env, terminal) = start().await;
    let done = terminal
        .run(&["login", "--as", "alice"])
        .await
        .exits("alice", 0);
    assert!(
        done.stdout
            .contains("4 roles are open to you: daypass roles"),
        "{done:?}"
    );
    let done = terminal
        .run(&["login", "--as", "mallory"])
        .await
        .exits("mallory", 0);
    assert!(done.stdout.contains("No role is open to you"), "{done:?}");
    let signed_in = terminal.json(&["login", "--as", "alice"]).await;
    assert_eq!(
        signed_in["roles"],
        json!(["shell", "logs", "prod", "prod-root"])
    );
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_server_refuses_is_said_and_not_kept() {
    let (env, terminal) = start().await;
    terminal.sign_in("alice").await;
    let before = fs::read(terminal.file("session.json")).unwrap();
    for (case, name, value, reason, says) in [
        (
            "expired",
            "exp",
            json!(now() - 60),
            "TOKEN_EXPIRED",
            "the server's clock says",
        ),
        (
            "from the future",
            "iat",
            json!(now() + 600),
            "TOKEN_NOT_YET_VALID",
            "The provider's clock is",
        ),
        (
            "another client",
            "aud",
            json!("grafana"),
            "TOKEN_AUDIENCE",
            "\"grafana\"",
        ),
        (
            "too many groups",
            "hasgroups",
            json!(true),
            "TOKEN_OVERAGE",
            "assigned to this application",
        ),
    ] {
        let done = sign_in_with(&env, &terminal, |claims| {
            if name == "exp" {
                claims["iat"] = json!(now() - 3600);
            }
            claims[name] = value;
        });
        let error = done.await.exits(case, 3).error();
        assert_eq!(error["reason"], reason, "{case}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(says), "{case}: {message}");
        let after = fs::read(terminal.file("session.json")).unwrap();
        assert!(before == after, "{case}: the session before it stays");
    }
    terminal.json(&["pass", "--role", "shell"]).await;
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_the_server_cannot_confirm_is_kept_and_exits_6() {
    let (env, terminal) = start().await;
    let prepared = terminal.json(&["login", "--print-audience"]).await;
    let mut claims = env.issuer().claims("alice");
    claims["nonce"] = prepared["nonce"].clone();
    // The server has no key of this token, and cannot get it.
    env.issuer().rotate().unwrap();
    let token = env.sign(claims);
    env.issuer().stop().await;
    let file = terminal.home.join("token");
    fs::write(&file, token).unwrap();
    let words = ["login", "--token-file", file.to_str().unwrap()];
    let done = terminal.run(&words).await;
    let done = done.exits("unconfirmed", 6);
    assert!(done.stderr.contains("did not confirm it"), "{done:?}");
    assert!(done.stdout.contains("Signed in to"), "{done:?}");
    env.close().await;
}

/// Runs `daypass` with a clock that is so far off.
async fn at(terminal: &Terminal, offset: &str, words: &[&str]) -> Done {
    let mut command = terminal.program(DAYPASS, words);
    command.envs(faketime::variables()).env("FAKETIME", offset);
    Done::of(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_said_at_the_sign_in() {
    let (env, terminal) = start().await;
    let late = at(&terminal, "+2h", &["login", "--as", "alice"]).await;
    let late = late.exits("two hours ahead", 4);
    assert!(late.stderr.contains("clock is 2h"), "{late:?}");
    assert!(late.stderr.contains("ahead of the server's"), "{late:?}");
    let early = at(&terminal, "-10m", &["login", "--as", "alice"]).await;
    let early = early.exits("ten minutes behind", 0);
    assert!(
        early.stderr.contains("behind the server's: correct it"),
        "{early:?}"
    );
    let seen = at(&terminal, "-10m", &["whoami"]).await.exits("whoami", 0);
    assert!(seen.stderr.contains("behind the server's"), "{seen:?}");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoami_shows_the_caller_as_the_server_sees_them_and_records_nothing() {
    let (env, terminal) = start().await;
    terminal
        .run(&["whoami"])
        .await
        .exits("without a sign-in", 4);
    terminal.sign_in("alice").await;
    let before = env.events(0).await.len();
    let seen = terminal.json(&["whoami"]).await;
    assert_eq!(seen["issuer"], env.issuer().url());
    assert_eq!(seen["label"], "alice@example.com");
    assert_eq!(seen["binding"], "nonce");
    assert_eq!(seen["claims"]["groups"], json!(["sre", "oncall"]));
    assert!(seen["claims"].get("nonce").is_none());
    assert_eq!(seen["roles"], json!(["shell", "logs", "prod", "prod-root"]));
    let done = terminal.run(&["whoami"]).await.exits("text", 0);
    for row in [
        "alice@example.com\n",
        "  subject    alice\n",
        "  groups  sre, oncall",
    ] {
        assert!(done.stdout.contains(row), "{row}: {}", done.stdout);
    }
    assert_eq!(env.events(0).await.len(), before);
    env.close().await;
}

/// A server that answers everything with these bytes.
async fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 8192];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    format!("http://{address}/token")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_the_token_endpoint_is_told_apart() {
    let (env, terminal) = start().await;
    for (case, answer, code, says) in [
        (
            "invalid_grant",
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n\
             {\"error\":\"invalid_grant\",\"error_description\":\"Code \\u001b[2J expired\"}",
            3,
            "invalid_grant: \"Code \\u{1b}[2J expired\"; the sign-in took too long",
        ),
        (
            "invalid_client",
            "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n\
             {\"error\":\"invalid_client\",\"error_description\":\"client_secret is missing.\"}",
            3,
            "\"client_secret is missing.\"; the server's operators can compare client_id and client_secret_file",
        ),
        (
            "a web page with 502",
            "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html>Bad gateway</html>",
            6,
            "it answers with a web page",
        ),
        (
            "a web page with 200",
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html>Sign in</html>",
            6,
            "it answers with a web page",
        ),
        (
            "a connection that ends",
            "",
            6,
            "failed to reach the identity provider dev",
        ),
    ] {
        let url = Box::leak(answering(answer).await.into_boxed_str());
        env.issuer().behave(Behaviour::Names("token_endpoint", url));
        let done = terminal
            .run(&["login", "--as", "alice"])
            .await
            .exits(case, code);
        assert!(done.stderr.contains(says), "{case}: {}", done.stderr);
        assert_eq!(done.stderr.contains("--emergency-key"), code == 6, "{case}");
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_named_with_the_emergency_command() {
    let (env, terminal) = start().await;
    for (case, behaviour, says) in [
        ("500", Behaviour::Status500, "(HTTP 500)"),
        (
            "a web page",
            Behaviour::Html,
            "it answers with a web page (HTTP 200)",
        ),
    ] {
        env.issuer().behave(behaviour);
        let done = terminal
            .run(&["login", "--as", "alice"])
            .await
            .exits(case, 6);
        assert!(done.stderr.contains(says), "{case}: {}", done.stderr);
        assert!(
            done.stderr.contains("--emergency-key FILE"),
            "{case}: {}",
            done.stderr
        );
    }
    env.issuer().stop().await;
    let done = terminal
        .run(&["login", "--as", "alice"])
        .await
        .exits("stopped", 6);
    let expected = format!(
        "the identity provider dev ({}): Connection refused",
        env.issuer().url()
    );
    assert!(done.stderr.contains(&expected), "{}", done.stderr);
    env.close().await;
}

/// Lines of a child's stderr.
type Lines = tokio::io::Lines<BufReader<ChildStderr>>;

/// Reads lines until one has this beginning.
async fn line_with(lines: &mut Lines, beginning: &str) -> String {
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.trim_start().starts_with(beginning) {
                return line.trim().to_owned();
            }
        }
        panic!("no line begins with {beginning}");
    };
    let read = tokio::time::timeout(Duration::from_secs(60), reading).await;
    read.unwrap_or_else(|_| panic!("no line begins with {beginning} in time"))
}

/// A login that waits for its user, and the address to open.
async fn waiting_login(terminal: &Terminal, words: &[&str]) -> (Child, Lines, String) {
    let mut command = terminal.command(words);
    command.stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let url = line_with(&mut lines, "http").await;
    (child, lines, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pasted_redirect_signs_in_with_the_binding_to_the_key() {
    let (env, terminal) = start().await;
    let words = ["login", "--paste", "--format", "json"];
    let (mut child, mut lines, url) = waiting_login(&terminal, &words).await;
    let person = Visitor::new("alice", env.password());
    let end = person.destination(&url).await.unwrap();
    let port = end.split(['/', ':']).nth(4).unwrap().to_owned();
    let forward = line_with(&mut lines, "ssh -L ").await;
    assert!(
        forward.starts_with(&format!("ssh -L {port}:127.0.0.1:{port} ")),
        "{forward}"
    );
    let mut stdin = child.stdin.take().unwrap();
    for (text, says) in [
        ("https://example.com/\n", "that is another address"),
        ("code=stolen&state=other\n", "that is of another sign-in"),
        ("code=stolen\n", "that is not whole"),
    ] {
        stdin.write_all(text.as_bytes()).await.unwrap();
        let line = line_with(&mut lines, "daypass: ").await;
        assert!(line.contains(says) && !line.contains("stolen"), "{line}");
    }
    stdin
        .write_all(format!("  \"{end}\" \n").as_bytes())
        .await
        .unwrap();
    let output = child.wait_with_output().await.unwrap();
    let signed_in: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&signed_in["subject"], &signed_in["bound"]),
        (&json!("alice"), &json!(true))
    );

    let done = terminal.run(&["login", "--paste"]).await;
    let done = done.exits("an empty standard input", 2);
    assert!(
        done.stderr
            .contains("no address of this sign-in was pasted"),
        "{done:?}"
    );
    let file = terminal.home.join("megabyte");
    fs::write(&file, "x".repeat(1 << 20)).unwrap();
    let mut command = terminal.command(&["login", "--paste"]);
    command.stdin(fs::File::open(&file).unwrap());
    let done = Done::of(command).await.exits("a megabyte", 2);
    assert!(done.stderr.contains("that is too long"), "{done:?}");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_the_named_one_or_that_of_the_environment() {
    let (env, terminal) = start().await;
    let program = env.folder().join("browser");
    let opened = env.folder().join("opened");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$#\" \"$@\" > {0}.new\nmv {0}.new {0}\n",
        opened.display()
    );
    write_program(&program, &script);
    let program = program.to_str().unwrap();
    let person = Visitor::new("alice", env.password());
    for (case, words, variable) in [
        ("--browser COMMAND", vec!["login", "--browser", program], ""),
        ("$BROWSER without a display", vec!["login"], program),
        (
            "a list, of which one is there",
            vec!["login"],
            "/nonexistent:PROGRAM",
        ),
    ] {
        let mut command = terminal.command(&words);
        command.env("BROWSER", variable.replace("PROGRAM", program));
        let child = command.spawn().unwrap();
        let written = async {
            while !opened.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), written)
            .await
            .unwrap();
        let words = fs::read_to_string(&opened).unwrap();
        let (count, url) = words.split_once('\n').unwrap();
        assert_eq!(count, "1", "{case}: one word");
        person.browse(url.trim()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{case}: {output:?}");
        fs::remove_file(&opened).unwrap();
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_waits_blocks_no_other_window_and_leaves_nothing() {
    let (env, terminal) = start().await;
    let (first, _lines, url) = waiting_login(&terminal, &["login", "--paste"]).await;
    let pid = first.id().unwrap();

    // Another window goes its own way, and says why.
    let second = terminal
        .run(&["login", "--as", "alice"])
        .await
        .exits("a second login", 0);
    let note = format!("a sign-in waits in another terminal (pid {pid}, since ");
    assert!(second.stderr.contains(&note), "{}", second.stderr);
    // Other commands do not wait.
    terminal.json(&["pass", "--role", "shell"]).await;
    terminal.run(&["logout"]).await.exits("logout", 0);

    // A command that needs a sign-in waits for this one and uses its result.
    let client = env.client();
    let request = env.browser_login("bob", Default::default());
    let waiting = tokio::spawn(async move {
        client
            .sign_in_once(&request, None)
            .await
            .map(|login| login.subject)
    });
    let person = Visitor::new("alice", env.password());
    person.browse(&url).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), "alice");
    drop(first);

    // One that ends without a result leaves no turn and no files.
    terminal.run(&["logout"]).await.exits("logout", 0);
    let before = names(&terminal.state);
    let (mut child, _lines, _) = waiting_login(&terminal, &["login", "--paste"]).await;
    let pid = rustix::process::Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    let stdin = child.stdin.take();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(130));
    drop(stdin);
    assert_eq!(names(&terminal.state), before);
    let after = terminal
        .run(&["login", "--as", "alice"])
        .await
        .exits("afterwards", 0);
    assert!(
        !after.stderr.contains("another terminal"),
        "{}",
        after.stderr
    );
    env.close().await;
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_machine_chooses_its_issuer_beside_the_one_of_people() {
    // The issuer of another world stands for that of a CI service.
    let ci = TestEnv::new().start().await;
    let url = ci.issuer().url();
    let issuer = format!(
        "[[issuer]]\nname = \"ci\"\nurl = \"{url}\"\nclient_id = \"daypass\"\nalgorithms = [\"ES256\"]\n\
         binding = \"audience\"\ninteractive = false\n"
    );
    let env = TestEnv::new().configuration(issuer).start().await;
    let terminal = env.own_terminal();
    let token = terminal.home.join("token");
    let token_file = ["login", "--token-file", token.to_str().unwrap()];
    let slashed = format!("{url}/");
    for (case, iss, code, says) in [
        ("with a slash more", slashed.as_str(), 2, "its issuers are:"),
        (
            "an unknown one",
            "https://gitlab.example.com",
            2,
            "\"https://gitlab.example.com\"",
        ),
        ("its own", url, 0, url),
    ] {
        let prepared = terminal.json(&["login", "--print-audience"]).await;
        let mut claims = ci.issuer().claims("alice");
        claims["aud"] = prepared["audience"].clone();
        claims["iss"] = json!(iss);
        fs::write(&token, ci.sign(claims)).unwrap();
        let done = terminal.run_json(&token_file).await.exits(case, code);
        assert!(
            format!("{}{}", done.stdout, done.stderr).contains(&says.replace('"', "\\\"")),
            "{case}: {done:?}"
        );
        assert_eq!(
            done.stderr.contains(&format!("ci ({url})")),
            code == 2,
            "{case}: {done:?}"
        );
    }
    // The command is asked for the audience of the issuer whose token it fetches.
    let script = terminal.home.join("fetch");
    let audience = terminal.home.join("audience");
    write_program(
        &script,
        &format!(
            "#!/bin/sh\nprintf %s \"$1\" > {}\ncat {}\n",
            audience.display(),
            token.display()
        ),
    );
    let command = format!("{} {{audience}}", script.display());
    let done = terminal.run(&["login", "--token-command", &command]).await;
    let done = done.exits("a token for another key", 2);
    assert!(
        done.stderr.contains("its audience should be daypass#"),
        "{done:?}"
    );
    assert!(
        fs::read_to_string(&audience)
            .unwrap()
            .starts_with("daypass#")
    );
    env.close().await;
    ci.close().await;
}
