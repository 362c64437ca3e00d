//! The identities that an event names. Pure.

use super::{Actor, EventKind};

impl EventKind {
    /// Every proven identity in the event: the actor, and the signers of an emergency.
    pub(crate) fn people(&self) -> impl Iterator<Item = &Actor> {
        let (who, issued) = match self {
            Self::Issued(issued) => (Some(&issued.who), Some(issued)),
            Self::Denied { who, .. } => (Some(who), None),
            Self::Requested(asked) => (Some(&asked.who), None),
            Self::Approved(decided)
            | Self::Refused(decided)
            | Self::Cancelled(decided)
            | Self::Reviewed(decided) => (Some(&decided.who), None),
            Self::Revoked(revoked) => (Some(&revoked.who), None),
            Self::Locked(locked) => (Some(&locked.who), None),
            Self::Unlocked(unlocked) => (Some(&unlocked.who), None),
            Self::Denials(denials) => (denials.who.as_ref(), None),
            Self::Started { .. }
            | Self::PolicyLoaded { .. }
            | Self::SigningFailed { .. }
            | Self::Skipped
            | Self::KeyStaged { .. }
            | Self::KeyActivated { .. }
            | Self::KeyRetired { .. } => (None, None),
        };
        let signers = issued.into_iter().flat_map(|issued| issued.signatures());
        who.into_iter().chain(signers.map(|one| &one.who))
    }
}
