//! The last administrator's order about each target. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::event::Target;

/// For each target, one more than the index of the last order about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Orders(pub(super) BTreeMap<Target, u64>);

impl Orders {
    pub(super) fn apply(&mut self, target: &Target, index: u64) {
        self.0.insert(target.chain(), index.saturating_add(1));
    }
}
