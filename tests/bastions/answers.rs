//! Both passes over gRPC: events, approvals, emergencies, revocations.

use daypass::proto::v1::{Ask, Request, lock_target, revoke_request::Target};
use serde_json::{Value, json};
use ssh_key::Certificate;

use super::support::{api::with_token, env::TestEnv, ledger::trust, user::TestUser};

const POLICY: &str = r#"
[limits]
principals = ["root", "jump"]

[audit]
allow = '"security" in claims.groups'

[admin]
allow = '"security" in claims.groups'

[[bastion]]
name = "edge"
host = "bastion.example.com"
port = 2222
login = "jump"
addresses = ["192.0.2.10", "2001:db8::10"]
hosts = ["db-*"]
source = ["192.0.2.0/24"]

[[role]]
name = "db"
allow = '"sre" in claims.groups'
principals = ["root"]
source = "bastion"
pty = true
ttl = "30m"

[[role]]
name = "guarded"
allow = '"sre" in claims.groups'
principals = ["root"]
source = "bastion"
ttl = "30m"
approval = { count = 1, by = '"security" in claims.groups', within = "10m" }
emergency = { allow = '"sre" in claims.groups', ttl = "5m", review = '"security" in claims.groups' }
"#;

/// The environment, alice who asks, and carol who approves, audits and administers.
async fn start(policy: &str) -> (TestEnv, TestUser, TestUser) {
    let env = TestEnv::with_policy(policy).await;
    let (alice, carol) = (env.user("alice", &["sre"]), env.carol());
    (env, alice, carol)
}

fn ask(role: &str) -> Ask {
    Ask {
        role: role.to_owned(),
        host: "db-1".to_owned(),
        ..Ask::default()
    }
}

/// Alice asks, and carol approves.
async fn approved(alice: &TestUser, carol: &TestUser) -> Request {
    let request = alice.request(ask("guarded")).await;
    carol.approve(&request).await.unwrap()
}

/// Puts the policy with one difference in force.
async fn change(env: &TestEnv, from: &str, to: &str) {
    assert!(POLICY.contains(from), "{from}");
    env.replace_policy(&POLICY.replace(from, to)).await;
}

async fn revoke(carol: &TestUser, target: Target) -> Vec<u64> {
    carol.revoke(target).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ask_gives_two_passes_and_an_event_for_each() {
    let (env, alice, _) = start(POLICY).await;
    let before = env.ledger_size().await;
    let answer = alice.issue(ask("db")).await.unwrap();
    let jump = answer.jump.clone().expect("a jump pass");
    let events = env.events(before).await;
    assert_eq!(events.len(), 2, "{events:#?}");
    let [main, second] = [&events[0], &events[1]];
    assert_eq!(
        (&main["type"], &second["type"]),
        (&json!("issued"), &json!("issued"))
    );
    assert_eq!(main["index"], answer.serial);
    assert_eq!(second["index"], jump.serial);
    assert!(main.get("jump").is_none());
    assert_eq!(
        main["source_addresses"],
        json!(["192.0.2.10/32", "2001:db8::10/128"])
    );
    assert_eq!(
        second["jump"],
        json!({ "bastion": "edge", "pass": answer.serial })
    );
    assert_eq!(second["principals"], json!(["jump"]));
    assert_eq!(second["extensions"], json!(["port-forwarding"]));
    assert_eq!(second["source_addresses"], json!(["192.0.2.0/24"]));
    assert_eq!(
        second["command"],
        "echo 'this pass only forwards' >&2; exit 1"
    );
    for same in [
        "who",
        "ask",
        "key",
        "key_id",
        "valid_before",
        "valid_after",
        "policy",
        "ca",
    ] {
        assert_eq!(main[same], second[same], "{same}");
    }
    assert_ne!(main["to_be_signed"], second["to_be_signed"]);

    let place = (
        jump.bastion.as_str(),
        jump.host.as_str(),
        jump.port,
        jump.principals[0].as_str(),
    );
    assert_eq!(place, ("edge", "bastion.example.com", 2222, "jump"));
    let (one, two) = (
        certificate(&answer.certificate),
        certificate(&jump.certificate),
    );
    assert_eq!(one.public_key(), two.public_key());
    assert_ne!(one.nonce(), two.nonce());
    assert_eq!(two.valid_principals(), ["jump"]);
    let extensions: Vec<_> = two.extensions().keys().cloned().collect();
    assert_eq!(extensions, ["permit-port-forwarding"]);
    let options = two.critical_options();
    assert_eq!(options["source-address"], "192.0.2.0/24");
    assert_eq!(options["force-command"], jump.force_command);
    env.assert_verifies().await;
}

fn certificate(text: &str) -> Certificate {
    Certificate::from_openssh(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bastions_are_public() {
    let (env, _, _) = start(POLICY).await;
    let bastions = trust(&env.api).await.bastions;
    assert_eq!(bastions.len(), 1);
    let edge = &bastions[0];
    assert_eq!(
        (edge.name.as_str(), edge.port, edge.login.as_str()),
        ("edge", 2222, "jump")
    );
    assert_eq!(
        (edge.host.as_str(), &*edge.hosts),
        ("bastion.example.com", &["db-*".to_owned()][..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_way_leaves_one_denial_and_no_pass() {
    let no_forwarding = POLICY.replace("[limits]", "[limits]\nextensions = [\"pty\"]");
    let nowhere = |role: &str| Ask {
        host: String::new(),
        ..ask(role)
    };
    let elsewhere = Ask {
        host: "web-1".to_owned(),
        ..ask("db")
    };
    for (case, policy, ask, reason) in [
        ("no host", POLICY, nowhere("db"), "SOURCE"),
        ("a host behind no bastion", POLICY, elsewhere, "SOURCE"),
        (
            "limits without forwarding",
            &no_forwarding,
            ask("db"),
            "EXTENSION",
        ),
    ] {
        let (env, alice, _) = start(policy).await;
        let before = env.ledger_size().await;
        let refusal = alice.issue(ask).await.expect_err(case);
        assert_eq!(refusal.reason, reason, "{case}: {refusal:?}");
        let events = env.events(before).await;
        assert_eq!(events.len(), 1, "{case}: {events:?}");
        assert_eq!(events[0]["type"], "denied", "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_pass_revokes_its_jump_pass_and_so_do_wider_targets_and_locks() {
    let (env, alice, carol) = start(POLICY).await;
    let answer = alice.issue(ask("db")).await.unwrap();
    let jump = answer.jump.unwrap();
    assert_eq!(
        revoke(&carol, Target::Serial(answer.serial)).await,
        [answer.serial, jump.serial]
    );

    let answer = alice.issue(ask("db")).await.unwrap();
    let jump = answer.jump.unwrap();
    assert_eq!(
        revoke(&carol, Target::Serial(jump.serial)).await,
        [jump.serial],
        "the jump pass alone"
    );
    assert_eq!(
        revoke(&carol, Target::Identity("alice".into())).await,
        [answer.serial]
    );

    let answer = alice.issue(ask("db")).await.unwrap();
    let both = vec![answer.serial, answer.jump.unwrap().serial];
    let target = lock_target::Target::Role("db".into());
    let locked = carol.lock(target).await;
    assert_eq!(locked.unwrap().serials, both);
    let refusal = alice.issue(ask("db")).await.unwrap_err();
    assert_eq!(refusal.reason, "LOCKED");
    env.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_request_shows_its_bastion_and_gives_both_passes_once() {
    let (env, alice, carol) = start(POLICY).await;
    let request = approved(&alice, &carol).await;
    let event: Value = serde_json::from_slice(&request.event).unwrap();
    assert_eq!(
        event["through"],
        json!({ "bastion": "edge", "principals": ["jump"], "source_addresses": ["192.0.2.0/24"] })
    );
    let before = env.ledger_size().await;
    let answer = alice.redeem(&request, ask("guarded")).await.unwrap();
    let jump = answer.jump.expect("a jump pass");
    let serials: Vec<_> = env
        .issued(before)
        .await
        .iter()
        .map(|it| it["index"].clone())
        .collect();
    assert_eq!(serials, [json!(answer.serial), json!(jump.serial)]);
    let again = alice.redeem(&request, ask("guarded")).await.unwrap_err();
    assert_eq!(again.reason, "REQUEST_REDEEMED");
    env.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bastion_that_changed_between_approval_and_redemption_never_widens() {
    let refused: [(&str, &str, &str); 5] = [
        ("another bastion", "name = \"edge\"", "name = \"west\""),
        ("another login", "login = \"jump\"", "login = \"root\""),
        (
            "other addresses",
            "addresses = [\"192.0.2.10\", \"2001:db8::10\"]",
            "addresses = [\"192.0.2.99\"]",
        ),
        (
            "jumps from elsewhere",
            "source = [\"192.0.2.0/24\"]",
            "source = [\"10.0.0.0/8\"]",
        ),
        (
            "no bastion there",
            "hosts = [\"db-*\"]",
            "hosts = [\"web-*\"]",
        ),
    ];
    for (case, from, to) in refused {
        let (env, alice, carol) = start(POLICY).await;
        let request = approved(&alice, &carol).await;
        change(&env, from, to).await;
        let before = env.ledger_size().await;
        alice
            .redeem(&request, ask("guarded"))
            .await
            .expect_err(case);
        let events = env.events(before).await;
        assert_eq!(events.len(), 1, "{case}: {events:?}");
        assert_eq!(events[0]["type"], "denied", "{case}");
    }
    let narrowed: [(&str, &str, &str); 3] = [
        (
            "more addresses",
            "\"2001:db8::10\"]",
            "\"2001:db8::10\", \"192.0.2.99\"]",
        ),
        (
            "jumps from anywhere",
            "source = [\"192.0.2.0/24\"]",
            "source = [\"0.0.0.0/0\"]",
        ),
        (
            "dialled elsewhere",
            "bastion.example.com",
            "new.example.com",
        ),
    ];
    for (case, from, to) in narrowed {
        let (env, alice, carol) = start(POLICY).await;
        let request = approved(&alice, &carol).await;
        change(&env, from, to).await;
        let answer = alice.redeem(&request, ask("guarded")).await.expect(case);
        assert_eq!(
            answer.source_addresses,
            ["192.0.2.10/32", "2001:db8::10/128"],
            "{case}"
        );
        let jump = answer.jump.expect(case);
        assert_eq!(jump.source_addresses, ["192.0.2.0/24"], "{case}");
        assert_eq!(jump.principals, ["jump"], "{case}");
        env.assert_verifies().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_gives_both_passes_and_one_review() {
    let (env, alice, carol) = start(POLICY).await;
    let before = env.ledger_size().await;
    let emergency = Ask {
        emergency: true,
        reason: "INC-7".to_owned(),
        ..ask("guarded")
    };
    let answer = alice.issue(emergency).await.unwrap();
    let jump = answer.jump.expect("a jump pass");
    assert_eq!(jump.valid_before, answer.valid_before);
    assert_eq!(env.issued(before).await.len(), 2);
    let mut requests = env.api.requests();
    let list = daypass::proto::v1::ListRequestsRequest {
        all: true,
        ..Default::default()
    };
    let listed = requests.list(with_token(list, &carol.token)).await.unwrap();
    let ids: Vec<u64> = listed
        .into_inner()
        .requests
        .iter()
        .map(|it| it.id)
        .collect();
    assert_eq!(ids, [answer.serial]);
    env.assert_verifies().await;
}
