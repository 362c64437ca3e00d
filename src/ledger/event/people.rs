//! The identities that an event names. Pure.

use super::{Actor, EventKind};

impl EventKind {
    /// Every proven identity in the event: who acted, and who signed for an emergency.
    pub fn people(&self) -> impl Iterator<Item = &Actor> {
        let who = match self {
            Self::Issued(issued) => Some(&issued.who),
            Self::Denied { who, .. } => Some(who),
            Self::Requested(asked) => Some(&asked.who),
            Self::Approved(decided)
            | Self::Refused(decided)
            | Self::Cancelled(decided)
            | Self::Reviewed(decided) => Some(&decided.who),
            Self::Revoked(revoked) => Some(&revoked.who),
            Self::Locked(locked) => Some(&locked.who),
            Self::Unlocked(unlocked) => Some(&unlocked.who),
            Self::Denials(denials) => denials.who.as_ref(),
            Self::Started { .. }
            | Self::PolicyLoaded { .. }
            | Self::SigningFailed { .. }
            | Self::KeyStaged { .. }
            | Self::KeyActivated { .. }
            | Self::KeyRetired { .. } => None,
        };
        let issued = match self {
            Self::Issued(issued) => Some(issued),
            Self::Started { .. }
            | Self::PolicyLoaded { .. }
            | Self::SigningFailed { .. }
            | Self::Denied { .. }
            | Self::Denials(_)
            | Self::Requested(_)
            | Self::Approved(_)
            | Self::Refused(_)
            | Self::Cancelled(_)
            | Self::Reviewed(_)
            | Self::Revoked(_)
            | Self::Locked(_)
            | Self::Unlocked(_)
            | Self::KeyStaged { .. }
            | Self::KeyActivated { .. }
            | Self::KeyRetired { .. } => None,
        };
        let signers = issued.into_iter().flat_map(|issued| issued.signatures());
        who.into_iter().chain(signers.map(|one| &one.who))
    }
}
