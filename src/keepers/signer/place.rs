//! What a call to a signer is about: the messages that wait, and the ledger that proves them.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use ssh_key::{PublicKey, Signature};
use tokio::sync::oneshot;

use super::address::Address;
use crate::{
    ca::{
        key::{Away, Unsigned},
        to_sign::{HostDocument, ToSign},
    },
    ledger::{evidence::Evidence, handover::Handover},
};

/// The ledger, as far as a signer wants proofs of it.
pub(crate) trait Ledger: Send + Sync {
    /// Events with their proofs, in a ledger that goes on from one of `known` events.
    fn evidence<'a>(&'a self, known: u64, indices: &'a [u64]) -> Proving<'a>;

    /// The handovers of its key, in their order.
    fn handovers(&self) -> Vec<Handover>;
}

/// Evidence that is being read.
pub(crate) type Proving<'a> = Pin<Box<dyn Future<Output = Result<Evidence, Away>> + Send + 'a>>;

/// The ledger, once it is open. Keys are read before.
pub(crate) type LedgerSlot = Arc<OnceLock<Box<dyn Ledger>>>;

/// Which signer has which key.
pub(crate) struct Place {
    pub(crate) address: Address,
    pub(crate) key: PublicKey,
    /// Filled once the ledger is open.
    pub(crate) ledger: LedgerSlot,
}

/// A message, and the channel of its caller.
pub(super) struct Waiting {
    pub(super) message: Message,
    pub(super) answer: oneshot::Sender<Result<Signature, Unsigned>>,
}

/// A [`ToSign`] of its own.
pub(super) enum Message {
    Pass {
        serial: u64,
        bytes: Vec<u8>,
    },
    HostCertificate {
        serial: u64,
        bytes: Vec<u8>,
    },
    Document {
        kind: HostDocument,
        content: Vec<u8>,
    },
}

impl Message {
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Pass { bytes, .. } | Self::HostCertificate { bytes, .. } => bytes.len(),
            Self::Document { content, .. } => content.len(),
        }
    }
}

impl From<ToSign<'_>> for Message {
    fn from(to_sign: ToSign<'_>) -> Self {
        match to_sign {
            ToSign::Pass { serial, bytes } => Self::Pass {
                serial,
                bytes: bytes.to_vec(),
            },
            ToSign::HostCertificate { serial, bytes } => Self::HostCertificate {
                serial,
                bytes: bytes.to_vec(),
            },
            ToSign::Document { kind, content, .. } => Self::Document {
                kind,
                content: content.to_vec(),
            },
        }
    }
}
