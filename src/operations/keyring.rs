//! The CA's keys on this server, in the states that the ledger gives them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ssh_key::PublicKey;

use crate::{
    ca::{self, Ca, KeyState},
    ledger::{event::CaKeyState, state::CaKeys},
    ssh::key::fingerprint,
    store::Store,
};

/// The keys of the configuration. Until the first order of an administrator they are in the
/// configuration's states, from then on in the ledger's.
#[derive(Debug)]
pub(super) struct KeyRing {
    own: Arc<Ca>,
    /// The index of the order, and the keys since then.
    current: ArcSwap<(u64, Arc<Ca>)>,
}

impl KeyRing {
    pub(super) fn new(own: Ca) -> Self {
        let own = Arc::new(own);
        Self {
            current: ArcSwap::from_pointee((0, own.clone())),
            own,
        }
    }

    /// The keys of the configuration.
    pub(super) fn own(&self) -> &Arc<Ca> {
        &self.own
    }

    /// The keys as the last order that this server knows left them.
    pub(super) fn current(&self, store: &Store) -> Arc<Ca> {
        #[cfg(feature = "deliberate-bugs")]
        if crate::deliberate::keeps_the_first_key() {
            return self.own.clone();
        }
        let current = self.current.load();
        let version = store.state(|state| state.ca_keys().version());
        if version == current.0 {
            return current.1.clone();
        }
        let (version, published) = store.state(|state| {
            let keys = state.ca_keys();
            (keys.version(), public_keys(keys))
        });
        match self.own.arranged(published) {
            Ok(ca) => {
                let ca = Arc::new(ca);
                if let Err(error) = ca.expect_key() {
                    tracing::error!(%error, "no pass is issued");
                }
                self.current.store(Arc::new((version, ca.clone())));
                look_for_key(ca.clone());
                ca
            }
            // Cannot happen: the ledger admits no such order. It admits no pass by a key that does
            // not sign, either.
            Err(error) => {
                tracing::error!(%error, "the CA keys of the ledger are unusable");
                self.own.clone()
            }
        }
    }

    /// Says which states of the configuration the ledger contradicts, and refuses to start without
    /// the key that signs, unless another key is here that is to replace it ([`has_successor`]):
    /// else a lost key could never be replaced.
    ///
    /// # Errors
    /// Returns [`ca::Error::Absent`].
    pub(super) fn expect_active(&self, store: &Store) -> Result<(), ca::Error> {
        let current = self.current(store);
        // One that another program keeps may answer later.
        if let Err(error @ ca::Error::Absent { .. }) = current.expect_key() {
            if !store.state(|state| has_successor(&self.own, state.ca_keys())) {
                return Err(error);
            }
            tracing::error!(
                %error,
                "no pass is issued. If the key is lost, activate another one (`daypass help server`: The active key is lost)"
            );
        }
        for contradiction in store.state(|state| contradictions(&self.own, state.ca_keys())) {
            tracing::warn!("{contradiction}");
        }
        Ok(())
    }
}

/// Whether a key of the configuration can take the place of the one that signs and is lost: the
/// ledger has it as staged or retiring, or does not know it and `daypass.toml` calls it active.
/// That is how an operator says that a new key is to replace a lost one; a key that is only added
/// is staged there, and the key that signs must be here besides.
pub(crate) fn has_successor(own: &Ca, ordered: &CaKeys) -> bool {
    let mut own = own.keys();
    own.any(|(key, configured)| {
        let known = ordered.get(&fingerprint(key)).map(|it| it.state);
        match known {
            Some(CaKeyState::Staged | CaKeyState::Retiring) => true,
            Some(CaKeyState::Active | CaKeyState::Retired) => false,
            None => configured == KeyState::Active,
        }
    })
}

/// The states of the configuration that the orders in the ledger contradict.
pub(crate) fn contradictions(own: &Ca, ordered: &CaKeys) -> Vec<String> {
    let contradiction = |(key, configured): (&PublicKey, KeyState)| {
        let key = fingerprint(key);
        let state = ordered.get(&key)?.state;
        let is_same = match configured {
            KeyState::Staged => state == CaKeyState::Staged,
            KeyState::Active => state == CaKeyState::Active,
            KeyState::Retired => matches!(state, CaKeyState::Retiring | CaKeyState::Retired),
        };
        (!is_same).then(|| {
            let configured = configured.as_str();
            format!(
                "daypass.toml says that the CA key {key} is {configured}, and by the administrators' orders in the ledger it is \
                 {state}: the orders count. Set its state in daypass.toml to match"
            )
        })
    };
    own.keys().filter_map(contradiction).collect()
}

/// Learns whether the key that signs now answers, so that no pass is recorded that it would not
/// sign: another server may have taken the order.
fn look_for_key(ca: Arc<Ca>) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move { ca.start().await });
    }
}

/// The keys that are published, by the ledger's orders.
pub(super) fn public_keys(keys: &CaKeys) -> Vec<(PublicKey, KeyState)> {
    let keys = keys.iter().filter_map(|it| {
        // The ledger admits only keys that read.
        let key = PublicKey::from_openssh(&it.key).ok()?;
        Some((key, published_as(it.state)?))
    });
    keys.collect()
}

/// The state in which hosts and users see a key; none if it is published no more.
pub(super) fn published_as(state: CaKeyState) -> Option<KeyState> {
    match state {
        CaKeyState::Staged => Some(KeyState::Staged),
        CaKeyState::Active => Some(KeyState::Active),
        CaKeyState::Retiring => Some(KeyState::Retired),
        CaKeyState::Retired => None,
    }
}
