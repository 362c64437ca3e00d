//! The bytes that an administrator signs to lock, unlock or revoke, and their check from the ledger alone. Pure.
//!
//! A stolen token alone orders nothing, and a recorded order is good once: it names the last order
//! about the same target ([`AdminOrder::after`]), so neither a copy of it nor one that was held back is
//! accepted after that.

mod proof;

use super::{
    EventKind, approval,
    event::{Actor, Covered},
};
use crate::ssh::sshsig::Namespace;

pub use super::event::Target;
pub use proof::{AdminOrder, Proof, Verb};

/// The last second that an order may name: 9999-12-31T23:59:59Z, the end of RFC 3339.
pub const LATEST: u64 = 253_402_300_799;

/// An order as an event records it.
#[derive(Clone, Debug)]
pub(super) struct RecordedOrder<'a> {
    pub(super) verb: Verb,
    pub(super) who: &'a Actor,
    pub(super) target: Target,
    pub(super) reason: Option<&'a str>,
    pub(super) proof: Option<&'a Proof>,
    /// The identities that it says it covers; an unlock says nothing of them.
    pub(super) covers: Option<&'a [Covered]>,
}

impl EventKind {
    /// The order that this event records, if it is one.
    pub(super) fn order(&self) -> Option<RecordedOrder<'_>> {
        match self {
            Self::Locked(it) => Some(RecordedOrder {
                verb: Verb::Lock,
                who: &it.who,
                target: Target::from(&it.target),
                reason: it.reason.as_deref(),
                proof: it.proof.as_ref(),
                covers: Some(&it.covers),
            }),
            Self::Unlocked(it) => Some(RecordedOrder {
                verb: Verb::Unlock,
                who: &it.who,
                target: Target::from(&it.target),
                reason: it.reason.as_deref(),
                proof: it.proof.as_ref(),
                covers: None,
            }),
            Self::Revoked(it) => Some(RecordedOrder {
                verb: Verb::Revoke,
                who: &it.who,
                target: Target::from(&it.target),
                reason: it.reason.as_deref(),
                proof: it.proof.as_ref(),
                covers: Some(&it.covers),
            }),
            Self::Started { .. }
            | Self::PolicyLoaded { .. }
            | Self::Issued(_)
            | Self::SigningFailed { .. }
            | Self::Denied { .. }
            | Self::Denials(_)
            | Self::Requested(_)
            | Self::Approved(_)
            | Self::Refused(_)
            | Self::Cancelled(_)
            | Self::Reviewed(_)
            | Self::KeyStaged { .. }
            | Self::KeyActivated { .. }
            | Self::KeyRetired { .. } => None,
        }
    }
}

impl RecordedOrder<'_> {
    /// Checks that the order at `server` carries its administrator's signature.
    pub(super) fn check(&self, server: &str) -> Result<(), &'static str> {
        let Some(proof) = self.proof else {
            return Err("is an order without its administrator's signature");
        };
        let Some(token) = token_hash(&proof.token) else {
            return Err("is an order without the hash of its administrator's token");
        };
        let order = AdminOrder {
            server,
            issuer: &self.who.issuer,
            subject: &self.who.subject,
            token: &token,
            verb: self.verb,
            target: &self.target,
            reason: self.reason.unwrap_or_default(),
            after: proof.after,
        };
        let (key, signature) = (&proof.key, &proof.signature);
        match approval::is_signed_for(Namespace::Admin, key, &order.message(), signature) {
            true => Ok(()),
            false => Err("is an order whose signature is not its administrator's"),
        }
    }
}

/// 32 bytes from lower-case hex.
fn token_hash(hex: &str) -> Option<[u8; 32]> {
    base16ct::lower::decode_vec(hex).ok()?.try_into().ok()
}

#[cfg(test)]
pub(crate) mod tests;
