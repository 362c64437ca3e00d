//! Requests, approvals, emergencies and reviews over gRPC: what counts, and what does not.

use crate::support::{
    api::{Caller, Refusal, with_token},
    env::TestEnv,
    policy,
    user::TestUser,
};
use daypass::{
    ledger::state::Verb,
    proto::v1::{Ask, DecideRequest, ListRequestsRequest, request::State},
};

/// Two leads for `two`, a short window for `brief`.
async fn start() -> Setup {
    let prod = [
        "reason = '(INC|CHG)-[0-9]+'",
        "ttl = \"1h\"",
        policy::APPROVAL,
        policy::EMERGENCY,
    ];
    let policy = [
        &policy::limits(&["deploy"]),
        policy::AUDIT_AND_ADMIN,
        &policy::role("prod", "oncall", "deploy", &prod),
        &policy::role("two", "oncall", "deploy", &[&policy::approval(2, "30m")]),
        &policy::role("brief", "oncall", "deploy", &[&policy::approval(1, "1s")]),
        &policy::role("plain", "oncall", "deploy", &[]),
    ];
    let env = TestEnv::with_policy(&policy.concat()).await;
    // Bob is a lead too, so that only the rule keeps him from approving his own.
    let bob = env.user("bob", &["oncall", "sre-lead"]);
    let carol = env.user("carol", &["sre-lead", "security"]);
    let dave = env.user("dave", &["sre-lead"]);
    (env, bob, carol, dave)
}

/// The environment, bob who asks, and two leads: carol, who also audits, and dave.
type Setup = (TestEnv, TestUser, TestUser, TestUser);

fn ask(role: &str) -> Ask {
    Ask {
        role: role.to_owned(),
        reason: "INC-7".to_owned(),
        ..Ask::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_request_becomes_one_pass_and_the_ledger_tells_and_verifies_it() {
    let (env, bob, carol, _) = start().await;
    let before = env.ledger_size().await;
    let request = bob.request(ask("prod")).await;
    let event: serde_json::Value = serde_json::from_slice(&request.event).unwrap();
    assert_eq!(request.state(), State::Pending);
    assert_eq!(event["needed"], 1);
    let approved = carol.approve(&request).await.unwrap();
    assert_eq!(approved.state(), State::Approved);
    assert_eq!(approved.decisions[0].label, "carol@example.com");
    let pass = bob.redeem(&request, ask("prod")).await.unwrap();
    assert_eq!(pass.principals, ["deploy"]);
    assert!(!pass.certificate.is_empty() && pass.pending.is_none());
    let events = env.events(before).await;
    let types: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["requested", "approved", "issued"]);
    assert_eq!(events[2]["ask"]["request"], request.id);
    assert_eq!(bob.state_of(request.id).await, State::Redeemed);
    env.refused(
        "a second time",
        "REQUEST_REDEEMED",
        bob.redeem(&request, ask("prod")),
    )
    .await;
    env.assert_verifies().await;
    env.assert_no_secret_in_events().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_that_do_not_count() {
    let (env, bob, carol, dave) = start().await;
    let request = bob.request(ask("two")).await;
    env.refused("self-approval", "OWN_REQUEST", bob.approve(&request))
        .await;
    let stranger = env.user("mallory", &[]);
    env.refused(
        "by a user outside of `by`",
        "APPROVAL",
        stranger.approve(&request),
    )
    .await;
    let other = bob.request(ask("prod")).await;
    let signed_for_other = carol.decision(Verb::Approve, &other);
    let replay = DecideRequest {
        id: request.id,
        ..signed_for_other
    };
    env.refused(
        "another request's approval",
        "POSSESSION",
        carol.send_decision(Verb::Approve, replay),
    )
    .await;
    let denial = carol.decision(Verb::Deny, &request);
    env.refused(
        "a denial sent as approval",
        "POSSESSION",
        carol.send_decision(Verb::Approve, denial),
    )
    .await;
    let changed = DecideRequest {
        comment: "other words".into(),
        ..carol.decision(Verb::Approve, &request)
    };
    env.refused(
        "another comment",
        "POSSESSION",
        carol.send_decision(Verb::Approve, changed),
    )
    .await;
    let stolen = carol.decision(Verb::Approve, &request);
    env.refused(
        "another's signature",
        "KEY_BINDING",
        dave.send_decision(Verb::Approve, stolen),
    )
    .await;
    let good = carol.decision(Verb::Approve, &request);
    carol
        .send_decision(Verb::Approve, good.clone())
        .await
        .unwrap();
    env.refused(
        "the same again",
        "ALREADY_DECIDED",
        carol.send_decision(Verb::Approve, good),
    )
    .await;
    let again = Caller::new();
    let mut claims = env.claims(&again, "carol", &["sre-lead"]);
    claims["email"] = "c.smith@example.com".into();
    let renamed = env.user_with("carol", again, claims);
    env.refused(
        "under another e-mail and key",
        "ALREADY_DECIDED",
        renamed.approve(&request),
    )
    .await;
    env.refused(
        "with one of two",
        "REQUEST_PENDING",
        bob.redeem(&request, ask("two")),
    )
    .await;
    let approved = dave.approve(&request).await.unwrap();
    assert_eq!(approved.state(), State::Approved);
    let erin = env.user("erin", &["sre-lead"]);
    env.refused("one too many", "REQUEST_CLOSED", erin.approve(&request))
        .await;
    bob.redeem(&request, ask("two")).await.unwrap();
    env.assert_verifies().await;
}

/// With `count = 2`, a second lead whose token commits to the first lead's public key repeats the
/// first lead's signature; then one that holds the key itself; then one that holds bob's.
#[tokio::test(flavor = "multi_thread")]
async fn one_signature_is_one_approval_and_one_key_too() {
    let (env, bob, carol, dave) = start().await;
    let with_key_of = |other: &TestUser, name: &str| {
        let caller = Caller {
            key: other.caller.key.clone(),
            ..Caller::new()
        };
        let claims = env.claims(&caller, name, &["sre-lead"]);
        env.user_with(name, caller, claims)
    };
    let request = bob.request(ask("two")).await;
    let first = carol.decision(Verb::Approve, &request);
    carol
        .send_decision(Verb::Approve, first.clone())
        .await
        .unwrap();
    let same_key = with_key_of(&carol, "dave");
    let mut repeated = first;
    repeated.proof.as_mut().unwrap().binding_secret = same_key.caller.secret.clone();
    env.refused(
        "the first lead's signature",
        "POSSESSION",
        same_key.send_decision(Verb::Approve, repeated),
    )
    .await;
    env.refused(
        "the first lead's key",
        "KEY_USED",
        same_key.approve(&request),
    )
    .await;
    let erin = with_key_of(&bob, "erin");
    env.refused("the requester's key", "KEY_USED", erin.approve(&request))
        .await;
    env.refused(
        "with one of two",
        "REQUEST_PENDING",
        bob.redeem(&request, ask("two")),
    )
    .await;
    dave.approve(&request).await.unwrap();
    bob.redeem(&request, ask("two")).await.unwrap();
    env.assert_verifies().await;
}

/// A token of the device flow has no nonce: who stole it could sign with a key of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_device_flow_token_approves_denies_and_reviews_nothing() {
    let (env, bob, carol, _) = start().await;
    let caller = Caller::new();
    let mut claims = env.claims(&caller, "carol", &["sre-lead", "security"]);
    claims.as_object_mut().unwrap().remove("nonce");
    let stolen = env.user_with("carol", caller, claims);
    let request = bob.request(ask("prod")).await;
    for verb in [Verb::Approve, Verb::Deny] {
        env.refused(
            "decided by an unbound token",
            "UNBOUND_TOKEN",
            stolen.decide(verb, &request),
        )
        .await;
    }
    let emergency = Ask {
        emergency: true,
        ..ask("prod")
    };
    let serial = bob.issue(emergency).await.unwrap().serial;
    let review = carol.view(serial).await.unwrap();
    env.refused(
        "reviewed by an unbound token",
        "UNBOUND_TOKEN",
        stolen.decide(Verb::Review, &review),
    )
    .await;
    carol.approve(&request).await.unwrap();
    carol.decide(Verb::Review, &review).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn redemptions_that_do_not_count() {
    let (env, bob, carol, dave) = start().await;
    let request = bob.request(ask("prod")).await;
    let good = || Ask {
        request: request.id,
        ..ask("prod")
    };
    env.refused("not approved", "REQUEST_PENDING", bob.issue(good()))
        .await;
    carol.approve(&request).await.unwrap();
    let eve = env.user("eve", &["oncall"]);
    env.refused("by another", "OTHER_HOLDER", eve.issue(good()))
        .await;
    let other_key = env.user("bob", &["oncall"]);
    env.refused("with another key", "OTHER_HOLDER", other_key.issue(good()))
        .await;
    let reason = Ask {
        reason: "INC-8".into(),
        ..good()
    };
    env.refused("for another reason", "OTHER_ASK", bob.issue(reason))
        .await;
    let host = Ask {
        host: "db-1".into(),
        ..good()
    };
    env.refused("for another host", "OTHER_ASK", bob.issue(host))
        .await;
    env.refused(
        "for another role",
        "OTHER_ASK",
        bob.redeem(&request, ask("plain")),
    )
    .await;
    let claims = env.claims(&bob.caller, "bob", &[]);
    let no_longer = env.user_with("bob", bob.caller.clone(), claims);
    env.refused(
        "out of the group meanwhile",
        "NOT_ALLOWED",
        no_longer.issue(good()),
    )
    .await;
    let unknown = Ask {
        request: 9999,
        ..good()
    };
    env.refused("no such request", "NO_SUCH_REQUEST", bob.issue(unknown))
        .await;
    carol.decide(Verb::Deny, &request).await.unwrap();
    env.refused("denied after all", "REQUEST_CLOSED", bob.issue(good()))
        .await;
    env.refused(
        "approved after denial",
        "REQUEST_CLOSED",
        dave.approve(&request),
    )
    .await;
    env.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_end_by_cancelling_and_by_themselves() {
    let (env, bob, carol, _) = start().await;
    let request = bob.request(ask("prod")).await;
    env.refused(
        "cancelled by another",
        "OTHER_HOLDER",
        carol.decide(Verb::Cancel, &request),
    )
    .await;
    bob.decide(Verb::Cancel, &request).await.unwrap();
    env.refused("approved then", "REQUEST_CLOSED", carol.approve(&request))
        .await;
    let brief = bob.request(ask("brief")).await;
    let mut changes = bob.watch(brief.id).await.unwrap();
    while changes.message().await.unwrap().unwrap().state() != State::Expired {}
    env.refused("approved late", "REQUEST_EXPIRED", carol.approve(&brief))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_racing_approvals_or_redemptions_one_counts() {
    let (env, bob, carol, dave) = start().await;
    for _ in 0..10 {
        let request = bob.request(ask("prod")).await;
        let (one, other) = tokio::join!(carol.approve(&request), dave.approve(&request));
        let lost = [one, other]
            .into_iter()
            .filter_map(Result::err)
            .collect::<Vec<_>>();
        assert_eq!(lost.len(), 1);
        assert_eq!(lost[0].reason, "REQUEST_CLOSED");
        let good = || bob.redeem(&request, ask("prod"));
        let (one, other) = tokio::join!(good(), good());
        let lost = [one, other]
            .into_iter()
            .filter_map(Result::err)
            .collect::<Vec<_>>();
        assert_eq!(lost.len(), 1);
        assert_eq!(lost[0].reason, "REQUEST_REDEEMED");
    }
    env.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_gives_a_short_pass_at_once_and_a_review_that_another_closes() {
    let (env, bob, carol, dave) = start().await;
    let urgent = || Ask {
        emergency: true,
        ..ask("prod")
    };
    let silent = Ask {
        reason: String::new(),
        ..urgent()
    };
    env.refused("without a reason", "REASON_REQUIRED", bob.issue(silent))
        .await;
    let elsewhere = Ask {
        emergency: true,
        ..ask("two")
    };
    env.refused(
        "a role without emergency",
        "NOT_ALLOWED",
        bob.issue(elsewhere),
    )
    .await;
    env.refused("not on call", "NOT_ALLOWED", dave.issue(urgent()))
        .await;
    let pass = bob.issue(urgent()).await.unwrap();
    assert_eq!(pass.valid_before - pass.valid_after, 15 * 60 + 60);
    assert_eq!(carol.state_of(pass.serial).await, State::ReviewOpen);
    let review = carol.view(pass.serial).await.unwrap();
    assert!(review.may_decide);
    env.refused(
        "one's own",
        "OWN_REQUEST",
        bob.decide(Verb::Review, &review),
    )
    .await;
    env.refused(
        "by a user outside of `review`",
        "APPROVAL",
        dave.decide(Verb::Review, &review),
    )
    .await;
    let closed = carol.decide(Verb::Review, &review).await.unwrap();
    assert_eq!(closed.state(), State::Reviewed);
    env.assert_verifies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sees_what_concerns_them() {
    let (env, bob, carol, dave) = start().await;
    let request = bob.request(ask("prod")).await;
    let mallory = env.user("mallory", &["oncall"]);
    for (case, person, sees, decides) in [
        ("who asked", &bob, true, false),
        ("who may approve", &dave, true, true),
        ("an auditor and lead", &carol, true, true),
        ("another user", &mallory, false, false),
    ] {
        let message = with_token(ListRequestsRequest::default(), &person.token);
        let seen = env
            .api
            .requests()
            .list(message)
            .await
            .unwrap()
            .into_inner()
            .requests;
        assert_eq!(seen.iter().any(|one| one.id == request.id), sees, "{case}");
        assert_eq!(seen.iter().any(|one| one.may_decide), decides, "{case}");
        assert_eq!(person.view(request.id).await.is_ok(), sees, "{case}");
    }
    let bare = env
        .api
        .requests()
        .list(ListRequestsRequest {
            all: true,
            ..Default::default()
        })
        .await;
    assert_eq!(Refusal::from(bare.unwrap_err()).reason, "TOKEN_MISSING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_each_change() {
    let (_env, bob, carol, dave) = start().await;
    let mut changes = dave.watch(0).await.unwrap();
    let request = bob.request(ask("prod")).await;
    let mut next = async || changes.message().await.unwrap().unwrap().state();
    assert_eq!(next().await, State::Pending);
    carol.approve(&request).await.unwrap();
    assert_eq!(next().await, State::Approved);
    bob.redeem(&request, ask("prod")).await.unwrap();
    assert_eq!(next().await, State::Redeemed);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_files_a_request_and_never_a_pass() {
    let (env, bob, _, _) = start().await;
    let open = async |ask: Ask| {
        let message = with_token(bob.attempt(ask).message(), &bob.token);
        let answer = env.api.requests().open(message).await;
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
