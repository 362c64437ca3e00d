//! What the operations work on: the keys, the policy in force and the ledger.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use time::OffsetDateTime;

use super::{documents, error::Error, requests};
use crate::{
    ca::{Ca, KeyState, draft::fingerprint},
    ledger::{Standing, What, bucket::Buckets},
    notify::Notifier,
    policy::Policy,
    store::Store,
};

/// All that the operations work on.
pub struct Authority {
    /// The name possession proofs are made for.
    pub server_name: String,
    /// The keys.
    pub ca: Ca,
    /// The policy in force.
    pub policy: ArcSwap<Policy>,
    /// The ledger and its only writer.
    pub store: Store,
    /// Held while the policy is replaced, from its record to its use.
    replacing: tokio::sync::Mutex<()>,
    /// What hosts fetched last.
    pub(super) published: documents::Published,
    /// Who is told of it.
    pub(super) notifier: Notifier,
    /// How many requests each identity has opened lately.
    pub(super) opened: Mutex<Buckets>,
}

impl Authority {
    /// Puts the parts to work: the ledger first learns the CA's keys and the policy.
    ///
    /// # Errors
    /// [`Error::Store`] where the ledger cannot be written.
    pub async fn start(
        server_name: String,
        ca: Ca,
        policy: Policy,
        store: Store,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let mut keys_version = 0;
        for (key, state) in ca.keys() {
            let event = key_event(fingerprint(key), state);
            keys_version = store.record(event, now).await?;
        }
        store.record(policy_event(&policy), now).await?;
        Ok(Self {
            server_name,
            ca,
            policy: ArcSwap::from_pointee(policy),
            store,
            replacing: tokio::sync::Mutex::new(()),
            published: documents::Published::new(keys_version),
            notifier: Notifier::default(),
            opened: Mutex::new(requests::opening_rate()),
        })
    }

    /// The same, with somebody to page before emergencies. Without it nobody is.
    #[must_use]
    pub fn notifying(self, notifier: Notifier) -> Self {
        Self { notifier, ..self }
    }

    /// Puts another policy in force, recorded first. Calls follow one another: the ledger's last policy is the one in force.
    ///
    /// # Errors
    /// [`Error::Store`] where the ledger cannot be written; the old policy then stays.
    pub async fn replace_policy(&self, policy: Policy, now: OffsetDateTime) -> Result<(), Error> {
        let _replacing = self.replacing.lock().await;
        self.store.record(policy_event(&policy), now).await?;
        self.policy.store(Arc::new(policy));
        Ok(())
    }

    /// Records the counts of denials whose window is over (`ledger::denials`). To be called every few seconds.
    ///
    /// # Errors
    /// [`Error::Store`] if the ledger cannot be written; the denials are counted on.
    pub async fn record_denials(&self, now: OffsetDateTime) -> Result<(), Error> {
        Ok(self.store.record_denials(now).await?)
    }

    /// Waits until the policy in use is the one that the ledger names. If the ledger has another
    /// although none is being replaced (its record came through, and the answer to it was lost),
    /// the one in use is recorded once more.
    pub(crate) async fn settle_policy(&self, now: OffsetDateTime) -> Result<(), Error> {
        let _replacing = self.replacing.lock().await;
        let policy = self.policy();
        let is_in_force = |standing: &Standing| standing.policy() == Some(policy.hash());
        if !self.store.standing(is_in_force) {
            self.store.record(policy_event(&policy), now).await?;
        }
        Ok(())
    }

    /// The policy in force now; one operation decides by one of them.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }
}

fn policy_event(policy: &Policy) -> What {
    What::PolicyLoaded {
        policy: policy.hash().to_owned(),
    }
}

fn key_event(key: String, state: KeyState) -> What {
    match state {
        KeyState::Staged => What::KeyStaged { key },
        KeyState::Active => What::KeyActivated { key },
        KeyState::Retired => What::KeyRetired { key },
    }
}
