//! The handovers of the ledger's key. Pure.

use serde::{Deserialize, Serialize};

use super::{Rejection, Rule};
use crate::ledger::{
    Event,
    event::LedgerKeyChanged,
    handover::{Handover, expect_next},
};

/// The handovers, in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LedgerKeys(pub(super) Vec<Handover>);

impl LedgerKeys {
    pub(super) fn apply(&mut self, changed: &LedgerKeyChanged) {
        self.0.push(changed.handover.clone());
    }

    /// Checks that a handover may come next: it is signed for this place, starts at the present
    /// key, and leads to one that the ledger never had.
    pub(super) fn admit(&self, event: &Event, changed: &LedgerKeyChanged) -> Result<(), Rejection> {
        let refuse = |why: String| Rejection::new(Rule::LedgerKey, why);
        if changed.handover.size != event.index {
            let at = changed.handover.size;
            return Err(refuse(format!("the handover is signed for entry {at}")));
        }
        expect_next(&self.0, &changed.handover).map_err(|fault| refuse(fault.to_string()))
    }
}
