//! State that the operations work on: the keys, the policy in force and the ledger.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use time::{Duration, OffsetDateTime};

use super::{documents::Published, error::Error, host_authority::HostAuthority, keyring::KeyRing};
use crate::{
    ca::{Ca, KeyState},
    ledger::{
        EventKind, LedgerState,
        bucket::Buckets,
        state::{Rejection, Rule},
    },
    notify::Notifier,
    policy::Policy,
    ssh::key::fingerprint,
    store::{self, Store},
};

/// Requests that one identity may open at once after a pause. Each server counts for itself: over
/// N servers of one ledger, N times as many.
const OPENED_AT_ONCE: u32 = 64;

/// Time after which it may open one more. With the burst: 1,504 requests a day, and as many
/// cancellations.
const OPENED_EVERY: Duration = Duration::MINUTE;

/// Everything that the operations work on.
pub struct Authority {
    /// The name that possession proofs are made for.
    pub server_name: String,
    /// The CA's keys on this server.
    keys: KeyRing,
    /// The policy in force.
    pub policy: ArcSwap<Policy>,
    /// The ledger and its only writer.
    pub store: Store,
    /// Held while the policy is replaced, from its record to its use. Has the policy whose record
    /// failed last: the ledger may name it.
    replacing: tokio::sync::Mutex<Option<Policy>>,
    /// Index of the last event that named the policy, while the ledger names another one.
    policy_version: AtomicU64,
    /// Documents that were published last for hosts.
    pub(super) published: Published,
    /// The webhooks that are paged before emergencies.
    pub(super) notifier: Notifier,
    /// The part that knows hosts, if this server does.
    pub(super) hosts: Option<Arc<HostAuthority>>,
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
    /// Whether an operator has changed the policy since this server used it last. Another server
    /// may have replaced an unchanged one in the ledger that they share.
    pub is_new_policy: bool,
}

impl Authority {
    /// Starts to work with these parts: records the CA's keys and the policy. In a ledger that
    /// other servers share, records them only if it names others.
    ///
    /// # Errors
    /// Returns [`Error::Store`] if the ledger cannot be written, and [`Error::KeyAway`] if by the
    /// ledger a CA key signs that this server lacks.
    pub async fn start(parts: Parts, now: OffsetDateTime) -> Result<Self, Error> {
        let Parts {
            server_name,
            ca,
            policy,
            store,
            is_new_policy,
        } = parts;
        let keys: Vec<_> = ca
            .keys()
            .map(|(key, state)| key_event(fingerprint(key), state))
            .collect();
        let ring = KeyRing::new(ca);
        store.follow().await?;
        ring.expect_active(&store)?;
        let keys_version = record_keys(&store, &keys, now).await?;
        let has_other = store.state(|state| state.policy().is_some_and(|it| it != policy.hash()));
        let policy_version = match store.is_shared() && has_other && !is_new_policy {
            true => 0,
            false => record_policy(&store, &policy, now).await?,
        };
        Ok(Self {
            server_name,
            keys: ring,
            policy: ArcSwap::from_pointee(policy),
            store,
            replacing: tokio::sync::Mutex::new(None),
            policy_version: AtomicU64::new(policy_version),
            published: Published::new(keys, keys_version),
            notifier: Notifier::default(),
            hosts: None,
            opened: Arc::new(Mutex::new(Buckets::new(OPENED_AT_ONCE, OPENED_EVERY))),
        })
    }

    /// The CA's keys as administrators' orders have left them, as far as this server knows; as its
    /// configuration has them before the first order.
    pub fn ca(&self) -> Arc<Ca> {
        self.keys.current(&self.store)
    }

    /// Asks whether the keys that sign now, that of passes and that of host certificates, are still
    /// there: to be called each second, so that a lost one is known before a pass is recorded.
    pub(crate) async fn look_at_keys(&self) {
        let ca = self.ca();
        let of_hosts = async {
            if let Some(hosts) = &self.hosts {
                hosts.ca().look().await;
            }
        };
        tokio::join!(ca.look(), of_hosts);
    }

    /// The keys of this server's configuration.
    pub(super) fn own_keys(&self) -> &Ca {
        self.keys.own()
    }

    /// The same authority, with webhooks to page before emergencies. Without them, a role that
    /// demands a page gives no emergency pass.
    #[must_use]
    pub(crate) fn notifying(self, notifier: Notifier) -> Self {
        Self { notifier, ..self }
    }

    /// The same authority, which knows hosts.
    #[must_use]
    pub fn knowing_hosts(self, hosts: Option<HostAuthority>) -> Self {
        let hosts = hosts.map(Arc::new);
        Self { hosts, ..self }
    }

    /// Puts another policy in force. It is recorded first; calls wait for one another, so that the
    /// ledger's last policy is the one in force.
    ///
    /// # Errors
    /// Returns [`Error::Store`] if the ledger cannot be written. The old policy then stays.
    pub async fn replace_policy(&self, policy: Policy, now: OffsetDateTime) -> Result<(), Error> {
        let mut lost = self.replacing.lock().await;
        match record_policy(&self.store, &policy, now).await {
            Ok(version) => {
                *lost = None;
                self.policy.store(Arc::new(policy));
                self.policy_version.store(version, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                *lost = Some(policy);
                Err(error)
            }
        }
    }

    /// Uses the policy if it is the one that the ledger names: another server of the ledger has
    /// recorded it. Returns false if it is another one.
    pub(crate) async fn adopt_policy(&self, policy: Policy) -> bool {
        let _replacing = self.replacing.lock().await;
        let is_in_force = |state: &LedgerState| state.policy() == Some(policy.hash());
        let is_in_force = self.store.state(is_in_force);
        if is_in_force {
            self.policy.store(Arc::new(policy));
        }
        is_in_force
    }

    /// The hash of the policy that another server of this ledger put in force, if this server uses
    /// another one. The ledger takes no decision of this server then.
    pub(crate) fn policy_elsewhere(&self) -> Option<String> {
        self.other_policy().filter(|_| self.store.is_shared())
    }

    /// Whether another server of this ledger has named other CA keys since this one did, and no
    /// administrator's order decides: the lists that the two publish differ, and a host takes the
    /// newer one only. While an operator changes the keys of one server after the other, they
    /// differ for that long.
    pub(crate) fn has_keys_elsewhere(&self) -> bool {
        let is_other =
            |state: &LedgerState| state.ca_keys().version() == 0 && !self.published.is_named(state);
        self.store.is_shared() && self.store.state(is_other)
    }

    /// The hash of the policy that the ledger names, if this server uses another one.
    fn other_policy(&self) -> Option<String> {
        let policy = self.policy();
        let current = |state: &LedgerState| state.policy().map(str::to_owned);
        self.store.state(current).filter(|it| it != policy.hash())
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
    ///
    /// A ledger that other servers share is not contradicted: two of them would take turns. The
    /// lost replacement is used if it is the one that the ledger names.
    ///
    /// # Errors
    /// Returns [`Error::Rejection`] if another server has put another policy in force.
    pub(super) async fn settle_policy(&self, now: OffsetDateTime) -> Result<(), Error> {
        let mut lost = self.replacing.lock().await;
        let Some(current) = self.other_policy() else {
            return Ok(());
        };
        if !self.store.is_shared() {
            record_policy(&self.store, &self.policy(), now).await?;
            return Ok(());
        }
        match lost.take_if(|lost| lost.hash() == current) {
            Some(policy) => {
                self.policy.store(Arc::new(policy));
                Ok(())
            }
            None => Err(Error::Rejection(Rejection::policy_elsewhere())),
        }
    }

    /// The policy in force now. A decision uses one from its beginning to its end.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// The number of requests that each identity has opened lately. The ledger's writer counts.
    pub(super) fn opened(&self) -> Arc<Mutex<Buckets>> {
        Arc::clone(&self.opened)
    }

    /// The index of the event that named the policy in force: the same on every server of this
    /// ledger.
    pub(super) fn policy_version(&self) -> u64 {
        let policy = self.policy();
        let in_force = self.store.state(|state| {
            let is_in_force = state.policy() == Some(policy.hash());
            is_in_force.then(|| state.policy_version())
        });
        if let Some(version) = in_force {
            self.policy_version.store(version, Ordering::Release);
        }
        self.policy_version.load(Ordering::Acquire)
    }

    /// The index of the event that named the CA's keys, or of the last order about them: the same
    /// on every server of this ledger.
    pub(super) fn keys_version(&self) -> u64 {
        self.store.state(|state| match state.ca_keys().version() {
            0 => self.published.keys_version(state),
            ordered => ordered,
        })
    }
}

/// Names the keys in the ledger, unless servers share it and it names exactly these, or
/// administrators' orders do. Returns the index of the last event about a key.
async fn record_keys(store: &Store, keys: &[EventKind], now: OffsetDateTime) -> Result<u64, Error> {
    let ordered = |state: &LedgerState| state.ca_keys().version();
    let known = store.state(|state| state.keys_version(keys));
    if let Some(version) = known.filter(|_| store.is_shared()) {
        return Ok(version);
    }
    let mut version = store.state(ordered);
    if version > 0 {
        return Ok(version);
    }
    if store.is_shared() && store.state(|state| state.named_ca_keys().next().is_some()) {
        tracing::warn!(
            "the ledger named other CA keys until now. Give each server of this ledger the same keys, and restart it: a \
             host takes the newest server's list only"
        );
    }
    for key in keys {
        version = match store.record(key.clone(), now).await {
            // Another server has recorded the first order just now.
            Err(store::Error::Rejection(it)) if it.rule == Rule::CaKeyState => {
                return Ok(store.state(ordered));
            }
            recorded => recorded?,
        };
    }
    Ok(version)
}

/// Names the policy in the ledger, unless servers share it and it names this one. Its text goes
/// with it if another one was in force before. Returns the index of the event that names it.
async fn record_policy(store: &Store, policy: &Policy, now: OffsetDateTime) -> Result<u64, Error> {
    let (hash, text) = (policy.hash().to_owned(), policy.text().to_owned());
    let is_shared = store.is_shared();
    let compose = move |state: &LedgerState| {
        let needs_text = state.needs_policy_text(&hash);
        if is_shared && !needs_text {
            return Err(Rejection::policy_changed());
        }
        Ok(EventKind::PolicyLoaded {
            policy: hash,
            text: needs_text.then_some(text),
        })
    };
    match store.compose(compose, now).await {
        Ok(event) => Ok(event.index),
        Err(store::Error::Rejection(_)) => Ok(store.state(LedgerState::policy_version)),
        Err(error) => Err(error.into()),
    }
}

fn key_event(key: String, state: KeyState) -> EventKind {
    match state {
        KeyState::Staged => EventKind::KeyStaged { key },
        KeyState::Active => EventKind::KeyActivated { key },
        KeyState::Retired => EventKind::KeyRetired { key },
    }
}
