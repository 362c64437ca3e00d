//! The table of the CA's keys by administrators' orders. Pure.

use serde::{Deserialize, Serialize};

use crate::{
    ledger::event::{CaKeyOrdered, CaKeyState, CaKeyStep, ca_key_fingerprint},
    unix_seconds::UnixSeconds,
};

/// The most retired keys that are remembered. The oldest is forgotten first.
const MOST_RETIRED: usize = 64;

/// A key of the CA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CaKeyRecord {
    /// The public key in OpenSSH form, without comment.
    pub key: String,
    /// Its fingerprint (`SHA256:...`).
    pub fingerprint: String,
    /// Its state.
    pub state: CaKeyState,
    /// When it came into this state; 0 if that was before the first order.
    pub since: UnixSeconds,
}

/// The CA's keys as orders have left them. Empty before the first order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CaKeys {
    /// In the order in which they came.
    pub(super) keys: Vec<CaKeyRecord>,
    /// The index of the last order; 0 before the first.
    pub(super) version: u64,
}

impl CaKeys {
    /// Whether orders decide, and no configuration does.
    pub(crate) fn is_ordered(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The index of the last order; 0 before the first.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Every key, those that are no longer published among them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &CaKeyRecord> {
        self.keys.iter()
    }

    /// The key that signs; none before the first order.
    pub(crate) fn active(&self) -> Option<&CaKeyRecord> {
        self.keys.iter().find(|it| it.state == CaKeyState::Active)
    }

    /// The key with this fingerprint.
    pub(crate) fn get(&self, fingerprint: &str) -> Option<&CaKeyRecord> {
        self.keys.iter().find(|it| it.fingerprint == fingerprint)
    }

    pub(super) fn published(&self) -> usize {
        let is_published = |it: &&CaKeyRecord| it.state != CaKeyState::Retired;
        self.keys.iter().filter(is_published).count()
    }

    pub(crate) fn apply(&mut self, index: u64, since: UnixSeconds, ordered: &CaKeyOrdered) {
        let records = ordered
            .from
            .iter()
            .filter_map(|it| record(&it.key, it.state, UnixSeconds::default()));
        self.keys.extend(records);
        self.version = index;
        let Some(fingerprint) = ca_key_fingerprint(&ordered.key) else {
            return;
        };
        match ordered.step {
            CaKeyStep::Stage => {
                self.keys
                    .extend(record(&ordered.key, CaKeyState::Staged, since));
            }
            CaKeyStep::Activate => {
                let before = self.active().map(|it| it.fingerprint.clone());
                self.put(before.as_deref(), CaKeyState::Retiring, since);
                self.put(Some(&fingerprint), CaKeyState::Active, since);
            }
            CaKeyStep::Retire => {
                self.put(Some(&fingerprint), CaKeyState::Retired, since);
                self.forget_retired();
            }
        }
    }

    fn put(&mut self, fingerprint: Option<&str>, state: CaKeyState, since: UnixSeconds) {
        let mut keys = self.keys.iter_mut();
        if let Some(key) = keys.find(|it| Some(&*it.fingerprint) == fingerprint) {
            (key.state, key.since) = (state, since);
        }
    }

    fn forget_retired(&mut self) {
        let is_retired = |it: &CaKeyRecord| it.state == CaKeyState::Retired;
        let count = self.keys.iter().filter(|it| is_retired(it)).count();
        if count > MOST_RETIRED
            && let Some(first) = self.keys.iter().position(is_retired)
        {
            self.keys.remove(first);
        }
    }
}

pub(super) fn record(key: &str, state: CaKeyState, since: UnixSeconds) -> Option<CaKeyRecord> {
    Some(CaKeyRecord {
        key: key.to_owned(),
        fingerprint: ca_key_fingerprint(key)?,
        state,
        since,
    })
}
