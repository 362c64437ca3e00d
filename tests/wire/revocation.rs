//! Locks and revocations over gRPC, and what a real sshd makes of them.

use std::collections::BTreeSet;

use crate::support::issued::Issued;
use crate::support::{
    api::{Caller, Refusal, ask, with_token},
    env::TestEnv,
    https,
    orders::{about, identity, wire},
    ssh::Host,
    user::TestUser,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use daypass::{
    ca::document::HostDocument,
    ledger::order::{self, LATEST, Verb},
    proto::v1::{
        self, AdminOrder, GetRevocationsRequest, KeyProof, LockRequest, lock_target::Target,
        revoke_request, trust_client::TrustClient,
    },
    ssh::krl::Krl,
};
use serde_json::json;
use ssh_encoding::Decode;
use ssh_key::{PublicKey, SshSig};
use tonic::Code;

/// The environment, and an administrator.
async fn start() -> (TestEnv, TestUser) {
    let env = TestEnv::start().await;
    let carol = env.carol();
    (env, carol)
}

/// A user who may have the shell.
fn user(env: &TestEnv, name: &str) -> TestUser {
    env.user(name, &["sre", "oncall"])
}

async fn shell(user: &TestUser) -> Result<Issued, Refusal> {
    user.issue(ask("shell")).await
}

/// `GET path` as a host does it, with this `If-None-Match`.
async fn get(env: &TestEnv, path: &str, tag: Option<&str>) -> reqwest::Response {
    let url = format!("{}{path}", env.server.url());
    let mut request = https::client(&env.server.tls_ca()).get(url);
    if let Some(tag) = tag {
        request = request.header("if-none-match", tag);
    }
    request.send().await.unwrap()
}

async fn krl(env: &TestEnv) -> Vec<u8> {
    get(env, "/krl", None).await.bytes().await.unwrap().to_vec()
}

async fn ca(env: &TestEnv) -> PublicKey {
    PublicKey::from_openssh(&env.ca_public_key().await).unwrap()
}

async fn is_revoked(env: &TestEnv, serial: u64) -> bool {
    let krl = Krl::parse(&krl(env).await).unwrap();
    krl.revokes(&ca(env).await.to_bytes().unwrap(), serial)
}

fn bob() -> Target {
    identity("bob")
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
    let (env, carol) = start().await;
    let (bob_person, alice) = (user(&env, "bob"), user(&env, "alice"));
    let bobs = shell(&bob_person).await.unwrap();
    let alices = shell(&alice).await.unwrap();
    let host = Host::start(&env.ca_public_key().await).await;
    host.revoke(&krl(&env).await);
    let (bob_disk, alice_disk) = (bob_person.write_pass(&bobs), alice.write_pass(&alices));
    for pass in [&bob_disk, &alice_disk] {
        assert_eq!(host.login(pass, &["true"]).await.status, Some(0));
    }

    let answer = carol.lock(bob()).await.unwrap();
    assert_eq!(answer.serials, [bobs.serial]);
    let before = env.ledger_size().await;
    assert_eq!(reason(shell(&bob_person).await), locked());
    let events = env.events(before).await;
    assert_eq!(events.len(), 1, "one denial: {events:?}");
    assert_eq!(events[0]["type"], "denied");
    assert_eq!(events[0]["reason"], "LOCKED");
    let with_another_key = user(&env, "bob");
    assert_eq!(reason(shell(&with_another_key).await), locked());

    host.revoke(&krl(&env).await);
    let log = host.refuses(&bob_disk).await;
    assert!(log.contains("revoked by file"), "{log}");
    assert_eq!(host.login(&alice_disk, &["true"]).await.status, Some(0));
    assert!(shell(&alice).await.is_ok());

    carol.unlock(bob()).await.unwrap();
    let again = shell(&bob_person).await.unwrap();
    assert!(
        is_revoked(&env, bobs.serial).await,
        "unlocking gives nothing back"
    );
    host.revoke(&krl(&env).await);
    host.refuses(&bob_disk).await;
    let again = bob_person.write_pass(&again);
    assert_eq!(host.login(&again, &["true"]).await.status, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dev_worlds_own_sshd_refuses_a_revoked_pass_by_itself() {
    let env = TestEnv::new().with_sshd().start().await;
    let carol = env.carol();
    let alice = user(&env, "alice");
    let pass = shell(&alice).await.unwrap();
    let sshd = env.world().sshd().unwrap();
    let blob = ca(&env).await.to_bytes().unwrap();
    let listed = || Krl::parse(&std::fs::read(sshd.krl()).unwrap()).unwrap();
    assert!(!listed().revokes(&blob, pass.serial));
    let serial = revoke_request::Target::Serial(pass.serial);
    carol.revoke(serial).await.unwrap();
    let start = std::time::Instant::now();
    while !listed().revokes(&blob, pass.serial) {
        assert!(start.elapsed().as_secs() < 60, "the list stays old");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lock_is_acknowledged_there_is_no_pass_that_it_did_not_revoke() {
    let (env, carol) = start().await;
    let env = std::sync::Arc::new(env);
    for round in 0..5 {
        let name = format!("racer{round}");
        let tasks: Vec<_> = (0..12)
            .map(|at| {
                let (env, carol, name) = (env.clone(), carol.clone(), name.clone());
                tokio::spawn(async move {
                    let racer = user(&env, &name);
                    if at == 5 {
                        let target = Target::Identity(name);
                        let answer = carol.lock(target).await.unwrap();
                        let after = shell(&racer).await;
                        assert_eq!(reason(after), locked(), "after the acknowledgement");
                        return (None, answer.serials);
                    }
                    match shell(&racer).await {
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
            assert!(is_revoked(&env, serial).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_administrator_locks_unlocks_or_revokes() {
    let (env, carol) = start().await;
    let (alice, bob_person) = (user(&env, "alice"), user(&env, "bob"));
    let (own, other) = (
        shell(&alice).await.unwrap().serial,
        shell(&bob_person).await.unwrap().serial,
    );
    carol.lock(Target::Identity("dave".into())).await.unwrap();
    let denied = (Code::PermissionDenied, "ADMIN_DENIED".to_owned());
    let before = env.ledger_size().await;
    use revoke_request::Target as Revoke;
    for target in [
        Revoke::Serial(other),
        Revoke::Serial(own),
        Revoke::Identity("bob".into()),
        Revoke::Key(bob_person.fingerprint()),
        Revoke::Before(LATEST.0),
    ] {
        assert_eq!(reason(alice.revoke(target).await), denied);
    }
    assert_eq!(reason(alice.lock(bob()).await), denied);
    let dave = Target::Identity("dave".into());
    assert_eq!(reason(alice.unlock(dave).await), denied);
    let eve = env.user("eve", &[]);
    assert_eq!(reason(eve.locks().await), denied, "nor an auditor");
    let events = env.events(before).await;
    assert_eq!(events.len(), 8, "each leaves one event");
    for event in &events {
        assert_eq!(event["type"], "denied");
        assert_eq!(event["reason"], "ADMIN_DENIED");
    }
    let detail = format!("the policy does not let them revoke serial {other}");
    assert_eq!(events[0]["detail"], detail);
    assert!(!is_revoked(&env, other).await && !is_revoked(&env, own).await);
    let locks = alice.locks().await.unwrap();
    assert_eq!(locks.len(), 1, "the ledger is open to her, and has it too");

    let size = env.ledger_size().await;
    let unsigned = env.api.admin().list_locks(v1::ListLocksRequest {}).await;
    assert_eq!(unsigned.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(env.ledger_size().await, size);
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_by_key_and_role_stop_exactly_the_users_whom_they_name() {
    let (env, carol) = start().await;
    let (one, other) = (user(&env, "alice"), user(&env, "alice"));
    let pass = shell(&one).await.unwrap();
    let key = Target::Key(one.fingerprint());
    let answer = carol.lock(key.clone()).await.unwrap();
    assert_eq!(answer.serials, [pass.serial]);
    let lock = answer.lock.unwrap();
    assert_eq!(
        (&*lock.by, &*lock.reason),
        ("carol@example.com", "laptop stolen")
    );
    assert_eq!(reason(shell(&one).await), locked());
    let fresh = shell(&other).await.unwrap();

    let role = Target::Role("shell".into());
    let answer = carol.lock(role.clone()).await.unwrap();
    assert_eq!(answer.serials, [fresh.serial]);
    assert_eq!(reason(shell(&other).await), locked());
    let mut logs = ask("logs");
    logs.params.insert("unit".into(), "nginx".into());
    assert!(other.issue(logs).await.is_ok(), "another role");

    assert_eq!(carol.locks().await.unwrap().len(), 2);
    for target in [key, role.clone()] {
        carol.unlock(target).await.unwrap();
    }
    assert!(shell(&one).await.is_ok());
    let not_found = |rule: &str| (Code::NotFound, rule.to_owned());
    let twice = carol.unlock(role).await;
    assert_eq!(reason(twice), not_found("NO_SUCH_LOCK"));
    let mistyped = carol.lock(Target::Role("shel".into())).await;
    assert_eq!(reason(mistyped), not_found("NO_SUCH_ENTRY"));
    let unknown = revoke_request::Target::Serial(999);
    assert_eq!(
        reason(carol.revoke(unknown).await),
        not_found("NO_SUCH_PASS")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_administrator_cannot_unlock_themselves() {
    let (env, carol) = start().await;
    let herself = identity("carol");
    let erin = env.user("erin", &["sre-lead"]);
    erin.lock(herself.clone()).await.unwrap();
    assert_eq!(reason(carol.unlock(herself.clone()).await), locked());
    assert_eq!(reason(carol.lock(bob()).await), locked());
    let everything = revoke_request::Target::Before(LATEST.0);
    assert_eq!(reason(carol.revoke(everything).await), locked());
    erin.unlock(herself).await.unwrap();
    assert!(carol.lock(bob()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_hit_exactly_what_they_are_aimed_at() {
    let (env, carol) = start().await;
    let (alice, bob_person) = (user(&env, "alice"), user(&env, "bob"));
    use revoke_request::Target as Revoke;
    let targets = [
        Revoke::Key(alice.fingerprint()),
        Revoke::Identity("alice@example.com".into()),
        Revoke::Identity("alice".into()),
    ];
    for target in targets {
        let hit = shell(&alice).await.unwrap().serial;
        let spared = shell(&bob_person).await.unwrap().serial;
        let revoked = carol.revoke(target.clone()).await.unwrap();
        assert_eq!(revoked, [hit], "{target:?}");
        assert!(
            is_revoked(&env, hit).await && !is_revoked(&env, spared).await,
            "{target:?}"
        );
        let twice = carol.revoke(target.clone()).await.unwrap();
        assert_eq!(twice, [0_u64; 0], "{target:?}: revoked once");
    }
    let last = shell(&alice).await.unwrap().serial;
    let long_ago = carol.revoke(Revoke::Before(1)).await.unwrap();
    assert_eq!(long_ago, [0_u64; 0]);
    let all = carol.revoke(Revoke::Before(LATEST.0)).await.unwrap();
    assert_eq!(all.len(), 4, "bob's three and {last}");
    assert!(shell(&alice).await.is_ok(), "no user is locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_fetch_signed_files_again_only_when_they_changed() {
    let (env, carol) = start().await;
    let alice = user(&env, "alice");
    let pass = shell(&alice).await.unwrap();
    for (path, statement) in [
        ("/krl", HostDocument::Krl),
        ("/ca.pub", HostDocument::CaKeys),
    ] {
        let answer = get(&env, path, None).await;
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let (tag, signature) = (header("etag"), header("daypass-signature"));
        let body = answer.bytes().await.unwrap();
        assert!(!body.is_empty());
        let blob = STANDARD.decode(&signature).unwrap();
        let signed = SshSig::decode(&mut &blob[..]).unwrap();
        let ca = ca(&env).await;
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
            let answer = get(&env, path, Some(&asked)).await;
            assert_eq!(answer.status(), status, "{path} {asked}");
            assert_eq!(answer.headers()["etag"], tag.as_str(), "{path}");
        }
        let again = get(&env, path, None).await;
        assert_eq!(
            again.headers()["daypass-signature"],
            signature.as_str(),
            "kept"
        );
    }
    let tag = |answer: &reqwest::Response| answer.headers()["etag"].to_str().unwrap().to_owned();
    let old = tag(&get(&env, "/krl", None).await);
    shell(&alice).await.unwrap();
    assert_eq!(
        get(&env, "/krl", Some(&old)).await.status(),
        304,
        "a pass changes nothing"
    );
    let serial = revoke_request::Target::Serial(pass.serial);
    carol.revoke(serial).await.unwrap();
    let fresh = get(&env, "/krl", Some(&old)).await;
    assert_eq!(fresh.status(), 200);
    let body = fresh.bytes().await.unwrap();

    let mut trust = TrustClient::new(env.api.channel());
    let answer = trust
        .get_revocations(GetRevocationsRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.krl, body);
    let krl = Krl::parse(&body).unwrap();
    assert_eq!(krl.len(), 1);
    assert_eq!(krl.version(), env.ledger_size().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_and_revocations_outlive_a_restart_and_verify_in_the_ledger() {
    let (mut env, carol) = start().await;
    let bob_person = user(&env, "bob");
    let pass = shell(&bob_person).await.unwrap();
    carol.lock(bob()).await.unwrap();
    env.restart().await;
    assert_eq!(reason(shell(&bob_person.over(&env.api)).await), locked());
    assert!(is_revoked(&env, pass.serial).await);
    let events = env.events(0).await;
    let lock = events
        .iter()
        .find(|event| event["type"] == "locked")
        .unwrap();
    assert_eq!(lock["target"], json!({ "identity": "bob" }));
    assert_eq!(lock["serials"], json!([pass.serial]));
    assert_eq!(lock["who"]["subject"], "carol");
    assert_eq!(lock["reason"], "laptop stolen");
    env.assert_no_secret_in_events().await;
}

type Forgery = fn(&mut LockRequest, &StolenToken<'_>);

/// A thief who has carol's token and not her key.
struct StolenToken<'a> {
    thief: &'a Caller,
    carol: &'a TestUser,
    name: &'a str,
}

/// An order in parts: verb, target, reason, and what it follows.
type Parts = (Verb, order::Target, String, u64);

impl StolenToken<'_> {
    /// The proof by `key` over what the request is, changed.
    fn sign(&self, request: &mut LockRequest, key: &Caller, change: impl Fn(&mut Parts)) {
        let target = request.target.clone().unwrap().target.unwrap();
        let order = request.order.clone().unwrap();
        let mut parts = (Verb::Lock, about(&target), order.reason, order.after);
        change(&mut parts);
        self.put(request, key, self.name, &parts);
    }

    fn put(&self, request: &mut LockRequest, key: &Caller, name: &str, parts: &Parts) {
        let (verb, target, reason, after) = parts;
        let signed = (*verb, target, reason.as_str(), *after);
        let (public_key, binding_secret, signature) = key.prove(name, &self.carol.token, signed);
        *proof(request) = KeyProof {
            public_key,
            binding_secret,
            signature,
        };
    }
}

fn proof(request: &mut LockRequest) -> &mut KeyProof {
    let order = request.order.get_or_insert_default();
    order.proof.get_or_insert_default()
}

const FORGERIES: [(&str, &str, Forgery); 12] = [
    ("no proof at all", "POSSESSION", |_, _| ()),
    ("another key", "KEY_BINDING", |it, stolen| {
        stolen.sign(it, stolen.thief, |_| ());
    }),
    (
        "her public key, their signature",
        "POSSESSION",
        |it, stolen| {
            stolen.sign(it, stolen.thief, |_| ());
            proof(it).public_key = stolen.carol.caller.key.public_key().to_openssh().unwrap();
            proof(it)
                .binding_secret
                .clone_from(&stolen.carol.caller.secret);
        },
    ),
    ("her key without the secret", "KEY_BINDING", |it, stolen| {
        stolen.sign(it, &stolen.carol.caller, |_| ());
        proof(it).binding_secret.clear();
    }),
    (
        "her key with another secret",
        "KEY_BINDING",
        |it, stolen| {
            stolen.sign(it, &stolen.carol.caller, |_| ());
            proof(it).binding_secret = vec![0; 32];
        },
    ),
    ("no signature", "POSSESSION", |it, stolen| {
        stolen.sign(it, &stolen.carol.caller, |_| ());
        proof(it).signature.clear();
    }),
    ("another target", "POSSESSION", |it, stolen| {
        stolen.sign(it, &stolen.carol.caller, |it| {
            it.1 = order::Target::Identity("dave".into());
        });
    }),
    ("another kind of target", "POSSESSION", |it, stolen| {
        stolen.sign(it, &stolen.carol.caller, |it| {
            it.1 = order::Target::Role("bob".into());
        });
    }),
    ("another reason", "POSSESSION", |it, stolen| {
        stolen.sign(it, &stolen.carol.caller, |it| it.2.push('!'));
    }),
    ("another verb", "POSSESSION", |it, stolen| {
        stolen.sign(it, &stolen.carol.caller, |it| it.0 = Verb::Unlock);
    }),
    ("another place among orders", "POSSESSION", |it, stolen| {
        stolen.sign(it, &stolen.carol.caller, |it| it.3 += 1);
    }),
    ("another server", "POSSESSION", |it, stolen| {
        let order = it.order.clone().unwrap();
        let parts = (Verb::Lock, about(&bob()), order.reason, order.after);
        let carol = &stolen.carol.caller;
        stolen.put(it, carol, "ca.example.com", &parts);
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_stolen_token_locks_no_user() {
    let (env, carol) = start().await;
    let thief = Caller::new();
    let stolen = StolenToken {
        thief: &thief,
        carol: &carol,
        name: env.api.server_name(),
    };
    for (case, expected, forge) in FORGERIES {
        let mut request = LockRequest {
            target: wire(bob()),
            order: Some(AdminOrder {
                reason: "laptop stolen".into(),
                ..AdminOrder::default()
            }),
        };
        forge(&mut request, &stolen);
        let size = env.ledger_size().await;
        let message = with_token(request, &carol.token);
        let refused = env.api.admin().lock(message).await.map_err(Refusal::from);
        let expected = (Code::Unauthenticated, expected.to_owned());
        assert_eq!(reason(refused), expected, "{case}");
        let events = env.events(size).await;
        assert_eq!(events.len(), 1, "{case}: {events:?}");
        assert_eq!(events[0]["type"], "denied", "{case}");
        assert_eq!(events[0]["reason"], expected.1, "{case}");
        let detail = events[0]["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("lock identity bob: "),
            "{case}: {detail}"
        );
    }
    assert!(carol.locks().await.unwrap().is_empty());
    env.assert_no_secret_in_events().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_token_neither_unlocks_nor_revokes_and_a_new_sign_in_needs_a_new_proof() {
    let (env, carol) = start().await;
    let pass = shell(&user(&env, "alice")).await.unwrap();
    carol.lock(bob()).await.unwrap();
    let stolen = TestUser {
        caller: Caller::new(),
        ..carol.clone()
    };
    let other_key = (Code::Unauthenticated, "KEY_BINDING".to_owned());
    assert_eq!(reason(stolen.unlock(bob()).await), other_key);
    let serial = revoke_request::Target::Serial(pass.serial);
    assert_eq!(reason(stolen.revoke(serial).await), other_key);
    assert!(!is_revoked(&env, pass.serial).await);

    // The same key and secret under a newer token: what was signed for the older one is not hers to
    // say again.
    let mut claims = env.claims(&carol.caller, "carol", &["security"]);
    claims["jti"] = json!("newer");
    let newer = env.sign(claims);
    let after = env.api.after(&about(&bob()));
    let request = carol.unlock_request(bob(), after);
    let replayed = env.api.admin().unlock(with_token(request, &newer)).await;
    let no_proof = (Code::Unauthenticated, "POSSESSION".to_owned());
    assert_eq!(reason(replayed.map_err(Refusal::from)), no_proof);
    assert_eq!(
        carol.locks().await.unwrap().len(),
        1,
        "ListLocks takes a token alone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_locked_key_does_not_unlock_itself() {
    let (env, carol) = start().await;
    let key = Target::Key(carol.fingerprint());
    carol.lock(key.clone()).await.unwrap();
    assert_eq!(reason(carol.unlock(key.clone()).await), locked());
    assert_eq!(reason(carol.lock(bob()).await), locked());
    let fresh = env.carol();
    fresh.unlock(key).await.unwrap();
    assert!(carol.lock(bob()).await.is_ok());
    let events = env.events(0).await;
    let lock = events.iter().find(|event| event["type"] == "locked");
    let key = lock.unwrap()["proof"]["key"].as_str().unwrap();
    let key = PublicKey::from_openssh(key).unwrap();
    let fingerprint = key.fingerprint(ssh_key::HashAlg::Sha256).to_string();
    assert_eq!(fingerprint, carol.fingerprint());
}
