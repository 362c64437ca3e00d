//! Locks and revocations through the real door, and what a real sshd makes of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "support/ssh.rs"]
#[allow(dead_code, reason = "other test programs use the rest")]
mod ssh;
mod support;

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use daypass::{
    ca::document::HostDocument,
    ledger::order::{self, LATEST, Verb},
    proto::v1::{
        self, GetRevocationsRequest, IssueResponse, LockRequest, lock_target::Target,
        revoke_request, trust_client::TrustClient,
    },
    ssh::krl::Krl,
};
use serde_json::json;
use ssh::{Host, Pass};
use ssh_encoding::Decode;
use ssh_key::{Certificate, LineEnding, PublicKey, SshSig};
use support::{
    api::{Caller, Refusal, ask, with_token},
    env::TestEnv,
    user::{self, TestUser, wire},
};
use tonic::Code;

/// A world, and who may lock in it.
struct Town {
    scene: TestEnv,
    carol: TestUser,
}

impl Town {
    async fn start() -> Self {
        let scene = TestEnv::start().await;
        let carol = TestUser::new(&scene, "carol", &["security"]);
        Self { scene, carol }
    }

    fn person(&self, name: &str) -> TestUser {
        TestUser::new(&self.scene, name, &["sre", "oncall"])
    }

    async fn issue(&self, person: &TestUser) -> Result<IssueResponse, Refusal> {
        person.issue(&self.scene, ask("shell")).await
    }

    async fn lock(&self, by: &TestUser, target: Target) -> Result<v1::LockResponse, Refusal> {
        by.lock(&self.scene, target).await
    }

    async fn unlock(&self, by: &TestUser, target: Target) -> Result<u64, Refusal> {
        by.unlock(&self.scene, target).await
    }

    async fn revoke(
        &self,
        by: &TestUser,
        target: revoke_request::Target,
    ) -> Result<Vec<u64>, Refusal> {
        by.revoke(&self.scene, target).await
    }

    async fn locks(&self, by: &TestUser) -> Result<Vec<v1::Lock>, Refusal> {
        by.locks(&self.scene).await
    }

    /// `GET path` as a host does it, with this `If-None-Match`.
    async fn get(&self, path: &str, tag: Option<&str>) -> reqwest::Response {
        let (url, ca) = self.scene.world.server();
        let root = reqwest::Certificate::from_pem(ca.as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([root]).no_proxy();
        let mut request = client.build().unwrap().get(format!("{url}{path}"));
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        request.send().await.unwrap()
    }

    async fn krl(&self) -> Vec<u8> {
        self.get("/krl", None).await.bytes().await.unwrap().to_vec()
    }

    async fn ca(&self) -> PublicKey {
        PublicKey::from_openssh(&self.scene.ca_public_key().await).unwrap()
    }

    async fn is_revoked(&self, serial: u64) -> bool {
        let krl = Krl::parse(&self.krl().await).unwrap();
        krl.revokes(&self.ca().await.to_bytes().unwrap(), serial)
    }
}

fn bob() -> Target {
    Target::Identity("bob".into())
}

/// Puts a pass into files.
fn on_disk(person: &TestUser, issued: &IssueResponse) -> Pass {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let key = folder.path().join("pass");
    let text = person.caller.key.to_openssh(LineEnding::LF).unwrap();
    std::fs::write(&key, text).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let certificate = Certificate::from_openssh(&issued.certificate).unwrap();
    Pass::new(folder, certificate)
}

fn reason<T: std::fmt::Debug>(result: Result<T, Refusal>) -> (Code, String) {
    let refusal = result.unwrap_err();
    (refusal.code, refusal.reason)
}

fn locked() -> (Code, String) {
    (Code::PermissionDenied, "LOCKED".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_person_gets_no_pass_and_sshd_refuses_the_one_they_have() {
    let town = Town::start().await;
    let (bob_person, alice) = (town.person("bob"), town.person("alice"));
    let bobs = town.issue(&bob_person).await.unwrap();
    let alices = town.issue(&alice).await.unwrap();
    let host = Host::start(&town.scene.ca_public_key().await).await;
    host.revoke(&town.krl().await);
    let (bob_disk, alice_disk) = (on_disk(&bob_person, &bobs), on_disk(&alice, &alices));
    for pass in [&bob_disk, &alice_disk] {
        assert_eq!(host.login(pass, &["true"]).await.status, Some(0));
    }

    let answer = town.lock(&town.carol, bob()).await.unwrap();
    assert_eq!(answer.serials, [bobs.serial]);
    let before = town.scene.ledger_size().await;
    assert_eq!(reason(town.issue(&bob_person).await), locked());
    let events = town.scene.events(before).await;
    assert_eq!(events.len(), 1, "one denial: {events:?}");
    assert_eq!(events[0]["type"], "denied");
    assert_eq!(events[0]["reason"], "LOCKED");
    let with_another_key = town.person("bob");
    assert_eq!(reason(town.issue(&with_another_key).await), locked());

    host.revoke(&town.krl().await);
    let log = host.refuses(&bob_disk).await;
    assert!(log.contains("revoked by file"), "{log}");
    assert_eq!(host.login(&alice_disk, &["true"]).await.status, Some(0));
    assert!(town.issue(&alice).await.is_ok());

    town.unlock(&town.carol, bob()).await.unwrap();
    let again = town.issue(&bob_person).await.unwrap();
    assert!(
        town.is_revoked(bobs.serial).await,
        "unlocking gives nothing back"
    );
    host.revoke(&town.krl().await);
    host.refuses(&bob_disk).await;
    let again = on_disk(&bob_person, &again);
    assert_eq!(host.login(&again, &["true"]).await.status, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dev_worlds_own_sshd_refuses_a_revoked_pass_by_itself() {
    let scene = TestEnv::with_sshd().await;
    let carol = TestUser::new(&scene, "carol", &["security"]);
    let town = Town { scene, carol };
    let alice = town.person("alice");
    let pass = town.issue(&alice).await.unwrap();
    let sshd = town.scene.world.sshd().unwrap();
    let blob = town.ca().await.to_bytes().unwrap();
    let listed = || Krl::parse(&std::fs::read(sshd.krl()).unwrap()).unwrap();
    assert!(!listed().revokes(&blob, pass.serial));
    let serial = revoke_request::Target::Serial(pass.serial);
    town.revoke(&town.carol, serial).await.unwrap();
    let start = std::time::Instant::now();
    while !listed().revokes(&blob, pass.serial) {
        assert!(start.elapsed().as_secs() < 20, "the list stays old");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lock_is_acknowledged_there_is_no_pass_that_it_did_not_revoke() {
    let town = std::sync::Arc::new(Town::start().await);
    for round in 0..5 {
        let name = format!("racer{round}");
        let tasks: Vec<_> = (0..12)
            .map(|at| {
                let (town, name) = (town.clone(), name.clone());
                tokio::spawn(async move {
                    let racer = town.person(&name);
                    if at == 5 {
                        let target = Target::Identity(name);
                        let answer = town.lock(&town.carol, target).await.unwrap();
                        let after = town.issue(&racer).await;
                        assert_eq!(reason(after), locked(), "after the acknowledgement");
                        return (None, answer.serials);
                    }
                    match town.issue(&racer).await {
                        Ok(pass) => (Some(pass.serial), Vec::new()),
                        refused => {
                            assert_eq!(reason(refused), locked());
                            (None, Vec::new())
                        }
                    }
                })
            })
            .collect();
        let (mut issued, mut revoked) = (BTreeSet::new(), BTreeSet::new());
        for task in tasks {
            let (serial, serials) = task.await.unwrap();
            issued.extend(serial);
            revoked.extend(serials);
        }
        assert_eq!(
            issued, revoked,
            "what slipped in before the lock is revoked by it"
        );
        for serial in issued {
            assert!(town.is_revoked(serial).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_an_administrator_locks_unlocks_or_revokes() {
    let town = Town::start().await;
    let (alice, bob_person) = (town.person("alice"), town.person("bob"));
    let (own, other) = (
        town.issue(&alice).await.unwrap().serial,
        town.issue(&bob_person).await.unwrap().serial,
    );
    town.lock(&town.carol, Target::Identity("dave".into()))
        .await
        .unwrap();
    let denied = (Code::PermissionDenied, "ADMIN_DENIED".to_owned());
    let before = town.scene.ledger_size().await;
    use revoke_request::Target as Revoke;
    for target in [
        Revoke::Serial(other),
        Revoke::Serial(own),
        Revoke::Identity("bob".into()),
        Revoke::Key(bob_person.fingerprint()),
        Revoke::Before(LATEST),
    ] {
        assert_eq!(reason(town.revoke(&alice, target).await), denied);
    }
    assert_eq!(reason(town.lock(&alice, bob()).await), denied);
    let dave = Target::Identity("dave".into());
    assert_eq!(reason(town.unlock(&alice, dave).await), denied);
    assert_eq!(reason(town.locks(&alice).await), denied);
    let events = town.scene.events(before).await;
    assert_eq!(events.len(), 8, "each leaves one event");
    for event in &events {
        assert_eq!(event["type"], "denied");
        assert_eq!(event["reason"], "ADMIN_DENIED");
    }
    let detail = format!("the policy does not let them revoke serial {other}");
    assert_eq!(events[0]["detail"], detail);
    assert!(!town.is_revoked(other).await && !town.is_revoked(own).await);

    let size = town.scene.ledger_size().await;
    let unsigned = user::admin(&town.scene)
        .list_locks(v1::ListLocksRequest {})
        .await;
    assert_eq!(unsigned.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(town.scene.ledger_size().await, size);
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_by_key_and_role_stop_everyone_they_are_about_and_nobody_else() {
    let town = Town::start().await;
    let (one, other) = (town.person("alice"), town.person("alice"));
    let pass = town.issue(&one).await.unwrap();
    let key = Target::Key(one.fingerprint());
    let answer = town.lock(&town.carol, key.clone()).await.unwrap();
    assert_eq!(answer.serials, [pass.serial]);
    let lock = answer.lock.unwrap();
    assert_eq!(
        (&*lock.by, &*lock.reason),
        ("carol@example.com", "laptop stolen")
    );
    assert_eq!(reason(town.issue(&one).await), locked());
    let fresh = town.issue(&other).await.unwrap();

    let role = Target::Role("shell".into());
    let answer = town.lock(&town.carol, role.clone()).await.unwrap();
    assert_eq!(answer.serials, [fresh.serial]);
    assert_eq!(reason(town.issue(&other).await), locked());
    let name = town.scene.door.server_name();
    let mut logs = ask("logs");
    logs.params.insert("unit".into(), "nginx".into());
    let logs = other.caller.attempt(name, &other.token, logs);
    assert!(town.scene.door.issue(&logs).await.is_ok(), "another role");

    assert_eq!(town.locks(&town.carol).await.unwrap().len(), 2);
    for target in [key, role.clone()] {
        town.unlock(&town.carol, target).await.unwrap();
    }
    assert!(town.issue(&one).await.is_ok());
    let not_found = |rule: &str| (Code::NotFound, rule.to_owned());
    let twice = town.unlock(&town.carol, role).await;
    assert_eq!(reason(twice), not_found("NO_SUCH_LOCK"));
    let mistyped = town.lock(&town.carol, Target::Role("shel".into())).await;
    assert_eq!(reason(mistyped), not_found("NO_SUCH_ENTRY"));
    let unknown = revoke_request::Target::Serial(999);
    assert_eq!(
        reason(town.revoke(&town.carol, unknown).await),
        not_found("NO_SUCH_PASS")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_administrator_cannot_unlock_themselves() {
    let town = Town::start().await;
    let carol = Target::Identity("carol".into());
    let erin = TestUser::new(&town.scene, "erin", &["sre-lead"]);
    town.lock(&erin, carol.clone()).await.unwrap();
    assert_eq!(
        reason(town.unlock(&town.carol, carol.clone()).await),
        locked()
    );
    assert_eq!(reason(town.lock(&town.carol, bob()).await), locked());
    let everything = revoke_request::Target::Before(LATEST);
    assert_eq!(reason(town.revoke(&town.carol, everything).await), locked());
    town.unlock(&erin, carol).await.unwrap();
    assert!(town.lock(&town.carol, bob()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_hit_exactly_what_they_are_aimed_at() {
    let town = Town::start().await;
    let (alice, bob_person) = (town.person("alice"), town.person("bob"));
    use revoke_request::Target as Revoke;
    let targets = [
        Revoke::Key(alice.fingerprint()),
        Revoke::Identity("alice@example.com".into()),
        Revoke::Identity("alice".into()),
    ];
    for target in targets {
        let hit = town.issue(&alice).await.unwrap().serial;
        let spared = town.issue(&bob_person).await.unwrap().serial;
        let revoked = town.revoke(&town.carol, target.clone()).await.unwrap();
        assert_eq!(revoked, [hit], "{target:?}");
        assert!(
            town.is_revoked(hit).await && !town.is_revoked(spared).await,
            "{target:?}"
        );
        let twice = town.revoke(&town.carol, target.clone()).await.unwrap();
        assert_eq!(twice, [0_u64; 0], "{target:?}: revoked once");
    }
    let last = town.issue(&alice).await.unwrap().serial;
    let long_ago = town.revoke(&town.carol, Revoke::Before(1)).await.unwrap();
    assert_eq!(long_ago, [0_u64; 0]);
    let all = town
        .revoke(&town.carol, Revoke::Before(LATEST))
        .await
        .unwrap();
    assert_eq!(all.len(), 4, "bob's three and {last}");
    assert!(town.issue(&alice).await.is_ok(), "nobody is locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_fetch_signed_files_again_only_when_they_changed() {
    let town = Town::start().await;
    let alice = town.person("alice");
    let pass = town.issue(&alice).await.unwrap();
    for (path, statement) in [
        ("/krl", HostDocument::Krl),
        ("/ca.pub", HostDocument::CaKeys),
    ] {
        let answer = town.get(path, None).await;
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let (tag, signature) = (header("etag"), header("daypass-signature"));
        let body = answer.bytes().await.unwrap();
        assert!(!body.is_empty());
        let blob = STANDARD.decode(&signature).unwrap();
        let signed = SshSig::decode(&mut &blob[..]).unwrap();
        let ca = town.ca().await;
        assert!(
            ca.verify(statement.namespace().as_str(), &body, &signed)
                .is_ok()
        );
        assert!(ca.verify("daypass-other@v1", &body, &signed).is_err());
        for (asked, status) in [
            (tag.clone(), 304),
            (format!("\"other\", W/{tag}"), 304),
            ("*".to_owned(), 304),
            ("\"other\"".to_owned(), 200),
        ] {
            let answer = town.get(path, Some(&asked)).await;
            assert_eq!(answer.status(), status, "{path} {asked}");
            assert_eq!(answer.headers()["etag"], tag.as_str(), "{path}");
        }
        let again = town.get(path, None).await;
        assert_eq!(
            again.headers()["daypass-signature"],
            signature.as_str(),
            "kept"
        );
    }
    let tag = |answer: &reqwest::Response| answer.headers()["etag"].to_str().unwrap().to_owned();
    let old = tag(&town.get("/krl", None).await);
    town.issue(&alice).await.unwrap();
    assert_eq!(
        town.get("/krl", Some(&old)).await.status(),
        304,
        "a pass changes nothing"
    );
    let serial = revoke_request::Target::Serial(pass.serial);
    town.revoke(&town.carol, serial).await.unwrap();
    let fresh = town.get("/krl", Some(&old)).await;
    assert_eq!(fresh.status(), 200);
    let body = fresh.bytes().await.unwrap();

    let mut trust = TrustClient::new(town.scene.door.channel());
    let answer = trust
        .get_revocations(GetRevocationsRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.krl, body);
    let krl = Krl::parse(&body).unwrap();
    assert_eq!((krl.version(), krl.len()), (answer.version, 1));
    assert_eq!(answer.version, town.scene.ledger_size().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_and_revocations_outlive_a_restart_and_verify_in_the_ledger() {
    let mut town = Town::start().await;
    let bob_person = town.person("bob");
    let pass = town.issue(&bob_person).await.unwrap();
    town.lock(&town.carol, bob()).await.unwrap();
    town.scene.world.restart_daemon().await.unwrap();
    let (url, ca) = town.scene.world.server();
    town.scene.door = support::api::Api::open(&url, ca.as_bytes()).await;
    assert_eq!(reason(town.issue(&bob_person).await), locked());
    assert!(town.is_revoked(pass.serial).await);
    let events = town.scene.events(0).await;
    let lock = events
        .iter()
        .find(|event| event["type"] == "locked")
        .unwrap();
    assert_eq!(lock["target"], json!({ "identity": "bob" }));
    assert_eq!(lock["serials"], json!([pass.serial]));
    assert_eq!(lock["who"]["subject"], "carol");
    assert_eq!(lock["reason"], "laptop stolen");
    town.scene.assert_no_secret_in_events().await;
}

type Forgery = fn(&mut LockRequest, &Theft<'_>);

/// Whoever has carol's token and not her key.
struct Theft<'a> {
    thief: &'a Caller,
    carol: &'a TestUser,
    name: &'a str,
}

/// An order in parts: verb, target, reason, and what it follows.
type Parts = (Verb, order::Target, String, u64);

impl Theft<'_> {
    /// The proof by `key` over what the request is, changed.
    fn sign(&self, request: &mut LockRequest, key: &Caller, change: impl Fn(&mut Parts)) {
        let target = request.target.clone().unwrap().target.unwrap();
        let mut parts = (
            Verb::Lock,
            user::about(&target),
            request.reason.clone(),
            request.after,
        );
        change(&mut parts);
        self.put(request, key, self.name, &parts);
    }

    fn put(&self, request: &mut LockRequest, key: &Caller, name: &str, parts: &Parts) {
        let (verb, target, reason, after) = parts;
        let signed = (*verb, target, reason.as_str(), *after);
        let proof = key.prove(name, &self.carol.token, signed);
        (
            request.public_key,
            request.binding_secret,
            request.signature,
        ) = proof;
    }
}

const FORGERIES: [(&str, &str, Forgery); 12] = [
    ("no proof at all", "POSSESSION", |_, _| ()),
    ("another key", "KEY_BINDING", |it, theft| {
        theft.sign(it, theft.thief, |_| ());
    }),
    (
        "her public key, their signature",
        "POSSESSION",
        |it, theft| {
            theft.sign(it, theft.thief, |_| ());
            it.public_key = theft.carol.caller.key.public_key().to_openssh().unwrap();
            it.binding_secret.clone_from(&theft.carol.caller.secret);
        },
    ),
    ("her key without the secret", "KEY_BINDING", |it, theft| {
        theft.sign(it, &theft.carol.caller, |_| ());
        it.binding_secret.clear();
    }),
    ("her key with another secret", "KEY_BINDING", |it, theft| {
        theft.sign(it, &theft.carol.caller, |_| ());
        it.binding_secret = vec![0; 32];
    }),
    ("no signature", "POSSESSION", |it, theft| {
        theft.sign(it, &theft.carol.caller, |_| ());
        it.signature.clear();
    }),
    ("another target", "POSSESSION", |it, theft| {
        theft.sign(it, &theft.carol.caller, |it| {
            it.1 = order::Target::Identity("dave".into());
        });
    }),
    ("another kind of target", "POSSESSION", |it, theft| {
        theft.sign(it, &theft.carol.caller, |it| {
            it.1 = order::Target::Role("bob".into());
        });
    }),
    ("another reason", "POSSESSION", |it, theft| {
        theft.sign(it, &theft.carol.caller, |it| it.2.push('!'));
    }),
    ("another verb", "POSSESSION", |it, theft| {
        theft.sign(it, &theft.carol.caller, |it| it.0 = Verb::Unlock);
    }),
    ("another place among orders", "POSSESSION", |it, theft| {
        theft.sign(it, &theft.carol.caller, |it| it.3 += 1);
    }),
    ("another server", "POSSESSION", |it, theft| {
        let parts = (Verb::Lock, user::about(&bob()), it.reason.clone(), it.after);
        let carol = &theft.carol.caller;
        theft.put(it, carol, "ca.example.com", &parts);
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_stolen_token_locks_nobody() {
    let town = Town::start().await;
    let thief = Caller::new();
    let theft = Theft {
        thief: &thief,
        carol: &town.carol,
        name: town.scene.door.server_name(),
    };
    for (case, expected, forge) in FORGERIES {
        let mut request = LockRequest {
            target: wire(bob()),
            reason: "laptop stolen".into(),
            ..LockRequest::default()
        };
        forge(&mut request, &theft);
        let size = town.scene.ledger_size().await;
        let message = with_token(request, &town.carol.token);
        let refused = user::admin(&town.scene)
            .lock(message)
            .await
            .map_err(Refusal::from);
        let expected = (Code::Unauthenticated, expected.to_owned());
        assert_eq!(reason(refused), expected, "{case}");
        let events = town.scene.events(size).await;
        assert_eq!(events.len(), 1, "{case}: {events:?}");
        assert_eq!(events[0]["type"], "denied", "{case}");
        assert_eq!(events[0]["reason"], expected.1, "{case}");
        let detail = events[0]["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("lock identity bob: "),
            "{case}: {detail}"
        );
    }
    assert!(town.locks(&town.carol).await.unwrap().is_empty());
    town.scene.assert_no_secret_in_events().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_token_neither_unlocks_nor_revokes_and_a_new_sign_in_needs_a_new_proof() {
    let town = Town::start().await;
    let pass = town.issue(&town.person("alice")).await.unwrap();
    town.lock(&town.carol, bob()).await.unwrap();
    let stolen = TestUser {
        caller: Caller::new(),
        token: town.carol.token.clone(),
    };
    let other_key = (Code::Unauthenticated, "KEY_BINDING".to_owned());
    assert_eq!(reason(town.unlock(&stolen, bob()).await), other_key);
    let serial = revoke_request::Target::Serial(pass.serial);
    assert_eq!(reason(town.revoke(&stolen, serial).await), other_key);
    assert!(!town.is_revoked(pass.serial).await);

    // The same key and secret under a newer token: what was signed for the older one is not hers to say again.
    let mut claims = town
        .scene
        .claims(&town.carol.caller, "carol", &["security"]);
    claims["jti"] = json!("newer");
    let newer = town.scene.sign(claims);
    let after = TestUser::after(&town.scene, &user::about(&bob()));
    let request = town.carol.unlock_request(&town.scene, bob(), after);
    let replayed = user::admin(&town.scene)
        .unlock(with_token(request, &newer))
        .await;
    let no_proof = (Code::Unauthenticated, "POSSESSION".to_owned());
    assert_eq!(reason(replayed.map_err(Refusal::from)), no_proof);
    assert_eq!(
        town.locks(&town.carol).await.unwrap().len(),
        1,
        "ListLocks takes a token alone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_locked_key_does_not_unlock_itself() {
    let town = Town::start().await;
    let key = Target::Key(town.carol.fingerprint());
    town.lock(&town.carol, key.clone()).await.unwrap();
    assert_eq!(
        reason(town.unlock(&town.carol, key.clone()).await),
        locked()
    );
    assert_eq!(reason(town.lock(&town.carol, bob()).await), locked());
    let fresh = TestUser::new(&town.scene, "carol", &["security"]);
    town.unlock(&fresh, key).await.unwrap();
    assert!(town.lock(&town.carol, bob()).await.is_ok());
    let events = town.scene.events(0).await;
    let lock = events.iter().find(|event| event["type"] == "locked");
    let key = lock.unwrap()["proof"]["key"].as_str().unwrap();
    let key = PublicKey::from_openssh(key).unwrap();
    let fingerprint = key.fingerprint(ssh_key::HashAlg::Sha256).to_string();
    assert_eq!(fingerprint, town.carol.fingerprint());
}
