//! Watches and lists of requests over gRPC: who is told what, and what they cost other callers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod support;

use std::time::{Duration, Instant};

use daypass::{
    ledger::state::Verb,
    proto::v1::{
        Ask, ExplainRequest, ListRequestsRequest, ListRolesRequest, Request,
        passes_client::PassesClient, request::State, requests_client::RequestsClient,
    },
};
use support::{
    api::{Attempt, Refusal, another, ask, with_token},
    env::{TestEnv, UNLIMITED},
    policy,
    user::TestUser,
};
use tokio::time::timeout;
use tonic::{Code, Streaming, transport::Channel};

/// Long enough for a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// A lead approves: `prod` within half an hour, `brief` within seconds, `teams` of the team that
/// the reason names.
fn policy() -> String {
    let teams = "reason = '.+'\napproval = { count = 1, by = 'ask.reason in claims.groups', within = \"30m\" }";
    [
        &policy::limits(&["deploy"]),
        policy::AUDIT_AND_ADMIN,
        &policy::role("prod", "oncall", "deploy", &[policy::APPROVAL]),
        &policy::role("brief", "oncall", "deploy", &[&policy::approval(1, "3s")]),
        &policy::role("teams", "oncall", "deploy", &[teams]),
        &policy::role("shell", "sre", "deploy", &[]),
    ]
    .concat()
}

/// The median time of an honest caller's passes.
async fn p50(user: &TestUser, attempt: &Attempt) -> Duration {
    let mut times = Vec::new();
    for _ in 0..60 {
        let begun = Instant::now();
        user.api.issue(attempt).await.unwrap();
        times.push(begun.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

/// Measures an honest caller without the attack and beside it, until one of five pairs holds: what
/// other tests do on the same machine slows some pairs, and the attack slowed all of them.
async fn assert_costs_little(mut pair: impl AsyncFnMut() -> (Duration, Duration)) {
    let mut seen = Vec::new();
    for _ in 0..5 {
        let (quiet, attacked) = pair().await;
        println!("p50 quiet {quiet:?}, attacked {attacked:?}");
        // Noise of a busy machine; before, it was 387 ms.
        if attacked < quiet * 3 + Duration::from_millis(150) {
            return;
        }
        seen.push((quiet, attacked));
    }
    panic!("{seen:?}");
}

async fn next(changes: &mut Streaming<Request>) -> Request {
    let change = timeout(SOON, changes.message()).await;
    change
        .expect("a change comes")
        .unwrap()
        .expect("the watch goes on")
}

#[tokio::test(flavor = "multi_thread")]
async fn six_hundred_watches_of_one_identity_cost_an_honest_caller_nothing() {
    let env = TestEnv::with_policy(&policy()).await;
    let alice = env.user("alice", &["sre"]);
    let attempt = alice.attempt(ask("shell"));
    p50(&alice, &attempt).await;
    let mallory = env.user("mallory", &[]);
    let mut open = Vec::new();
    assert_costs_little(async || {
        open.clear();
        places_come_back(&mallory).await;
        let quiet = p50(&alice, &attempt).await;
        open = six_hundred_watches(&mallory).await;
        (quiet, p50(&alice, &attempt).await)
    })
    .await;
    // And another identity's watch is told all of its changes.
    let bob = env.user("bob", &["oncall"]);
    let mut watch = bob.watch(0).await.unwrap();
    let request = bob.request(ask("prod")).await;
    assert_eq!(next(&mut watch).await.id, request.id);
    drop(open);
    places_come_back(&mallory).await;
}

/// Opens as many watches as there are places for one identity; the others are refused.
async fn six_hundred_watches(mallory: &TestUser) -> Vec<Streaming<Request>> {
    let (mut open, mut refused) = (Vec::new(), 0);
    for _ in 0..600 {
        match mallory.watch(0).await {
            Ok(watch) => open.push(watch),
            Err(refusal) => {
                assert_eq!(refusal.code, Code::ResourceExhausted);
                assert_eq!(refusal.reason, "TOO_MANY_WATCHES");
                assert!(refusal.message.contains("close one"), "{}", refusal.message);
                refused += 1;
            }
        }
    }
    assert_eq!((open.len(), refused), (16, 584));
    open
}

/// Waits until the places of closed watches are free again.
async fn places_come_back(mallory: &TestUser) {
    let deadline = Instant::now() + SOON;
    while let Err(refusal) = mallory.watch(0).await {
        assert_eq!(refusal.reason, "TOO_MANY_WATCHES");
        assert!(Instant::now() < deadline, "the places do not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A hundred roles that all need approval.
fn roles() -> String {
    let role = |n: u32| {
        format!(
            "[[role]]\nname = \"r{n}\"\nprincipals = [\"deploy\"]\n\
             allow = '\"a\" in claims.groups && \"b{n}\" in claims.groups'\n\
             approval = {{ count = 1, by = '\"lead-{n}\" in claims.groups', within = \"30m\" }}\n"
        )
    };
    (0..100).map(role).collect()
}

/// Explanations and lists by an identity without a role, as often as the usual limits let it: ten a
/// second.
#[tokio::test(flavor = "multi_thread")]
async fn explanations_and_lists_without_end_cost_an_honest_caller_little() {
    let env = TestEnv::with_policy(&format!("{}{}", policy(), roles())).await;
    let alice = env.user("alice", &["sre"]);
    let attempt = alice.attempt(ask("shell"));
    p50(&alice, &attempt).await;
    let mallory = env.user("mallory", &["x"]);
    let (channel, token) = (env.api.channel(), mallory.token);
    assert_costs_little(async || {
        let quiet = p50(&alice, &attempt).await;
        let attack = tokio::spawn(reads_without_end(channel.clone(), token.clone()));
        let attacked = p50(&alice, &attempt).await;
        assert!(
            !attack.is_finished(),
            "the attacker is served as often as its rate"
        );
        attack.abort();
        (quiet, attacked)
    })
    .await;
}

/// Ten reads a second.
async fn reads_without_end(channel: Channel, token: String) {
    let (mut passes, mut requests) = (
        PassesClient::new(channel.clone()),
        RequestsClient::new(channel),
    );
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let mut slowest = Duration::ZERO;
    loop {
        for kind in 0..3 {
            pace.tick().await;
            let begun = Instant::now();
            match kind {
                0 => {
                    let message = with_token(ExplainRequest::default(), &token);
                    let answer = passes.explain(message).await.unwrap().into_inner();
                    assert!(answer.roles.len() > 100);
                }
                1 => {
                    let message = with_token(ListRolesRequest::default(), &token);
                    passes.list_roles(message).await.unwrap();
                }
                _ => {
                    let message = with_token(ListRequestsRequest::default(), &token);
                    requests.list(message).await.unwrap();
                }
            }
            if begun.elapsed() > slowest {
                slowest = begun.elapsed();
                println!("kind {kind} took {slowest:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_only_the_users_whom_a_request_concerns() {
    let env = TestEnv::with_policy(&policy()).await;
    let bob = env.user("bob", &["oncall"]);
    let (lead, carol) = (
        env.user("lead", &["sre-lead"]),
        env.user("carol", &["security"]),
    );
    let (red, blue) = (env.user("red", &["red"]), env.user("blue", &["blue"]));
    let mut watches = Vec::new();
    for person in [&bob, &lead, &carol, &red, &blue] {
        watches.push(person.watch(0).await.unwrap());
    }
    let teams = |team: &str| Ask {
        reason: team.to_owned(),
        ..ask("teams")
    };
    let prod = bob.request(ask("prod")).await.id;
    let for_red = bob.request(teams("red")).await.id;
    let for_blue = bob.request(teams("blue")).await.id;
    let [own, leads, all, reds, blues] = &mut watches[..] else {
        unreachable!()
    };
    for watch in [own, all] {
        for id in [prod, for_red, for_blue] {
            assert_eq!(next(watch).await.id, id);
        }
    }
    let last = bob.request(another(ask("prod"), 1)).await.id;
    assert_eq!(next(leads).await.id, prod);
    assert_eq!(next(leads).await.id, last, "and none of the teams'");
    assert_eq!(next(reds).await.id, for_red);
    assert_eq!(next(blues).await.id, for_blue);
}

/// No event ends it: time does, and is told to a watch of all and to a watch of one.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_that_time_ended_a_request() {
    let env = TestEnv::with_policy(&policy()).await;
    let bob = env.user("bob", &["oncall"]);
    let mut all = bob.watch(0).await.unwrap();
    let request = bob.request(ask("brief")).await;
    let mut one = bob.watch(request.id).await.unwrap();
    for watch in [&mut all, &mut one] {
        assert_eq!(next(watch).await.state(), State::Pending);
        let end = next(watch).await;
        assert_eq!((end.id, end.state()), (request.id, State::Expired));
    }
}

/// Another policy shows what it lets them see, and hides what it does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_policy_changes_what_a_watch_tells() {
    let env = TestEnv::with_policy(&policy()).await;
    let bob = env.user("bob", &["oncall"]);
    let dave = env.user("dave", &["second-line"]);
    let mut watch = dave.watch(0).await.unwrap();
    let request = bob.request(ask("prod")).await;
    let other = policy().replace("\"sre-lead\"", "\"second-line\"");
    env.replace_policy(&other).await;
    assert_eq!(
        next(&mut watch).await.id,
        request.id,
        "it waits, and is seen now"
    );
    let second = bob.request(another(ask("prod"), 1)).await;
    assert_eq!(next(&mut watch).await.id, second.id);
}

async fn list(person: &TestUser, size: u32, token: &str) -> (Vec<u64>, String) {
    let message = ListRequestsRequest {
        all: true,
        page_size: size,
        page_token: token.to_owned(),
    };
    let answer = person
        .api
        .requests()
        .list(with_token(message, &person.token))
        .await;
    let answer = answer.unwrap().into_inner();
    let ids = answer.requests.iter().map(|request| request.id);
    (ids.collect(), answer.next_page_token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_comes_in_pages_that_leave_nothing_out() {
    let env = TestEnv::with_policy(&policy()).await;
    let lead = env.user("lead", &["sre-lead"]);
    let mut opened = Vec::new();
    for person in ["bob", "erin", "frank"] {
        let person = env.user(person, &["oncall"]);
        for number in 0..5 {
            opened.push(person.request(another(ask("prod"), number)).await.id);
            let teams = Ask {
                reason: "red".to_owned(),
                ..ask("teams")
            };
            person.request(another(teams, number)).await;
        }
    }
    for size in [1, 2, 7, 15, 1000] {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let (ids, next) = list(&lead, size, &token).await;
            assert!(ids.len() <= size as usize);
            seen.extend(ids);
            token = next;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, opened, "pages of {size}");
    }
    assert_eq!(list(&lead, 0, "").await, (opened, String::new()));
    let bad = ListRequestsRequest {
        page_token: "x".to_owned(),
        ..ListRequestsRequest::default()
    };
    let bad = env.api.requests().list(with_token(bad, &lead.token)).await;
    assert_eq!(bad.unwrap_err().code(), Code::InvalidArgument);
}

/// An identity that may open requests opens and cancels them without end.
#[tokio::test(flavor = "multi_thread")]
async fn opened_and_cancelled_requests_fill_neither_ledger_nor_list() {
    let env = TestEnv::with_policy(&policy()).await;
    let bob = env.user("bob", &["oncall"]);
    let before = env.ledger_size().await;
    let (mut opened, mut refused) = (0, 0);
    for _ in 0..150 {
        match bob.issue(ask("prod")).await {
            Ok(answer) => {
                let request = answer.pending.unwrap();
                let cancelled = bob.decide(Verb::Cancel, &request).await.unwrap();
                assert_eq!(cancelled.state(), State::Cancelled);
                opened += 1;
            }
            Err(refusal) => {
                assert_eq!(refusal.code, Code::ResourceExhausted);
                assert_eq!(refusal.reason, "TOO_MANY_REQUESTS");
                assert!(refusal.message.contains("wait"), "{}", refusal.message);
                refused += 1;
            }
        }
    }
    // One more for each minute that this took.
    assert!((64..70).contains(&opened), "{opened}");
    assert_eq!(opened + refused, 150);
    let grown = env.ledger_size().await - before;
    assert!(grown <= 2 * opened + 32, "{grown} events");
    let (ids, _) = list(&bob, 0, "").await;
    assert_eq!(ids.len(), 16, "the last ones that ended");
    let alice = env.user("alice", &["oncall"]);
    alice.request(ask("prod")).await;
}

/// What is forgotten is not said to be unknown.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_ended_long_ago_is_found_in_the_ledger() {
    let env = TestEnv::with_policy(&policy()).await;
    let bob = env.user("bob", &["oncall"]);
    let message = daypass::proto::v1::GetRequest { id: 1 };
    let gone = env
        .api
        .requests()
        .get(with_token(message, &bob.token))
        .await;
    let refusal = Refusal::from(gone.unwrap_err());
    assert_eq!(refusal.reason, "NO_SUCH_REQUEST");
    assert!(
        refusal.message.contains("daypass ledger show 1"),
        "{}",
        refusal.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_keeps_as_many_watches_as_its_configuration_says() {
    let limits = format!("watches = 16\n{UNLIMITED}");
    let env = TestEnv::new().policy(policy()).limits(limits).start().await;
    let mut open = Vec::new();
    for n in 0..16 {
        let bob = env.user(&format!("bob{n}"), &["oncall"]);
        open.push(bob.watch(0).await.unwrap());
    }
    let alice = env.user("alice", &["oncall"]);
    let refusal = alice.watch(0).await.unwrap_err();
    assert_eq!(refusal.reason, "TOO_MANY_WATCHES");
    let words = "the server has 16 watches of requests open, its most";
    assert!(refusal.message.contains(words), "{}", refusal.message);
    // None was ended for it.
    let lead = env.user("bob0", &["oncall"]);
    let request = lead.request(ask("prod")).await;
    assert_eq!(next(&mut open[0]).await.id, request.id);
    drop(open.pop());
    let deadline = Instant::now() + SOON;
    while let Err(refusal) = alice.watch(0).await {
        assert_eq!(refusal.reason, "TOO_MANY_WATCHES");
        assert!(Instant::now() < deadline, "the place does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
