//! Reasons why a signer does not sign: nothing of a request, or one message of it. Pure.

use super::{ceiling::Excess, document};
use crate::ca::lint;

/// Reason why nothing of a request is signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Its checkpoint is not signed by the ledger's key, or not a checkpoint.
    #[error("the checkpoint is refused: {0}")]
    Checkpoint(String),
    /// The ledger's handovers do not lead on from the key that is known.
    #[error("the handovers of the ledger's key are refused: {why}")]
    Keys {
        /// The fault.
        why: String,
        /// Whether one key handed the ledger over to two.
        is_fork: bool,
    },
    /// Its proof starts from an earlier checkpoint than the remembered one. The caller may ask
    /// again from this size.
    #[error("the signer remembers a newer checkpoint, of {0} events")]
    Stale(u64),
    /// The ledger has become smaller.
    #[error(
        "the ledger has {shown} events, and the signer remembers {remembered}: a backup was restored, or the ledger \
         was changed"
    )]
    Smaller {
        /// The size that the signer remembers.
        remembered: u64,
        /// The size that it was shown.
        shown: u64,
    },
    /// The ledger has another past.
    #[error(
        "the ledger of {shown} events does not go on from the one of {remembered} that the signer remembers: it is a \
         fork"
    )]
    Fork {
        /// The size that the signer remembers.
        remembered: u64,
        /// The size that it was shown.
        shown: u64,
    },
}

impl Refusal {
    /// Whether an operator must look at it before anything is signed again.
    pub(crate) fn is_alarming(&self) -> bool {
        match self {
            Self::Smaller { .. } | Self::Fork { .. } => true,
            Self::Keys { is_fork, .. } => *is_fork,
            Self::Checkpoint(_) | Self::Stale(_) => false,
        }
    }
}

/// Reason why one message is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The event is not in the checkpoint's tree at that index.
    #[error("its event is not in the ledger")]
    NotIncluded,
    /// The leaf is not an event, or not as a daemon writes one.
    #[error("its leaf is not an event as daypass writes it")]
    Leaf,
    /// The leaf says another index than its own.
    #[error("its event is of another index")]
    Index,
    /// The event is of another kind.
    #[error("its event does not issue a pass")]
    Kind,
    /// The event is of another kind than a host certificate's.
    #[error("its event records no host certificate")]
    NoHostCertificate,
    /// The signer's configuration has no ceiling for such messages.
    #[error("this signer signs no {0}: its configuration has no [[{1}]]")]
    NotOurs(&'static str, &'static str),
    /// The event records other bytes.
    #[error("its event records other bytes")]
    Bytes,
    /// Not fit to leave any CA.
    #[error(transparent)]
    Lint(#[from] lint::Problem),
    /// The serial is not the event's index.
    #[error("its serial is not the index of its event")]
    Serial,
    /// A pass of the same serial may be out, from a history that was given up.
    #[error(
        "its serial is below {0}: the history before was given up, and its passes may be out; accept the restored \
         ledger on the server first (daypass admin accept-restore --past {0})"
    )]
    Floor(u64),
    /// The event's words are not those of the bytes.
    #[error("its event says another {0} than its bytes")]
    Words(&'static str),
    /// It begins too early or too late.
    #[error("it begins {0} s away from the signer's clock: check both clocks")]
    Time(u64),
    /// Above every ceiling.
    #[error("it is above the signer's ceiling: {}", listed(.0))]
    Ceiling(Vec<Excess>),
    /// A document.
    #[error(transparent)]
    Document(#[from] document::Fault),
}

fn listed(excesses: &[Excess]) -> String {
    let mut texts: Vec<String> = excesses.iter().map(ToString::to_string).collect();
    texts.dedup();
    texts.join("; ")
}
