//! Locks that follow the person and orders that count once, through a daemon in a process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::{collections::BTreeMap, sync::Arc};

use daypass::{
    identity::issuer::Algorithm,
    ledger::order::{LATEST, Target, Verb},
    proto::v1::{
        Ask, GetRequest, IssueResponse, ListRequest, LockRequest, LockResponse, LockTarget,
        PreviewRequest, PreviewResponse, ProveRequest, RetryWebhooksRequest, RevokeRequest,
        RevokeResponse, UnlockRequest, admin_client::AdminClient, ledger_client::LedgerClient,
        lock_target, preview_request, prove_request, requests_client::RequestsClient,
        retry_webhooks_request, revoke_request,
    },
};
use serde_json::Value;
use support::{
    api::{Api, Caller, Refusal, ask, with_token},
    server::{Process, ServerFiles},
};
use tonic::{Code, transport::Channel};

const POLICY: &str = r#"
[limits]
ttl = "1h"
principals = ["root"]
[audit]
allow = '"security" in claims.groups'
[admin]
allow = '"security" in claims.groups'
[[role]]
name = "shell"
allow = '"sre" in claims.groups'
principals = ["root"]
ttl = "1h"
"#;

const MAIL: &str = "bob@example.com";

/// A daemon with its files, and a door to it.
struct Town {
    served: ServerFiles,
    process: Process,
    door: Api,
    _folder: tempfile::TempDir,
}

/// A key with a token that is bound to it.
struct Session {
    caller: Caller,
    token: String,
}

impl Town {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let served = ServerFiles::prepare(folder.path(), POLICY).await;
        let mut process = served.spawn(&[]);
        let door = served.door(&mut process).await.expect("the daemon runs");
        Self {
            served,
            process,
            door,
            _folder: folder,
        }
    }

    /// Kills the daemon and starts it again.
    async fn restart(&mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
        self.process = self.served.spawn(&[]);
        let door = self.served.door(&mut self.process).await;
        self.door = door.expect("the daemon runs again");
    }

    /// Signs in with a fresh key; without the claims that name an address if `mail` is none.
    fn sign_in(&self, subject: &str, mail: Option<&str>, group: &str) -> Session {
        let caller = Caller::new();
        let issuer = &self.served.issuer;
        let mut claims = caller.claims(issuer.url(), subject, &[group], support::now());
        let fields = claims.as_object_mut().unwrap();
        match mail {
            Some(mail) => drop(fields.insert("email".to_owned(), mail.into())),
            None => {
                fields.remove("email");
                fields.remove("email_verified");
            }
        }
        let token = issuer.sign(Algorithm::ES256, &claims);
        Session { caller, token }
    }

    fn carol(&self) -> Session {
        self.sign_in("carol", Some("carol@example.com"), "security")
    }

    async fn issue(&self, session: &Session, ask: Ask) -> Result<IssueResponse, Refusal> {
        let name = self.door.server_name();
        let attempt = session.caller.attempt(name, &session.token, ask);
        self.door.issue(&attempt).await
    }

    async fn pass(&self, session: &Session) -> Result<u64, Refusal> {
        Ok(self.issue(session, ask("shell")).await?.serial)
    }

    fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.door.channel())
    }

    async fn preview(
        &self,
        session: &Session,
        target: preview_request::Target,
    ) -> Result<PreviewResponse, Refusal> {
        let target = Some(target);
        let request = with_token(PreviewRequest { target }, &session.token);
        Ok(self.admin().preview(request).await?.into_inner())
    }

    /// What an order about this identity has to name now.
    async fn after(&self, name: &str) -> u64 {
        let target = preview_request::Target::Identity(name.to_owned());
        self.preview(&self.carol(), target).await.unwrap().after
    }

    fn lock_request(&self, by: &Session, name: &str, after: u64) -> LockRequest {
        let target = Target::Identity(name.to_owned());
        let signed = (Verb::Lock, &target, "", after);
        let server = self.door.server_name();
        let (public_key, binding_secret, signature) = by.caller.prove(server, &by.token, signed);
        LockRequest {
            target: identity(name),
            reason: String::new(),
            public_key,
            binding_secret,
            signature,
            after,
        }
    }

    fn unlock_request(&self, by: &Session, name: &str, after: u64) -> UnlockRequest {
        let target = Target::Identity(name.to_owned());
        let signed = (Verb::Unlock, &target, "", after);
        let server = self.door.server_name();
        let (public_key, binding_secret, signature) = by.caller.prove(server, &by.token, signed);
        UnlockRequest {
            target: identity(name),
            reason: String::new(),
            public_key,
            binding_secret,
            signature,
            after,
        }
    }

    async fn send_lock(&self, by: &Session, it: LockRequest) -> Result<LockResponse, Refusal> {
        Ok(self
            .admin()
            .lock(with_token(it, &by.token))
            .await?
            .into_inner())
    }

    async fn send_unlock(&self, by: &Session, it: UnlockRequest) -> Result<u64, Refusal> {
        let answer = self.admin().unlock(with_token(it, &by.token)).await?;
        Ok(answer.into_inner().index)
    }

    async fn lock(&self, by: &Session, name: &str) -> Result<LockResponse, Refusal> {
        let request = self.lock_request(by, name, self.after(name).await);
        self.send_lock(by, request).await
    }

    async fn unlock(&self, by: &Session, name: &str) -> Result<u64, Refusal> {
        let request = self.unlock_request(by, name, self.after(name).await);
        self.send_unlock(by, request).await
    }

    async fn revoke(
        &self,
        by: &Session,
        wire: revoke_request::Target,
        target: Target,
        after: u64,
    ) -> Result<RevokeResponse, Refusal> {
        let signed = (Verb::Revoke, &target, "", after);
        let server = self.door.server_name();
        let (public_key, binding_secret, signature) = by.caller.prove(server, &by.token, signed);
        let request = RevokeRequest {
            target: Some(wire),
            reason: String::new(),
            public_key,
            binding_secret,
            signature,
            after,
        };
        let answer = self.admin().revoke(with_token(request, &by.token)).await?;
        Ok(answer.into_inner())
    }

    async fn events(&self) -> Vec<Value> {
        self.door.events(&self.carol().token, 0).await
    }
}

fn identity(name: &str) -> Option<LockTarget> {
    let target = Some(lock_target::Target::Identity(name.to_owned()));
    Some(LockTarget { target })
}

fn reason<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    result.unwrap_err().reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_by_address_is_on_the_person_who_signs_in_without_it() {
    let mut town = Town::start().await;
    let carol = town.carol();
    let named = town.sign_in("bob", Some(MAIL), "sre");
    let bare = town.sign_in("bob", None, "sre");
    let passes = [
        town.pass(&named).await.unwrap(),
        town.pass(&bare).await.unwrap(),
    ];
    let bobby = town.sign_in("bobby", Some("bobby@example.com"), "sre");
    town.pass(&bobby).await.unwrap();

    let preview = preview_request::Target::Identity(MAIL.to_owned());
    let preview = town.preview(&carol, preview).await.unwrap();
    assert_eq!((preview.passes, preview.covers_caller), (2, false));
    let locked = town.lock(&carol, MAIL).await.unwrap();
    assert_eq!(locked.serials, passes, "those with the address and without");
    let covers = locked.lock.unwrap().covers;
    assert_eq!(covers, preview.covers);
    assert_eq!((covers.len(), &*covers[0].subject), (1, "bob"));
    assert_eq!(covers[0].issuer, town.served.issuer.url());

    for round in ["at once", "after a restart"] {
        for (case, session, is_locked) in [
            (
                "with the address",
                town.sign_in("bob", Some(MAIL), "sre"),
                true,
            ),
            ("without it", town.sign_in("bob", None, "sre"), true),
            (
                "with another address",
                town.sign_in("bob", Some("robert@example.com"), "sre"),
                true,
            ),
            (
                "another person with it",
                town.sign_in("robert", Some(MAIL), "sre"),
                true,
            ),
            (
                "a similar name",
                town.sign_in("bobby", Some("bobby@example.com"), "sre"),
                false,
            ),
        ] {
            let refused = town.pass(&session).await.err().map(|it| it.reason);
            let expected = is_locked.then(|| "LOCKED".to_owned());
            assert_eq!(refused, expected, "{case} {round}");
        }
        town.restart().await;
    }
    town.unlock(&carol, MAIL).await.unwrap();
    for mail in [Some(MAIL), None, Some("robert@example.com")] {
        let bob = town.sign_in("bob", mail, "sre");
        assert!(town.pass(&bob).await.is_ok(), "an unlock gives all back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_who_signs_in_without_their_address_is_locked_all_the_same() {
    let town = Town::start().await;
    let (carol, mail) = (town.carol(), "dana@example.com");
    let dana = town.sign_in("dana", Some(mail), "security");
    town.lock(&dana, "eve").await.unwrap();
    town.lock(&carol, mail).await.unwrap();
    let bare = town.sign_in("dana", None, "security");
    assert_eq!(reason(town.unlock(&bare, mail).await), "LOCKED");
    assert_eq!(reason(town.lock(&bare, "carol").await), "LOCKED");
    let (wire, target) = (revoke_request::Target::Before(1), Target::Before(1));
    assert_eq!(reason(town.revoke(&bare, wire, target, 0).await), "LOCKED");
    let retry = RetryWebhooksRequest {
        name: "none".to_owned(),
        which: Some(retry_webhooks_request::Which::All(true)),
    };
    let retry = with_token(retry, &bare.token);
    let refused = town.admin().retry_webhooks(retry).await;
    assert_eq!(Refusal::from(refused.unwrap_err()).reason, "LOCKED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_unlock_does_not_open_a_new_lock() {
    let mut town = Town::start().await;
    let carol = town.carol();
    let first_lock = town.lock_request(&carol, MAIL, 0);
    let held_back = town.lock_request(&carol, MAIL, 0);
    town.send_lock(&carol, first_lock.clone()).await.unwrap();
    let copied = town.unlock_request(&carol, MAIL, town.after(MAIL).await);
    town.send_unlock(&carol, copied.clone()).await.unwrap();
    for (case, again) in [("a copied lock", first_lock), ("one held back", held_back)] {
        let stale = town.send_lock(&carol, again).await.unwrap_err();
        let found = (stale.code, stale.reason.as_str());
        assert_eq!(found, (Code::FailedPrecondition, "ORDER_STALE"), "{case}");
    }
    assert!(
        town.pass(&town.sign_in("bob", Some(MAIL), "sre"))
            .await
            .is_ok()
    );

    town.lock(&carol, MAIL).await.unwrap();
    for _ in 0..2 {
        let size = town.events().await.len();
        let refused = town.send_unlock(&carol, copied.clone()).await;
        assert_eq!(reason(refused), "ORDER_STALE");
        let events = town.events().await;
        assert_eq!(events.len(), size + 1);
        assert_eq!(events[size]["reason"], "ORDER_STALE");
        let bob = town.sign_in("bob", Some(MAIL), "sre");
        assert_eq!(reason(town.pass(&bob).await), "LOCKED");
        town.restart().await;
    }

    // The same signature about something else, or with another place among the orders.
    let after = town.after(MAIL).await;
    let mut changed = copied.clone();
    changed.after = after;
    assert_eq!(
        reason(town.send_unlock(&carol, changed).await),
        "POSSESSION"
    );
    town.lock(&carol, "eve").await.unwrap();
    let mut other = town.unlock_request(&carol, MAIL, town.after("eve").await);
    other.target = identity("eve");
    assert_eq!(reason(town.send_unlock(&carol, other).await), "POSSESSION");
    town.unlock(&carol, MAIL).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_racing_administrators_follow_one_another() {
    let town = Arc::new(Town::start().await);
    let tasks = (0..4).map(|task| {
        let town = town.clone();
        tokio::spawn(async move {
            let admin = town.sign_in(&format!("admin{task}"), None, "security");
            let mut accepted = 0;
            for round in 0..12 {
                let outcome = match (round + task) % 2 {
                    0 => town.lock(&admin, MAIL).await.map(drop),
                    _ => town.unlock(&admin, MAIL).await.map(drop),
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
    let events = town.events().await;
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
    let town = Town::start().await;
    let carol = town.carol();
    let alice = town.sign_in("alice", None, "sre");
    let numbers = [LATEST + 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX];
    for number in numbers {
        let (wire, target) = (
            revoke_request::Target::Before(number),
            Target::Before(number),
        );
        let refused = town.revoke(&carol, wire, target, 0).await.unwrap_err();
        let found = (refused.code, refused.reason.as_str());
        assert_eq!(found, (Code::InvalidArgument, "ASK_MALFORMED"), "{number}");
        let before = preview_request::Target::Before(number);
        assert_eq!(reason(town.preview(&carol, before).await), "ASK_MALFORMED");
        let serial = preview_request::Target::Serial(number);
        assert_eq!(town.preview(&carol, serial).await.unwrap().passes, 0);
        let (wire, target) = (
            revoke_request::Target::Serial(number),
            Target::Serial(number),
        );
        let refused = town.revoke(&carol, wire, target, 0).await;
        assert_eq!(reason(refused), "NO_SUCH_PASS", "{number}");
        let after = town.lock_request(&carol, "eve", number);
        assert_eq!(reason(town.send_lock(&carol, after).await), "ORDER_STALE");

        let long = Ask {
            ttl_seconds: number,
            ..ask("shell")
        };
        let pass = town.issue(&alice, long).await.unwrap();
        assert!(pass.valid_before < LATEST, "{number}");
        let redeem = Ask {
            request: number,
            ..ask("shell")
        };
        let refused = town.issue(&alice, redeem).await.unwrap_err();
        assert!(refused.code != Code::Internal && refused.code != Code::Unknown);
        assert_others_answer(&town, &carol, number).await;
    }
    let (wire, target) = (
        revoke_request::Target::Before(LATEST),
        Target::Before(LATEST),
    );
    let all = town.revoke(&carol, wire, target, 0).await.unwrap();
    assert_eq!(all.serials.len(), numbers.len());
    assert!(town.pass(&alice).await.is_ok());
    let log = town.served.log();
    assert!(!log.contains("panick"), "{log}");
}

/// The calls that read, with a number as index, size and id.
async fn assert_others_answer(town: &Town, carol: &Session, number: u64) {
    let is_answer = |code: Code| !matches!(code, Code::Internal | Code::Unknown);
    let mut ledger = LedgerClient::new(town.door.channel());
    for newest_first in [false, true] {
        let list = ListRequest {
            from: number,
            limit: u32::MAX,
            newest_first,
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
    let status = town
        .admin()
        .retry_webhooks(with_token(retry, &carol.token))
        .await;
    assert_eq!(status.unwrap_err().code(), Code::NotFound);
    let get = with_token(GetRequest { id: number }, &carol.token);
    let mut requests = RequestsClient::new(town.door.channel());
    assert_eq!(requests.get(get).await.unwrap_err().code(), Code::NotFound);
}
