//! Administrators' signed orders (locks, revocations, hosts, CA keys), and their verification from
//! the ledger alone. Pure.
//!
//! A stolen token alone orders nothing. An order counts once: it names the last order about the
//! same target ([`AdminOrder::after`]), so a replayed or delayed copy is refused.

mod proof;

use super::{
    EventKind, approval,
    event::{Actor, CaKeyOrdered, CaKeyStep, Covered, HostAdded, HostRemoved, LedgerKeyChanged},
};
use crate::{ssh::sshsig::Namespace, unix_seconds::UnixSeconds};

pub use super::event::Target;
pub use proof::{AdminOrder, Proof, Verb};

/// Largest time that an order may name: 9999-12-31T23:59:59Z, the end of RFC 3339.
pub const LATEST: UnixSeconds = UnixSeconds(253_402_300_799);

/// An order, as its event records it.
#[derive(Clone, Debug)]
pub(super) struct RecordedOrder<'a> {
    pub(super) verb: Verb,
    pub(super) who: &'a Actor,
    pub(super) target: Target,
    pub(super) reason: Option<&'a str>,
    pub(super) proof: Option<&'a Proof>,
    /// The identities that the event states; `None` for an order that covers none.
    pub(super) covers: Option<&'a [Covered]>,
}

impl EventKind {
    /// The order that this event records, if it records one.
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
            Self::LedgerKeyChanged(it) => Some(it.recorded()),
            Self::HostAdded(it) => Some(it.recorded()),
            Self::HostRemoved(it) => Some(it.recorded()),
            Self::CaKeyOrdered(it) => Some(it.recorded()),
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
            | Self::Skipped
            | Self::KeyStaged { .. }
            | Self::KeyActivated { .. }
            | Self::KeyRetired { .. }
            | Self::HostJoined(_)
            | Self::HostCertified(_)
            | Self::HostBehind(_)
            | Self::HostCurrent { .. }
            | Self::ForeignLogin(_) => None,
        }
    }
}

impl LedgerKeyChanged {
    fn recorded(&self) -> RecordedOrder<'_> {
        RecordedOrder {
            verb: Verb::ChangeLedgerKey,
            who: &self.who,
            target: Target::LedgerKey(self.handover.new.to_string()),
            reason: self.reason.as_deref(),
            proof: self.proof.as_ref(),
            covers: None,
        }
    }
}

impl HostAdded {
    fn recorded(&self) -> RecordedOrder<'_> {
        RecordedOrder {
            verb: Verb::AddHost,
            who: &self.who,
            target: Target::from(self),
            reason: self.reason.as_deref(),
            proof: self.proof.as_ref(),
            covers: None,
        }
    }
}

impl HostRemoved {
    fn recorded(&self) -> RecordedOrder<'_> {
        RecordedOrder {
            verb: Verb::RemoveHost,
            who: &self.who,
            target: Target::Host(self.host.clone()),
            reason: self.reason.as_deref(),
            proof: self.proof.as_ref(),
            covers: None,
        }
    }
}

impl CaKeyOrdered {
    fn recorded(&self) -> RecordedOrder<'_> {
        RecordedOrder {
            verb: Verb::from(self.step),
            who: &self.who,
            target: self.target(),
            reason: self.reason.as_deref(),
            proof: self.proof.as_ref(),
            covers: None,
        }
    }
}

impl From<CaKeyStep> for Verb {
    fn from(step: CaKeyStep) -> Self {
        Self::CaKey(step)
    }
}

impl RecordedOrder<'_> {
    /// Verifies the administrator's signature on the order at `server`.
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
            false => Err("is an order with an invalid signature"),
        }
    }
}

/// Parses 32 bytes of lower-case hex.
fn token_hash(hex: &str) -> Option<[u8; 32]> {
    base16ct::lower::decode_vec(hex).ok()?.try_into().ok()
}

#[cfg(test)]
pub(crate) mod tests;
