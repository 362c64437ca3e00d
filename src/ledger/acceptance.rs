//! An administrator's signed statement that a ledger restored from a backup goes on. Pure.
//!
//! Clients check it before they give up the checkpoint that they remember: they can no longer prove
//! that the ledger contains it.

use super::{
    Event, EventKind,
    event::{Actor, RevokeTarget},
};
use crate::unix_seconds::UnixSeconds;

/// A statement whose signature is valid.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Acceptance {
    /// The administrator, as the ledger names them.
    pub who: Actor,
    /// Fingerprint of the key that signed.
    pub key: String,
    /// The administrator's reason.
    pub reason: String,
    /// Time of the statement.
    pub at: UnixSeconds,
    /// The size up to which the lost ledger may have been known. The ledger goes on from it.
    pub through: u64,
}

impl Acceptance {
    /// Reads the statement for `server` from the leaf at `index`, and verifies its signature.
    ///
    /// # Errors
    /// Returns the fault, as a sentence about the event.
    pub(crate) fn verify(index: u64, leaf: &[u8], server: &str) -> Result<Self, String> {
        let event = Event::parse(leaf).map_err(|error| error.to_string())?;
        if event.index != index {
            return Err(format!("it is event {} and not {index}", event.index));
        }
        if let Some(order) = event.what.order() {
            order.check(server)?;
        }
        let at = UnixSeconds::from(event.at);
        let EventKind::Revoked(revoked) = event.what else {
            return Err("it is no administrator's order".to_owned());
        };
        let RevokeTarget::Through(through) = revoked.target else {
            return Err("it accepts no restored ledger".to_owned());
        };
        let proof = revoked.proof.as_ref();
        Ok(Self {
            key: proof
                .and_then(|proof| proof.fingerprint())
                .unwrap_or_default(),
            who: revoked.who,
            reason: revoked.reason.unwrap_or_default(),
            at,
            through,
        })
    }
}
