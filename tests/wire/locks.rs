//! Locks that follow the person and orders that count once, through a daemon in a process of its
//! own.

use std::{collections::BTreeMap, sync::Arc};

use crate::support::{
    api::{Caller, Refusal, ask, with_token},
    env::TestEnv,
    orders::{identity, wire},
    policy,
    user::TestUser,
};
use daypass::{
    ledger::order::LATEST,
    proto::v1::{
        Ask, GetRequest, ListRequest, LockResponse, ProveRequest, RetryWebhooksRequest,
        ledger_client::LedgerClient, preview_request, prove_request, retry_webhooks_request,
        revoke_request,
    },
};
use tonic::Code;

const MAIL: &str = "bob@example.com";

/// A daemon in a process of its own, and its administrator.
async fn start() -> (TestEnv, TestUser) {
    let env = TestEnv::new().policy(policy::SHELL).start_process().await;
    let carol = env.carol();
    (env, carol)
}

/// Signs in with a fresh key; without the claims that name an address if `mail` is none.
fn sign_in(env: &TestEnv, subject: &str, mail: Option<&str>, group: &str) -> TestUser {
    let caller = Caller::new();
    let mut claims = env.claims(&caller, subject, &[group]);
    let fields = claims.as_object_mut().unwrap();
    match mail {
        Some(mail) => drop(fields.insert("email".to_owned(), mail.into())),
        None => {
            fields.remove("email");
            fields.remove("email_verified");
        }
    }
    env.user_with(subject, caller, claims)
}

/// The index that an order about this identity has to name now.
async fn after(env: &TestEnv, name: &str) -> u64 {
    let target = preview_request::Target::Identity(name.to_owned());
    env.carol().preview(target).await.unwrap().after
}

async fn lock(env: &TestEnv, by: &TestUser, name: &str) -> Result<LockResponse, Refusal> {
    let request = by.lock_request(identity(name), after(env, name).await);
    by.send_lock(request).await
}

async fn unlock(env: &TestEnv, by: &TestUser, name: &str) -> Result<u64, Refusal> {
    let request = by.unlock_request(identity(name), after(env, name).await);
    by.send_unlock(request).await
}

async fn revoke(by: &TestUser, target: revoke_request::Target) -> Result<Vec<u64>, Refusal> {
    by.send_revoke(by.revoke_request(target, 0)).await
}

async fn shell(user: &TestUser) -> Result<u64, Refusal> {
    Ok(user.issue(ask("shell")).await?.serial)
}

fn reason<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    result.unwrap_err().reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_by_address_is_on_the_person_who_signs_in_without_it() {
    let (mut env, mut carol) = start().await;
    let named = sign_in(&env, "bob", Some(MAIL), "sre");
    let bare = sign_in(&env, "bob", None, "sre");
    let passes = [shell(&named).await.unwrap(), shell(&bare).await.unwrap()];
    let bobby = sign_in(&env, "bobby", Some("bobby@example.com"), "sre");
    shell(&bobby).await.unwrap();

    let preview = preview_request::Target::Identity(MAIL.to_owned());
    let preview = carol.preview(preview).await.unwrap();
    assert_eq!((preview.passes, preview.covers_caller), (2, false));
    let locked = lock(&env, &carol, MAIL).await.unwrap();
    assert_eq!(locked.serials, passes, "those with the address and without");
    let covers = locked.lock.unwrap().covers;
    assert_eq!(covers, preview.covers);
    assert_eq!((covers.len(), &*covers[0].subject), (1, "bob"));
    assert_eq!(covers[0].issuer, env.issuer().url());

    for round in ["at once", "after a restart"] {
        for (case, session, is_locked) in [
            (
                "with the address",
                sign_in(&env, "bob", Some(MAIL), "sre"),
                true,
            ),
            ("without it", sign_in(&env, "bob", None, "sre"), true),
            (
                "with another address",
                sign_in(&env, "bob", Some("robert@example.com"), "sre"),
                true,
            ),
            (
                "another person with it",
                sign_in(&env, "robert", Some(MAIL), "sre"),
                true,
            ),
            (
                "a similar name",
                sign_in(&env, "bobby", Some("bobby@example.com"), "sre"),
                false,
            ),
        ] {
            let refused = shell(&session).await.err().map(|it| it.reason);
            let expected = is_locked.then(|| "LOCKED".to_owned());
            assert_eq!(refused, expected, "{case} {round}");
        }
        env.restart().await;
        carol = carol.over(&env.api);
    }
    unlock(&env, &carol, MAIL).await.unwrap();
    for mail in [Some(MAIL), None, Some("robert@example.com")] {
        let bob = sign_in(&env, "bob", mail, "sre");
        assert!(shell(&bob).await.is_ok(), "an unlock gives all back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_who_signs_in_without_their_address_is_locked_all_the_same() {
    let (env, carol) = start().await;
    let mail = "dana@example.com";
    let dana = sign_in(&env, "dana", Some(mail), "security");
    lock(&env, &dana, "eve").await.unwrap();
    lock(&env, &carol, mail).await.unwrap();
    let bare = sign_in(&env, "dana", None, "security");
    assert_eq!(reason(unlock(&env, &bare, mail).await), "LOCKED");
    assert_eq!(reason(lock(&env, &bare, "carol").await), "LOCKED");
    let target = revoke_request::Target::Before(1);
    assert_eq!(reason(revoke(&bare, target).await), "LOCKED");
    let retry = RetryWebhooksRequest {
        name: "none".to_owned(),
        which: Some(retry_webhooks_request::Which::All(true)),
    };
    let retry = with_token(retry, &bare.token);
    let refused = carol.api.admin().retry_webhooks(retry).await;
    assert_eq!(Refusal::from(refused.unwrap_err()).reason, "LOCKED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_unlock_does_not_open_a_new_lock() {
    let (mut env, mut carol) = start().await;
    let first_lock = carol.lock_request(identity(MAIL), 0);
    let held_back = carol.lock_request(identity(MAIL), 0);
    carol.send_lock(first_lock.clone()).await.unwrap();
    let copied = carol.unlock_request(identity(MAIL), after(&env, MAIL).await);
    carol.send_unlock(copied.clone()).await.unwrap();
    for (case, again) in [("a copied lock", first_lock), ("one held back", held_back)] {
        let stale = carol.send_lock(again).await.unwrap_err();
        let found = (stale.code, stale.reason.as_str());
        assert_eq!(found, (Code::FailedPrecondition, "ORDER_STALE"), "{case}");
    }
    assert!(
        shell(&sign_in(&env, "bob", Some(MAIL), "sre"))
            .await
            .is_ok()
    );

    lock(&env, &carol, MAIL).await.unwrap();
    for _ in 0..2 {
        let size = env.events(0).await.len();
        let refused = carol.send_unlock(copied.clone()).await;
        assert_eq!(reason(refused), "ORDER_STALE");
        let events = env.events(0).await;
        assert_eq!(events.len(), size + 1);
        assert_eq!(events[size]["reason"], "ORDER_STALE");
        let bob = sign_in(&env, "bob", Some(MAIL), "sre");
        assert_eq!(reason(shell(&bob).await), "LOCKED");
        env.restart().await;
        carol = carol.over(&env.api);
    }

    // The same signature about something else, or with another place among the orders.
    let mut changed = copied.clone();
    changed.order.as_mut().unwrap().after = after(&env, MAIL).await;
    assert_eq!(reason(carol.send_unlock(changed).await), "POSSESSION");
    lock(&env, &carol, "eve").await.unwrap();
    let mut other = carol.unlock_request(identity(MAIL), after(&env, "eve").await);
    other.target = wire(identity("eve"));
    assert_eq!(reason(carol.send_unlock(other).await), "POSSESSION");
    unlock(&env, &carol, MAIL).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_racing_administrators_follow_one_another() {
    let (env, _) = start().await;
    let env = Arc::new(env);
    let tasks = (0..4).map(|task| {
        let env = env.clone();
        tokio::spawn(async move {
            let admin = sign_in(&env, &format!("admin{task}"), None, "security");
            let mut accepted = 0;
            for round in 0..12 {
                let outcome = match (round + task) % 2 {
                    0 => lock(&env, &admin, MAIL).await.map(drop),
                    _ => unlock(&env, &admin, MAIL).await.map(drop),
                };
                match outcome {
                    Ok(()) => accepted += 1,
                    Err(refusal) => {
                        let known = ["ORDER_STALE", "NO_SUCH_LOCK"];
                        assert!(known.contains(&refusal.reason.as_str()), "{refusal:?}");
                    }
                }
            }
            accepted
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut accepted = 0;
    for task in tasks {
        accepted += task.await.unwrap();
    }
    let events = env.events(0).await;
    let mut last = BTreeMap::new();
    let mut orders = 0;
    for event in events.iter().filter(|event| event.get("proof").is_some()) {
        let target = event["target"].to_string();
        let after = event["proof"]["after"].as_u64().unwrap();
        assert_eq!(after, last.get(&target).copied().unwrap_or(0), "{event}");
        last.insert(target, event["index"].as_u64().unwrap() + 1);
        orders += 1;
    }
    assert_eq!(orders, accepted, "each accepted order is one event");
    assert!(accepted > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_time_or_number_of_a_caller_panics() {
    let (env, carol) = start().await;
    let alice = sign_in(&env, "alice", None, "sre");
    let numbers = [LATEST.0 + 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX];
    for number in numbers {
        let target = revoke_request::Target::Before(number);
        let refused = revoke(&carol, target).await.unwrap_err();
        let found = (refused.code, refused.reason.as_str());
        assert_eq!(found, (Code::InvalidArgument, "ASK_MALFORMED"), "{number}");
        let before = preview_request::Target::Before(number);
        assert_eq!(reason(carol.preview(before).await), "ASK_MALFORMED");
        let serial = preview_request::Target::Serial(number);
        assert_eq!(carol.preview(serial).await.unwrap().passes, 0);
        let target = revoke_request::Target::Serial(number);
        let refused = revoke(&carol, target).await;
        assert_eq!(reason(refused), "NO_SUCH_PASS", "{number}");
        let late = carol.lock_request(identity("eve"), number);
        assert_eq!(reason(carol.send_lock(late).await), "ORDER_STALE");

        let long = Ask {
            ttl_seconds: number,
            ..ask("shell")
        };
        let pass = alice.issue(long).await.unwrap();
        assert!(pass.valid_before < LATEST.0, "{number}");
        let redeem = Ask {
            request: number,
            ..ask("shell")
        };
        let refused = alice.issue(redeem).await.unwrap_err();
        assert!(refused.code != Code::Internal && refused.code != Code::Unknown);
        assert_others_answer(&carol, number).await;
    }
    let target = revoke_request::Target::Before(LATEST.0);
    let all = revoke(&carol, target).await.unwrap();
    assert_eq!(all.len(), numbers.len());
    assert!(shell(&alice).await.is_ok());
    let log = env.server.log();
    assert!(!log.contains("panick"), "{log}");
}

/// The calls that read, with a number as index, size and id.
async fn assert_others_answer(carol: &TestUser, number: u64) {
    let is_answer = |code: Code| !matches!(code, Code::Internal | Code::Unknown);
    let mut ledger = LedgerClient::new(carol.api.channel());
    for newest_first in [false, true] {
        let list = ListRequest {
            from: number,
            limit: u32::MAX,
            newest_first,
            filter: None,
        };
        let list = ledger.list(with_token(list, &carol.token)).await;
        assert!(
            list.err().is_none_or(|status| is_answer(status.code())),
            "{number}"
        );
    }
    use prove_request::{Consistency, Inclusion, Proof};
    let (index, size) = (number, number);
    let (old_size, new_size) = (number, number);
    for proof in [
        Proof::Inclusion(Inclusion { index, size }),
        Proof::Consistency(Consistency { old_size, new_size }),
    ] {
        let proof = Some(proof);
        let request = with_token(ProveRequest { proof }, &carol.token);
        let status = ledger.prove(request).await.unwrap_err();
        assert!(is_answer(status.code()), "{number}: {status}");
    }
    let retry = RetryWebhooksRequest {
        name: "none".to_owned(),
        which: Some(retry_webhooks_request::Which::Index(number)),
    };
    let status = carol
        .api
        .admin()
        .retry_webhooks(with_token(retry, &carol.token))
        .await;
    assert_eq!(status.unwrap_err().code(), Code::NotFound);
    let get = with_token(GetRequest { id: number }, &carol.token);
    let mut requests = carol.api.requests();
    assert_eq!(requests.get(get).await.unwrap_err().code(), Code::NotFound);
}
