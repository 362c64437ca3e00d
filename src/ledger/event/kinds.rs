//! The kinds of event: their names, and which of them change nothing. Pure.

use super::{EventKind, target::Covered};

/// The names of all kinds.
pub(crate) const KINDS: [&str; 27] = [
    "approved",
    "ca_key_ordered",
    "cancelled",
    "denials",
    "denied",
    "foreign_login",
    "host_added",
    "host_behind",
    "host_certified",
    "host_current",
    "host_joined",
    "host_removed",
    "issued",
    "key_activated",
    "key_retired",
    "key_staged",
    "ledger_key_changed",
    "locked",
    "policy_loaded",
    "refused",
    "requested",
    "reviewed",
    "revoked",
    "signing_failed",
    "skipped",
    "started",
    "unlocked",
];

/// Stands for each event of an emergency in searches: passes, denials and reviews.
pub(crate) const EMERGENCY: &str = "emergency";

impl EventKind {
    /// The start of a daemon. The store adds what it found.
    pub fn started(version: impl Into<String>, server: impl Into<String>) -> Self {
        Self::Started {
            version: version.into(),
            server: server.into(),
            signed_heads: false,
            restored: false,
            by_hand: false,
            unsigned: Vec::new(),
        }
    }

    /// The passes that a lock or a revocation revoked, and the identities that it covers.
    pub(crate) fn came_to(self) -> (Vec<u64>, Vec<Covered>) {
        match self {
            Self::Locked(locked) => (locked.serials, locked.covers),
            Self::Revoked(revoked) => (revoked.serials, revoked.covers),
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
            | Self::Unlocked(_)
            | Self::Skipped
            | Self::KeyStaged { .. }
            | Self::KeyActivated { .. }
            | Self::KeyRetired { .. }
            | Self::CaKeyOrdered(_)
            | Self::LedgerKeyChanged(_)
            | Self::HostAdded(_)
            | Self::HostJoined(_)
            | Self::HostRemoved(_)
            | Self::HostCertified(_)
            | Self::HostBehind(_)
            | Self::HostCurrent { .. }
            | Self::ForeignLogin(_) => (Vec::new(), Vec::new()),
        }
    }

    /// The kind's name, as in the leaf's `type`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::PolicyLoaded { .. } => "policy_loaded",
            Self::Issued(_) => "issued",
            Self::SigningFailed { .. } => "signing_failed",
            Self::Denied { .. } => "denied",
            Self::Denials(_) => "denials",
            Self::Requested(_) => "requested",
            Self::Approved(_) => "approved",
            Self::Refused(_) => "refused",
            Self::Cancelled(_) => "cancelled",
            Self::Reviewed(_) => "reviewed",
            Self::Revoked(_) => "revoked",
            Self::Locked(_) => "locked",
            Self::Unlocked(_) => "unlocked",
            Self::Skipped => "skipped",
            Self::KeyStaged { .. } => "key_staged",
            Self::KeyActivated { .. } => "key_activated",
            Self::KeyRetired { .. } => "key_retired",
            Self::CaKeyOrdered(_) => "ca_key_ordered",
            Self::LedgerKeyChanged(_) => "ledger_key_changed",
            Self::HostAdded(_) => "host_added",
            Self::HostJoined(_) => "host_joined",
            Self::HostRemoved(_) => "host_removed",
            Self::HostCertified(_) => "host_certified",
            Self::HostBehind(_) => "host_behind",
            Self::HostCurrent { .. } => "host_current",
            Self::ForeignLogin(_) => "foreign_login",
        }
    }

    /// Whether events of this kind grant, revoke and decide nothing.
    pub(crate) fn is_inert(&self) -> bool {
        match self {
            Self::Started { .. }
            | Self::PolicyLoaded { .. }
            | Self::Denied { .. }
            | Self::Denials(_)
            | Self::KeyStaged { .. }
            | Self::KeyActivated { .. }
            | Self::KeyRetired { .. }
            | Self::HostBehind(_)
            | Self::HostCurrent { .. }
            | Self::ForeignLogin(_) => true,
            Self::Issued(_)
            | Self::SigningFailed { .. }
            | Self::Requested(_)
            | Self::Approved(_)
            | Self::Refused(_)
            | Self::Cancelled(_)
            | Self::Reviewed(_)
            | Self::Revoked(_)
            | Self::Locked(_)
            | Self::Unlocked(_)
            | Self::CaKeyOrdered(_)
            | Self::LedgerKeyChanged(_)
            | Self::HostAdded(_)
            | Self::HostJoined(_)
            | Self::HostRemoved(_)
            | Self::HostCertified(_)
            | Self::Skipped => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KINDS;
    use crate::ledger::event::tests::samples;

    #[test]
    fn every_kind_has_its_name_in_the_list() {
        for sample in samples() {
            assert!(KINDS.contains(&sample.kind()), "{}", sample.kind());
        }
        assert!(KINDS.is_sorted());
    }
}
