//! `daypass ledger policy` and `daypass ledger verify --decisions`: the texts of policies, and
//! every pass decided again. The doctored ledgers are signed again with the ledger's own key, as a
//! stolen server can.

use std::{fs, path::Path};

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use daypass::ledger::checkpoint::Signer;
use serde_json::{Value, json};
use sha2::Sha256;
use ssh_key::PrivateKey;

use crate::support::{
    command::Done,
    env::TestEnv,
    ledger::trust,
    security_key::{SecurityKey, TOUCHED},
};

/// The leaves of a ledger, byte for byte: signatures are over some of them.
#[derive(Clone)]
struct Leaves(Vec<String>);

impl Leaves {
    fn events(&self) -> Vec<Value> {
        let events = self.0.iter().map(|leaf| serde_json::from_str(leaf));
        events.map(Result::unwrap).collect()
    }

    /// Changes the last event that fits; its index.
    fn change(&mut self, fits: impl Fn(&Value) -> bool, change: impl FnOnce(&mut Value)) -> Value {
        let mut events = self.events();
        let at = events.iter().rposition(fits).unwrap();
        change(&mut events[at]);
        self.0[at] = events[at].to_string();
        events[at]["index"].clone()
    }
}

fn loads_policy(event: &Value) -> bool {
    event["type"] == "policy_loaded"
}

/// A world whose ledger has a pass of each kind, and two policies.
struct Site {
    env: TestEnv,
    /// The policy of the first passes.
    first: String,
}

impl Site {
    async fn start() -> Self {
        let people = ["alice", "bob", "carol"];
        let env = TestEnv::new().signed_in(&people).start().await;
        let first = fs::read_to_string(env.folder().join("world/policy.toml")).unwrap();
        for (person, words) in [
            ("alice", "pass --role shell"),
            ("alice", "pass --role shell --ttl 10m"),
            ("alice", "pass --role logs --param unit=nginx"),
            (
                "bob",
                "pass --role prod --emergency --reason INC-2 --host web-1",
            ),
        ] {
            let done = env.daypass(person, words).await;
            done.exits(words, 0);
        }
        let asked = env.daypass("bob", "request prod --reason INC-1").await;
        let id = asked.exits("a request", 5).json()["id"].to_string();
        let approved = env.daypass("carol", format!("requests approve {id}")).await;
        approved.exits("carol approves", 0);
        let words = format!("pass --role prod --request {id}");
        env.daypass("bob", words).await.exits("redeemed", 0);
        Self { env, first }
    }

    /// Narrows `shell` to half an hour, and uses it.
    async fn change_policy(&self) -> String {
        let shell = "pty = true\nttl = \"1h\"";
        let second = self.first.replacen(shell, "pty = true\nttl = \"30m\"", 1);
        assert_ne!(second, self.first);
        self.env.replace_policy(&second).await;
        let done = self.env.daypass("alice", "pass --role shell").await;
        done.exits("under the second policy", 0);
        second
    }

    /// The leaves of an export.
    async fn leaves(&self) -> Leaves {
        let path = self.env.folder().join("export");
        let words = format!("ledger export --out {}", path.display());
        self.env.daypass("carol", words).await.exits("export", 0);
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let leaves = text.lines().take_while(|line| !line.is_empty());
        Leaves(leaves.map(str::to_owned).collect())
    }

    /// Verifies these events, signed by the ledger's key.
    async fn verify(&self, leaves: &Leaves) -> Done {
        let key = trust(&self.env.api).await.ledger_verifier_key;
        let leaves = &leaves.0;
        let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        for leaf in leaves {
            tree.push(leaf.clone().into_bytes());
        }
        let root = tree.root();
        let root: [u8; 32] = root.as_bytes().as_slice().try_into().unwrap();
        let secret = PrivateKey::read_openssh_file(&self.env.folder().join("world/ledger_key"));
        let seed = secret
            .unwrap()
            .key_data()
            .ed25519()
            .unwrap()
            .private
            .to_bytes();
        let origin = key.split('+').next().unwrap();
        let note = Signer::new(origin, &seed)
            .unwrap()
            .sign(leaves.len() as u64, root);
        let path = self.env.folder().join("doctored");
        fs::write(&path, format!("{}\n\n{note}", leaves.join("\n"))).unwrap();
        let words = format!("ledger verify {} --decisions --key", path.display());
        // Carol remembers the real ledger, and would say LEDGER FORK.
        self.env.run("auditor", &words, &[&key]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_ledger_decides_every_pass_again() {
    let site = Site::start().await;
    site.change_policy().await;
    site.env.replace_policy(&site.first).await;
    let done = site.env.daypass("alice", "pass --role shell").await;
    done.exits("under the first policy again", 0);
    let verified = site.env.daypass("carol", "ledger verify --decisions").await;
    let verified = verified.exits("the server's ledger", 0).json();
    let expected = json!({"confirmed": 7, "without_text": 0, "wrong": 0, "findings": []});
    assert_eq!(verified["decisions"], expected);
    let without = site.env.daypass("carol", "ledger verify").await;
    assert!(
        without
            .exits("without", 0)
            .json()
            .get("decisions")
            .is_none()
    );
    let done = site.verify(&site.leaves().await).await;
    assert_eq!(done.exits("an export", 0).json()["decisions"], expected);
}

type Change = fn(&mut Value);

/// What a stolen server might record, with what the finding says.
const WIDENED: [(&str, &str, Change, &str); 8] = [
    (
        "a second login",
        "shell",
        |it| it["principals"] = json!(["deploy", "root"]),
        "root",
    ),
    (
        "a longer life",
        "shell",
        |it| it["valid_before"] = json!(it["valid_before"].as_u64().unwrap() + 3600),
        "lifetime 1h 10m -> 10m",
    ),
    (
        "another forwarding",
        "shell",
        |it| it["extensions"] = json!(["permit-pty", "permit-port-forwarding"]),
        "permit-port-forwarding",
    ),
    (
        "no command",
        "logs",
        |it| {
            it.as_object_mut().unwrap().remove("command").unwrap();
        },
        "command",
    ),
    (
        "a command of another parameter",
        "logs",
        |it| it["command"] = json!("/bin/echo 'logs of' sshd"),
        "sshd",
    ),
    (
        "a person without the group",
        "shell",
        |it| it["who"]["claims"]["groups"] = json!([]),
        "denied",
    ),
    (
        "a redemption with another content",
        "prod",
        |it| it["principals"] = json!(["root"]),
        "approved for another ask",
    ),
    (
        "another policy than the one in force",
        "shell",
        |it| it["policy"] = json!("ab".repeat(32)),
        "the policy changed",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_widened_pass_in_a_doctored_ledger_is_named() {
    let site = Site::start().await;
    let honest = site.leaves().await;
    for (case, role, change, expected) in WIDENED {
        let mut leaves = honest.clone();
        let is_pass = |event: &Value| event["type"] == "issued" && event["ask"]["role"] == role;
        let serial = leaves.change(is_pass, change);
        let done = site.verify(&leaves).await;
        assert_eq!(done.code, 1, "{case}: {done:?}");
        let text = format!("{}{}", done.stdout, done.stderr);
        assert!(text.contains(expected), "{case}: {done:?}");
        // A rule of the ledger already refuses some of these; the others are findings.
        if !done.stdout.is_empty() {
            let found = &done.json()["decisions"];
            assert_eq!(
                (&found["confirmed"], &found["wrong"]),
                (&json!(4), &json!(1)),
                "{case}"
            );
            assert_eq!(found["findings"][0]["serial"], serial, "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_who_may_not_approve_is_a_finding() {
    let site = Site::start().await;
    let mut leaves = site.leaves().await;
    let is_approval = |event: &Value| event["type"] == "approved";
    leaves.change(is_approval, |it| it["who"]["claims"]["groups"] = json!([]));
    let done = site.verify(&leaves).await.exits("doctored", 1);
    assert_eq!(done.json()["decisions"]["wrong"], 1, "{done:?}");
    assert!(
        done.stderr
            .contains("1 pass is not as the policy in force gave it"),
        "{done:?}"
    );
}

/// Carol approves with her security key in the agent. Without the key, a server that recorded the
/// approval all the same would be found.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_without_the_presence_that_its_policy_demands_is_a_finding() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let first = fs::read_to_string(env.folder().join("world/policy.toml")).unwrap();
    let key = SecurityKey::new();
    let demands = first.replacen(
        "within = \"30m\" }",
        "within = \"30m\", presence = true }",
        1,
    );
    let line = key.public().to_openssh().unwrap();
    let issuer = env.issuer().url();
    env.replace_policy(&format!(
        "{demands}\n[[presence_identity]]\nissuer = {issuer:?}\nsubject = \"carol\"\nkeys = [{line:?}]\n"
    ))
    .await;
    let asked = env.daypass("bob", "request prod --reason INC-1").await;
    let id = asked.exits("a request", 5).json()["id"].to_string();
    let words = format!("approve {id}");
    let without = env.daypass("carol", &words).await;
    let told = without.exits("no key", 2).stderr;
    assert!(told.contains("--security-key"), "{told}");
    let agent = key.agent(env.folder(), TOUCHED);
    let untouched = key.agent(env.folder(), 0);
    let (file, other) = (env.folder().join("sk.pub"), env.folder().join("other.pub"));
    fs::write(&file, &line).unwrap();
    let strange = SecurityKey::new().public().to_openssh().unwrap();
    fs::write(&other, strange).unwrap();
    let by = |file: &Path| format!("{words} --security-key {}", file.display());
    for (case, words, socket, code) in [
        ("not touched", words.clone(), &untouched.socket, 3),
        ("not registered", by(&other), &agent.socket, 2),
        ("touched", by(&file), &agent.socket, 0),
    ] {
        let mut command = env.command("carol", &words, &[]);
        command.env("SSH_AUTH_SOCK", socket);
        let done = Done::of(command).await.exits(case, code);
        let is_asked = done.stderr.contains("Touch your security key");
        assert_eq!(is_asked, code != 2, "{case}: {done:?}");
    }
    let redeemed = env.daypass("bob", format!("pass --role prod --request {id}"));
    redeemed.await.exits("redeemed", 0);
    let site = Site { env, first };
    let honest = site.leaves().await;
    let confirmed = site.verify(&honest).await.exits("honest", 0).json();
    assert_eq!(confirmed["decisions"]["confirmed"], 1);

    let is_approval = |event: &Value| event["type"] == "approved";
    let mut leaves = honest.clone();
    leaves.change(is_approval, |it| {
        it.as_object_mut().unwrap().remove("presence").unwrap();
    });
    let found = site.verify(&leaves).await.exits("without presence", 1);
    assert_eq!(found.json()["decisions"]["wrong"], 1, "{found:?}");
    let mut leaves = honest;
    leaves.change(is_approval, |it| {
        let session = it["signature"].clone();
        it["presence"]["signature"] = session;
    });
    let found = site.verify(&leaves).await.exits("another signature", 1);
    assert!(
        found.stderr.contains("passkey or security key"),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_without_its_text_or_with_another_one_is_refused() {
    let site = Site::start().await;
    site.change_policy().await;
    let honest = site.leaves().await;
    let mut leaves = honest.clone();
    leaves.change(loads_policy, |it| {
        it.as_object_mut().unwrap().remove("text").unwrap();
    });
    let done = site.verify(&leaves).await.exits("no text", 1);
    assert!(done.stderr.contains("without its text"), "{done:?}");
    let mut leaves = honest;
    leaves.change(loads_policy, |it| {
        it["text"] = json!(it["text"].as_str().unwrap().replace("30m", "9h"));
    });
    let done = site.verify(&leaves).await.exits("another text", 1);
    assert!(done.stderr.contains("another hash"), "{done:?}");
}

/// A ledger of an earlier version has no texts at first: those passes are counted, not confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn passes_from_before_the_texts_are_counted_apart() {
    let site = Site::start().await;
    let mut leaves = site.leaves().await;
    leaves.change(loads_policy, |it| {
        it.as_object_mut().unwrap().remove("text").unwrap();
    });
    let done = site.verify(&leaves).await.exits("an old ledger", 0).json();
    let expected = json!({"confirmed": 0, "without_text": 5, "wrong": 0, "findings": []});
    assert_eq!(done["decisions"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_of_each_policy_is_read_back_byte_for_byte() {
    let site = Site::start().await;
    let second = site.change_policy().await;
    let env = &site.env;
    let in_force = env.terminal("carol").run(&["ledger", "policy"]).await;
    assert_eq!(in_force.exits("in force", 0).stdout, second);
    let events = site.leaves().await.events();
    let mut loads = events
        .iter()
        .filter(|event| event["type"] == "policy_loaded");
    let first = loads.next().unwrap()["policy"].as_str().unwrap();
    let terminal = env.terminal("carol");
    let earlier = terminal.run(&["ledger", "policy", &first[..8]]).await;
    assert_eq!(earlier.exits("an earlier one", 0).stdout, site.first);
    let shown = terminal.json(&["ledger", "policy", first]).await;
    assert_eq!(
        (&shown["policy"], &shown["text"]),
        (&json!(first), &json!(site.first))
    );
    let index = shown["index"].to_string();
    let event = terminal
        .run(&["ledger", "show", &index])
        .await
        .exits("show", 0);
    let command = format!("text: daypass ledger policy {}", &first[..12]);
    assert!(event.stdout.contains(&command), "{event:?}");

    for (case, hash, code, expected) in [
        (
            "unknown",
            "0123456789abcdef",
            1,
            "no text of a policy whose hash begins with",
        ),
        ("no hash", "POLICY.TOML", 2, "use the 64 hex digits"),
        ("too long", &"a".repeat(65), 2, "use the 64 hex digits"),
    ] {
        let done = terminal
            .run(&["ledger", "policy", hash])
            .await
            .exits(case, code);
        assert!(done.stderr.contains(expected), "{case}: {done:?}");
    }
    let denied = env.terminal("mallory");
    denied.sign_in("mallory").await;
    denied
        .run(&["ledger", "policy"])
        .await
        .exits("no auditor", 3);
}

/// A restart under the same policy records no second text.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_recorded_once_per_change() {
    let mut site = Site::start().await;
    site.env.restart().await;
    let events = site.leaves().await.events();
    let loads = events
        .iter()
        .filter(|event| event["type"] == "policy_loaded");
    let texts: Vec<bool> = loads.map(|event| event.get("text").is_some()).collect();
    assert_eq!(texts, [true, false]);
}
