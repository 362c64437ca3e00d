//! Roles whose approvals need their approver's presence: which signatures count, and which do not.

use crate::support::{
    api::ask as bare,
    decisions::{COMMENT, decision},
    env::TestEnv,
    policy,
    security_key::{Page, Passkey, SecurityKey},
    user::TestUser,
};
use daypass::{
    ledger::{state::Verb, tree::leaf_hash},
    proto::v1::{Ask, DecideRequest, Request, lock_target, request::State},
    ssh::sshsig::Namespace,
};

const PRESENCE: &str = r#"approval = { count = 1, by = '"sre-lead" in claims.groups', within = "30m", presence = true }"#;

/// The role `prod`, with these keys of people.
fn policy(env: &TestEnv, approval: &str, people: &[(&str, Vec<String>)]) -> String {
    let mut text = policy::limits(&["deploy"]) + policy::AUDIT_AND_ADMIN;
    text += &policy::role("prod", "oncall", "deploy", &[approval]);
    for (subject, keys) in people {
        let issuer = env.issuer().url();
        text += &format!(
            "[[presence_identity]]\nissuer = {issuer:?}\nsubject = {subject:?}\nkeys = {keys:?}\n"
        );
    }
    text
}

struct Setup {
    env: TestEnv,
    bob: TestUser,
    carol: TestUser,
    dave: TestUser,
    key: SecurityKey,
    passkey: Passkey,
    daves: SecurityKey,
}

impl Setup {
    /// Carol has a security key and a passkey of the page, dave a security key.
    async fn start() -> Self {
        let first = policy::limits(&["deploy"]) + policy::AUDIT_AND_ADMIN;
        let env = TestEnv::with_policy(&first).await;
        let setup = Self {
            bob: env.user("bob", &["oncall", "sre-lead"]),
            carol: env.user("carol", &["sre-lead", "security"]),
            dave: env.user("dave", &["sre-lead"]),
            key: SecurityKey::new(),
            passkey: Passkey::new("localhost"),
            daves: SecurityKey::new(),
            env,
        };
        setup.env.replace_policy(&setup.policy(PRESENCE)).await;
        setup
    }

    fn policy(&self, approval: &str) -> String {
        let people = [
            ("carol", vec![line(&self.key), self.passkey.line()]),
            ("dave", vec![line(&self.daves)]),
        ];
        policy(&self.env, approval, &people)
    }

    async fn request(&self, reason: &str) -> Request {
        self.bob.request(ask(reason)).await
    }

    /// Carol's approval, with what `sign` makes of its message.
    fn approval(&self, request: &Request, sign: impl FnOnce(&[u8]) -> String) -> DecideRequest {
        let (server, digest) = (self.env.api.server_name(), leaf_hash(&request.event));
        let message = decision(&self.carol.token, Verb::Approve, server, &digest, COMMENT);
        DecideRequest {
            presence_signature: sign(&message),
            ..self.carol.decision(Verb::Approve, request)
        }
    }
}

fn ask(reason: &str) -> Ask {
    Ask {
        reason: reason.to_owned(),
        ..bare("prod")
    }
}

fn line(key: &SecurityKey) -> String {
    key.public().to_openssh().unwrap()
}

const APPROVE: &str = Namespace::Approve.as_str();

#[tokio::test(flavor = "multi_thread")]
async fn a_touched_security_key_and_a_passkey_of_the_page_approve() {
    let setup = Setup::start().await;
    let origin = setup.env.server.url();
    let page = Page::of(&origin);
    for by_passkey in [false, true] {
        let request = setup.request("INC-1").await;
        let seen = setup.carol.view(request.id).await.unwrap();
        assert!(seen.presence && seen.presence_keys.len() == 2, "{seen:?}");
        let approval = setup.approval(&request, |message| match by_passkey {
            false => setup.key.prove(APPROVE, message),
            true => setup.passkey.prove(APPROVE, message, &page),
        });
        let approved = setup.carol.send_decision(Verb::Approve, approval).await;
        assert_eq!(approved.unwrap().state(), State::Approved);
        let redeemed = setup.bob.redeem(&request, ask("INC-1")).await;
        assert!(!redeemed.unwrap().certificate.is_empty());
    }
    setup.env.assert_verifies().await;
    // A denial needs no presence.
    let request = setup.request("INC-1").await;
    let denied = setup.carol.decide(Verb::Deny, &request).await;
    assert_eq!(denied.unwrap().state(), State::Denied);
    setup.env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_without_its_approvers_presence_is_refused_and_recorded_once() {
    let setup = Setup::start().await;
    let (env, request, other) = (
        &setup.env,
        setup.request("INC-1").await,
        setup.request("INC-2").await,
    );
    let origin = env.server.url();
    let other_port = origin.replace("https://localhost:", "https://localhost:1");
    let page = Page::of(&origin);
    let (mallorys, strange) = (SecurityKey::new(), Passkey::new("localhost"));
    let elsewhere = Passkey::new("evil.example");
    let of = |sign: &dyn Fn(&[u8]) -> String| setup.approval(&request, sign);
    let with = |page: Page<'_>| of(&|message| setup.passkey.prove(APPROVE, message, &page));
    let cases = [
        ("a session's signature alone", of(&|_| String::new())),
        (
            "a security key without a touch",
            of(&|message| setup.key.prove_with(APPROVE, message, 0)),
        ),
        (
            "a passkey without its user",
            with(Page {
                flags: 4,
                ..Page::of(&origin)
            }),
        ),
        (
            "a key that is not registered",
            of(&|message| mallorys.prove(APPROVE, message)),
        ),
        (
            "a passkey that is not registered",
            of(&|message| strange.prove(APPROVE, message, &page)),
        ),
        (
            "a passkey of another site",
            of(&|message| elsewhere.prove(APPROVE, message, &Page::of("https://evil.example"))),
        ),
        (
            "another person's key",
            of(&|message| setup.daves.prove(APPROVE, message)),
        ),
        ("a page on another port", with(Page::of(&other_port))),
        (
            "a page without TLS",
            with(Page::of(&origin.replace("https:", "http:"))),
        ),
        (
            "a frame of another site",
            with(Page {
                is_cross_origin: true,
                ..Page::of(&origin)
            }),
        ),
        (
            "for another purpose",
            of(&|message| setup.key.prove(Namespace::Admin.as_str(), message)),
        ),
        (
            "over another message",
            of(&|message| setup.key.prove(APPROVE, &message[1..])),
        ),
        (
            "for another request",
            DecideRequest {
                presence_signature: setup
                    .approval(&other, |message| setup.key.prove(APPROVE, message))
                    .presence_signature,
                ..of(&|_| String::new())
            },
        ),
        ("no signature", of(&|_| "x".to_owned())),
        ("a long one", of(&|_| "A".repeat(40_000))),
    ];
    for (case, approval) in cases {
        let sent = setup.carol.send_decision(Verb::Approve, approval);
        env.refused(case, "PRESENCE_REQUIRED", sent).await;
    }
    // Bob is told that the request is his own.
    let own = setup.bob.approve(&request);
    env.refused("his own", "OWN_REQUEST", own).await;
    // The session's own signature is needed as before.
    let stolen = setup.approval(&request, |message| setup.key.prove(APPROVE, message));
    let stolen = DecideRequest {
        proof: setup.dave.decision(Verb::Approve, &request).proof,
        ..stolen
    };
    let sent = setup.carol.send_decision(Verb::Approve, stolen);
    env.refused("a key without its session", "KEY_BINDING", sent)
        .await;
    assert_eq!(setup.carol.state_of(request.id).await, State::Pending);
    env.assert_verifies().await;
    setup.env.close().await;
}

/// A key that is removed from the policy or locked after the approval takes the approval along.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_by_a_key_that_is_removed_or_locked_since_gives_no_pass() {
    let setup = Setup::start().await;
    let env = &setup.env;
    let approved = async |reason: &str| {
        let request = setup.request(reason).await;
        let approval = setup.approval(&request, |message| setup.key.prove(APPROVE, message));
        let sent = setup.carol.send_decision(Verb::Approve, approval).await;
        assert_eq!(sent.unwrap().state(), State::Approved);
        request
    };
    let (removed, locked) = (approved("INC-1").await, approved("INC-2").await);
    let without = policy(env, PRESENCE, &[("carol", vec![setup.passkey.line()])]);
    env.replace_policy(&without).await;
    let redeemed = setup.bob.redeem(&removed, ask("INC-1"));
    env.refused("removed", "APPROVAL", redeemed).await;
    env.replace_policy(&setup.policy(PRESENCE)).await;
    let fingerprint = setup.key.public().fingerprint(ssh_key::HashAlg::Sha256);
    let target = lock_target::Target::Key(fingerprint.to_string());
    setup.carol.lock(target).await.unwrap();
    let redeemed = setup.bob.redeem(&locked, ask("INC-2"));
    env.refused("locked", "LOCKED", redeemed).await;
    let request = setup.request("INC-3").await;
    let approval = setup.approval(&request, |message| setup.key.prove(APPROVE, message));
    let sent = setup.carol.send_decision(Verb::Approve, approval);
    env.refused("a locked key", "LOCKED", sent).await;
    env.assert_verifies().await;
    setup.env.close().await;
}

/// A policy that comes to demand presence does not count approvals without it.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_from_before_presence_was_demanded_gives_no_pass() {
    let setup = Setup::start().await;
    setup
        .env
        .replace_policy(&setup.policy(policy::APPROVAL))
        .await;
    let request = setup.request("INC-1").await;
    assert!(!setup.carol.view(request.id).await.unwrap().presence);
    // A signature that is not demanded is not recorded.
    let approval = setup.approval(&request, |message| setup.key.prove(APPROVE, message));
    let approved = setup.carol.send_decision(Verb::Approve, approval).await;
    assert_eq!(approved.unwrap().state(), State::Approved);
    setup.env.replace_policy(&setup.policy(PRESENCE)).await;
    let redeemed = setup.bob.redeem(&request, ask("INC-1"));
    setup.env.refused("from before", "APPROVAL", redeemed).await;
    setup.env.close().await;
}
