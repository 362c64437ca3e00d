//! What this CA does: one file per verb, each over a proven identity, an ask and the time.
//!
//! Start with [`issuance`]: the main job. Everything here is reached through [`Authority`]; what wire or command line asked is
//! unknown to it.

pub mod admin;
pub mod audit;
pub mod issuance;
mod jump;
pub mod page;
pub mod published;
mod record;
pub mod requests;
pub mod roles;
pub mod trust;
pub mod webhooks;

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use time::OffsetDateTime;

use crate::{
    ca::{self, Ca, KeyState, draft::fingerprint},
    ledger::{
        Standing, What,
        bucket::Buckets,
        standing::{Objection, Rule},
    },
    notify::Notifier,
    policy::{Denial, Policy},
    ssh::{key, krl},
    store::{self, Store},
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
    published: published::Published,
    /// Who is told of it.
    notifier: Notifier,
    /// How many requests each identity has opened lately.
    opened: Mutex<Buckets>,
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
            published: published::Published::new(keys_version),
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

/// By what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Ask for something else, or meet what the denial says.
    #[error("denied: {}", .0.detail)]
    Denied(Denial),
    /// Ask whoever keeps the policy: its `[audit]` does not let this identity read the ledger.
    #[error("the policy does not let you read the ledger")]
    AuditDenied,
    /// Ask whoever keeps the policy: its `[admin]` does not name this identity.
    #[error("the policy does not let you administer this server")]
    AdminDenied,
    /// Sign in with another key.
    #[error("subject key is refused: {0}")]
    SubjectKey(key::Refusal),
    /// Mend the ask.
    #[error("{0}")]
    Invalid(String),
    /// Do what the objection says: what stands in the ledger is against it.
    #[error("refused: {0}")]
    Objection(Objection),
    /// Look elsewhere: there is no such entry.
    #[error("{0}")]
    NotFound(String),
    /// Try again later: the ledger cannot be written or read.
    #[error("store: {0}")]
    Store(#[source] store::Error),
    /// Try again later, or call somebody: the role demands a page before an emergency, and nobody acknowledged it.
    #[error("page: {0}")]
    PageFailed(String),
    /// Try again later: the CA did not make the pass.
    #[error("ca: {0}")]
    Ca(#[source] ca::Error),
    /// Nothing to mend: the list of revoked passes does not read back, and is not published.
    #[error(transparent)]
    Krl(#[from] krl::Error),
}

impl Error {
    /// Whether it was decided by a policy that was replaced before the decision was recorded:
    /// nothing was recorded, and it can be decided again.
    fn is_policy_changed(&self) -> bool {
        matches!(self, Self::Objection(objection) if objection.rule == Rule::PolicyChanged)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Range { .. } => Self::NotFound(error.to_string()),
            store::Error::Objection(objection) => Self::Objection(objection),
            unavailable => Self::Store(unavailable),
        }
    }
}

#[cfg(test)]
mod tests;
