//! Decisions that race, and decisions that should not count: approvals, redemptions and locks from many connections at once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::{collections::BTreeSet, sync::Arc};

use daypass::{
    ledger::{state::Verb, tree::leaf_hash},
    policy::Policy,
    proto::v1::{
        Ask, DecideRequest, IssueResponse, Request, lock_target::Target, request::State,
        requests_client::RequestsClient,
    },
    ssh::sshsig::Namespace,
};
use ssh_key::{HashAlg, LineEnding};
use support::{
    api::{Api, Refusal, with_token},
    env::TestEnv,
    user::{TestUser, decision},
};

const POLICY: &str = r#"
[limits]
ttl = "8h"
principals = ["deploy", "root"]
[audit]
allow = '"security" in claims.groups'
[admin]
allow = '"security" in claims.groups'
[[role]]
name = "one"
allow = '"oncall" in claims.groups'
principals = ["deploy"]
approval = { count = 1, by = '"sre-lead" in claims.groups', within = "30m" }
[[role]]
name = "three"
allow = '"oncall" in claims.groups'
principals = ["root"]
approval = { count = 3, by = '"sre-lead" in claims.groups', within = "30m" }
[[role]]
name = "plain"
allow = '"oncall" in claims.groups'
principals = ["deploy"]
"#;

/// A world, and whom the tests are about.
struct Story {
    scene: TestEnv,
    bob: TestUser,
    carol: TestUser,
    dave: TestUser,
    admin: TestUser,
}

impl Story {
    async fn start() -> Self {
        let scene = TestEnv::with_policy(POLICY).await;
        Self {
            bob: TestUser::new(&scene, "bob", &["oncall"]),
            carol: TestUser::new(&scene, "carol", &["sre-lead"]),
            dave: TestUser::new(&scene, "dave", &["sre-lead"]),
            admin: TestUser::new(&scene, "root-admin", &["security"]),
            scene,
        }
    }

    async fn ask(&self, role: &str) -> Request {
        let answer = self.bob.issue(&self.scene, ask(role)).await.unwrap();
        answer.pending.expect("the role needs approval")
    }

    /// The digest is of `signed`, the call about `sent`.
    fn decision(
        &self,
        by: &TestUser,
        verb: Verb,
        server: &str,
        (signed, sent): (&Request, &Request),
    ) -> DecideRequest {
        let message = decision(&by.token, verb, server, &leaf_hash(&signed.event), "");
        let key = &by.caller.key;
        let signature = key.sign(Namespace::Approve.as_str(), HashAlg::Sha512, &message);
        DecideRequest {
            id: sent.id,
            public_key: key.public_key().to_openssh().unwrap(),
            binding_secret: by.caller.secret.clone(),
            signature: signature.unwrap().to_pem(LineEnding::LF).unwrap(),
            comment: String::new(),
        }
    }

    /// Over this connection.
    async fn approve_at(
        &self,
        door: &Api,
        by: &TestUser,
        request: &Request,
    ) -> Result<Request, Refusal> {
        let name = self.scene.door.server_name();
        let decision = self.decision(by, Verb::Approve, name, (request, request));
        let message = with_token(decision, &by.token);
        let answer = RequestsClient::new(door.channel()).approve(message).await?;
        Ok(answer.into_inner())
    }

    async fn approve(&self, by: &TestUser, request: &Request) -> Result<Request, Refusal> {
        self.approve_at(&self.scene.door, by, request).await
    }

    async fn redeem_at(&self, door: &Api, request: &Request) -> Result<IssueResponse, Refusal> {
        let name = self.scene.door.server_name();
        let ask = Ask {
            request: request.id,
            ..ask(&request_role(request))
        };
        let attempt = self.bob.caller.attempt(name, &self.bob.token, ask);
        door.issue(&attempt).await
    }

    async fn redeem(&self, request: &Request) -> Result<IssueResponse, Refusal> {
        self.redeem_at(&self.scene.door, request).await
    }

    /// Another connection to the same daemon.
    async fn another_door(&self) -> Api {
        let (url, ca) = self.scene.world.server();
        Api::open(&url, ca.as_bytes()).await
    }

    /// This is refused for that reason, and leaves one denial.
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

    async fn replace_policy(&self, from: &str, to: &str) {
        assert!(POLICY.contains(from), "{from}");
        let policy = Policy::parse(&POLICY.replace(from, to), "policy.toml").unwrap();
        let daemon = self.scene.world.daemon().unwrap();
        let now = time::OffsetDateTime::from_unix_timestamp(self.scene.now()).unwrap();
        daemon
            .authority()
            .replace_policy(policy, now)
            .await
            .unwrap();
    }
}

fn ask(role: &str) -> Ask {
    Ask {
        reason: "INC-7".to_owned(),
        ..support::api::ask(role)
    }
}

/// As its event says it.
fn request_role(request: &Request) -> String {
    let event: serde_json::Value = serde_json::from_slice(&request.event).unwrap();
    event["ask"]["role"].as_str().unwrap().to_owned()
}

fn lock(name: &str) -> Target {
    Target::Identity(name.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_race_for_the_last_place_one_gets_it() {
    let story = Story::start().await;
    let leads: Vec<TestUser> = (0..4)
        .map(|at| TestUser::new(&story.scene, &format!("lead{at}"), &["sre-lead"]))
        .collect();
    let doors = [story.another_door().await, story.another_door().await];
    for round in 0..15 {
        let request = story.ask("three").await;
        story.approve(&story.carol, &request).await.unwrap();
        story.approve(&story.dave, &request).await.unwrap();
        let (a, b, c, d) = tokio::join!(
            story.approve_at(&doors[0], &leads[0], &request),
            story.approve_at(&doors[1], &leads[1], &request),
            story.approve_at(&doors[0], &leads[2], &request),
            story.approve_at(&doors[1], &leads[3], &request),
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
    let story = Story::start().await;
    let other_key = TestUser::new(&story.scene, "carol", &["sre-lead"]);
    let doors = [story.another_door().await, story.another_door().await];
    for round in 0..10 {
        let request = story.ask("three").await;
        let (one, other) = tokio::join!(
            story.approve_at(&doors[0], &story.carol, &request),
            story.approve_at(&doors[1], &other_key, &request),
        );
        let lost: Vec<_> = [one, other].into_iter().filter_map(Result::err).collect();
        assert_eq!(lost.len(), 1, "round {round}");
        assert_eq!(lost[0].reason, "ALREADY_DECIDED", "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_redeemed_over_two_connections_at_once_is_one_pass() {
    let story = Story::start().await;
    let doors = [story.another_door().await, story.another_door().await];
    for round in 0..15 {
        let request = story.ask("one").await;
        story.approve(&story.carol, &request).await.unwrap();
        let before = story.scene.ledger_size().await;
        let (one, other) = tokio::join!(
            story.redeem_at(&doors[0], &request),
            story.redeem_at(&doors[1], &request),
        );
        let lost: Vec<_> = [one, other].into_iter().filter_map(Result::err).collect();
        assert_eq!(lost.len(), 1, "round {round}");
        assert_eq!(lost[0].reason, "REQUEST_REDEEMED", "round {round}");
        let events = story.scene.events(before).await;
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
async fn a_lock_that_lands_while_many_ask_leaves_nobody_a_pass_that_works() {
    let story = Arc::new(Story::start().await);
    for round in 0..4 {
        let name = format!("racer{round}");
        let racers = (0..8).map(|_| {
            let (story, name) = (story.clone(), name.clone());
            tokio::spawn(async move {
                let racer = TestUser::new(&story.scene, &name, &["oncall"]);
                let mut serials = Vec::new();
                loop {
                    match racer.issue(&story.scene, ask("plain")).await {
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
            let events = story
                .scene
                .events(story.scene.ledger_size().await.saturating_sub(5))
                .await;
            events.iter().any(|event| event["who"]["subject"] == *name)
        };
        while !is_under_way().await {}
        let revoked = story
            .admin
            .lock(&story.scene, lock(&name))
            .await
            .unwrap()
            .serials;
        let mut issued = BTreeSet::new();
        for racer in racers {
            issued.extend(racer.await.unwrap());
        }
        assert!(!issued.is_empty());
        assert_eq!(issued, revoked.into_iter().collect(), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_locked_neither_approves_nor_redeems() {
    let story = Story::start().await;
    let request = story.ask("one").await;
    story.admin.lock(&story.scene, lock("carol")).await.unwrap();
    story
        .refused(
            "a locked approver",
            "LOCKED",
            story.approve(&story.carol, &request),
        )
        .await;
    let other_key = TestUser::new(&story.scene, "carol", &["sre-lead"]);
    story
        .refused(
            "with another key",
            "LOCKED",
            story.approve(&other_key, &request),
        )
        .await;
    story.approve(&story.dave, &request).await.unwrap();
    story.admin.lock(&story.scene, lock("bob")).await.unwrap();
    story
        .refused("a locked requester", "LOCKED", story.redeem(&request))
        .await;
    story.admin.unlock(&story.scene, lock("bob")).await.unwrap();
    story.admin.lock(&story.scene, lock("dave")).await.unwrap();
    story
        .refused(
            "approved by somebody who was locked since",
            "LOCKED",
            story.redeem(&request),
        )
        .await;
    story
        .admin
        .unlock(&story.scene, lock("dave"))
        .await
        .unwrap();
    let role = Target::Role("one".to_owned());
    story.admin.lock(&story.scene, role.clone()).await.unwrap();
    story
        .refused("a locked role", "LOCKED", story.redeem(&request))
        .await;
    story.admin.unlock(&story.scene, role).await.unwrap();
    let key = Target::Key(story.bob.fingerprint());
    story.admin.lock(&story.scene, key.clone()).await.unwrap();
    story
        .refused("a locked key", "LOCKED", story.redeem(&request))
        .await;
    story.admin.unlock(&story.scene, key).await.unwrap();
    story.redeem(&request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approvals_signature_serves_its_own_request_verb_and_server_alone() {
    let story = Story::start().await;
    let (request, other) = (story.ask("one").await, story.ask("one").await);
    let server = story.scene.door.server_name();
    for (case, verb, server, signed) in [
        ("another request", Verb::Approve, server, &other),
        ("another verb", Verb::Deny, server, &request),
        ("another server", Verb::Approve, "ca.example.com", &request),
    ] {
        let decision = story.decision(&story.carol, verb, server, (signed, &request));
        let send = async {
            let message = with_token(decision, &story.carol.token);
            let mut client = RequestsClient::new(story.scene.door.channel());
            Ok(client
                .approve(message)
                .await
                .map_err(Refusal::from)?
                .into_inner())
        };
        story.refused::<Request>(case, "POSSESSION", send).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_gains_nothing_by_what_they_approve() {
    let story = Story::start().await;
    let request = story.ask("one").await;
    story.approve(&story.carol, &request).await.unwrap();
    let name = story.scene.door.server_name();
    let redemption = Ask {
        request: request.id,
        ..ask("one")
    };
    let theirs = story
        .carol
        .caller
        .attempt(name, &story.carol.token, redemption.clone());
    story
        .refused(
            "it is not theirs, nor is the role",
            "NOT_ALLOWED",
            story.scene.door.issue(&theirs),
        )
        .await;
    let both = TestUser::new(&story.scene, "erin", &["sre-lead", "oncall"]);
    let request = story.ask("one").await;
    story.approve(&both, &request).await.unwrap();
    let redemption = Ask {
        request: request.id,
        ..redemption
    };
    story
        .refused(
            "though the role would be",
            "OTHER_HOLDER",
            both.issue(&story.scene, redemption),
        )
        .await;
    let own = both
        .issue(&story.scene, ask("one"))
        .await
        .unwrap()
        .pending
        .unwrap();
    story
        .refused("nor their own", "OWN_REQUEST", story.approve(&both, &own))
        .await;
    story.redeem(&request).await.unwrap();
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
            "name = \"one\"\nallow = '\"nobody\" in",
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
        let story = Story::start().await;
        let request = story.ask("one").await;
        story.approve(&story.carol, &request).await.unwrap();
        story.replace_policy(from, to).await;
        match reason {
            Some(reason) => story.refused(case, reason, story.redeem(&request)).await,
            None => {
                let pass = story.redeem(&request).await.unwrap();
                assert_eq!(pass.principals, ["deploy"], "{case}: what was approved");
            }
        }
    }
}
