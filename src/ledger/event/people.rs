//! The identities that an event names. Pure.

use super::{Actor, EventKind};

impl EventKind {
    /// Every proven identity in the event: the actor, the one who asked on the actor's behalf, and
    /// the signers of an emergency.
    pub(crate) fn people(&self) -> impl Iterator<Item = &Actor> {
        let mut asker = None;
        let (who, issued) = match self {
            Self::Issued(issued) => {
                asker = issued.on_behalf.as_ref().map(|it| &it.by);
                (Some(&issued.who), Some(issued))
            }
            Self::Denied { who, by, .. } => {
                asker = by.as_deref();
                (Some(who), None)
            }
            Self::Requested(asked) => (Some(&asked.who), None),
            Self::Approved(decided)
            | Self::Refused(decided)
            | Self::Cancelled(decided)
            | Self::Reviewed(decided) => (Some(&decided.who), None),
            Self::Revoked(revoked) => (Some(&revoked.who), None),
            Self::Locked(locked) => (Some(&locked.who), None),
            Self::Unlocked(unlocked) => (Some(&unlocked.who), None),
            Self::Denials(denials) => (denials.who.as_ref(), None),
            Self::LedgerKeyChanged(changed) => (Some(&changed.who), None),
            Self::HostAdded(added) => (Some(&added.who), None),
            Self::HostRemoved(removed) => (Some(&removed.who), None),
            Self::CaKeyOrdered(ordered) => (Some(&ordered.who), None),
            Self::HostJoined(joined) => (joined.who.as_ref(), None),
            Self::Started { .. }
            | Self::PolicyLoaded { .. }
            | Self::SigningFailed { .. }
            | Self::Skipped
            | Self::KeyStaged { .. }
            | Self::KeyActivated { .. }
            | Self::KeyRetired { .. }
            | Self::HostCertified(_)
            | Self::HostBehind(_)
            | Self::HostCurrent { .. }
            | Self::ForeignLogin(_) => (None, None),
        };
        let signers = issued.into_iter().flat_map(|issued| issued.signatures());
        let people = who.into_iter().chain(asker);
        people.chain(signers.map(|one| &one.who))
    }
}
