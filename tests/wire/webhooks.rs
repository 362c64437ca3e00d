//! Webhooks from a real daemon to real receivers: signed, retried, bounded, and never in a caller's
//! way; and the page that some roles demand before an emergency.

use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::support::issued::Issued;
use crate::support::{
    api::{Refusal, ask},
    command::{DAYPASS, Done},
    env::TestEnv,
    files::write_secret,
    orders::identity,
};
use daypass::{
    dev::receiver::{Behaviour, Delivery, Receiver},
    notify::Schedule,
    proto::v1::Ask,
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

const POLICY: &str = r#"
[limits]
ttl = "8h"
principals = ["root"]

[audit]
allow = '"security" in claims.groups'

[admin]
allow = '"security" in claims.groups'

[[role]]
name = "shell"
allow = '"oncall" in claims.groups'
principals = ["root"]
ttl = "1h"

[[role]]
name = "prod"
allow = '"oncall" in claims.groups'
principals = ["root"]
ttl = "1h"
approval = { count = 1, by = '"sre-lead" in claims.groups', within = "30m" }
emergency = { allow = '"oncall" in claims.groups', ttl = "15m", review = '"security" in claims.groups', page = "before" }
"#;

/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(90);

/// Fast, and patient.
const QUICK: Schedule = Schedule {
    first: Duration::from_millis(30),
    most: Duration::from_millis(200),
    attempts: 1000,
};

/// Fast, and soon tired of it.
const IMPATIENT: Schedule = Schedule {
    attempts: 3,
    ..QUICK
};

/// A daemon that tells two receivers: the world's own, and the test's.
struct WebhookEnv {
    env: TestEnv,
    receiver: Receiver,
}

impl WebhookEnv {
    async fn new(schedule: Schedule) -> Self {
        Self::with(schedule, |receiver| webhook(&receiver.url(), "")).await
    }

    /// With another section for the test's receiver.
    async fn with(schedule: Schedule, section: impl Fn(&Receiver) -> String) -> Self {
        let receiver = Receiver::start().await.unwrap();
        let options = TestEnv::new().policy(POLICY).webhook_schedule(schedule);
        write_secret(&options.folder().join("test.secret"), receiver.secret());
        write_secret(&options.folder().join("test.url"), &receiver.url());
        let env = options.configuration(section(&receiver)).start().await;
        Self { env, receiver }
    }

    async fn issue(&self, subject: &str, ask: Ask) -> Result<Issued, Refusal> {
        self.env.user(subject, &["oncall"]).issue(ask).await
    }

    /// Bob asks for a pass that needs approval; returns the request's id.
    async fn request(&self) -> u64 {
        let asked = Ask {
            reason: "INC-4711".to_owned(),
            host: "web-1".to_owned(),
            ..ask("prod")
        };
        self.env.user("bob", &["oncall"]).request(asked).await.id
    }

    async fn emergency(&self) -> Result<Issued, Refusal> {
        self.issue("bob", emergency()).await
    }

    async fn lock(&self, name: &str) {
        self.env.carol().lock(identity(name)).await.unwrap();
    }

    async fn got(&self, is_enough: impl Fn(&[Delivery]) -> bool) -> Vec<Delivery> {
        got(&self.receiver, is_enough).await
    }

    async fn json(&self, name: &str, words: &str) -> Value {
        let words: Vec<&str> = words.split_whitespace().collect();
        self.env.terminal(name).json(&words).await
    }

    /// The status of the test's webhook, once it is as it should be.
    async fn report(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        let poll = async {
            loop {
                let all = self.json("carol", "admin webhooks").await;
                let mut webhooks = all["webhooks"].as_array().unwrap().iter();
                let found = webhooks.find(|it| it["name"] == "test").unwrap();
                if is_so(found) {
                    return found.clone();
                }
            }
        };
        timeout(PATIENCE, poll).await.expect("it comes to that")
    }
}

async fn got(receiver: &Receiver, is_enough: impl Fn(&[Delivery]) -> bool) -> Vec<Delivery> {
    let all = timeout(PATIENCE, receiver.until(is_enough)).await;
    all.unwrap_or_else(|_| {
        let came = receiver.deliveries();
        let came: Vec<_> = came
            .iter()
            .map(|one| (one.kind(), &one.id, one.is_taken))
            .collect();
        panic!("only this came: {came:?}")
    })
}

/// A section for the test's receiver on this machine. A slow machine keeps within its timeout.
fn webhook(url: &str, more: &str) -> String {
    format!(
        "[[webhook]]\nname = \"test\"\nurl = \"{url}\"\nsecret_file = \"../test.secret\"\n\
         networks = [\"127.0.0.1/32\"]\ntimeout = \"20s\"\n{more}\n"
    )
}

/// For a receiver that gives no answer: it is given up after a second.
fn given_up_soon(receiver: &Receiver) -> String {
    webhook(&receiver.url(), "").replace("\"20s\"", "\"1s\"")
}

fn emergency() -> Ask {
    Ask {
        reason: "INC-1: it burns".to_owned(),
        emergency: true,
        ..ask("prod")
    }
}

fn taken(deliveries: &[Delivery]) -> usize {
    deliveries.iter().filter(|one| one.is_taken).count()
}

/// npm's standardwebhooks, in a process of its own.
async fn verifies(secret: &str, delivery: &Delivery, body: &str) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc-provider");
    assert!(
        folder.join("node_modules/standardwebhooks").is_dir(),
        "standardwebhooks is missing: npm ci --prefix tests/oidc-provider (tests/run does it)"
    );
    let own = folder.join("node_modules/node/bin/node");
    let node = if own.is_file() { own } else { "node".into() };
    let headers = delivery.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()));
    let headers: serde_json::Map<String, Value> = headers.collect();
    let input = json!({ "secret": secret, "headers": headers, "body": body });
    let mut child = Command::new(node)
        .arg(folder.join("verify-webhook.mjs"))
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("node is missing: apt-get install nodejs npm");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).await.unwrap();
    drop(stdin);
    child.wait().await.unwrap().success()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_verifies_by_the_standards_own_library() {
    let hooks = WebhookEnv::new(QUICK).await;
    let id = hooks.request().await;
    // Deliveries go side by side.
    hooks.got(|all| all.len() == 1).await;
    hooks.lock("mallory").await;
    let all = hooks.got(|all| all.len() == 2).await;
    let kinds: Vec<_> = all.iter().map(Delivery::kind).collect();
    assert_eq!(kinds, ["requested", "locked"]);
    let data = &all[0].json["data"];
    assert_eq!(data["id"], id);
    assert_eq!(data["who"]["label"], "bob@example.com");
    assert_eq!(
        (&data["role"], &data["host"]),
        (&"prod".into(), &"web-1".into())
    );
    assert_eq!(data["next"], format!("daypass approve {id}"));
    assert!(all[0].id.starts_with("evt_") && all[0].id.ends_with(&format!("_{id}")));
    for delivery in &all {
        let body = String::from_utf8(delivery.body.clone()).unwrap();
        assert!(delivery.is_signed, "by our own reading");
        assert!(verifies(hooks.receiver.secret(), delivery, &body).await);
        assert!(!verifies(hooks.receiver.secret(), delivery, &format!("{body} ")).await);
        let other = hooks.env.world().receiver().secret();
        assert!(!verifies(other, delivery, &body).await, "another's secret");
        for secret in ["eyJ", "claims", "SSH SIGNATURE", "ssh-ed25519"] {
            assert!(!body.contains(secret), "{secret}: {body}");
        }
    }
    got(hooks.env.world().receiver(), |all| all.len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_is_told_again_under_the_same_id() {
    for behaviour in [
        Behaviour::Status(500),
        Behaviour::Status(404),
        Behaviour::Drip,
    ] {
        let hooks = match behaviour {
            Behaviour::Drip => WebhookEnv::with(QUICK, given_up_soon).await,
            _ => WebhookEnv::new(QUICK).await,
        };
        hooks.receiver.behave(behaviour.clone());
        hooks.request().await;
        let attempts = async {
            while hooks.receiver.connections() < 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, attempts).await.expect("three attempts");
        hooks.receiver.behave(Behaviour::Normal);
        let all = hooks.got(|all| taken(all) > 0).await;
        assert!(all.iter().all(|one| one.id == all[0].id), "{behaviour:?}");
        assert_eq!(taken(&all), 1);
        // The other receiver was told once, and waited for no other.
        let other = got(hooks.env.world().receiver(), |all| !all.is_empty()).await;
        assert_eq!(other.len(), 1, "{behaviour:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_are_issued_while_a_receiver_holds_the_connection() {
    let hooks = WebhookEnv::with(QUICK, given_up_soon).await;
    hooks.receiver.behave(Behaviour::Hang);
    hooks.request().await;
    hooks.got(|all| all.len() == 1).await;
    for _ in 0..20 {
        hooks.issue("bob", ask("shell")).await.unwrap();
    }
    assert_eq!(taken(&hooks.receiver.deliveries()), 0);
    got(hooks.env.world().receiver(), |all| all.len() == 1).await;
    // It was given up after its second, and tried again.
    hooks.got(|all| all.len() > 1).await;
    hooks.receiver.behave(Behaviour::Normal);
    hooks.got(|all| taken(all) > 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed() {
    let elsewhere = Receiver::start().await.unwrap();
    let hooks = WebhookEnv::new(IMPATIENT).await;
    hooks.env.terminal("carol").sign_in("carol").await;
    for status in [301, 302, 303, 307, 308] {
        hooks
            .receiver
            .behave(Behaviour::Redirect(status, elsewhere.url()));
        let id = hooks.request().await;
        let dead = hooks.report(|it| it["dead"].as_u64() > Some(0)).await;
        let error = dead["last_error"].as_str().unwrap();
        assert!(error.contains("redirects are not followed"), "{error}");
        assert!(!error.contains("http"), "{error}");
        hooks.receiver.behave(Behaviour::Normal);
        hooks
            .json("carol", &format!("admin webhooks retry test {id}"))
            .await;
        hooks
            .report(|it| it["dead"] == 0 && it["pending"] == 0)
            .await;
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_outside_of_the_configuration_is_not_called() {
    let hooks = WebhookEnv::with(IMPATIENT, |receiver| {
        let url = receiver.url().replace("127.0.0.1", "localhost");
        webhook(&url, "").replace("networks = [\"127.0.0.1/32\"]\n", "")
    })
    .await;
    hooks.env.terminal("carol").sign_in("carol").await;
    hooks.request().await;
    let dead = hooks.report(|it| it["dead"] == 1).await;
    let error = dead["last_error"].as_str().unwrap();
    assert!(
        error.contains("localhost is at ")
            && error.contains("which is loopback")
            && error.contains("networks"),
        "{error}"
    );
    assert_eq!(hooks.receiver.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_and_tried_again_by_administrators() {
    let section = |receiver: &Receiver| {
        webhook(&receiver.url(), "").replace(
            &format!("url = \"{}\"", receiver.url()),
            "url_file = \"../test.url\"",
        )
    };
    let hooks = WebhookEnv::with(IMPATIENT, section).await;
    for name in ["bob", "carol"] {
        hooks.env.terminal(name).sign_in(name).await;
    }
    hooks.receiver.behave(Behaviour::Status(500));
    let first = hooks.request().await;
    let second = hooks.request().await;
    hooks
        .report(|it| it["dead"] == 2 && it["pending"] == 0)
        .await;
    let tried = hooks.receiver.deliveries().len();
    assert_eq!(tried, 6, "three attempts each");
    let table = hooks
        .env
        .terminal("carol")
        .run(&["admin", "webhooks"])
        .await;
    let table = table.stdout;
    let head = table.lines().next().unwrap();
    let heads: Vec<_> = head
        .split("  ")
        .filter(|it| !it.trim().is_empty())
        .collect();
    assert_eq!(heads.len(), 5, "{table}");
    assert!(
        table.contains("answered 500 Internal Server Error"),
        "{table}"
    );

    let dead = hooks.json("carol", "admin webhooks dead test").await;
    let letters = dead["dead"].as_array().unwrap();
    assert_eq!(letters.len(), 2);
    // In the order in which they were given up, and the delays vary.
    for index in [first, second] {
        let letter = letters.iter().find(|letter| letter["index"] == index);
        let letter = letter.unwrap_or_else(|| panic!("{index}: {dead}"));
        assert_eq!(letter["type"], "requested");
        assert_eq!(letter["attempts"], 3);
    }
    let state =
        fs::read_to_string(hooks.env.world().files().dir().join("state/webhooks.json")).unwrap();
    for text in [dead.to_string(), table, state] {
        for secret in ["http:", "whsec_", hooks.receiver.secret()] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }

    hooks.receiver.behave(Behaviour::Normal);
    let words = format!("admin webhooks retry test {first}");
    assert_eq!(hooks.json("carol", &words).await["count"], 1);
    hooks.got(|all| taken(all) == 1).await;
    let all = hooks.json("carol", "admin webhooks retry test --all").await;
    assert_eq!(all["count"], 1);
    let all = hooks.got(|all| taken(all) == 2).await;
    assert!(all.last().unwrap().id.ends_with(&format!("_{second}")));

    for (case, name, words, code) in [
        ("not an administrator", "bob", "admin webhooks", 3),
        ("nor to retry", "bob", "admin webhooks retry test --all", 3),
        (
            "no such webhook",
            "carol",
            "admin webhooks retry x --all",
            1,
        ),
        (
            "no such webhook to list",
            "carol",
            "admin webhooks dead x",
            1,
        ),
        ("no such letter", "carol", "admin webhooks retry test 1", 1),
        ("nothing chosen", "carol", "admin webhooks retry test", 2),
    ] {
        let words: Vec<&str> = words.split_whitespace().collect();
        let done = hooks.env.terminal(name).run(&words).await;
        assert_eq!(done.code, code, "{case}: {done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_tests_a_webhook_and_sees_the_receivers_answer() {
    let hooks = WebhookEnv::new(QUICK).await;
    for name in ["bob", "carol"] {
        hooks.env.terminal(name).sign_in(name).await;
    }
    let size = hooks.env.ledger_size().await;
    // Another one at once would let an administrator flood the receiver.
    let (answer, again) = two_tests(&hooks).await;
    assert_eq!(
        (&answer["delivered"], &answer["status"]),
        (&true.into(), &204.into()),
        "{answer}"
    );
    assert!(
        again.code != 0 && again.stderr.contains("wait some seconds"),
        "{again:?}"
    );
    let all = hooks.receiver.deliveries();
    let tests = all.len();
    let delivery = all.last().unwrap();
    let data = &delivery.json["data"];
    assert_eq!(delivery.kind(), "test");
    assert_eq!(data["who"]["label"], "carol@example.com");
    assert_eq!(data["note"], "a test of this webhook; nothing has happened");
    assert!(delivery.is_signed && delivery.id.starts_with("test_"));
    let body = String::from_utf8(delivery.body.clone()).unwrap();
    assert!(verifies(hooks.receiver.secret(), delivery, &body).await);
    assert_eq!(hooks.env.ledger_size().await, size, "a test is no event");

    for (case, name, webhook, code) in [
        ("not an administrator", "bob", "test", 3),
        ("no such webhook", "carol", "x", 1),
    ] {
        let words = ["admin", "webhooks", "test", webhook];
        let done = hooks.env.terminal(name).run(&words).await;
        assert_eq!(done.code, code, "{case}: {done:?}");
    }
    assert_eq!(hooks.receiver.deliveries().len(), tests);
}

/// Carol tests the webhook, and again directly after it. A pair that took so long that another test
/// may have been due is done again.
async fn two_tests(hooks: &WebhookEnv) -> (Value, Done) {
    let words = ["admin", "webhooks", "test", "test"];
    let carol = hooks.env.terminal("carol");
    for _ in 0..20 {
        let begun = Instant::now();
        let answer = carol.run_json(&words).await;
        let came = hooks.receiver.deliveries().len();
        let again = carol.run(&words).await;
        if begun.elapsed() < Duration::from_secs(4) {
            assert_eq!(hooks.receiver.deliveries().len(), came, "only the first");
            return (answer.success(), again);
        }
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    panic!("two commands never end within four seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_a_receiver_refuses_fails_with_its_status_and_is_not_retried() {
    let hooks = WebhookEnv::new(QUICK).await;
    hooks.env.terminal("carol").sign_in("carol").await;
    hooks.receiver.behave(Behaviour::Status(500));
    let words = ["admin", "webhooks", "test", "test"];
    let done = hooks.env.terminal("carol").run(&words).await;
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.stderr
            .contains("test did not take the test: answered 500 Internal Server Error after "),
        "{done:?}"
    );
    // The later event has arrived, so another attempt of the test would have too.
    hooks.receiver.behave(Behaviour::Normal);
    hooks.request().await;
    let all = hooks
        .got(|all| all.iter().any(|it| it.kind() == "requested"))
        .await;
    assert_eq!(
        all.iter().filter(|it| it.kind() == "test").count(),
        1,
        "{all:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_event_and_delivery_loses_nothing() {
    let receiver = Receiver::start().await.unwrap();
    receiver.behave(Behaviour::Hang);
    let options = TestEnv::new().policy(POLICY);
    write_secret(&options.folder().join("test.secret"), receiver.secret());
    let section = webhook(&receiver.url(), "").replace("../", "");
    let mut env = options.configuration(section).start_process().await;

    let id = env.user("bob", &["oncall"]).request(ask("prod")).await.id;
    let before = got(&receiver, |all| !all.is_empty()).await;
    env.server.process().kill();
    receiver.behave(Behaviour::Normal);
    let seen = receiver.deliveries().len();

    env.restart().await;
    // The receiver may answer the delivery of the killed daemon, too: only later ones count.
    let is_taken = |all: &[Delivery]| all.get(seen..).is_some_and(|later| taken(later) == 1);
    let after = got(&receiver, is_taken).await;
    assert!(after.len() > seen);
    assert_eq!(after.last().unwrap().id, before[0].id, "the same delivery");
    assert_eq!(after.last().unwrap().json["data"]["id"], id);
    assert!(!env.server.log().contains(receiver.secret()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answers_size_does_not_matter() {
    let hooks = WebhookEnv::new(QUICK).await;
    hooks.receiver.behave(Behaviour::Huge);
    hooks.request().await;
    hooks.got(|all| taken(all) == 1).await;
    hooks.request().await;
    let all = hooks.got(|all| taken(all) == 2).await;
    assert_eq!(all.len(), 2, "each was told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_stays_text_in_both_formats() {
    let reason = "x\n<!channel> `@here` \u{1b}[2J\u{202e}";
    for (format, is_chat) in [("", false), ("format = \"chat\"", true)] {
        let hooks = WebhookEnv::with(QUICK, |receiver| webhook(&receiver.url(), format)).await;
        // The server refuses control characters in a reason. The ledger may have some of an older
        // version.
        let kept = reason.replace(['\n', '\u{1b}', '\u{202e}'], " ");
        let asked = Ask {
            reason: kept.clone(),
            ..ask("prod")
        };
        let refused = hooks
            .issue(
                "bob",
                Ask {
                    reason: reason.to_owned(),
                    ..asked.clone()
                },
            )
            .await;
        assert_eq!(refused.unwrap_err().reason, "ASK_MALFORMED");
        hooks.issue("bob", asked).await.unwrap();
        let all = hooks.got(|all| all.len() == 1).await;
        assert!(all[0].is_signed);
        assert!(all[0].body.iter().all(|byte| (b' '..=b'~').contains(byte)));
        if is_chat {
            let text = all[0].json["text"].as_str().unwrap();
            assert!(text.contains("&lt;!channel&gt; '(at)here'"), "{text}");
            assert!(!text.contains("<!") && !text.contains('\n'), "{text}");
        } else {
            assert_eq!(all[0].json["data"]["reason"], kept.as_str());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_acknowledged_page_there_is_no_emergency_pass() {
    let hooks = WebhookEnv::with(QUICK, given_up_soon).await;
    hooks.receiver.behave(Behaviour::Hang);
    hooks.env.world().receiver().behave(Behaviour::Status(500));
    let size = hooks.env.ledger_size().await;
    let refusal = hooks.emergency().await.unwrap_err();
    assert_eq!(refusal.code, tonic::Code::Unavailable);
    assert_eq!(refusal.reason, "PAGE_FAILED");
    for words in [
        "dev (answered 500",
        "test (no answer within 1s)",
        "daypass admin webhooks",
    ] {
        assert!(refusal.message.contains(words), "{}", refusal.message);
    }
    let events = hooks.env.events(size).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["type"], "denied");
    assert_eq!(events[0]["reason"], "PAGE_FAILED");
    assert_eq!(events[0]["ask"]["emergency"], true);

    let bob = hooks.env.terminal("bob");
    bob.sign_in("bob").await;
    let words = ["request", "prod", "--emergency", "--reason", "INC-1"];
    let done = bob.run(&words).await;
    assert_eq!(done.code, 6, "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_page_comes_before_the_pass_and_one_receiver_is_enough() {
    let hooks = WebhookEnv::new(QUICK).await;
    hooks.receiver.behave(Behaviour::Hang);
    hooks.env.world().receiver().behave(Behaviour::Status(500));
    let size = hooks.env.ledger_size().await;
    let (pass, ()) = tokio::join!(hooks.emergency(), async {
        let all = hooks.got(|all| all.len() == 1).await;
        assert_eq!(all[0].kind(), "page");
        assert!(all[0].is_signed && all[0].id.starts_with("page_"));
        let data = &all[0].json["data"];
        assert_eq!(data["reason"], "INC-1: it burns");
        assert!(data["note"].as_str().unwrap().contains("review"), "{data}");
        assert_eq!((&data["serial"], &data["id"]), (&Value::Null, &Value::Null));
        assert_eq!(
            hooks.env.ledger_size().await,
            size,
            "nothing is recorded yet"
        );
        hooks.receiver.behave(Behaviour::Normal);
    });
    let serial = pass.unwrap().serial;
    let events = hooks.env.events(size).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(
        (&events[0]["type"], &events[0]["index"]),
        (&"issued".into(), &serial.into())
    );
    let all = hooks.got(|all| all.len() == 2).await;
    assert_eq!(all[1].kind(), "emergency");
    let next = format!("daypass review {serial}");
    assert_eq!(all[1].json["data"]["next"], next);
}

/// Bob's page is on its way, and a policy without him (or with less for him) comes into force. What
/// he gets is what that policy gives, and no more than the page was about.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_replaced_during_the_page_decides() {
    let narrower = POLICY.replace("ttl = \"15m\"", "ttl = \"5m\"").replace(
        "principals = [\"root\"]",
        "principals = [\"root\", \"jump\"]",
    );
    let without = POLICY.replace(
        "emergency = { allow = '\"oncall\"",
        "emergency = { allow = '\"sre\"",
    );
    for (case, policy, expected) in [
        ("less, and another login", narrower, Some(5 * 60)),
        ("nothing for him", without, None),
    ] {
        assert_ne!(policy, POLICY, "{case}");
        let hooks = WebhookEnv::new(QUICK).await;
        hooks.receiver.behave(Behaviour::Hang);
        hooks.env.world().receiver().behave(Behaviour::Status(500));
        let size = hooks.env.ledger_size().await;
        let (outcome, ()) = tokio::join!(hooks.emergency(), async {
            hooks.got(|all| all.len() == 1).await;
            fs::write(hooks.env.world().files().policy(), &policy).unwrap();
            let reloaded = hooks.env.world().daemon().unwrap().reload().await.unwrap();
            assert!(reloaded.policy.is_some(), "{case}");
            hooks.receiver.behave(Behaviour::Normal);
        });
        let pages = hooks.got(|all| !all.is_empty()).await;
        let pages = pages.iter().filter(|it| it.kind() == "page" && it.is_taken);
        assert_eq!(pages.count(), 1, "{case}: people are paged once");
        let events = hooks.env.events(size).await;
        let (loaded, last) = (&events[0], &events[1]);
        assert_eq!(events.len(), 2, "{case}: {events:?}");
        assert_eq!(loaded["type"], "policy_loaded", "{case}");
        assert_eq!(last["policy"], loaded["policy"], "{case}");
        match expected {
            Some(seconds) => {
                let pass = outcome.unwrap();
                assert!(
                    pass.valid_before - pass.valid_after <= seconds + 60,
                    "{case}"
                );
                assert_eq!(pass.principals, ["root"], "{case}: what the page was about");
                assert_eq!(last["type"], "issued", "{case}");
            }
            None => {
                assert_eq!(outcome.unwrap_err().reason, "NOT_ALLOWED", "{case}");
                assert_eq!(last["type"], "denied", "{case}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_or_locked_user_sends_no_page() {
    let hooks = WebhookEnv::new(QUICK).await;
    let mallory = hooks.env.user("mallory", &[]);
    let denied = mallory.issue(emergency()).await.unwrap_err();
    assert_eq!(denied.reason, "NOT_ALLOWED");
    hooks.lock("bob").await;
    let size = hooks.env.ledger_size().await;
    assert_eq!(hooks.emergency().await.unwrap_err().reason, "LOCKED");
    assert_eq!(hooks.env.ledger_size().await, size + 1, "one denied event");
    // The later event has arrived, so an earlier page would have too.
    hooks.issue("alice", ask("prod")).await.unwrap();
    for receiver in [&hooks.receiver, hooks.env.world().receiver()] {
        let all = got(receiver, |all| {
            all.iter().any(|it| it.kind() == "requested")
        })
        .await;
        assert!(all.iter().all(|it| it.kind() != "page"), "{all:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_a_receiver_is_refused_at_start_check_and_reload() {
    let server = TestEnv::new().policy(POLICY).prepare().await;
    let configuration = server.configuration();
    let done = Command::new(DAYPASS)
        .args(["serve", "--check", "--offline", "--config"])
        .arg(&configuration)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success());
    assert!(
        said.contains("policy.toml:19: role \"prod\" has page = \"before\"")
            && said.contains("add a [[webhook]]"),
        "{said}"
    );
    let mut process = server.spawn(&[]);
    assert!(
        server.api(&mut process).await.is_none(),
        "it does not start"
    );
    assert!(server.log().contains("add a [[webhook]]"));

    let policy = server.path("policy.toml");
    fs::write(
        &policy,
        POLICY.replace("page = \"before\"", "page = \"after\""),
    )
    .unwrap();
    let config = daypass::config::Config::load(&configuration).unwrap();
    let daemon = daypass::daemon::start(config, None).await.unwrap();
    fs::write(&policy, POLICY).unwrap();
    let error = daemon.reload().await.unwrap_err().to_string();
    assert!(error.contains("policy.toml:19: "), "{error}");
    daemon.stop().await.unwrap();
}
