//! Requests, approvals, emergencies and reviews through the real door: what counts, and all that does not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use daypass::{
    ledger::{checkpoint::Verifier, state::Verb, tree::leaf_hash, verify},
    proto::v1::{
        Ask, DecideRequest, ExportRequest, GetRequest, GetTrustRequest, IssueRequest,
        IssueResponse, ListRequestsRequest, Request, WatchRequest, ledger_client::LedgerClient,
        request::State, requests_client::RequestsClient, trust_client::TrustClient,
    },
    ssh::sshsig::Namespace,
};
use ssh_key::{HashAlg, LineEnding};
use support::{
    api::{Caller, Refusal, with_token},
    env::TestEnv,
    user,
};
use tonic::transport::Channel;

/// Two leads for `two`, a short window for `brief`.
const POLICY: &str = r#"
[limits]
ttl = "8h"
principals = ["deploy"]
[audit]
allow = '"security" in claims.groups'
[[role]]
name = "prod"
allow = '"oncall" in claims.groups'
principals = ["deploy"]
reason = '(INC|CHG)-[0-9]+'
ttl = "1h"
approval = { count = 1, by = '"sre-lead" in claims.groups', within = "30m" }
emergency = { allow = '"oncall" in claims.groups', ttl = "15m", review = '"security" in claims.groups' }
[[role]]
name = "two"
allow = '"oncall" in claims.groups'
principals = ["deploy"]
approval = { count = 2, by = '"sre-lead" in claims.groups', within = "30m" }
[[role]]
name = "brief"
allow = '"oncall" in claims.groups'
principals = ["deploy"]
approval = { count = 1, by = '"sre-lead" in claims.groups', within = "1s" }
[[role]]
name = "plain"
allow = '"oncall" in claims.groups'
principals = ["deploy"]
"#;

/// Somebody with a key and a token.
struct Person {
    caller: Caller,
    token: String,
}

struct Story {
    scene: TestEnv,
    bob: Person,
    carol: Person,
    dave: Person,
}

fn ask(role: &str) -> Ask {
    Ask {
        role: role.to_owned(),
        reason: "INC-7".to_owned(),
        ..Ask::default()
    }
}

impl Story {
    async fn start() -> Self {
        let scene = TestEnv::with_policy(POLICY).await;
        let person = |name: &str, groups: &[&str]| {
            let caller = Caller::new();
            let token = scene.sign(scene.claims(&caller, name, groups));
            Person { caller, token }
        };
        // Bob is a lead too, so that only the rule keeps him from approving his own.
        let bob = person("bob", &["oncall", "sre-lead"]);
        let carol = person("carol", &["sre-lead", "security"]);
        let dave = person("dave", &["sre-lead"]);
        Self {
            scene,
            bob,
            carol,
            dave,
        }
    }

    fn person(&self, name: &str, groups: &[&str]) -> Person {
        let caller = Caller::new();
        let token = self.scene.sign(self.scene.claims(&caller, name, groups));
        Person { caller, token }
    }

    fn client(&self) -> RequestsClient<Channel> {
        RequestsClient::new(self.scene.door.channel())
    }

    async fn issue(&self, person: &Person, ask: Ask) -> Result<IssueResponse, Refusal> {
        let name = self.scene.door.server_name();
        let attempt = person.caller.attempt(name, &person.token, ask);
        self.scene.door.issue(&attempt).await
    }

    /// Bob asks, and waits.
    async fn ask(&self, role: &str) -> Request {
        let answer = self.issue(&self.bob, ask(role)).await.unwrap();
        assert!(answer.certificate.is_empty() && answer.serial == 0);
        answer.pending.expect("the role needs approval")
    }

    fn decision(&self, person: &Person, verb: Verb, request: &Request) -> DecideRequest {
        let digest = leaf_hash(&request.event);
        let name = self.scene.door.server_name();
        let message = user::decision(&person.token, verb, name, &digest, "looked at");
        let key = &person.caller.key;
        let signature = key
            .sign(Namespace::Approve.as_str(), HashAlg::Sha512, &message)
            .unwrap();
        DecideRequest {
            id: request.id,
            public_key: key.public_key().to_openssh().unwrap(),
            binding_secret: person.caller.secret.clone(),
            signature: signature.to_pem(LineEnding::LF).unwrap(),
            comment: "looked at".to_owned(),
        }
    }

    async fn send(
        &self,
        person: &Person,
        verb: Verb,
        message: DecideRequest,
    ) -> Result<Request, Refusal> {
        let mut client = self.client();
        let message = with_token(message, &person.token);
        let answer = match verb {
            Verb::Approve => client.approve(message).await,
            Verb::Deny => client.deny(message).await,
            Verb::Cancel => client.cancel(message).await,
            Verb::Review => client.review(message).await,
        };
        Ok(answer?.into_inner())
    }

    async fn decide(
        &self,
        person: &Person,
        verb: Verb,
        request: &Request,
    ) -> Result<Request, Refusal> {
        self.send(person, verb, self.decision(person, verb, request))
            .await
    }

    async fn approve(&self, person: &Person, request: &Request) -> Result<Request, Refusal> {
        self.decide(person, Verb::Approve, request).await
    }

    /// This is refused for that reason, with one event of it and no pass.
    async fn refused<T: std::fmt::Debug>(
        &self,
        case: &str,
        reason: &str,
        action: impl Future<Output = Result<T, Refusal>>,
    ) {
        let before = self.scene.ledger_size().await;
        let refusal = action.await.expect_err(case);
        assert_eq!(refusal.reason, reason, "{case}: {refusal:?}");
        let events = self.scene.events(before).await;
        assert_eq!(events.len(), 1, "{case}: {events:?}");
        assert_eq!(events[0]["type"], "denied", "{case}");
        assert_eq!(events[0]["reason"], reason, "{case}");
    }

    fn redemption(request: &Request, role: &str) -> Ask {
        Ask {
            request: request.id,
            ..ask(role)
        }
    }

    async fn state(&self, person: &Person, id: u64) -> State {
        let message = with_token(GetRequest { id }, &person.token);
        self.client()
            .get(message)
            .await
            .unwrap()
            .into_inner()
            .state()
    }

    /// The whole ledger verifies from its export alone.
    async fn assert_verifies(&self) -> Vec<u8> {
        let mut ledger = LedgerClient::new(self.scene.door.channel());
        let message = with_token(ExportRequest {}, &self.carol.token);
        let mut chunks = ledger.export(message).await.unwrap().into_inner();
        let mut export = Vec::new();
        while let Some(chunk) = chunks.message().await.unwrap() {
            export.extend(chunk.chunk);
        }
        let mut trust = TrustClient::new(self.scene.door.channel());
        let trust = trust
            .get_trust(GetTrustRequest {})
            .await
            .unwrap()
            .into_inner();
        let verifier = Verifier::parse(&trust.ledger_verifier_key).unwrap();
        verify::verify_export(&export, &verifier).unwrap();
        export
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_request_becomes_one_pass_and_the_ledger_tells_and_verifies_it() {
    let story = Story::start().await;
    let before = story.scene.ledger_size().await;
    let request = story.ask("prod").await;
    assert_eq!((request.state(), request.needed), (State::Pending, 1));
    let approved = story.approve(&story.carol, &request).await.unwrap();
    assert_eq!(approved.state(), State::Approved);
    assert_eq!(approved.decisions[0].label, "carol@example.com");
    let pass = story
        .issue(&story.bob, Story::redemption(&request, "prod"))
        .await
        .unwrap();
    assert_eq!(pass.principals, ["deploy"]);
    assert!(!pass.certificate.is_empty() && pass.pending.is_none());
    let events = story.scene.events(before).await;
    let types: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["requested", "approved", "issued"]);
    assert_eq!(events[2]["ask"]["request"], request.id);
    assert_eq!(story.state(&story.bob, request.id).await, State::Redeemed);
    story
        .refused(
            "a second time",
            "REQUEST_REDEEMED",
            story.issue(&story.bob, Story::redemption(&request, "prod")),
        )
        .await;
    story.assert_verifies().await;
    story.scene.assert_no_secret_in_events().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_that_do_not_count() {
    let story = Story::start().await;
    let (bob, carol, dave) = (&story.bob, &story.carol, &story.dave);
    let request = story.ask("two").await;
    story
        .refused("self-approval", "OWN_REQUEST", story.approve(bob, &request))
        .await;
    let stranger = story.person("mallory", &[]);
    story
        .refused(
            "by nobody of `by`",
            "APPROVAL",
            story.approve(&stranger, &request),
        )
        .await;
    let other = story.ask("prod").await;
    let signed_for_other = story.decision(carol, Verb::Approve, &other);
    let replay = DecideRequest {
        id: request.id,
        ..signed_for_other
    };
    story
        .refused(
            "another request's approval",
            "POSSESSION",
            story.send(carol, Verb::Approve, replay),
        )
        .await;
    let denial = story.decision(carol, Verb::Deny, &request);
    story
        .refused(
            "a denial sent as approval",
            "POSSESSION",
            story.send(carol, Verb::Approve, denial),
        )
        .await;
    let changed = DecideRequest {
        comment: "other words".into(),
        ..story.decision(carol, Verb::Approve, &request)
    };
    story
        .refused(
            "another comment",
            "POSSESSION",
            story.send(carol, Verb::Approve, changed),
        )
        .await;
    let stolen = story.decision(carol, Verb::Approve, &request);
    story
        .refused(
            "another's signature",
            "KEY_BINDING",
            story.send(dave, Verb::Approve, stolen),
        )
        .await;
    let good = story.decision(carol, Verb::Approve, &request);
    story
        .send(carol, Verb::Approve, good.clone())
        .await
        .unwrap();
    story
        .refused(
            "the same again",
            "ALREADY_DECIDED",
            story.send(carol, Verb::Approve, good),
        )
        .await;
    let again = Caller::new();
    let mut claims = story.scene.claims(&again, "carol", &["sre-lead"]);
    claims["email"] = "c.smith@example.com".into();
    let renamed = Person {
        token: story.scene.sign(claims),
        caller: again,
    };
    story
        .refused(
            "under another e-mail and key",
            "ALREADY_DECIDED",
            story.approve(&renamed, &request),
        )
        .await;
    story
        .refused(
            "with one of two",
            "REQUEST_PENDING",
            story.issue(bob, Story::redemption(&request, "two")),
        )
        .await;
    let approved = story.approve(dave, &request).await.unwrap();
    assert_eq!(approved.state(), State::Approved);
    let erin = story.person("erin", &["sre-lead"]);
    story
        .refused(
            "one too many",
            "REQUEST_CLOSED",
            story.approve(&erin, &request),
        )
        .await;
    story
        .issue(bob, Story::redemption(&request, "two"))
        .await
        .unwrap();
    story.assert_verifies().await;
}

/// With `count = 2`, a second lead whose token commits to the first lead's public key repeats the
/// first lead's signature; then one that holds the key itself; then one that holds bob's.
#[tokio::test(flavor = "multi_thread")]
async fn one_signature_is_one_approval_and_one_key_too() {
    let story = Story::start().await;
    let (bob, carol) = (&story.bob, &story.carol);
    let with_key_of = |other: &Person, name: &str| {
        let caller = Caller {
            key: other.caller.key.clone(),
            ..Caller::new()
        };
        let claims = story.scene.claims(&caller, name, &["sre-lead"]);
        let token = story.scene.sign(claims);
        Person { caller, token }
    };
    let request = story.ask("two").await;
    let first = story.decision(carol, Verb::Approve, &request);
    story
        .send(carol, Verb::Approve, first.clone())
        .await
        .unwrap();
    let dave = with_key_of(carol, "dave");
    let repeated = DecideRequest {
        binding_secret: dave.caller.secret.clone(),
        ..first
    };
    story
        .refused(
            "the first lead's signature",
            "POSSESSION",
            story.send(&dave, Verb::Approve, repeated),
        )
        .await;
    story
        .refused(
            "the first lead's key",
            "KEY_USED",
            story.approve(&dave, &request),
        )
        .await;
    let erin = with_key_of(bob, "erin");
    story
        .refused(
            "the requester's key",
            "KEY_USED",
            story.approve(&erin, &request),
        )
        .await;
    story
        .refused(
            "with one of two",
            "REQUEST_PENDING",
            story.issue(bob, Story::redemption(&request, "two")),
        )
        .await;
    story.approve(&story.dave, &request).await.unwrap();
    story
        .issue(bob, Story::redemption(&request, "two"))
        .await
        .unwrap();
    story.assert_verifies().await;
}

/// A token of the device flow has no nonce: who stole it could sign with a key of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_device_flow_token_approves_denies_and_reviews_nothing() {
    let story = Story::start().await;
    let caller = Caller::new();
    let mut claims = story
        .scene
        .claims(&caller, "carol", &["sre-lead", "security"]);
    claims.as_object_mut().unwrap().remove("nonce");
    let token = story.scene.sign(claims);
    let stolen = Person { caller, token };
    let request = story.ask("prod").await;
    for verb in [Verb::Approve, Verb::Deny] {
        story
            .refused(
                "decided by an unbound token",
                "UNBOUND_TOKEN",
                story.decide(&stolen, verb, &request),
            )
            .await;
    }
    let emergency = Ask {
        emergency: true,
        ..ask("prod")
    };
    let serial = story.issue(&story.bob, emergency).await.unwrap().serial;
    let message = with_token(GetRequest { id: serial }, &story.carol.token);
    let review = story.client().get(message).await.unwrap().into_inner();
    story
        .refused(
            "reviewed by an unbound token",
            "UNBOUND_TOKEN",
            story.decide(&stolen, Verb::Review, &review),
        )
        .await;
    story.approve(&story.carol, &request).await.unwrap();
    story
        .decide(&story.carol, Verb::Review, &review)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn redemptions_that_do_not_count() {
    let story = Story::start().await;
    let (bob, carol) = (&story.bob, &story.carol);
    let request = story.ask("prod").await;
    let good = || Story::redemption(&request, "prod");
    story
        .refused("not approved", "REQUEST_PENDING", story.issue(bob, good()))
        .await;
    story.approve(carol, &request).await.unwrap();
    let eve = story.person("eve", &["oncall"]);
    story
        .refused("by another", "OTHER_HOLDER", story.issue(&eve, good()))
        .await;
    let other_key = story.person("bob", &["oncall"]);
    story
        .refused(
            "with another key",
            "OTHER_HOLDER",
            story.issue(&other_key, good()),
        )
        .await;
    let reason = Ask {
        reason: "INC-8".into(),
        ..good()
    };
    story
        .refused("for another reason", "OTHER_ASK", story.issue(bob, reason))
        .await;
    let host = Ask {
        host: "db-1".into(),
        ..good()
    };
    story
        .refused("for another host", "OTHER_ASK", story.issue(bob, host))
        .await;
    story
        .refused(
            "for another role",
            "OTHER_ASK",
            story.issue(bob, Story::redemption(&request, "plain")),
        )
        .await;
    let no_longer = Caller {
        key: bob.caller.key.clone(),
        secret: bob.caller.secret.clone(),
    };
    let token = story.scene.sign(story.scene.claims(&no_longer, "bob", &[]));
    let no_longer = Person {
        caller: no_longer,
        token,
    };
    story
        .refused(
            "out of the group meanwhile",
            "NOT_ALLOWED",
            story.issue(&no_longer, good()),
        )
        .await;
    let unknown = Ask {
        request: 9999,
        ..good()
    };
    story
        .refused(
            "no such request",
            "NO_SUCH_REQUEST",
            story.issue(bob, unknown),
        )
        .await;
    story.decide(carol, Verb::Deny, &request).await.unwrap();
    story
        .refused(
            "denied after all",
            "REQUEST_CLOSED",
            story.issue(bob, good()),
        )
        .await;
    story
        .refused(
            "approved after denial",
            "REQUEST_CLOSED",
            story.approve(&story.dave, &request),
        )
        .await;
    story.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_end_by_cancelling_and_by_themselves() {
    let story = Story::start().await;
    let (bob, carol) = (&story.bob, &story.carol);
    let request = story.ask("prod").await;
    story
        .refused(
            "cancelled by another",
            "OTHER_HOLDER",
            story.decide(carol, Verb::Cancel, &request),
        )
        .await;
    story.decide(bob, Verb::Cancel, &request).await.unwrap();
    story
        .refused(
            "approved then",
            "REQUEST_CLOSED",
            story.approve(carol, &request),
        )
        .await;
    let brief = story.ask("brief").await;
    let watched = with_token(WatchRequest { id: brief.id }, &bob.token);
    let mut changes = story.client().watch(watched).await.unwrap().into_inner();
    while changes.message().await.unwrap().unwrap().state() != State::Expired {}
    story
        .refused(
            "approved late",
            "REQUEST_EXPIRED",
            story.approve(carol, &brief),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_racing_approvals_or_redemptions_one_counts() {
    let story = Story::start().await;
    for _ in 0..10 {
        let request = story.ask("prod").await;
        let (one, other) = tokio::join!(
            story.approve(&story.carol, &request),
            story.approve(&story.dave, &request)
        );
        let lost = [one, other]
            .into_iter()
            .filter_map(Result::err)
            .collect::<Vec<_>>();
        assert_eq!(lost.len(), 1);
        assert_eq!(lost[0].reason, "REQUEST_CLOSED");
        let good = || story.issue(&story.bob, Story::redemption(&request, "prod"));
        let (one, other) = tokio::join!(good(), good());
        let lost = [one, other]
            .into_iter()
            .filter_map(Result::err)
            .collect::<Vec<_>>();
        assert_eq!(lost.len(), 1);
        assert_eq!(lost[0].reason, "REQUEST_REDEEMED");
    }
    story.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_gives_a_short_pass_at_once_and_a_review_that_another_closes() {
    let story = Story::start().await;
    let urgent = || Ask {
        emergency: true,
        ..ask("prod")
    };
    let silent = Ask {
        reason: String::new(),
        ..urgent()
    };
    story
        .refused(
            "without a reason",
            "REASON_REQUIRED",
            story.issue(&story.bob, silent),
        )
        .await;
    let elsewhere = Ask {
        emergency: true,
        ..ask("two")
    };
    story
        .refused(
            "a role without emergency",
            "NOT_ALLOWED",
            story.issue(&story.bob, elsewhere),
        )
        .await;
    story
        .refused(
            "not on call",
            "NOT_ALLOWED",
            story.issue(&story.dave, urgent()),
        )
        .await;
    let pass = story.issue(&story.bob, urgent()).await.unwrap();
    assert_eq!(pass.valid_before - pass.valid_after, 15 * 60 + 60);
    assert_eq!(
        story.state(&story.carol, pass.serial).await,
        State::ReviewOpen
    );
    let review = story
        .client()
        .get(with_token(
            GetRequest { id: pass.serial },
            &story.carol.token,
        ))
        .await
        .unwrap()
        .into_inner();
    assert!(review.may_decide);
    story
        .refused(
            "one's own",
            "OWN_REQUEST",
            story.decide(&story.bob, Verb::Review, &review),
        )
        .await;
    story
        .refused(
            "by nobody of `review`",
            "APPROVAL",
            story.decide(&story.dave, Verb::Review, &review),
        )
        .await;
    let closed = story
        .decide(&story.carol, Verb::Review, &review)
        .await
        .unwrap();
    assert_eq!(closed.state(), State::Reviewed);
    story.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sees_what_concerns_them() {
    let story = Story::start().await;
    let request = story.ask("prod").await;
    let mallory = story.person("mallory", &["oncall"]);
    for (case, person, sees, decides) in [
        ("who asked", &story.bob, true, false),
        ("who may approve", &story.dave, true, true),
        ("an auditor and lead", &story.carol, true, true),
        ("anybody else", &mallory, false, false),
    ] {
        let message = with_token(ListRequestsRequest::default(), &person.token);
        let seen = story
            .client()
            .list(message)
            .await
            .unwrap()
            .into_inner()
            .requests;
        assert_eq!(seen.iter().any(|one| one.id == request.id), sees, "{case}");
        assert_eq!(seen.iter().any(|one| one.may_decide), decides, "{case}");
        let message = with_token(GetRequest { id: request.id }, &person.token);
        assert_eq!(story.client().get(message).await.is_ok(), sees, "{case}");
    }
    let bare = story
        .client()
        .list(ListRequestsRequest {
            all: true,
            ..Default::default()
        })
        .await;
    assert_eq!(Refusal::from(bare.unwrap_err()).reason, "TOKEN_MISSING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_each_change() {
    let story = Story::start().await;
    let watched = with_token(WatchRequest { id: 0 }, &story.dave.token);
    let mut changes = story.client().watch(watched).await.unwrap().into_inner();
    let request = story.ask("prod").await;
    let mut next = async || changes.message().await.unwrap().unwrap().state();
    assert_eq!(next().await, State::Pending);
    story.approve(&story.carol, &request).await.unwrap();
    assert_eq!(next().await, State::Approved);
    story
        .issue(&story.bob, Story::redemption(&request, "prod"))
        .await
        .unwrap();
    assert_eq!(next().await, State::Redeemed);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_files_a_request_and_never_a_pass() {
    let story = Story::start().await;
    let open = async |ask: Ask| {
        let name = story.scene.door.server_name();
        let attempt = story.bob.caller.attempt(name, &story.bob.token, ask);
        let message = IssueRequest {
            ask: Some(attempt.ask),
            public_key: attempt.public_key,
            binding_secret: attempt.secret,
            possession: attempt.possession,
            emergency: None,
        };
        let answer = story
            .client()
            .open(with_token(message, &story.bob.token))
            .await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(Refusal::from)
    };
    assert_eq!(open(ask("prod")).await.unwrap().state(), State::Pending);
    assert_eq!(
        open(ask("plain")).await.unwrap_err().reason,
        "ASK_MALFORMED"
    );
    let urgent = Ask {
        emergency: true,
        ..ask("prod")
    };
    assert_eq!(open(urgent).await.unwrap_err().reason, "ASK_MALFORMED");
}
