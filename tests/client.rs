//! The command line against a whole world: issuer, daemon and, where it is about ssh, a real sshd and ssh-agent.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use daypass::{
    client::{
        Client, Settings,
        login::{Method, Request, Visit},
    },
    dev::{World, person::Person},
    identity::issuer::Algorithm,
    ledger::checkpoint::Signer,
};
use serde_json::{Value, json};
use tokio::process::Command;

/// Tests ask faster than people do.
const LIMITS: &str = r#"
[limits]
requests_per_address = { per_second = 100000, burst = 100000 }
requests_per_identity = { per_second = 100000, burst = 100000 }
"#;

/// A user with a terminal in a running world. Tests run as root keep their sshd's files out of /tmp (StrictModes).
struct Desk {
    world: World,
    folder: tempfile::TempDir,
}

/// What a command did.
#[derive(Debug)]
struct Done {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Done {
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.stderr);
        serde_json::from_str(&self.stdout).expect(&self.stdout)
    }
}

impl Desk {
    async fn new() -> Self {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = tempfile::tempdir_in(base).unwrap();
        let options = daypass::dev::world::Options {
            program: Some(env!("CARGO_BIN_EXE_daypass").into()),
            configuration: LIMITS.to_owned(),
            ..Default::default()
        };
        let world = World::start_with(&folder.path().join("world"), options)
            .await
            .unwrap();
        Self { world, folder }
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(words)
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("DISPLAY")
            .env("HOME", self.folder.path())
            .envs(
                self.world
                    .variables()
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn daypass(&self, words: &[&str]) -> Done {
        done(self.command(env!("CARGO_BIN_EXE_daypass"), words)).await
    }

    async fn json(&self, words: &[&str]) -> Value {
        let mut words = words.to_vec();
        words.extend(["--format", "json"]);
        self.daypass(&words).await.json()
    }

    async fn sign_in(&self, name: &str) {
        let signed_in = self.json(&["login", "--as", name]).await;
        assert_eq!(signed_in["subject"], name);
    }

    fn state(&self) -> PathBuf {
        self.world.files().client_state()
    }

    /// The types of every event, oldest first, as carol reads them in a state folder of her own.
    async fn events(&self) -> Vec<String> {
        let folder = self.folder.path().join("carol");
        let folder = folder.to_str().unwrap();
        self.json(&["login", "--as", "carol", "--state-dir", folder])
            .await;
        let listed = self
            .json(&["ledger", "list", "--from", "0", "--state-dir", folder])
            .await;
        let events = listed["events"].as_array().unwrap();
        events
            .iter()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect()
    }

    fn change_session(&self, change: impl FnOnce(&mut Value)) {
        let path = self.state().join("session.json");
        let mut session: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut session);
        fs::write(&path, session.to_string()).unwrap();
    }

    fn client(&self) -> Client {
        Client::new(Settings {
            server: Some(self.world.server().0),
            state_dir: Some(self.state()),
            ca_file: Some(self.world.files().tls_ca()),
            say: |_| {},
        })
        .unwrap()
    }
}

async fn done(mut command: Command) -> Done {
    let output = command.output().await.unwrap();
    Done {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_has_its_exit_code_and_says_what_to_do() {
    let desk = Desk::new().await;
    let cases: [(&str, &[&str], i32, &str); 7] = [
        ("nobody is signed in", &["pass"], 4, "daypass login"),
        ("status says so too", &["status"], 4, "daypass login"),
        (
            "ssh without a terminal asks nobody",
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
            "a host that is none",
            &["ssh", "web-1;id"],
            2,
            "no host name",
        ),
        (
            "nobody at that address",
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
        let done = desk.daypass(words).await;
        assert_eq!(done.code, code, "{case}: {}", done.stderr);
        assert!(done.stderr.contains(says), "{case}: {}", done.stderr);
    }

    desk.sign_in("mallory").await;
    for words in [
        &["pass", "--role", "shell"][..],
        &["ssh", "web-1"],
        &["ledger", "list"],
    ] {
        let done = desk.daypass(words).await;
        assert_eq!(done.code, 3, "{words:?}: {}", done.stderr);
    }

    desk.sign_in("alice").await;
    desk.change_session(|session| session["login"]["expires"] = json!(1));
    let done = desk.daypass(&["pass", "--format", "json"]).await;
    assert_eq!(done.code, 4);
    let error: Value = serde_json::from_str(&done.stderr).unwrap();
    assert_eq!(error["error"]["code"], 4);
    desk.world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_commands_at_once_make_one_login_and_one_pass() {
    let desk = Desk::new().await;
    let visit = || -> Visit {
        let password = fs::read_to_string(desk.world.files().password()).unwrap();
        let person = Person::new("alice", password.trim());
        Box::new(move |url| {
            let person = person.clone();
            Box::pin(async move { person.browse(&url).await.map_err(|error| error.to_string()) })
        })
    };
    let logins = (0..20).map(|_| {
        let (client, visit) = (desk.client(), visit());
        tokio::spawn(async move {
            let request = Request {
                method: Method::Browser(visit),
                key: None,
                issuer: None,
                into_agent: false,
                loopback_only: true,
                step_up: Default::default(),
            };
            client
                .sign_in_once(&request, None)
                .await
                .map(|login| login.label)
        })
    });
    for login in logins.collect::<Vec<_>>() {
        assert_eq!(login.await.unwrap().unwrap(), "alice@example.com");
    }
    assert_eq!(desk.world.issuer().hits("/token"), 1);

    let commands = (0..20).map(|_| {
        desk.command(
            env!("CARGO_BIN_EXE_daypass"),
            &["ensure", "--host", "web-1"],
        )
        .spawn()
        .unwrap()
    });
    for mut command in commands.collect::<Vec<_>>() {
        assert!(command.wait().await.unwrap().success());
    }
    let events = desk.events().await;
    assert_eq!(events.iter().filter(|kind| *kind == "issued").count(), 1);
    desk.world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_pass_needs_no_server() {
    let mut desk = Desk::new().await;
    desk.sign_in("alice").await;
    assert_eq!(desk.daypass(&["ensure", "--host", "web-1"]).await.code, 0);
    desk.world.stop_daemon().await.unwrap();
    let again = desk.daypass(&["ensure", "--host", "web-1"]).await;
    assert_eq!(
        (again.code, again.stdout.as_str(), again.stderr.as_str()),
        (0, "", "")
    );
    assert_eq!(desk.daypass(&["ensure", "--host", "web-2"]).await.code, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_ledger_is_noticed_and_the_evidence_kept() {
    let desk = Desk::new().await;
    desk.sign_in("alice").await;
    desk.daypass(&["pass", "--role", "shell"]).await;
    let server = fs::read_dir(desk.state().join("servers"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let key = ssh_key::PrivateKey::read_openssh_file(&desk.world.files().dir().join("ledger_key"))
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
        let done = desk
            .daypass(&["pass", "--role", "shell", "--format", "json"])
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
    desk.world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_elsewhere_is_taken_where_it_commits_to_the_key() {
    let desk = Desk::new().await;
    let prepared = desk.json(&["login", "--print-audience"]).await;
    let issuer = desk.world.issuer();
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
    let file = desk.folder.path().join("token");
    let path = file.to_str().unwrap();

    fs::write(&file, token(&json!("another"))).unwrap();
    let refused = desk.daypass(&["login", "--token-file", path]).await;
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    fs::write(&file, "no token").unwrap();
    assert_eq!(desk.daypass(&["login", "--token-file", path]).await.code, 2);

    fs::write(&file, token(&prepared["nonce"])).unwrap();
    let signed_in = desk.json(&["login", "--token-file", path]).await;
    assert_eq!(signed_in["bound"], true);
    let pass = desk.json(&["pass", "--role", "shell"]).await;
    let shown = desk
        .json(&["ledger", "show", &pass["serial"].to_string()])
        .await;
    assert_eq!(shown["binding"], "nonce");
    assert_eq!(shown["key_id"], pass["key_id"]);
    desk.world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_leaves_no_key_no_token_and_no_pass() {
    let desk = Desk::new().await;
    desk.sign_in("alice").await;
    desk.daypass(&["ensure", "--host", "web-1"]).await;
    desk.daypass(&["pass", "--role", "shell"]).await;
    assert_eq!(
        fs::metadata(desk.state()).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let session = fs::read_to_string(desk.state().join("session.json")).unwrap();
    let session: Value = serde_json::from_str(&session).unwrap();
    let token = session["login"]["token"].as_str().unwrap();
    assert_eq!(desk.json(&["logout"]).await["signed_out"], true);
    for name in ["key", "key.pub", "passes", "hosts", "agent.json"] {
        assert!(!desk.state().join(name).exists(), "{name}");
    }
    let session = fs::read_to_string(desk.state().join("session.json")).unwrap();
    assert!(!session.contains(token));
    assert_eq!(desk.daypass(&["status"]).await.code, 4);
    desk.world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_of_one_person_are_not_used_for_another() {
    let desk = Desk::new().await;
    desk.sign_in("alice").await;
    desk.daypass(&["ensure", "--host", "web-1"]).await;
    let first = desk.json(&["status"]).await["passes"][0]["serial"].clone();
    desk.sign_in("alice").await;
    assert_eq!(desk.json(&["status"]).await["passes"][0]["serial"], first);
    desk.sign_in("mallory").await;
    assert_eq!(desk.json(&["status"]).await["passes"], json!([]));
    assert_eq!(desk.daypass(&["ensure", "--host", "web-1"]).await.code, 3);
    desk.world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_written_where_it_was_asked_for_and_over_nobodys_key() {
    let desk = Desk::new().await;
    desk.sign_in("alice").await;
    let out = desk.folder.path().join("job");
    let path = out.to_str().unwrap();
    for _ in 0..2 {
        let pass = desk
            .json(&["pass", "--role", "shell", "--ttl", "5m", "--out", path])
            .await;
        let inspected = desk.json(&["inspect", path]).await;
        assert_eq!(inspected["serial"], pass["serial"]);
        assert_eq!(inspected["warnings"], json!([]));
    }
    let mine = desk.folder.path().join("id_ed25519");
    fs::write(&mine, "mine").unwrap();
    let refused = desk
        .daypass(&["pass", "--role", "shell", "--out", mine.to_str().unwrap()])
        .await;
    assert_eq!(refused.code, 2);
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    desk.world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_verifies_offline_and_a_changed_one_does_not() {
    let mut desk = Desk::new().await;
    desk.sign_in("alice").await;
    desk.daypass(&["pass", "--role", "shell"]).await;
    let file = desk.folder.path().join("export");
    let path = file.to_str().unwrap();
    let verified = desk.json(&["ledger", "export", "--out", path]).await;
    desk.world.stop_daemon().await.unwrap();
    assert_eq!(desk.json(&["ledger", "verify", path]).await, verified);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("shell", "shelf")).unwrap();
    let refused = desk.daypass(&["ledger", "verify", path]).await;
    assert_eq!(refused.code, 1, "{}", refused.stderr);
}

/// `ssh-agent`, ended with its folder.
async fn agent(desk: &Desk) -> (tokio::process::Child, String) {
    let socket = desk
        .folder
        .path()
        .join("agent")
        .to_str()
        .unwrap()
        .to_owned();
    let child = desk
        .command("ssh-agent", &["-D", "-a", &socket])
        .stdout(Stdio::null())
        .spawn()
        .expect("apt-get install openssh-client");
    while tokio::net::UnixStream::connect(&socket).await.is_err() {
        tokio::task::yield_now().await;
    }
    (child, socket)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_holds_passes_and_keys_until_logout() {
    let desk = Desk::new().await;
    let (mut child, socket) = agent(&desk).await;
    let with_agent = async |program: &str, words: &[&str]| {
        let mut command = desk.command(program, words);
        command.env("SSH_AUTH_SOCK", &socket);
        done(command).await
    };
    let daypass = env!("CARGO_BIN_EXE_daypass");
    let listed = async || with_agent("ssh-add", &["-L"]).await.stdout;

    desk.sign_in("alice").await;
    let pass = with_agent(daypass, &["pass", "--role", "shell", "--agent"]).await;
    assert_eq!(pass.code, 0, "{}", pass.stderr);
    assert!(listed().await.contains("ssh-ed25519-cert-v01@openssh.com"));
    with_agent(daypass, &["logout"]).await;
    assert!(!listed().await.contains("ssh-ed25519"));

    let login = with_agent(daypass, &["login", "--as", "alice", "--agent"]).await;
    assert_eq!(login.code, 0, "{}", login.stderr);
    assert!(!desk.state().join("key").exists());
    let pass = with_agent(daypass, &["ssh", "web-1", "--", "echo", "by agent"]).await;
    assert_eq!(
        (pass.code, pass.stdout.trim()),
        (0, "by agent"),
        "{}",
        pass.stderr
    );

    let mine = desk.folder.path().join("mine");
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
    child.kill().await.unwrap();
    desk.world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_runs_with_the_pass_and_passes_on_its_exit_code() {
    let desk = Desk::new().await;
    desk.sign_in("alice").await;
    let ran = desk.daypass(&["ssh", "web-1", "--", "exit 42"]).await;
    assert_eq!(ran.code, 42, "{}", ran.stderr);
    let logs = desk
        .daypass(&[
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

    let config = desk.folder.path().join("config");
    fs::copy(desk.world.files().ssh_config(), &config).unwrap();
    let before = fs::read(&config).unwrap();
    let path = config.to_str().unwrap();
    assert_eq!(
        desk.json(&["ssh-config", "install", "--config", path])
            .await["changed"],
        true
    );
    assert_eq!(
        desk.json(&["ssh-config", "install", "--config", path])
            .await["changed"],
        false
    );
    let plain = done(desk.command("ssh", &["-F", path, "web-1", "echo plain"])).await;
    assert_eq!(plain.stdout.trim(), "plain", "{}", plain.stderr);
    assert_eq!(
        desk.json(&["ssh-config", "remove", "--config", path]).await["changed"],
        true
    );
    assert_eq!(fs::read(&config).unwrap(), before);
    desk.world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_beside_each_other_do_not_take_the_ledgers_growth_for_a_fork() {
    let desk = Desk::new().await;
    desk.sign_in("alice").await;
    let wish = daypass::client::choose::PassRequest {
        role: Some("shell".to_owned()),
        ..Default::default()
    };
    let grower = {
        let client = desk.client();
        tokio::spawn(async move {
            for _ in 0..20 {
                client.fresh(std::slice::from_ref(&wish)).await.unwrap();
            }
        })
    };
    let witnesses = (0..8).map(|_| {
        let client = desk.client();
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
    desk.world.stop().await.unwrap();
}

/// A browser that hits the callback of a login with this query, whatever the issuer would have said. `{state}` in it is the
/// right one.
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
async fn a_login_that_somebody_else_ends_signs_nobody_in() {
    let desk = Desk::new().await;
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
        let error = desk.client().sign_in(&request).await.err();
        let text = error
            .unwrap_or_else(|| panic!("{case}: signed in"))
            .to_string();
        assert!(
            !text.contains("alert") && !text.contains("stolen"),
            "{case}: {text}"
        );
        assert!(desk.client().login().is_err(), "{case}");
        assert!(!desk.state().join("key").exists(), "{case}: no key is kept");
    }
    desk.world.stop().await.unwrap();
}
