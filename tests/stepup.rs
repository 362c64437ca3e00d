//! Hours and step-up end to end: a world whose issuer remembers people for an hour, and roles that want more than that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

use std::{fs, path::Path, process::Stdio, time::Duration};

use daypass::{
    client::{
        Client, Error, Settings,
        choose::PassRequest,
        login::{Method, Request, StepUp, Visit},
    },
    dev::{World, person::Person, world::Options},
};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::process::Command;

const POLICY: &str = r#"
[audit]
allow = 'true'

[[role]]
name = "plain"
allow = 'true'
principals = ["root"]

[[role]]
name = "recent"
allow = '"oncall" in claims.groups'
principals = ["root"]
require = { auth_age = "15m" }

[[role]]
name = "strong"
allow = '"oncall" in claims.groups'
principals = ["root"]
require = { auth_age = "2h", acr = ["phrh", "phr"], amr = ["hwk"] }

[[role]]
name = "impossible"
allow = '"oncall" in claims.groups'
principals = ["root"]
require = { amr = ["iris"] }

[[role]]
name = "closed"
allow = '"oncall" in claims.groups'
principals = ["root"]
hours = { days = "@day@", zone = "UTC" }

[[role]]
name = "open"
allow = '"oncall" in claims.groups'
principals = ["root"]
ttl = "1h"
hours = { days = "@other@", zone = "UTC" }
"#;

/// A user in a running world.
struct Desk {
    world: World,
    folder: tempfile::TempDir,
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let now = OffsetDateTime::now_utc();
        let name = |days: i64| {
            let day = (now + time::Duration::days(days)).weekday().to_string();
            day.to_lowercase()[..3].to_owned()
        };
        // Closed two days ago and for days to come; open from yesterday to tomorrow, whatever midnight does here.
        let policy = POLICY
            .replace("@day@", &name(-3))
            .replace("@other@", &format!("{}-{}", name(-1), name(1)));
        let options = Options {
            program: Some(env!("CARGO_BIN_EXE_daypass").into()),
            policy: Some(policy),
            without_sshd: true,
            ..Options::default()
        };
        let world = World::start_with(&folder.path().join("world"), options)
            .await
            .unwrap();
        world.issuer().age_sessions(Duration::from_secs(3600));
        Self { world, folder }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daypass"));
        command
            .args(words)
            .env_remove("SSH_AUTH_SOCK")
            .env("HOME", self.folder.path())
            .envs(
                self.world
                    .variables()
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::null());
        command
    }

    /// The exit code, and stdout or else stderr.
    async fn daypass(&self, words: &[&str]) -> (i32, String) {
        let output = self.command(words).output().await.unwrap();
        let code = output.status.code().unwrap_or(-1);
        let text = if code == 0 {
            output.stdout
        } else {
            output.stderr
        };
        (code, String::from_utf8(text).unwrap())
    }

    async fn json(&self, words: &[&str]) -> Value {
        let (code, text) = self.daypass(&[words, &["--format", "json"]].concat()).await;
        assert_eq!(code, 0, "{words:?}: {text}");
        serde_json::from_str(&text).expect(&text)
    }

    fn client(&self) -> Client {
        Client::new(Settings {
            server: Some(self.world.server().0),
            state_dir: Some(self.world.files().client_state()),
            ca_file: Some(self.world.files().tls_ca()),
            say: |_| {},
        })
        .unwrap()
    }

    fn request(&self, step_up: StepUp) -> Request {
        let password = fs::read_to_string(self.world.files().password()).unwrap();
        let person = Person::new("bob", password.trim());
        let visit: Visit = Box::new(move |url| {
            let person = person.clone();
            Box::pin(async move { person.browse(&url).await.map_err(|error| error.to_string()) })
        });
        Request {
            method: Method::Browser(visit),
            key: None,
            issuer: None,
            into_agent: false,
            loopback_only: true,
            step_up,
        }
    }

    fn public_key(&self) -> String {
        fs::read_to_string(self.world.files().client_state().join("key.pub")).unwrap()
    }
}

fn wish(role: &str) -> PassRequest {
    PassRequest {
        role: Some(role.to_owned()),
        ..PassRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_told_the_exact_command_and_the_command_works() {
    let desk = Desk::new().await;
    desk.json(&["login", "--as", "bob"]).await;
    desk.json(&["pass", "--role", "plain"]).await;
    let key = desk.public_key();
    for (role, command) in [
        ("recent", "daypass login --max-age 900"),
        (
            "strong",
            "daypass login --max-age 7200 --acr phrh --acr phr --again",
        ),
    ] {
        let (code, text) = desk
            .daypass(&["pass", "--role", role, "--format", "json"])
            .await;
        assert_eq!(code, 4, "{text}");
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(error["error"]["reason"], "STEP_UP_REQUIRED");
        let message = error["error"]["message"].as_str().unwrap();
        let (_, said) = message.split_once("sign in again with: ").unwrap();
        assert_eq!(said, command);
        let words: Vec<&str> = said.split(' ').skip(1).chain(["--as", "bob"]).collect();
        desk.json(&words).await;
        desk.json(&["pass", "--role", role]).await;
    }
    // Requests that wait for this key would still find it.
    assert_eq!(desk.public_key(), key);
    let (code, text) = desk.daypass(&["pass", "--role", "impossible"]).await;
    assert_eq!(code, 4);
    assert!(
        text.contains("with iris (amr)") && text.ends_with("daypass login --again\n"),
        "{text}"
    );
    let (code, text) = desk
        .daypass(&["ssh", "web-1", "--role", "impossible"])
        .await;
    assert_eq!(code, 4, "{text}");

    let listed = desk.json(&["ledger", "list", "--from", "0"]).await;
    let reasons = listed["events"].as_array().unwrap().iter();
    let reasons: Vec<_> = reasons
        .filter_map(|event| event["reason"].as_str())
        .collect();
    assert_eq!(
        reasons, ["STEP_UP_REQUIRED"; 4],
        "one event for each refusal"
    );
    desk.world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_signs_in_again_with_what_the_refusal_wants() {
    let desk = Desk::new().await;
    let client = desk.client();
    let first = client
        .sign_in(&desk.request(StepUp::default()))
        .await
        .unwrap();
    let refused = client.obtain(&wish("recent")).await.unwrap_err();
    let Error::StepUp { wanted, .. } = &refused else {
        panic!("{refused}");
    };
    assert_eq!((wanted.max_age, wanted.again), (Some(900), false));

    // Of commands that were refused side by side, one signs in.
    let request = desk.request(wanted.clone());
    let seen = Some(first.token_hash());
    let second = client.sign_in_once(&request, seen).await.unwrap();
    let third = client.sign_in_once(&request, seen).await.unwrap();
    assert_ne!(first.token, second.token);
    assert_eq!(second.token, third.token);
    assert_eq!(desk.world.issuer().hits("/token"), 2);
    client.obtain(&wish("recent")).await.unwrap();

    // A sign-in that asks for nothing gets the issuer's memory, an hour old.
    client
        .sign_in(&desk.request(StepUp::default()))
        .await
        .unwrap();
    let refused = client.fresh(&[wish("recent")]).await.unwrap_err();
    assert_eq!(refused.reason(), Some("STEP_UP_REQUIRED"));
    desk.world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_code_steps_up_too() {
    let desk = Desk::new().await;
    for (words, code) in [
        (&["login", "--device", "--as", "bob"][..], 4),
        (
            &[
                "login",
                "--device",
                "--as",
                "bob",
                "--acr",
                "phr",
                "--max-age",
                "60",
            ],
            0,
        ),
    ] {
        desk.json(words).await;
        let (got, text) = desk.daypass(&["pass", "--role", "strong"]).await;
        assert_eq!(got, code, "{words:?}: {text}");
    }
    desk.world.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_role_says_when_it_opens_and_no_pass_outlives_an_open_one() {
    let desk = Desk::new().await;
    desk.json(&["login", "--as", "bob"]).await;
    let (code, text) = desk
        .daypass(&["pass", "--role", "closed", "--format", "json"])
        .await;
    assert_eq!(code, 3, "{text}");
    let error: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(error["error"]["reason"], "HOURS");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("it opens next on") && message.contains("T00:00:00Z"),
        "{message}"
    );
    let pass = desk.json(&["pass", "--role", "open"]).await;
    assert!(pass["serial"].as_u64().unwrap() > 0);
    desk.world.stop().await.unwrap();
}

/// With a terminal, `daypass ssh` and `daypass pass` sign in on the way. `script` lends the terminal, a shell script is the
/// browser.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_terminal_the_command_signs_in_on_the_way() {
    let desk = Desk::new().await;
    desk.json(&["login", "--as", "bob"]).await;
    let browser = desk.folder.path().join("browser");
    write_browser(&browser, &desk.world.files().password());
    let line = format!("{} pass --role recent", env!("CARGO_BIN_EXE_daypass"));
    let mut command = Command::new("script");
    command
        .args(["-qefc", &line, "/dev/null"])
        .env("HOME", desk.folder.path())
        .envs(
            desk.world
                .variables()
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .env("DISPLAY", ":77")
        .env_remove("SSH_CONNECTION")
        .env("BROWSER", &browser)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command
        .output()
        .await
        .expect("apt-get install bsdutils (script)");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("sign in again with: daypass login --max-age 900"),
        "{text}"
    );
    assert!(text.contains("max_age=900"), "{text}");
    assert!(text.contains("/recent"), "{text}");
    desk.world.stop().await.unwrap();
}

/// Fills in the dev issuer's form and goes where it sends.
fn write_browser(to: &Path, password: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let script = format!(
        r#"#!/bin/sh
id=$(curl -s "$1" | sed -n 's/.*name="request" value="\([^"]*\)".*/\1/p')
base=$(printf %s "$1" | sed 's,^\(http://[^/]*\)/.*,\1,')
curl -sL -o /dev/null --data-urlencode "request=$id" --data-urlencode login=bob \
  --data-urlencode "password=$(cat '{}')" "$base/login"
"#,
        password.display()
    );
    fs::write(to, script).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
}
