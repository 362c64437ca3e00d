//! Decisions that race, and decisions that should not count: approvals, redemptions and locks from
//! many connections at once.

use std::{collections::BTreeSet, sync::Arc};

use crate::support::{api::another, env::TestEnv, orders::identity, policy, user::TestUser};
use daypass::{
    ledger::state::Verb,
    proto::v1::{Ask, DecideRequest, lock_target::Target, request::State},
};

/// Role `one` needs one approval, `three` needs three.
fn policy() -> String {
    [
        &policy::limits(&["deploy", "root"]),
        policy::AUDIT_AND_ADMIN,
        &policy::role("one", "oncall", "deploy", &[policy::APPROVAL]),
        &policy::role("three", "oncall", "root", &[&policy::approval(3, "30m")]),
        &policy::role("plain", "oncall", "deploy", &[]),
    ]
    .concat()
}

/// The environment, bob who asks, and two leads.
type Setup = (TestEnv, TestUser, TestUser, TestUser);

async fn start() -> Setup {
    let env = TestEnv::with_policy(&policy()).await;
    let bob = env.user("bob", &["oncall"]);
    let carol = env.user("carol", &["sre-lead"]);
    let dave = env.user("dave", &["sre-lead"]);
    (env, bob, carol, dave)
}

fn ask(role: &str) -> Ask {
    Ask {
        reason: "INC-7".to_owned(),
        ..crate::support::api::ask(role)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_race_for_the_last_place_one_gets_it() {
    let (env, bob, carol, dave) = start().await;
    let apis = [env.another_api().await, env.another_api().await];
    let leads: Vec<TestUser> = (0..4)
        .map(|at| {
            env.user(&format!("lead{at}"), &["sre-lead"])
                .over(&apis[at % 2])
        })
        .collect();
    for round in 0..15 {
        let request = bob.request(another(ask("three"), round)).await;
        carol.approve(&request).await.unwrap();
        dave.approve(&request).await.unwrap();
        let (a, b, c, d) = tokio::join!(
            leads[0].approve(&request),
            leads[1].approve(&request),
            leads[2].approve(&request),
            leads[3].approve(&request),
        );
        let (won, lost): (Vec<_>, Vec<_>) = [a, b, c, d].into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "round {round}");
        let won = won.into_iter().next().unwrap().unwrap();
        assert_eq!((won.state(), won.decisions.len()), (State::Approved, 3));
        for refusal in lost {
            assert_eq!(
                refusal.unwrap_err().reason,
                "REQUEST_CLOSED",
                "round {round}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_who_races_with_themselves_counts_once() {
    let (env, bob, carol, _) = start().await;
    let carol = carol.over(&env.another_api().await);
    let other_key = env.user("carol", &["sre-lead"]);
    let other_key = other_key.over(&env.another_api().await);
    for round in 0..10 {
        let request = bob.request(another(ask("three"), round)).await;
        let (one, other) = tokio::join!(carol.approve(&request), other_key.approve(&request),);
        let lost: Vec<_> = [one, other].into_iter().filter_map(Result::err).collect();
        assert_eq!(lost.len(), 1, "round {round}");
        assert_eq!(lost[0].reason, "ALREADY_DECIDED", "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_redeemed_over_two_connections_at_once_is_one_pass() {
    let (env, bob, carol, _) = start().await;
    let bobs = [
        bob.over(&env.another_api().await),
        bob.over(&env.another_api().await),
    ];
    for round in 0..15 {
        let request = bob.request(ask("one")).await;
        carol.approve(&request).await.unwrap();
        let before = env.ledger_size().await;
        let (one, other) = tokio::join!(
            bobs[0].redeem(&request, ask("one")),
            bobs[1].redeem(&request, ask("one")),
        );
        let lost: Vec<_> = [one, other].into_iter().filter_map(Result::err).collect();
        assert_eq!(lost.len(), 1, "round {round}");
        assert_eq!(lost[0].reason, "REQUEST_REDEEMED", "round {round}");
        let events = env.events(before).await;
        let types: BTreeSet<_> = events
            .iter()
            .map(|event| event["type"].as_str().unwrap())
            .collect();
        assert_eq!(
            (events.len(), types),
            (2, BTreeSet::from(["issued", "denied"]))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_lands_while_many_ask_leaves_no_pass_that_works() {
    let (env, ..) = start().await;
    let env = Arc::new(env);
    for round in 0..4 {
        let name = format!("racer{round}");
        let racers = (0..8).map(|_| {
            let (env, name) = (env.clone(), name.clone());
            tokio::spawn(async move {
                let racer = env.user(&name, &["oncall"]);
                let mut serials = Vec::new();
                loop {
                    match racer.issue(ask("plain")).await {
                        Ok(pass) => serials.push(pass.serial),
                        Err(refusal) => {
                            assert_eq!(refusal.reason, "LOCKED");
                            return serials;
                        }
                    }
                }
            })
        });
        let racers: Vec<_> = racers.collect();
        let is_under_way = async || {
            let events = env.events(env.ledger_size().await.saturating_sub(5)).await;
            events.iter().any(|event| event["who"]["subject"] == *name)
        };
        while !is_under_way().await {}
        let admin = env.user("root-admin", &["security"]);
        let revoked = admin.lock(identity(&name)).await.unwrap().serials;
        let mut issued = BTreeSet::new();
        for racer in racers {
            issued.extend(racer.await.unwrap());
        }
        assert!(!issued.is_empty());
        assert_eq!(issued, revoked.into_iter().collect(), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_user_neither_approves_nor_redeems() {
    let (env, bob, carol, dave) = start().await;
    let request = bob.request(ask("one")).await;
    let admin = env.user("root-admin", &["security"]);
    admin.lock(identity("carol")).await.unwrap();
    env.refused("a locked approver", "LOCKED", carol.approve(&request))
        .await;
    let other_key = env.user("carol", &["sre-lead"]);
    env.refused("with another key", "LOCKED", other_key.approve(&request))
        .await;
    dave.approve(&request).await.unwrap();
    admin.lock(identity("bob")).await.unwrap();
    env.refused(
        "a locked requester",
        "LOCKED",
        bob.redeem(&request, ask("one")),
    )
    .await;
    admin.unlock(identity("bob")).await.unwrap();
    admin.lock(identity("dave")).await.unwrap();
    env.refused(
        "approved by a user who was locked since",
        "LOCKED",
        bob.redeem(&request, ask("one")),
    )
    .await;
    admin.unlock(identity("dave")).await.unwrap();
    let role = Target::Role("one".to_owned());
    admin.lock(role.clone()).await.unwrap();
    env.refused("a locked role", "LOCKED", bob.redeem(&request, ask("one")))
        .await;
    admin.unlock(role).await.unwrap();
    let key = Target::Key(bob.fingerprint());
    admin.lock(key.clone()).await.unwrap();
    env.refused("a locked key", "LOCKED", bob.redeem(&request, ask("one")))
        .await;
    admin.unlock(key).await.unwrap();
    bob.redeem(&request, ask("one")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_user_who_asks_again_for_an_open_request_is_refused_as_for_a_new_one() {
    let (env, bob, carol, _) = start().await;
    let request = bob.request(ask("one")).await;
    let admin = env.user("root-admin", &["security"]);
    for target in [
        identity("bob"),
        Target::Role("one".to_owned()),
        Target::Key(bob.fingerprint()),
    ] {
        admin.lock(target.clone()).await.unwrap();
        let case = format!("{target:?}");
        env.refused(&case, "LOCKED", bob.issue(ask("one"))).await;
        admin.unlock(target).await.unwrap();
    }
    assert_eq!(bob.request(ask("one")).await.id, request.id);
    carol.approve(&request).await.unwrap();
    bob.redeem(&request, ask("one")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approvals_signature_serves_its_own_request_verb_and_server_alone() {
    let (env, bob, carol, _) = start().await;
    let request = bob.request(ask("one")).await;
    let other = bob.request(another(ask("one"), 1)).await;
    let server = env.api.server_name();
    for (case, verb, server, signed) in [
        ("another request", Verb::Approve, server, &other),
        ("another verb", Verb::Deny, server, &request),
        ("another server", Verb::Approve, "ca.example.com", &request),
    ] {
        let decision = DecideRequest {
            id: request.id,
            ..carol.decision_for(verb, server, signed)
        };
        let send = carol.send_decision(Verb::Approve, decision);
        env.refused(case, "POSSESSION", send).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_gains_nothing_by_what_they_approve() {
    let (env, bob, carol, _) = start().await;
    let request = bob.request(ask("one")).await;
    carol.approve(&request).await.unwrap();
    let redemption = Ask {
        request: request.id,
        ..ask("one")
    };
    env.refused(
        "it is not theirs, nor is the role",
        "NOT_ALLOWED",
        carol.issue(redemption.clone()),
    )
    .await;
    let both = env.user("erin", &["sre-lead", "oncall"]);
    let again = another(ask("one"), 1);
    let request = bob.request(again.clone()).await;
    both.approve(&request).await.unwrap();
    let redemption = Ask {
        request: request.id,
        ..again.clone()
    };
    env.refused(
        "though the role would be",
        "OTHER_HOLDER",
        both.issue(redemption),
    )
    .await;
    let own = both.request(ask("one")).await;
    env.refused("nor their own", "OWN_REQUEST", both.approve(&own))
        .await;
    bob.redeem(&request, again).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_changes_between_approval_and_redemption_only_takes_away() {
    for (case, from, to, reason) in [
        ("more approvals", "count = 1", "count = 2", Some("APPROVAL")),
        (
            "other approvers",
            "count = 1, by = '\"sre-lead\" in",
            "count = 1, by = '\"security\" in",
            Some("APPROVAL"),
        ),
        (
            "other people",
            "name = \"one\"\nallow = '\"oncall\" in",
            "name = \"one\"\nallow = '\"security\" in",
            Some("NOT_ALLOWED"),
        ),
        (
            "more principals",
            "principals = [\"deploy\"]\napproval",
            "principals = [\"deploy\", \"root\"]\napproval",
            None,
        ),
        (
            "the role is gone",
            "name = \"one\"",
            "name = \"none\"",
            Some("ROLE_UNKNOWN"),
        ),
    ] {
        let (env, bob, carol, _) = start().await;
        let request = bob.request(ask("one")).await;
        carol.approve(&request).await.unwrap();
        assert!(policy().contains(from), "{from}");
        env.replace_policy(&policy().replace(from, to)).await;
        match reason {
            Some(reason) => {
                env.refused(case, reason, bob.redeem(&request, ask("one")))
                    .await
            }
            None => {
                let pass = bob.redeem(&request, ask("one")).await.unwrap();
                assert_eq!(pass.principals, ["deploy"], "{case}: what was approved");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_identical_asks_at_once_one_opens_the_request_and_the_others_get_it() {
    let (env, bob, ..) = start().await;
    let mut bobs = Vec::new();
    for _ in 0..32 {
        bobs.push(bob.over(&env.another_api().await));
    }
    let before = env.ledger_size().await;
    let mut asks = tokio::task::JoinSet::new();
    for bob in bobs {
        asks.spawn(async move { bob.request(ask("three")).await });
    }
    let requests = asks.join_all().await;
    let ids: BTreeSet<u64> = requests.iter().map(|request| request.id).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let was_open = requests.iter().filter(|request| request.was_open).count();
    assert_eq!(was_open, 31);
    let events = env.events(before).await;
    assert_eq!(events.len(), 1, "{events:?}");
    env.close().await;
}
