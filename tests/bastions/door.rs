//! Both passes through the real door: events, approvals, emergencies, revocations.

use daypass::{
    ledger::{checkpoint::Verifier, state::Verb, tree::leaf_hash, verify::verify_export},
    policy::Policy,
    proto::v1::{
        Ask, DecideRequest, ExportRequest, GetTrustRequest, IssueResponse, Request,
        ledger_client::LedgerClient, lock_target, requests_client::RequestsClient,
        revoke_request::Target, trust_client::TrustClient,
    },
    ssh::sshsig::Namespace,
};
use serde_json::{Value, json};
use ssh_key::{Certificate, HashAlg, LineEnding};
use time::OffsetDateTime;
use tonic::transport::Channel;

use super::support::{
    api::{Refusal, with_token},
    env::TestEnv,
    user::{TestUser, decision},
};

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

struct Story {
    scene: TestEnv,
    alice: TestUser,
    carol: TestUser,
}

fn ask(role: &str) -> Ask {
    Ask {
        role: role.to_owned(),
        host: "db-1".to_owned(),
        ..Ask::default()
    }
}

impl Story {
    async fn start() -> Self {
        Self::with(POLICY).await
    }

    async fn with(policy: &str) -> Self {
        let scene = TestEnv::with_policy(policy).await;
        let person = |name: &str, groups: &[&str]| TestUser::new(&scene, name, groups);
        let (alice, carol) = (person("alice", &["sre"]), person("carol", &["security"]));
        Self {
            scene,
            alice,
            carol,
        }
    }

    fn channel(&self) -> Channel {
        self.scene.door.channel()
    }

    async fn issue(&self, ask: Ask) -> Result<IssueResponse, Refusal> {
        let name = self.scene.door.server_name();
        let attempt = self.alice.caller.attempt(name, &self.alice.token, ask);
        self.scene.door.issue(&attempt).await
    }

    /// Alice asks, and carol approves.
    async fn approved(&self) -> Request {
        let answer = self.issue(ask("guarded")).await.unwrap();
        let request = answer.pending.expect("the role needs approval");
        let digest = leaf_hash(&request.event);
        let message = decision(
            &self.carol.token,
            Verb::Approve,
            self.scene.door.server_name(),
            &digest,
            "looked at",
        );
        let key = &self.carol.caller.key;
        let signature = key
            .sign(Namespace::Approve.as_str(), HashAlg::Sha512, &message)
            .unwrap();
        let decision = DecideRequest {
            id: request.id,
            public_key: key.public_key().to_openssh().unwrap(),
            binding_secret: self.carol.caller.secret.clone(),
            signature: signature.to_pem(LineEnding::LF).unwrap(),
            comment: "looked at".to_owned(),
        };
        let mut requests = RequestsClient::new(self.channel());
        let answer = requests.approve(with_token(decision, &self.carol.token));
        answer.await.unwrap().into_inner()
    }

    async fn redeem(&self, request: &Request) -> Result<IssueResponse, Refusal> {
        self.issue(Ask {
            request: request.id,
            ..ask("guarded")
        })
        .await
    }

    async fn revoke(&self, target: Target) -> Vec<u64> {
        self.carol.revoke(&self.scene, target).await.unwrap()
    }

    /// Puts the policy with one difference in force.
    async fn change(&self, from: &str, to: &str) {
        assert!(POLICY.contains(from), "{from}");
        let policy = Policy::parse(&POLICY.replace(from, to), "policy.toml").unwrap();
        let authority = self.scene.world.daemon().unwrap().authority();
        let replaced = authority.replace_policy(policy, OffsetDateTime::now_utc());
        replaced.await.unwrap();
    }

    async fn assert_verifies(&self) {
        let mut ledger = LedgerClient::new(self.channel());
        let message = with_token(ExportRequest {}, &self.carol.token);
        let mut chunks = ledger.export(message).await.unwrap().into_inner();
        let mut export = Vec::new();
        while let Some(chunk) = chunks.message().await.unwrap() {
            export.extend(chunk.chunk);
        }
        let mut trust = TrustClient::new(self.channel());
        let trust = trust.get_trust(GetTrustRequest {}).await.unwrap();
        let verifier = Verifier::parse(&trust.into_inner().ledger_verifier_key).unwrap();
        verify_export(&export, &verifier).unwrap();
    }

    async fn issued(&self, from: u64) -> Vec<Value> {
        let events = self.scene.events(from).await.into_iter();
        events.filter(|event| event["type"] == "issued").collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ask_gives_two_passes_and_an_event_for_each() {
    let story = Story::start().await;
    let before = story.scene.ledger_size().await;
    let answer = story.issue(ask("db")).await.unwrap();
    let jump = answer.jump.clone().expect("a jump pass");
    let events = story.scene.events(before).await;
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
        jump.login.as_str(),
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
    story.assert_verifies().await;
}

fn certificate(text: &str) -> Certificate {
    Certificate::from_openssh(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn anyone_may_know_the_bastions() {
    let story = Story::start().await;
    let mut trust = TrustClient::new(story.channel());
    let trust = trust.get_trust(GetTrustRequest {}).await.unwrap();
    let bastions = trust.into_inner().bastions;
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
        let story = Story::with(policy).await;
        let before = story.scene.ledger_size().await;
        let refusal = story.issue(ask).await.expect_err(case);
        assert_eq!(refusal.reason, reason, "{case}: {refusal:?}");
        let events = story.scene.events(before).await;
        assert_eq!(events.len(), 1, "{case}: {events:?}");
        assert_eq!(events[0]["type"], "denied", "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_pass_revokes_its_jump_pass_and_so_do_wider_targets_and_locks() {
    let story = Story::start().await;
    let answer = story.issue(ask("db")).await.unwrap();
    let jump = answer.jump.unwrap();
    assert_eq!(
        story.revoke(Target::Serial(answer.serial)).await,
        [answer.serial, jump.serial]
    );

    let answer = story.issue(ask("db")).await.unwrap();
    let jump = answer.jump.unwrap();
    assert_eq!(
        story.revoke(Target::Serial(jump.serial)).await,
        [jump.serial],
        "the jump pass alone"
    );
    assert_eq!(
        story.revoke(Target::Identity("alice".into())).await,
        [answer.serial]
    );

    let answer = story.issue(ask("db")).await.unwrap();
    let both = vec![answer.serial, answer.jump.unwrap().serial];
    let target = lock_target::Target::Role("db".into());
    let locked = story.carol.lock(&story.scene, target).await;
    assert_eq!(locked.unwrap().serials, both);
    let refusal = story.issue(ask("db")).await.unwrap_err();
    assert_eq!(refusal.reason, "LOCKED");
    story.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_request_shows_its_bastion_and_gives_both_passes_once() {
    let story = Story::start().await;
    let request = story.approved().await;
    let event: Value = serde_json::from_slice(&request.event).unwrap();
    assert_eq!(
        event["through"],
        json!({ "bastion": "edge", "principals": ["jump"], "source_addresses": ["192.0.2.0/24"] })
    );
    let before = story.scene.ledger_size().await;
    let answer = story.redeem(&request).await.unwrap();
    let jump = answer.jump.expect("a jump pass");
    let serials: Vec<_> = story
        .issued(before)
        .await
        .iter()
        .map(|it| it["index"].clone())
        .collect();
    assert_eq!(serials, [json!(answer.serial), json!(jump.serial)]);
    let again = story.redeem(&request).await.unwrap_err();
    assert_eq!(again.reason, "REQUEST_REDEEMED");
    story.assert_verifies().await;
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
        let story = Story::start().await;
        let request = story.approved().await;
        story.change(from, to).await;
        let before = story.scene.ledger_size().await;
        story.redeem(&request).await.expect_err(case);
        let events = story.scene.events(before).await;
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
        let story = Story::start().await;
        let request = story.approved().await;
        story.change(from, to).await;
        let answer = story.redeem(&request).await.expect(case);
        assert_eq!(
            answer.source_addresses,
            ["192.0.2.10/32", "2001:db8::10/128"],
            "{case}"
        );
        let jump = answer.jump.expect(case);
        assert_eq!(jump.source_addresses, ["192.0.2.0/24"], "{case}");
        assert_eq!(jump.principals, ["jump"], "{case}");
        story.assert_verifies().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_gives_both_passes_and_one_review() {
    let story = Story::start().await;
    let before = story.scene.ledger_size().await;
    let emergency = Ask {
        emergency: true,
        reason: "INC-7".to_owned(),
        ..ask("guarded")
    };
    let answer = story.issue(emergency).await.unwrap();
    let jump = answer.jump.expect("a jump pass");
    assert_eq!(jump.valid_before, answer.valid_before);
    assert_eq!(story.issued(before).await.len(), 2);
    let mut requests = RequestsClient::new(story.channel());
    let list = daypass::proto::v1::ListRequestsRequest {
        all: true,
        ..Default::default()
    };
    let listed = requests
        .list(with_token(list, &story.carol.token))
        .await
        .unwrap();
    let ids: Vec<u64> = listed
        .into_inner()
        .requests
        .iter()
        .map(|it| it.id)
        .collect();
    assert_eq!(ids, [answer.serial]);
    story.assert_verifies().await;
}
