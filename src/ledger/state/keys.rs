//! The CA's keys as the ledger names them. Pure.
//!
//! The active key opens a set, and the others follow it. So the last set is the one in force, and
//! servers that share a ledger agree on its version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::{Event, EventKind, event::CaKeyState};

/// The most keys of a set that are remembered. A larger set equals none.
const MOST: usize = 64;

/// The set of keys that was named last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Keys {
    /// The kind of the last event about each key.
    by_key: BTreeMap<String, Stage>,
    /// The index of the last event about a key.
    version: u64,
}

/// Stage of a key's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Staged,
    Active,
    Retired,
}

impl Keys {
    pub(super) fn apply(&mut self, event: &Event) {
        let Some((key, stage)) = named(&event.what) else {
            return;
        };
        if stage == Stage::Active {
            self.by_key.clear();
        }
        self.version = event.index;
        if self.by_key.len() <= MOST {
            self.by_key.insert(key.to_owned(), stage);
        }
    }

    /// The index of the last event about a key, if the last set of keys is exactly the one that
    /// these events name.
    pub(super) fn version_of(&self, set: &[EventKind]) -> Option<u64> {
        let named: BTreeMap<&str, Stage> = set.iter().filter_map(named).collect();
        let known = self.by_key.iter();
        let is_same = known.map(|(key, stage)| (key.as_str(), *stage)).eq(named);
        is_same.then_some(self.version)
    }

    /// The keys of the set, by fingerprint.
    pub(super) fn named(&self) -> impl Iterator<Item = (&str, CaKeyState)> {
        self.by_key.iter().map(|(key, stage)| {
            let state = match stage {
                Stage::Staged => CaKeyState::Staged,
                Stage::Active => CaKeyState::Active,
                Stage::Retired => CaKeyState::Retiring,
            };
            (key.as_str(), state)
        })
    }

    /// Whether these are the keys of the set, each once, but for `without` if that one is staged.
    pub(super) fn is_set(&self, named: &[(&str, CaKeyState)], without: Option<&str>) -> bool {
        let stages: BTreeMap<&str, CaKeyState> = named.iter().copied().collect();
        let is_left_out =
            |it: &(&str, CaKeyState)| it.1 == CaKeyState::Staged && Some(it.0) == without;
        let known = self.named().filter(|it| !is_left_out(it));
        let is_one = |it: &&CaKeyState| **it == CaKeyState::Active;
        let has_active = stages.values().filter(is_one).count() == 1;
        stages.len() == named.len() && has_active && known.eq(stages)
    }
}

fn named(what: &EventKind) -> Option<(&str, Stage)> {
    match what {
        EventKind::KeyStaged { key } => Some((key, Stage::Staged)),
        EventKind::KeyActivated { key } => Some((key, Stage::Active)),
        EventKind::KeyRetired { key } => Some((key, Stage::Retired)),
        EventKind::Started { .. }
        | EventKind::PolicyLoaded { .. }
        | EventKind::Issued(_)
        | EventKind::SigningFailed { .. }
        | EventKind::Denied { .. }
        | EventKind::Denials(_)
        | EventKind::Requested(_)
        | EventKind::Approved(_)
        | EventKind::Refused(_)
        | EventKind::Cancelled(_)
        | EventKind::Reviewed(_)
        | EventKind::Revoked(_)
        | EventKind::Locked(_)
        | EventKind::Unlocked(_)
        | EventKind::Skipped
        | EventKind::LedgerKeyChanged(_)
        | EventKind::HostAdded(_)
        | EventKind::HostJoined(_)
        | EventKind::HostRemoved(_)
        | EventKind::CaKeyOrdered(_)
        | EventKind::HostCertified(_)
        | EventKind::HostBehind(_)
        | EventKind::HostCurrent { .. }
        | EventKind::ForeignLogin(_) => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn set(keys: &[(&str, char)]) -> Vec<EventKind> {
        let event = |(key, stage): &(&str, char)| {
            let key = (*key).to_owned();
            match stage {
                'a' => EventKind::KeyActivated { key },
                's' => EventKind::KeyStaged { key },
                _ => EventKind::KeyRetired { key },
            }
        };
        keys.iter().map(event).collect()
    }

    fn after(sets: &[&[(&str, char)]]) -> Keys {
        let mut keys = Keys::default();
        let events = sets.iter().flat_map(|keys| set(keys));
        for (index, what) in (0..).zip(events) {
            keys.apply(&Event {
                index,
                at: OffsetDateTime::UNIX_EPOCH,
                what,
            });
        }
        keys
    }

    #[test]
    fn the_last_set_is_in_force_with_the_index_of_its_last_event() {
        let old = [("k1", 'a'), ("k2", 's')];
        let new = [("k2", 'a'), ("k1", 'r')];
        assert_eq!(after(&[&old]).version_of(&set(&old)), Some(1));
        let keys = after(&[&old, &new]);
        assert_eq!(keys.version_of(&set(&new)), Some(3));
        assert_eq!(keys.version_of(&set(&old)), None);
        // A key that was removed is in no later set.
        let keys = after(&[&old, &[("k1", 'a')]]);
        assert_eq!(keys.version_of(&set(&[("k1", 'a')])), Some(2));
        assert_eq!(keys.version_of(&set(&old)), None);
        assert_eq!(Keys::default().version_of(&set(&old)), None, "before any");
    }

    #[test]
    fn a_set_that_is_named_again_while_it_is_being_named_is_that_set() {
        let named = [("k1", 'a'), ("k2", 's')];
        let keys = after(&[&[("k1", 'a')], &[("k1", 'a')], &[("k2", 's'), ("k2", 's')]]);
        assert_eq!(keys.version_of(&set(&named)), Some(3));
    }

    #[test]
    fn a_flood_of_keys_is_not_remembered() {
        let names: Vec<String> = (0..10_000).map(|n| format!("k{n}")).collect();
        let flood: Vec<(&str, char)> = names.iter().map(|name| (name.as_str(), 's')).collect();
        let keys = after(&[&flood]);
        assert!(keys.by_key.len() <= MOST + 1);
        assert_eq!(keys.version_of(&set(&flood)), None);
        assert_eq!(keys.version, 9_999);
    }
}
