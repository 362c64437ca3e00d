//! The append-only record: events, the Merkle tree over them, and its signed head.
//!
//! Pure: no clock, no I/O. Imports only `ssh`.

pub(crate) mod acceptance;
pub(crate) mod administrators;
pub mod approval;
pub(crate) mod bucket;
pub mod checkpoint;
pub mod consent;
pub(crate) mod content;
pub mod denials;
pub mod emergency;
pub mod event;
pub mod evidence;
pub(crate) mod going_on;
pub mod handover;
pub(crate) mod hosts;
pub mod join_code;
pub(crate) mod judge;
pub mod keyring;
pub(crate) mod listed;
pub(crate) mod moment;
pub(crate) mod near;
pub mod order;
pub(crate) mod reconcile;
pub(crate) mod recovery;
pub mod restore;
pub(crate) mod search;
pub(crate) mod snapshot;
pub mod state;
pub mod tile;
pub mod tree;
pub mod verify;

pub use event::{Event, EventKind};
pub use state::LedgerState;

/// The proof that an event is durable.
///
/// Only a committed append makes one: `tests/architecture` holds `Receipt::committed` to
/// `store/writer.rs`. `ca::Ca::sign` takes it by value.
#[derive(Debug)]
pub struct Receipt {
    serial: u64,
    tbs_hash: [u8; 32],
}

impl Receipt {
    /// Makes a receipt. Only the store's writer calls this, after COMMIT.
    pub(crate) fn committed(serial: u64, tbs_hash: [u8; 32]) -> Self {
        #[cfg(feature = "deliberate-bugs")]
        let serial = crate::deliberate::serial(serial);
        Self { serial, tbs_hash }
    }
    /// The event's index, which is the pass's serial. Never 0.
    pub fn serial(&self) -> u64 {
        self.serial
    }
    /// SHA-256 of the to-be-signed bytes that the event recorded.
    pub(crate) fn tbs_hash(&self) -> &[u8; 32] {
        &self.tbs_hash
    }
}
