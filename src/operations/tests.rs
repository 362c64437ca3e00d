//! The operations over a real store, a real policy and real keys. Only the identity is a fixture.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;
use sha2::{Digest, Sha256};
use ssh_key::{Algorithm, PublicKey};
use tempfile::TempDir;
use time::OffsetDateTime;

use super::{
    attempt::Attempt,
    authority::Parts,
    issuance::{Issuance, IssuedPass, Outcome},
    *,
};
use crate::{
    ca::{self, Ca, KeyState, key::Key},
    identity::{Identity, KeyHolder},
    ledger::{Event, EventKind, checkpoint::Signer},
    policy::{Ask, Context, Policy, Reason},
    ssh::key::fingerprint,
    store::Store,
};

mod ca_keys;
mod hosts;
mod policies;
mod reading;

const POLICY: &str = r#"
[limits]
ttl = "8h"
principals = ["alice", "root"]

[audit]
allow = '"security" in claims.groups'

[[role]]
name = "shell"
about = "A shell"
allow = '"sre" in claims.groups'
principals = ["alice"]
pty = true
ttl = "1h"

[[role]]
name = "logs"
about = "Logs of one unit"
allow = '"oncall" in claims.groups'
principals = ["alice"]
command = ["/bin/echo", "logs of", "{unit}"]
params.unit = { pattern = "[a-z][a-z0-9@._-]{0,63}" }
source = "caller"
ttl = "30m"
"#;

struct World {
    authority: Authority,
    // Goes last: the store's files are in it.
    folder: TempDir,
}

impl World {
    async fn new() -> Self {
        Self::with_key(Key::sample(Algorithm::Ed25519)).await
    }

    async fn with_key(key: Key) -> Self {
        Self::start(tempfile::tempdir().unwrap(), key, now()).await
    }

    /// A server over the ledger in `folder`, started at `at`.
    async fn start(folder: TempDir, key: Key, at: OffsetDateTime) -> Self {
        let signer = Signer::new("ca.example.com/ledger", &[1; 32]).unwrap();
        let started = EventKind::started("test", "ca.example.com");
        let store = Store::open(folder.path(), signer, started, at)
            .await
            .unwrap();
        let ca = Ca::new(vec![(key, KeyState::Active)]).unwrap();
        let parts = Parts {
            server_name: "ca.example.com".to_owned(),
            ca,
            policy: policy(POLICY),
            store,
            is_new_policy: true,
        };
        let authority = Authority::start(parts, at).await.unwrap();
        Self { authority, folder }
    }

    async fn events(&self) -> Vec<Event> {
        let entries = self.authority.store.entries(0, 1000).await.unwrap();
        entries
            .iter()
            .map(|(_, leaf)| Event::parse(leaf).unwrap())
            .collect()
    }

    /// Events that `action` left in the ledger.
    async fn added<T>(&self, action: impl Future<Output = T>) -> (T, Vec<EventKind>) {
        let before = self.events().await.len();
        let result = action.await;
        let added = self.events().await.into_iter().skip(before);
        (result, added.map(|event| event.what).collect())
    }

    async fn issue(&self, holder: &KeyHolder, ask: &Ask) -> Result<IssuedPass, Error> {
        let issuance = Issuance::new(&self.authority, holder, ask, context());
        match issuance.issue([3; 32]).await? {
            Outcome::Pass(pass) => Ok(*pass),
            Outcome::Pending(view) => panic!("no pass, but request {}", view.request.id),
        }
    }
}

fn policy(text: &str) -> Policy {
    Policy::parse(text, "policy.toml").unwrap()
}

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn context() -> Context {
    Context {
        now: now(),
        caller: Some([192, 0, 2, 7].into()),
    }
}

fn identity(groups: &[&str]) -> Identity {
    Identity::sample(json!({ "sub": "alice", "groups": groups }))
}

fn alice() -> KeyHolder {
    KeyHolder::sample(identity(&["sre", "oncall"]), &subject_key())
}

fn subject_key() -> PublicKey {
    Key::sample(Algorithm::Ed25519).public().clone()
}

fn ask(role: &str) -> Ask {
    Ask {
        role: role.to_owned(),
        ..Ask::default()
    }
}

fn logs(unit: &str) -> Ask {
    Ask {
        params: BTreeMap::from([("unit".to_owned(), unit.to_owned())]),
        ..ask("logs")
    }
}

#[tokio::test]
async fn a_pass_is_one_event_and_its_serial_is_the_events_index() {
    let world = World::new().await;
    let (pass, added) = world.added(world.issue(&alice(), &logs("nginx"))).await;
    let pass = pass.unwrap();
    let events = world.events().await;
    let index = events.last().unwrap().index;
    assert_eq!(pass.certificate.serial(), index);
    let [EventKind::Issued(issued)] = &added[..] else {
        panic!("{added:?}")
    };
    assert_eq!(issued.key_id, pass.certificate.key_id());
    assert_eq!(issued.key_id, "alice/logs");
    assert_eq!(issued.permissions, *pass.grant.permissions());
    assert_eq!(issued.permissions.principals, ["alice".to_owned()].into());
    assert_eq!(
        issued.permissions.source_addresses,
        Some(["192.0.2.7/32".parse().unwrap()].into())
    );
    assert_eq!(issued.valid_after.get(), pass.certificate.valid_after());
    assert_eq!(issued.valid_before.get(), pass.certificate.valid_before());
    assert_eq!(issued.ca, fingerprint(world.authority.ca().active()));
    assert_eq!(issued.policy, world.authority.policy().hash());
    assert_eq!(issued.ask.caller.as_deref(), Some("192.0.2.7"));
    assert_eq!(issued.who.subject, "alice");
}

#[tokio::test]
async fn the_event_holds_the_hash_of_the_bytes_that_were_signed() {
    let world = World::new().await;
    let (pass, added) = world.added(world.issue(&alice(), &ask("shell"))).await;
    let certificate = pass.unwrap().certificate;
    let mut bytes = certificate.to_bytes().unwrap();
    let signature = Vec::<u8>::try_from(certificate.signature().clone()).unwrap();
    bytes.truncate(bytes.len() - signature.len() - 4);
    let hash = base16ct::lower::encode_string(&Sha256::digest(&bytes));
    let [EventKind::Issued(issued)] = &added[..] else {
        panic!("{added:?}")
    };
    assert_eq!(issued.to_be_signed, hash);
}

#[tokio::test]
async fn a_denial_is_one_event_and_no_pass() {
    let world = World::new().await;
    let mallory = KeyHolder::sample(identity(&[]), &subject_key());
    let cases = [
        ("unknown role", alice(), ask("root"), Reason::UnknownRole),
        (
            "not in the group",
            mallory,
            ask("shell"),
            Reason::NotAllowed,
        ),
        (
            "injected parameter",
            alice(),
            logs("nginx; reboot"),
            Reason::Parameter,
        ),
        ("missing parameter", alice(), ask("logs"), Reason::Parameter),
    ];
    for (case, holder, ask, expected) in cases {
        let (result, added) = world.added(world.issue(&holder, &ask)).await;
        let Err(Error::Denied(denial)) = result else {
            panic!("{case}: {result:?}")
        };
        assert_eq!(denial.reason, expected, "{case}");
        let [EventKind::Denied { reason, key, .. }] = &added[..] else {
            panic!("{case}: {added:?}")
        };
        assert_eq!(reason, expected.code(), "{case}");
        assert_eq!(key.as_deref(), Some(&*fingerprint(holder.key())), "{case}");
    }
}

#[tokio::test]
async fn the_linter_accepts_every_grant_however_loose_its_pattern() {
    let world = World::new().await;
    let anything = POLICY.replace("[a-z][a-z0-9@._-]{0,63}", "(?s).*");
    let replaced = world.authority.replace_policy(policy(&anything), now());
    replaced.await.unwrap();
    for unit in [
        "",
        "a'b\"c",
        "$(id)",
        "\u{e9}\u{2028}\u{202e}",
        "\u{10ffff}",
        &"'".repeat(1024),
    ] {
        let issued = world.issue(&alice(), &logs(unit)).await;
        assert!(issued.is_ok(), "{unit:?}: {issued:?}");
    }
    for unit in ["a\nb", "\r", "\0", "\t", "\u{1b}[2J", "\u{85}"] {
        let denied = world.issue(&alice(), &logs(unit)).await;
        let Err(Error::Denied(denial)) = denied else {
            panic!("{unit:?}: {denied:?}")
        };
        assert_eq!(denial.reason, Reason::Parameter, "{unit:?}");
    }
}

#[tokio::test]
async fn the_cas_own_key_gets_no_pass_and_leaves_one_event() {
    let world = World::new().await;
    let holder = KeyHolder::sample(identity(&["sre"]), world.authority.ca().active());
    let (result, added) = world.added(world.issue(&holder, &ask("shell"))).await;
    assert!(matches!(result, Err(Error::SubjectKey(_))), "{result:?}");
    let [EventKind::Denied { reason, .. }] = &added[..] else {
        panic!("{added:?}")
    };
    assert_eq!(reason, "SUBJECT_KEY");
}

#[tokio::test]
async fn a_key_that_answers_with_anothers_signature_makes_no_pass_and_the_ledger_says_so() {
    let broken = Key::sample(Algorithm::Ed25519).answering_with(Key::sample(Algorithm::Ed25519));
    let world = World::with_key(broken).await;
    let (result, added) = world.added(world.issue(&alice(), &ask("shell"))).await;
    assert!(
        matches!(result, Err(Error::Ca(ca::Error::Signature))),
        "{result:?}"
    );
    let [
        EventKind::Issued(_),
        EventKind::SigningFailed { serial, .. },
    ] = &added[..]
    else {
        panic!("{added:?}")
    };
    assert_eq!(*serial + 1, world.events().await.last().unwrap().index);
}

#[tokio::test]
async fn a_store_that_cannot_commit_makes_no_pass() {
    let world = World::new().await;
    world.authority.store.close().await;
    let result = world.issue(&alice(), &ask("shell")).await;
    assert!(matches!(result, Err(Error::Store(_))), "{result:?}");
    let denied = world.issue(&alice(), &ask("none")).await;
    assert!(matches!(denied, Err(Error::Store(_))), "{denied:?}");
}

#[tokio::test]
async fn many_at_once_get_a_serial_each() {
    let world = World::new().await;
    let world = Arc::new(world);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.issue(&alice(), &ask("shell")).await.unwrap() })
        })
        .collect();
    let mut serials = std::collections::BTreeSet::new();
    for task in tasks {
        assert!(serials.insert(task.await.unwrap().certificate.serial()));
    }
    assert!(!serials.contains(&0));
    let issued = world
        .events()
        .await
        .into_iter()
        .filter_map(|event| match event.what {
            EventKind::Issued(_) => Some(event.index),
            _ => None,
        });
    assert_eq!(serials, issued.collect());
}

#[tokio::test]
async fn what_was_refused_before_the_policy_is_one_event() {
    let world = World::new().await;
    let identity = identity(&["sre"]);
    let long = logs(&"x".repeat(60_000));
    let attempt = Attempt {
        by: None,
        identity: &identity,
        key: None,
        ask: &long,
        context: context(),
    };
    let problem = "an RSA key has 3072 to 8192 bits";
    let refused = attempt.refuse(&world.authority, "SUBJECT_KEY", problem);
    let (result, added) = world.added(refused).await;
    result.unwrap();
    let [
        EventKind::Denied {
            reason, ask, key, ..
        },
    ] = &added[..]
    else {
        panic!("{added:?}")
    };
    assert_eq!((&**reason, key), ("SUBJECT_KEY", &None));
    assert!(ask.params.values().all(|value| value.len() < 2000));
}

#[tokio::test]
async fn a_new_policy_is_recorded_before_it_is_in_force() {
    let world = World::new().await;
    let other = POLICY.replace("\"sre\" in", "\"no one\" in");
    let hash = policy(&other).hash().to_owned();
    let replaced = world.authority.replace_policy(policy(&other), now());
    let (result, added) = world.added(replaced).await;
    result.unwrap();
    assert_eq!(
        added,
        [EventKind::PolicyLoaded {
            policy: hash.clone(),
            text: Some(world.authority.policy().text().to_owned()),
        }]
    );
    assert_eq!(world.authority.policy().hash(), hash);
    let denied = world.issue(&alice(), &ask("shell")).await;
    assert!(matches!(denied, Err(Error::Denied(_))), "{denied:?}");

    world.authority.store.close().await;
    let failed = world.authority.replace_policy(policy(POLICY), now()).await;
    assert!(matches!(failed, Err(Error::Store(_))), "{failed:?}");
    assert_eq!(world.authority.policy().hash(), hash, "the old one stays");
}

#[tokio::test]
async fn the_ledger_names_keys_and_policy_from_the_start() {
    let world = World::new().await;
    let key = fingerprint(world.authority.ca().active());
    let policy = world.authority.policy().hash().to_owned();
    let events: Vec<EventKind> = world
        .events()
        .await
        .into_iter()
        .map(|event| event.what)
        .collect();
    let [EventKind::Started { .. }, rest @ ..] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        rest,
        [
            EventKind::KeyActivated { key },
            EventKind::PolicyLoaded {
                policy,
                text: Some(POLICY.to_owned())
            }
        ]
    );
}
