//! State that the operations work on: the keys, the policy in force and the ledger.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use time::{Duration, OffsetDateTime};

use super::{documents::Published, error::Error};
use crate::{
    ca::{Ca, KeyState},
    ledger::{EventKind, LedgerState, bucket::Buckets},
    notify::Notifier,
    policy::Policy,
    ssh::key::fingerprint,
    store::Store,
};

/// Requests that one identity may open at once after a pause.
const OPENED_AT_ONCE: u32 = 64;

/// Time after which it may open one more. With the burst: 1,504 requests a day, and as many
/// cancellations.
const OPENED_EVERY: Duration = Duration::MINUTE;

/// Everything that the operations work on.
pub struct Authority {
    /// The name that possession proofs are made for.
    pub server_name: String,
    /// The CA's keys.
    pub ca: Ca,
    /// The policy in force.
    pub policy: ArcSwap<Policy>,
    /// The ledger and its only writer.
    pub store: Store,
    /// Held while the policy is replaced, from its record to its use.
    replacing: tokio::sync::Mutex<()>,
    /// Index of the last event that named the policy.
    policy_version: AtomicU64,
    /// Documents that were published last for hosts.
    pub(super) published: Published,
    /// The webhooks that are paged before emergencies.
    pub(super) notifier: Notifier,
    /// Number of requests that each identity has opened lately.
    opened: Arc<Mutex<Buckets>>,
}

/// Parts of an authority.
pub struct Parts {
    /// The name that possession proofs are made for.
    pub server_name: String,
    /// The CA's keys.
    pub ca: Ca,
    /// The first policy.
    pub policy: Policy,
    /// The ledger and its only writer.
    pub store: Store,
}

impl Authority {
    /// Starts to work with these parts: records the CA's keys and the policy.
    ///
    /// # Errors
    /// Returns [`Error::Store`] if the ledger cannot be written.
    pub async fn start(parts: Parts, now: OffsetDateTime) -> Result<Self, Error> {
        let Parts {
            server_name,
            ca,
            policy,
            store,
        } = parts;
        let mut keys_version = 0;
        for (key, state) in ca.keys() {
            let event = key_event(fingerprint(key), state);
            keys_version = store.record(event, now).await?;
        }
        let policy_version = store.record(policy_event(&store, &policy), now).await?;
        Ok(Self {
            server_name,
            ca,
            policy: ArcSwap::from_pointee(policy),
            store,
            replacing: tokio::sync::Mutex::new(()),
            policy_version: AtomicU64::new(policy_version),
            published: Published::new(keys_version),
            notifier: Notifier::default(),
            opened: Arc::new(Mutex::new(Buckets::new(OPENED_AT_ONCE, OPENED_EVERY))),
        })
    }

    /// The same authority, with webhooks to page before emergencies. Without them, a role that
    /// demands a page gives no emergency pass.
    #[must_use]
    pub(crate) fn notifying(self, notifier: Notifier) -> Self {
        Self { notifier, ..self }
    }

    /// Puts another policy in force. It is recorded first; calls wait for one another, so that the
    /// ledger's last policy is the one in force.
    ///
    /// # Errors
    /// Returns [`Error::Store`] if the ledger cannot be written. The old policy then stays.
    pub async fn replace_policy(&self, policy: Policy, now: OffsetDateTime) -> Result<(), Error> {
        let _replacing = self.replacing.lock().await;
        let event = policy_event(&self.store, &policy);
        let version = self.store.record(event, now).await?;
        self.policy.store(Arc::new(policy));
        self.policy_version.store(version, Ordering::Release);
        Ok(())
    }

    /// Records the counts of denials whose window is over (`ledger::denials`). The daemon calls it
    /// every few seconds.
    ///
    /// # Errors
    /// Returns [`Error::Store`] if the ledger cannot be written. The counts then go on.
    pub(crate) async fn record_denials(&self, now: OffsetDateTime) -> Result<(), Error> {
        Ok(self.store.record_denials(now).await?)
    }

    /// Waits until the policy in use is the one that the ledger names. If the ledger names another
    /// although no replacement is under way (the replacement was recorded and the answer to it was
    /// lost), records the policy in use once more.
    pub(super) async fn settle_policy(&self, now: OffsetDateTime) -> Result<(), Error> {
        let _replacing = self.replacing.lock().await;
        let policy = self.policy();
        let is_in_force = |state: &LedgerState| state.policy() == Some(policy.hash());
        if !self.store.state(is_in_force) {
            let event = policy_event(&self.store, &policy);
            self.store.record(event, now).await?;
        }
        Ok(())
    }

    /// The policy in force now. A decision uses one from its beginning to its end.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// The number of requests that each identity has opened lately. The ledger's writer counts.
    pub(super) fn opened(&self) -> Arc<Mutex<Buckets>> {
        Arc::clone(&self.opened)
    }

    /// The index of the event that named the policy in force.
    pub(super) fn policy_version(&self) -> u64 {
        self.policy_version.load(Ordering::Acquire)
    }
}

/// The event of the policy's load. It has the policy's text if another one was in force before.
fn policy_event(store: &Store, policy: &Policy) -> EventKind {
    let needs_text = store.state(|state| state.needs_policy_text(policy.hash()));
    EventKind::PolicyLoaded {
        policy: policy.hash().to_owned(),
        text: needs_text.then(|| policy.text().to_owned()),
    }
}

fn key_event(key: String, state: KeyState) -> EventKind {
    match state {
        KeyState::Staged => EventKind::KeyStaged { key },
        KeyState::Active => EventKind::KeyActivated { key },
        KeyState::Retired => EventKind::KeyRetired { key },
    }
}
