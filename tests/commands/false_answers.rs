//! A server whose answers are not what was asked for: each command refuses them with a clear
//! message, and leaves no pass, no ssh configuration and no key in the agent behind.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use daypass::proto::v1::{self, issue_response::Answer, request::State};
use serde_json::json;
use ssh_key::{
    HashAlg, PrivateKey, PublicKey,
    certificate::{Builder, CertType},
};

use crate::{
    fake_server::{Answers, FakeServer, Issue},
    support::{
        agent::Agent,
        command::{Done, Terminal},
        env::TestEnv,
        files, now,
    },
};

/// `logs` has one of everything; `shell` demands nothing.
const POLICY: &str = r#"
[limits]
ttl = "8h"
principals = ["weblogs", "root"]
[hosts]
web = ["web-*"]
[[role]]
name = "logs"
allow = '"sre" in claims.groups'
hosts = ["web"]
principals = ["weblogs"]
command = ["/usr/bin/journalctl", "--unit", "{unit}"]
params.unit = { pattern = "[a-z ]{1,20}" }
source = ["127.0.0.0/8"]
pty = true
ttl = "30m"
emergency = { allow = '"oncall" in claims.groups', ttl = "15m", review = '"security" in claims.groups' }
[[role]]
name = "shell"
allow = '"sre" in claims.groups'
hosts = ["web"]
principals = ["root"]
pty = true
ttl = "30m"
[[role]]
name = "fast"
allow = 'ask.reason.contains("fast")'
principals = ["root"]
ttl = "30m"
"#;

/// The ask of every command about `logs`.
const ASK: &str = "--host web-1 --param unit=nginx --ttl 10m";

/// What the server writes into a certificate.
#[derive(Clone)]
struct Plan {
    kind: CertType,
    serial: u64,
    key_id: &'static str,
    /// Seconds from now.
    valid: (i64, i64),
    principals: Vec<&'static str>,
    options: Vec<(&'static str, &'static str)>,
    extensions: Vec<&'static str>,
    comment: &'static str,
}

/// The honest pass of `logs`.
fn honest() -> Plan {
    Plan {
        kind: CertType::User,
        serial: 70,
        key_id: "alice@example.com/logs",
        valid: (-60, 600),
        principals: vec!["weblogs@web"],
        options: vec![
            ("force-command", "/usr/bin/journalctl --unit nginx"),
            ("source-address", "127.0.0.0/8"),
        ],
        extensions: vec!["permit-pty"],
        comment: "",
    }
}

/// The honest pass of `shell`.
fn honest_shell() -> Plan {
    Plan {
        key_id: "alice@example.com/shell",
        principals: vec!["root@web"],
        options: Vec::new(),
        ..honest()
    }
}

/// A lying server, and a terminal of alice's that is signed in to it.
struct World {
    env: TestEnv,
    fake_server: FakeServer,
    terminal: Terminal,
}

impl World {
    async fn start() -> Self {
        let env = TestEnv::new().policy(POLICY).start().await;
        let fake_server = FakeServer::start(&env.api).await;
        let mut terminal = env.terminal("alice");
        let server = ("DAYPASS_SERVER".to_owned(), fake_server.url.clone());
        terminal.variables.retain(|(name, _)| name != &server.0);
        terminal.variables.push(server);
        terminal.sign_in("alice").await;
        Self {
            env,
            fake_server,
            terminal,
        }
    }

    /// The key of alice's session.
    fn key(&self) -> PublicKey {
        let text = fs::read_to_string(self.terminal.file("key.pub")).unwrap();
        PublicKey::from_openssh(&text).unwrap()
    }

    fn certificate(&self, plan: &Plan) -> String {
        certificate(plan, &self.key(), &self.fake_server.ca)
    }

    /// Answers `Issue` with this certificate, and all else as an honest server would.
    fn answer(&self, certificate: String) {
        self.fake_server.answers(Answers {
            issue: pass(certificate),
            request: self.approved(),
            ..Answers::default()
        });
    }

    /// An approved request of alice's for the honest pass of `logs`.
    fn approved(&self) -> v1::Request {
        let key = self.key().fingerprint(HashAlg::Sha256).to_string();
        v1::Request {
            id: 7,
            state: State::Approved.into(),
            event: requested(&key).to_string().into_bytes(),
            ..v1::Request::default()
        }
    }

    async fn run(&self, words: &str) -> Done {
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut command = self.terminal.command(&words);
        command.env("DAYPASS_FORMAT", "json");
        Done::of(command).await
    }

    /// What a command could have left behind: files of the state folder without what is remembered
    /// of the server.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.terminal.state, &mut files);
        files.retain(|path, _| {
            let path = path.strip_prefix(&self.terminal.state).unwrap();
            !path.starts_with("servers") && path.extension().is_none_or(|it| it != "lock")
        });
        files.remove(&self.terminal.file("lock"));
        // The names that the shell completes. They are filtered, and give nothing.
        files.remove(&self.terminal.file("offered.json"));
        files
    }

    /// Demands that this command gets a pass, and removes it.
    async fn accepts(&self, case: &str, words: &str) {
        let done = self.run(words).await;
        assert_eq!(done.code, 0, "{case}: {words}: {done:?}");
        for folder in ["passes", "hosts"] {
            let _ = fs::remove_dir_all(self.terminal.file(folder));
        }
    }

    /// Demands that this command refuses the answer for this fault, and that nothing is left of it.
    async fn refuses(&self, case: &str, words: &str, fault: &str) {
        let before = self.files();
        let done = self.run(words).await;
        let error = done.error();
        let message = error["message"].as_str().unwrap();
        assert_eq!(done.code, 1, "{case}: {words}: {done:?}");
        assert_eq!(error["reason"], "UNTRUSTED_ANSWER", "{case}: {words}");
        assert!(message.contains(fault), "{case}: {words}: {message}");
        let printed = format!("{}{}", done.stdout, done.stderr);
        assert!(!printed.contains('\u{1b}'), "{case}: {printed:?}");
        assert!(self.files() == before, "{case}: {words} leaves files");
        assert!(self.fake_server.asked().is_some(), "{case}: it was asked");
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => collect(&entry.path(), files),
            false => {
                files.insert(entry.path(), fs::read(entry.path()).unwrap_or_default());
            }
        }
    }
}

/// An answer with this certificate, for any ask.
fn pass(certificate: String) -> Issue {
    Arc::new(move |_| response(certificate.clone()))
}

/// An answer with the certificate of this plan, for the key of the ask.
fn pass_for_any_key(plan: Plan, ca: PrivateKey) -> Issue {
    Arc::new(move |request| {
        let key = &request.proof.as_ref().unwrap().public_key;
        let key = PublicKey::from_openssh(key).unwrap();
        response(certificate(&plan, &key, &ca))
    })
}

fn response(certificate: String) -> v1::IssueResponse {
    v1::IssueResponse {
        answer: Some(Answer::Pass(v1::Pass {
            certificate,
            jump: None,
            host_certificate_until: 0,
        })),
    }
}

/// The event of [`World::approved`].
fn requested(key: &str) -> serde_json::Value {
    json!({
        "index": 7,
        "at": "2026-01-01T00:00:00Z",
        "type": "requested",
        "who": {"issuer": "i", "subject": "alice", "label": "alice@example.com", "claims": {}},
        "ask": {"role": "logs", "host": "web-1", "params": {"unit": "nginx"}},
        "key": key,
        "needed": 1,
        "expires_at": now() + 3600,
        "principals": ["weblogs@web"],
        "command": "/usr/bin/journalctl --unit nginx",
        "source_addresses": ["127.0.0.0/8"],
        "extensions": ["pty"],
        "ttl_seconds": 600,
        "policy": "p",
    })
}

fn certificate(plan: &Plan, key: &PublicKey, ca: &PrivateKey) -> String {
    let at = |seconds: i64| u64::try_from(now() + seconds).unwrap();
    let (after, before) = plan.valid;
    let mut builder = Builder::new(vec![7; 32], key, at(after), at(before)).unwrap();
    builder.cert_type(plan.kind).unwrap();
    builder.serial(plan.serial).unwrap();
    builder.key_id(plan.key_id).unwrap();
    builder.comment(plan.comment).unwrap();
    if plan.principals.is_empty() {
        builder.all_principals_valid().unwrap();
    }
    for principal in &plan.principals {
        builder.valid_principal(*principal).unwrap();
    }
    for (name, value) in &plan.options {
        builder.critical_option(*name, *value).unwrap();
    }
    for name in &plan.extensions {
        builder.extension(*name, "").unwrap();
    }
    builder.sign(ca).unwrap().to_openssh().unwrap()
}

/// The same certificate with more bytes behind its last field.
fn trailing(certificate: &str) -> String {
    let (kind, body) = certificate.split_once(' ').unwrap();
    let mut bytes = STANDARD.decode(body.trim()).unwrap();
    bytes.extend([0, 0, 0, 0]);
    format!("{kind} {}", STANDARD.encode(bytes))
}

/// The ways to get a pass of `logs` with a sign-in, of which the last redeems a request.
fn ways() -> [String; 5] {
    [
        format!("pass --role logs {ASK}"),
        format!("pass {ASK}"),
        format!("pass --role logs {ASK} --emergency --reason outage"),
        format!(
            "ssh weblogs@web-1 {} -- true",
            ASK.replace("--host web-1 ", "")
        ),
        "pass --request 7".to_owned(),
    ]
}

/// The ways whose honest end this test can see: it starts no ssh.
fn ways_without_ssh() -> impl Iterator<Item = String> {
    ways().into_iter().filter(|words| words.starts_with("pass"))
}

type Change = fn(&mut Plan);

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_answer_is_accepted_on_every_way() {
    let world = World::start().await;
    let narrower: [(&str, Change); 3] = [
        ("as it was asked for", |_| {}),
        ("shorter", |plan| plan.valid.1 = 300),
        ("from fewer addresses", |plan| {
            plan.options[1].1 = "127.0.0.1/32";
        }),
    ];
    for (case, change) in narrower {
        let mut plan = honest();
        change(&mut plan);
        world.answer(world.certificate(&plan));
        for words in ways_without_ssh() {
            world.accepts(case, &words).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_differs_from_the_role_or_from_what_was_approved_is_refused_on_every_way() {
    let world = World::start().await;
    let approved_less = "allows more than was approved";
    let other_command = "force-command is not the one that was approved";
    let lies: [(&str, &str, &str, Change); 13] = [
        (
            "another login",
            "a login that the role",
            approved_less,
            |plan| {
                plan.principals = vec!["root@web"];
            },
        ),
        (
            "one login more",
            "a login that the role",
            approved_less,
            |plan| {
                plan.principals.push("root@web");
            },
        ),
        (
            "another host group",
            "a login that the role",
            approved_less,
            |plan| {
                plan.principals = vec!["weblogs@db"];
            },
        ),
        (
            "no host group",
            "a login that the role",
            approved_less,
            |plan| {
                plan.principals = vec!["weblogs"];
            },
        ),
        (
            "two logins in one",
            "a login that the role",
            approved_less,
            |plan| {
                plan.principals = vec!["weblogs,root"];
            },
        ),
        (
            "another force-command",
            "is not the role's",
            other_command,
            |plan| {
                plan.options[0].1 = "/bin/sh";
            },
        ),
        (
            "another parameter",
            "is not the role's",
            other_command,
            |plan| {
                plan.options[0].1 = "/usr/bin/journalctl --unit sshd";
            },
        ),
        ("a word more", "is not the role's", other_command, |plan| {
            plan.options[0].1 = "/usr/bin/journalctl --unit nginx --all";
        }),
        (
            "a second line",
            "is not the role's",
            other_command,
            |plan| {
                plan.options[0].1 = "/usr/bin/journalctl --unit nginx\n/bin/sh";
            },
        ),
        (
            "no force-command",
            "is not the role's",
            other_command,
            |plan| {
                plan.options.remove(0);
            },
        ),
        (
            "from any address",
            "addresses that the role",
            approved_less,
            |plan| {
                plan.options.remove(1);
            },
        ),
        (
            "from other addresses",
            "addresses that the role",
            approved_less,
            |plan| {
                plan.options[1].1 = "192.0.2.0/24";
            },
        ),
        (
            "an extension more",
            "an extension that the role",
            approved_less,
            |plan| {
                plan.extensions.insert(0, "permit-port-forwarding");
            },
        ),
    ];
    for (case, by_role, by_request, change) in lies {
        let mut plan = honest();
        change(&mut plan);
        world.answer(world.certificate(&plan));
        for words in ways() {
            let fault = match words.contains("--request") {
                true => by_request,
                false => by_role,
            };
            world.refuses(case, &words, fault).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_lacks_what_the_role_gives_or_demands_what_it_does_not_is_refused() {
    let world = World::start().await;
    let lies: [(&str, &str, Change); 2] = [
        ("no terminal", "lacks an extension", |plan| {
            plan.extensions.clear();
        }),
        ("a verified user", "and the role does not", |plan| {
            plan.options.push(("verify-required", ""));
        }),
    ];
    for (case, fault, change) in lies {
        let mut plan = honest();
        change(&mut plan);
        world.answer(world.certificate(&plan));
        let words = format!("pass --role logs {ASK}");
        world.refuses(case, &words, fault).await;
    }
}

/// What is wrong for any ask: `(case, fault, what the server does)`.
const ALWAYS_WRONG: [(&str, &str, Change); 12] = [
    ("a host certificate", "not a user certificate", |plan| {
        plan.kind = CertType::Host;
    }),
    ("no serial", "serial is 0", |plan| plan.serial = 0),
    ("another role", "for another role", |plan| {
        plan.key_id = "alice@example.com/shell";
    }),
    ("a key id of two lines", "control characters", |plan| {
        plan.key_id = "alice\nAccepted publickey/logs";
    }),
    ("no principal", "names no principal", |plan| {
        plan.principals.clear();
    }),
    ("longer than asked", "longer than was asked for", |plan| {
        plan.valid.1 = 605;
    }),
    ("valid for ever", "longer than was asked for", |plan| {
        plan.valid.1 = 3_000_000_000;
    }),
    ("long ago", "not valid now", |plan| {
        plan.valid = (-900, -300)
    }),
    ("just expired", "not valid now", |plan| {
        plan.valid = (-60, 0);
    }),
    ("in the future", "not valid now", |plan| {
        plan.valid = (300, 600);
    }),
    ("an unknown option", "unknown critical option", |plan| {
        plan.options.push(("x-\u{1b}[2J@example.com", ""));
    }),
    ("an option of no effect", "among its extensions", |plan| {
        plan.extensions.insert(0, "force-command");
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_is_wrong_for_any_ask_is_refused_on_every_way() {
    let world = World::start().await;
    for (case, fault, change) in ALWAYS_WRONG {
        let mut plan = honest();
        change(&mut plan);
        world.answer(world.certificate(&plan));
        for words in ways() {
            world.refuses(case, &words, fault).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_a_pass_of_this_ca_for_this_key_are_refused_on_every_way() {
    let world = World::start().await;
    let (plan, key) = (honest(), world.key());
    let good = world.certificate(&plan);
    let theirs = files::new_key();
    let commented = Plan {
        comment: "\u{1b}[2Jroot",
        ..plan.clone()
    };
    let lies = [
        ("garbage", "\u{1b}[2J\u{0}".to_owned(), "cannot be read"),
        ("nothing", String::new(), "cannot be read"),
        ("a bare key", key.to_openssh().unwrap(), "cannot be read"),
        (
            "half of it",
            good[..good.len() / 2].to_owned(),
            "cannot be read",
        ),
        ("trailing bytes", trailing(&good), "cannot be read"),
        ("a comment", world.certificate(&commented), "a comment"),
        ("a second line", format!("{good}\n{good}"), ""),
        (
            "for another key",
            certificate(&plan, theirs.public_key(), &world.fake_server.ca),
            "for another key",
        ),
        (
            "by another CA key",
            certificate(&plan, &key, &theirs),
            "not a CA key of this server",
        ),
    ];
    for (case, text, fault) in lies {
        world.answer(text);
        for words in ways() {
            world.refuses(case, &words, fault).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifetime_beyond_the_roles_is_refused_though_none_was_asked_for() {
    let world = World::start().await;
    let words = "pass --role logs --host web-1 --param unit=nginx";
    for (more, most) in [("", 1800), (" --emergency --reason outage", 900)] {
        let words = format!("{words}{more}");
        let lasting = |seconds| Plan {
            valid: (-60, seconds),
            ..honest()
        };
        world.answer(world.certificate(&lasting(most)));
        world.accepts("as long as the role says", &words).await;
        world.answer(world.certificate(&lasting(most + 5)));
        world
            .refuses("longer", &words, "longer than was asked for")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_agent_nor_a_file_of_the_users_nor_sshs_configuration_gets_a_lie() {
    let world = World::start().await;
    let agent = Agent::start(world.env.folder()).await;
    let mut terminal = world.terminal.clone();
    let socket = agent.socket.display().to_string();
    terminal
        .variables
        .push(("SSH_AUTH_SOCK".to_owned(), socket));
    let wrong = Plan {
        principals: vec!["weblogs@web"],
        ..honest_shell()
    };
    world.answer(world.certificate(&wrong));
    let out = world.env.folder().join("mine");
    let out = out.to_str().unwrap();
    let before = world.files();
    for words in [
        vec!["pass", "--role", "shell", "--host", "web-1", "--agent"],
        vec!["pass", "--role", "shell", "--host", "web-1", "--out", out],
        vec!["ensure", "--host", "web-1"],
        vec!["ssh", "web-1", "--", "true"],
    ] {
        let done = terminal.run_json(&words).await;
        assert_ne!(done.code, 0, "{words:?}: {done:?}");
        let said = "a login that the role does not have";
        assert!(done.stderr.contains(said), "{words:?}: {done:?}");
        assert!(world.fake_server.asked().is_some(), "{words:?}");
    }
    assert!(world.files() == before);
    assert_eq!(agent.keys().await, 0);
    for name in ["mine", "mine.pub", "mine-cert.pub", "mine-jump"] {
        assert!(!world.env.folder().join(name).exists(), "{name}");
    }
    world.answer(world.certificate(&honest_shell()));
    let ensured = terminal.run(&["ensure", "--host", "web-1"]).await;
    assert_eq!(ensured.code, 0, "{ensured:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_no_pass_would_open_is_refused_before_the_server_is_asked() {
    let world = World::start().await;
    world.answer(world.certificate(&honest()));
    for words in [
        format!(
            "ssh root@web-1 --role logs {}",
            ASK.replace("--host web-1 ", "")
        ),
        "ssh root@web-1 --request 7".to_owned(),
    ] {
        let done = world.run(&words).await;
        assert_eq!(done.code, 3, "{words}: {done:?}");
        assert_eq!(done.error()["reason"], "PRINCIPAL", "{words}");
        assert!(
            world.fake_server.asked().is_none(),
            "{words}: no pass is lost"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_changes_between_the_list_and_the_answer_is_no_lie() {
    let world = World::start().await;
    let now_listed = v1::Role {
        name: "logs".into(),
        hosts: vec!["web".into()],
        logins: vec!["weblogs".into()],
        command: ["/usr/bin/journalctl", "--unit", "{unit}"]
            .map(String::from)
            .into(),
        ttl_seconds: 1800,
        extensions: vec!["pty".into()],
        source_addresses: vec!["127.0.0.0/8".into()],
        pty: true,
        ..v1::Role::default()
    };
    let before = v1::Role {
        logins: vec!["oldlogs".into()],
        ..now_listed.clone()
    };
    let words = format!("pass --role logs {ASK}");
    let answers = |roles| Answers {
        roles,
        issue: pass(world.certificate(&honest())),
        ..Answers::default()
    };
    let changed = vec![vec![before.clone()], vec![now_listed.clone()]];
    world.fake_server.answers(answers(changed));
    world
        .accepts("the new policy gives this pass", &words)
        .await;

    let other = v1::Role {
        logins: vec!["newlogs".into()],
        ..now_listed.clone()
    };
    let gone = vec![vec![before.clone()], Vec::new()];
    let unchanged = vec![vec![before.clone()]];
    let changed_otherwise = vec![vec![before], vec![other], vec![now_listed]];
    for (case, roles) in [
        ("unchanged", unchanged),
        ("changed otherwise", changed_otherwise),
        ("gone", gone),
    ] {
        world.fake_server.answers(answers(roles));
        world.refuses(case, &words, "a login that the role").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_another_key_or_another_request_is_not_redeemed() {
    let world = World::start().await;
    let honest = world.certificate(&honest());
    let theirs = v1::Request {
        event: requested("SHA256:other").to_string().into_bytes(),
        ..world.approved()
    };
    world.fake_server.answers(Answers {
        issue: pass(honest.clone()),
        request: theirs,
        ..Answers::default()
    });
    let words = "pass --request 7";
    world.refuses("another key", words, "for another key").await;

    let before = world.files();
    let hostile = requested("x")
        .to_string()
        .replace("\"requested\"", "\"\\u001b[2J\"");
    for (case, event) in [
        (
            "another event",
            requested("x").to_string().replace(":7,", ":8,"),
        ),
        ("an unknown event", hostile),
        ("garbage", "\u{1b}[2J".to_owned()),
    ] {
        world.fake_server.answers(Answers {
            issue: pass(honest.clone()),
            request: v1::Request {
                event: event.into_bytes(),
                ..world.approved()
            },
            ..Answers::default()
        });
        let done = world.run(words).await;
        assert_eq!(
            done.error()["reason"],
            "UNTRUSTED_ANSWER",
            "{case}: {done:?}"
        );
        assert!(!done.stderr.contains('\u{1b}'), "{case}: {done:?}");
        assert!(
            world.files() == before && world.fake_server.asked().is_none(),
            "{case}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_pass_leaves_nothing_and_its_text_reaches_no_terminal() {
    let world = World::start().await;
    let hostile = requested("\u{1b}[2J").to_string();
    let pending = v1::Request {
        id: 7,
        state: State::Pending.into(),
        event: hostile.into_bytes(),
        ..v1::Request::default()
    };
    let words = format!("pass --role logs {ASK}");
    world.fake_server.answers(Answers::default());
    world
        .refuses("neither", &words, "neither a pass nor a request")
        .await;

    let before = world.files();
    world.fake_server.answers(Answers {
        issue: {
            let answer = Some(Answer::Request(pending.clone()));
            Arc::new(move |_| v1::IssueResponse {
                answer: answer.clone(),
            })
        },
        request: pending,
        ..Answers::default()
    });
    let asked: Vec<&str> = words.split_whitespace().collect();
    for words in [asked, vec!["show", "7"]] {
        let done = world.terminal.run(&words).await;
        let printed = format!("{}{}", done.stdout, done.stderr);
        assert!(!printed.contains('\u{1b}'), "{words:?}: {printed:?}");
    }
    let done = world.run(&words).await;
    assert_eq!(
        (done.code, &done.error()["reason"]),
        (5, &json!("REQUEST_PENDING"))
    );
    // It is remembered as open, and nothing else.
    let mut after = world.files();
    let remembered = after.remove(&world.terminal.file("requested.json"));
    assert!(!remembered.unwrap().contains(&0x1b));
    assert!(after == before);
}

/// A caller with a registered key gets no list of roles, and a role whose condition reads the
/// reason is not listed: what the role grants cannot be known. The rest is checked.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_of_the_role_all_else_is_checked() {
    let world = World::start().await;
    let key = world.env.folder().join("registered");
    files::write_key(&key, &files::new_key());
    let by_key = format!("pass --role logs {ASK} --emergency-key {}", key.display());
    let unlisted = "pass --role fast --reason fast --ttl 10m".to_owned();
    for (words, key_id) in [(unlisted, "alice/fast"), (by_key, "alice/logs")] {
        for (case, fault, change) in ALWAYS_WRONG {
            let mut plan = Plan { key_id, ..honest() };
            change(&mut plan);
            world.fake_server.answers(Answers {
                issue: pass_for_any_key(plan, world.fake_server.ca.clone()),
                ..Answers::default()
            });
            world.refuses(case, &words, fault).await;
        }
    }
}
