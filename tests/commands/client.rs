//! The command line against a whole world: issuer, daemon and, where it is about ssh, a real sshd
//! and ssh-agent.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::{
    agent::Agent,
    command::{DAYPASS, Done, Terminal},
    env::TestEnv,
    now,
};
use daypass::{
    client::login::{Method, Request, StepUp, Visit},
    identity::issuer::Algorithm,
    ledger::checkpoint::Signer,
};
use serde_json::{Value, json};

/// A dev world with its sshd, and the terminal of its user.
async fn start() -> (TestEnv, Terminal) {
    let env = TestEnv::new().with_sshd().start().await;
    let terminal = env.own_terminal();
    (env, terminal)
}

/// The types of every event, oldest first.
async fn event_types(env: &TestEnv) -> Vec<String> {
    let events = env.events(0).await;
    let types = events.iter().map(|event| event["type"].as_str().unwrap());
    types.map(str::to_owned).collect()
}

fn change_session(terminal: &Terminal, change: impl FnOnce(&mut Value)) {
    let path = terminal.file("session.json");
    let mut session: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut session);
    fs::write(&path, session.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_has_its_exit_code_and_says_what_to_do() {
    let (env, terminal) = start().await;
    let cases: [(&str, &[&str], i32, &str); 7] = [
        ("not signed in", &["pass"], 4, "daypass login"),
        ("status says so too", &["status"], 4, "daypass login"),
        (
            "ssh without a terminal does not ask",
            &["ssh", "web-1"],
            4,
            "daypass login",
        ),
        (
            "ensure neither",
            &["ensure", "--host", "web-1"],
            4,
            "daypass login",
        ),
        (
            "an invalid host",
            &["ssh", "web-1;id"],
            2,
            "invalid host name",
        ),
        (
            "no server at that address",
            &["login", "--as", "alice", "--server", "http://127.0.0.1:1"],
            6,
            "failed to reach",
        ),
        (
            "a person needs to be there",
            &["login", "--no-input"],
            4,
            "--token-command",
        ),
    ];
    for (case, words, code, says) in cases {
        let done = terminal.run(words).await;
        assert_eq!(done.code, code, "{case}: {}", done.stderr);
        assert!(done.stderr.contains(says), "{case}: {}", done.stderr);
    }

    terminal.sign_in("mallory").await;
    for words in [
        &["pass", "--role", "shell"][..],
        &["ssh", "web-1"],
        &["ledger", "list"],
    ] {
        let done = terminal.run(words).await;
        assert_eq!(done.code, 3, "{words:?}: {}", done.stderr);
    }

    terminal.sign_in("alice").await;
    change_session(&terminal, |session| session["login"]["expires"] = json!(1));
    let done = terminal.run(&["pass", "--format", "json"]).await;
    assert_eq!(done.code, 4);
    let error: Value = serde_json::from_str(&done.stderr).unwrap();
    assert_eq!(error["error"]["code"], 4);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_commands_at_once_make_one_login_and_one_pass() {
    let (env, terminal) = start().await;
    let logins = (0..20).map(|_| {
        let client = env.client();
        let request = env.browser_login("alice", StepUp::default());
        tokio::spawn(async move {
            let login = client.sign_in_once(&request, None).await;
            login.map(|login| login.label)
        })
    });
    for login in logins.collect::<Vec<_>>() {
        assert_eq!(login.await.unwrap().unwrap(), "alice@example.com");
    }
    assert_eq!(env.issuer().hits("/token"), 1);

    let commands = (0..20).map(|_| {
        terminal
            .command(&["ensure", "--host", "web-1"])
            .spawn()
            .unwrap()
    });
    for mut command in commands.collect::<Vec<_>>() {
        assert!(command.wait().await.unwrap().success());
    }
    let events = event_types(&env).await;
    assert_eq!(events.iter().filter(|kind| *kind == "issued").count(), 1);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_pass_needs_no_server() {
    let (mut env, terminal) = start().await;
    terminal.sign_in("alice").await;
    assert_eq!(terminal.run(&["ensure", "--host", "web-1"]).await.code, 0);
    env.server.world_mut().stop_daemon().await.unwrap();
    let again = terminal.run(&["ensure", "--host", "web-1"]).await;
    assert_eq!(
        (again.code, again.stdout.as_str(), again.stderr.as_str()),
        (0, "", "")
    );
    assert_eq!(terminal.run(&["ensure", "--host", "web-2"]).await.code, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_ledger_is_noticed_and_the_evidence_kept() {
    let (env, terminal) = start().await;
    terminal.sign_in("alice").await;
    terminal.run(&["pass", "--role", "shell"]).await;
    let server = fs::read_dir(terminal.file("servers"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let key = ssh_key::PrivateKey::read_openssh_file(&env.world().files().dir().join("ledger_key"))
        .unwrap();
    let seed = key.key_data().ed25519().unwrap().private.to_bytes();
    let signer = Signer::new("localhost/ledger", &seed).unwrap();
    for (case, size) in [
        ("another history of the same length", 3),
        ("a longer one", 1000),
        ("a shorter one", 1),
    ] {
        let seen = signer.sign(size, [9; 32]);
        fs::write(server.join("checkpoint"), &seen).unwrap();
        let done = terminal
            .run(&["pass", "--role", "shell", "--format", "json"])
            .await;
        assert_eq!(done.code, 1, "{case}: {}", done.stderr);
        let error: Value = serde_json::from_str(&done.stderr).unwrap();
        assert_eq!(error["error"]["reason"], "LEDGER_FORK", "{case}");
        assert_eq!(
            fs::read_to_string(server.join("checkpoint")).unwrap(),
            seen,
            "{case}"
        );
        assert!(server.join("checkpoint.contradicting").exists(), "{case}");
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_elsewhere_is_taken_where_it_commits_to_the_key() {
    let (env, terminal) = start().await;
    let prepared = terminal.json(&["login", "--print-audience"]).await;
    let issuer = env.issuer();
    let token = |nonce: &Value| {
        let mut claims = issuer.claims("alice");
        for (name, value) in [
            ("nonce", nonce.clone()),
            ("iat", now().into()),
            ("exp", (now() + 300).into()),
        ] {
            claims[name] = value;
        }
        claims["iss"] = issuer.url().into();
        claims["aud"] = "daypass".into();
        issuer.sign(Algorithm::ES256, &claims)
    };
    let file = env.folder().join("token");
    let path = file.to_str().unwrap();

    fs::write(&file, token(&json!("another"))).unwrap();
    let refused = terminal.run(&["login", "--token-file", path]).await;
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    fs::write(&file, "no token").unwrap();
    assert_eq!(terminal.run(&["login", "--token-file", path]).await.code, 2);

    fs::write(&file, token(&prepared["nonce"])).unwrap();
    let signed_in = terminal.json(&["login", "--token-file", path]).await;
    assert_eq!(signed_in["bound"], true);
    let pass = terminal.json(&["pass", "--role", "shell"]).await;
    let shown = terminal
        .json(&["ledger", "show", &pass["serial"].to_string()])
        .await;
    assert_eq!(shown["binding"], "nonce");
    assert_eq!(shown["key_id"], pass["key_id"]);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_leaves_no_key_no_token_and_no_pass() {
    let (env, terminal) = start().await;
    terminal.sign_in("alice").await;
    terminal.run(&["ensure", "--host", "web-1"]).await;
    terminal.run(&["pass", "--role", "shell"]).await;
    assert_eq!(
        fs::metadata(&terminal.state).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let session = fs::read_to_string(terminal.file("session.json")).unwrap();
    let session: Value = serde_json::from_str(&session).unwrap();
    let token = session["login"]["token"].as_str().unwrap();
    assert_eq!(terminal.json(&["logout"]).await["signed_out"], true);
    for name in ["key", "key.pub", "passes", "hosts", "agent.json"] {
        assert!(!terminal.file(name).exists(), "{name}");
    }
    let session = fs::read_to_string(terminal.file("session.json")).unwrap();
    assert!(!session.contains(token));
    assert_eq!(terminal.run(&["status"]).await.code, 4);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_of_one_person_are_not_used_for_another() {
    let (env, terminal) = start().await;
    terminal.sign_in("alice").await;
    terminal.run(&["ensure", "--host", "web-1"]).await;
    let first = terminal.json(&["status"]).await["passes"][0]["serial"].clone();
    terminal.sign_in("alice").await;
    assert_eq!(
        terminal.json(&["status"]).await["passes"][0]["serial"],
        first
    );
    terminal.sign_in("mallory").await;
    assert_eq!(terminal.json(&["status"]).await["passes"], json!([]));
    assert_eq!(terminal.run(&["ensure", "--host", "web-1"]).await.code, 3);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_written_to_the_given_path_and_never_over_another_key() {
    let (env, terminal) = start().await;
    terminal.sign_in("alice").await;
    let out = env.folder().join("job");
    let path = out.to_str().unwrap();
    for _ in 0..2 {
        let pass = terminal
            .json(&["pass", "--role", "shell", "--ttl", "5m", "--out", path])
            .await;
        let inspected = terminal.json(&["inspect", path]).await;
        assert_eq!(inspected["serial"], pass["serial"]);
        assert_eq!(inspected["warnings"], json!([]));
    }
    let mine = env.folder().join("id_ed25519");
    fs::write(&mine, "mine").unwrap();
    let refused = terminal
        .run(&["pass", "--role", "shell", "--out", mine.to_str().unwrap()])
        .await;
    assert_eq!(refused.code, 2);
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_verifies_offline_and_a_changed_one_does_not() {
    let (mut env, terminal) = start().await;
    terminal.sign_in("alice").await;
    terminal.run(&["pass", "--role", "shell"]).await;
    let file = env.folder().join("export");
    let path = file.to_str().unwrap();
    let verified = terminal.json(&["ledger", "export", "--out", path]).await;
    env.server.world_mut().stop_daemon().await.unwrap();
    assert_eq!(terminal.json(&["ledger", "verify", path]).await, verified);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("shell", "shelf")).unwrap();
    let refused = terminal.run(&["ledger", "verify", path]).await;
    assert_eq!(refused.code, 1, "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_holds_passes_and_keys_until_logout() {
    let (env, terminal) = start().await;
    let agent = Agent::start(env.folder()).await;
    let socket = agent.socket.display().to_string();
    let with_agent = async |program: &str, words: &[&str]| {
        let mut command = terminal.program(program, words);
        command.env("SSH_AUTH_SOCK", &socket);
        Done::of(command).await
    };
    let daypass = DAYPASS;
    let listed = async || with_agent("ssh-add", &["-L"]).await.stdout;

    terminal.sign_in("alice").await;
    let pass = with_agent(daypass, &["pass", "--role", "shell", "--agent"]).await;
    assert_eq!(pass.code, 0, "{}", pass.stderr);
    assert!(listed().await.contains("ssh-ed25519-cert-v01@openssh.com"));
    with_agent(daypass, &["logout"]).await;
    assert!(!listed().await.contains("ssh-ed25519"));

    let login = with_agent(daypass, &["login", "--as", "alice", "--agent"]).await;
    assert_eq!(login.code, 0, "{}", login.stderr);
    assert!(!terminal.file("key").exists());
    let pass = with_agent(daypass, &["ssh", "web-1", "--", "echo", "by agent"]).await;
    assert_eq!(
        (pass.code, pass.stdout.trim()),
        (0, "by agent"),
        "{}",
        pass.stderr
    );

    let mine = env.folder().join("mine");
    let path = mine.to_str().unwrap();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let _ = fs::remove_file(&mine);
        with_agent("ssh-keygen", &["-q", "-t", kind, "-N", "", "-f", path]).await;
        with_agent("ssh-add", &["-q", path]).await;
        let public = format!("{path}.pub");
        let login = with_agent(daypass, &["login", "--as", "alice", "--key", &public]).await;
        assert_eq!(login.code, 0, "{kind}: {}", login.stderr);
        let run = with_agent(
            daypass,
            &["ssh", "web-1", "--ttl", "9m", "--", "echo", kind],
        )
        .await;
        assert_eq!((run.code, run.stdout.trim()), (0, kind), "{}", run.stderr);
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_runs_with_the_pass_and_passes_on_its_exit_code() {
    let (env, terminal) = start().await;
    terminal.sign_in("alice").await;
    let ran = terminal.run(&["ssh", "web-1", "--", "exit 42"]).await;
    assert_eq!(ran.code, 42, "{}", ran.stderr);
    let logs = terminal
        .run(&[
            "ssh",
            "web-1",
            "--role",
            "logs",
            "--param",
            "unit=nginx",
            "--",
            "id",
        ])
        .await;
    assert_eq!(logs.stdout.trim(), "logs of nginx", "{}", logs.stderr);

    let config = env.folder().join("config");
    fs::copy(env.world().files().ssh_config(), &config).unwrap();
    let before = fs::read(&config).unwrap();
    let path = config.to_str().unwrap();
    assert_eq!(
        terminal
            .json(&["ssh-config", "install", "--config", path])
            .await["changed"],
        true
    );
    assert_eq!(
        terminal
            .json(&["ssh-config", "install", "--config", path])
            .await["changed"],
        false
    );
    let plain = Done::of(terminal.program("ssh", &["-F", path, "web-1", "echo plain"])).await;
    assert_eq!(plain.stdout.trim(), "plain", "{}", plain.stderr);
    assert_eq!(
        terminal
            .json(&["ssh-config", "remove", "--config", path])
            .await["changed"],
        true
    );
    assert_eq!(fs::read(&config).unwrap(), before);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_beside_each_other_do_not_take_the_ledgers_growth_for_a_fork() {
    let (env, terminal) = start().await;
    terminal.sign_in("alice").await;
    let wish = daypass::client::choose::PassRequest {
        role: Some("shell".to_owned()),
        ..Default::default()
    };
    let grower = {
        let client = env.client();
        tokio::spawn(async move {
            for _ in 0..20 {
                client.fresh(std::slice::from_ref(&wish)).await.unwrap();
            }
        })
    };
    let witnesses = (0..8).map(|_| {
        let client = env.client();
        tokio::spawn(async move {
            for _ in 0..10 {
                client.signed_in().await.map(|_| ()).unwrap();
            }
        })
    });
    for witness in witnesses.collect::<Vec<_>>() {
        witness.await.unwrap();
    }
    grower.await.unwrap();
    env.close().await;
}

/// A browser that hits the callback of a login with this query instead of the issuer's answer.
/// `{state}` in it is the right one.
fn hostile_browser(query: &'static str) -> Visit {
    Box::new(move |url| {
        Box::pin(async move {
            let url = url::Url::parse(&url).unwrap();
            let value = |name: &str| {
                let found = url.query_pairs().find(|(key, _)| key == name);
                found.unwrap().1.into_owned()
            };
            let query = query.replace("{state}", &value("state"));
            let hit = format!("{}?{query}", value("redirect_uri"));
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let page = client.get(&hit).send().await.unwrap().text().await.unwrap();
            assert!(!page.contains("alert"), "{page}");
            Ok(())
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_another_program_ends_signs_no_user_in() {
    let (env, terminal) = start().await;
    // GHSA-7q7g-x6vg-xpc3: a code that another person's login led to is of no use here.
    let cases = [
        ("another login's state", "code=stolen&state=other"),
        ("no state", "code=stolen"),
        (
            "a code that the issuer never gave",
            "code=stolen&state={state}",
        ),
        ("two codes", "code=a&code=b&state={state}"),
        (
            "a script as the description",
            "error=access_denied&error_description=<script>alert(1)</script>&state={state}",
        ),
        (
            "another issuer",
            "code=a&state={state}&iss=https://evil.example",
        ),
    ];
    for (case, query) in cases {
        let request = Request {
            method: Method::Browser(hostile_browser(query)),
            key: None,
            issuer: None,
            into_agent: false,
            loopback_only: true,
            step_up: Default::default(),
        };
        let error = env.client().sign_in(&request).await.err();
        let text = error
            .unwrap_or_else(|| panic!("{case}: signed in"))
            .to_string();
        assert!(!text.contains("stolen"), "{case}: {text}");
        // The terminal quotes the description; the browser's page never has it.
        let shown = text.contains(": \"<script>alert(1)</script>\"");
        assert_eq!(shown, case.ends_with("description"), "{case}: {text}");
        assert!(env.client().login().is_err(), "{case}");
        assert!(!terminal.file("key").exists(), "{case}: no key is kept");
    }
    env.close().await;
}

/// The tenth command of a loop failed, and told a script to try again in a second. Here the rate
/// allows one call in a second.
#[tokio::test(flavor = "multi_thread")]
async fn commands_of_a_loop_wait_for_the_rate_of_their_user() {
    let slow = "requests_per_identity = { per_second = 1, burst = 1 }";
    let env = TestEnv::new().limits(slow).start().await;
    let terminal = env.terminal("alice");
    terminal.sign_in("alice").await;
    for words in [&["roles"][..], &["roles"], &["pass"], &["whoami"]] {
        let done = terminal.run(words).await.exits("a command of a loop", 0);
        assert!(!done.stderr.contains("too many"), "{done:?}");
    }
    env.close().await;
}
