//! The content of a request, on which approvers decide: read from its event, whose bytes they sign.
//! Pure.

use super::event::{Actor, Event, EventKind, RequestDetails, RequestedJumpHost};
use crate::{ssh::permissions::Permissions, unix_seconds::UnixSeconds};

/// Content of a request, on which an approver decides: read from the event's bytes.
#[derive(Clone, Debug)]
pub(crate) struct RequestContent {
    /// The requester.
    pub who: Actor,
    /// The ask: role, host, parameters, reason.
    pub ask: RequestDetails,
    /// The fingerprint of the key that the pass is for.
    pub key: String,
    /// Number of approvals it needs; 0 for a review.
    pub needed: u32,
    /// Permissions of the pass's certificate.
    pub permissions: Permissions,
    /// The pass's lifetime.
    pub ttl_seconds: u64,
    /// Whether it is the review of an emergency.
    pub is_review: bool,
    /// The bastion that the pass is used through, and its jump pass.
    pub through: Option<RequestedJumpHost>,
}

impl RequestContent {
    /// A request's content, and when it expires; `None` if the event opens no request and no
    /// review.
    pub(crate) fn of(event: Event) -> Option<(Self, UnixSeconds)> {
        // A pass is backdated, so its lifetime counts from the event and not from its
        // `valid_after`.
        let made = UnixSeconds::from(event.at);
        match event.what {
            EventKind::Requested(asked) => {
                let content = Self {
                    who: asked.who,
                    ask: asked.ask,
                    key: asked.key,
                    needed: asked.needed,
                    permissions: asked.permissions,
                    ttl_seconds: asked.ttl_seconds,
                    is_review: false,
                    through: asked.through,
                };
                Some((content, asked.expires_at))
            }
            EventKind::Issued(pass) if pass.ask.emergency && pass.jump.is_none() => {
                let content = Self {
                    who: pass.who,
                    ask: pass.ask,
                    key: pass.key,
                    needed: 0,
                    permissions: pass.permissions,
                    ttl_seconds: pass.valid_before.seconds_since(made),
                    is_review: true,
                    through: None,
                };
                Some((content, UnixSeconds::default()))
            }
            EventKind::Issued(_)
            | EventKind::Started { .. }
            | EventKind::PolicyLoaded { .. }
            | EventKind::SigningFailed { .. }
            | EventKind::Denied { .. }
            | EventKind::Denials(_)
            | EventKind::Approved(_)
            | EventKind::Refused(_)
            | EventKind::Cancelled(_)
            | EventKind::Reviewed(_)
            | EventKind::Revoked { .. }
            | EventKind::Locked { .. }
            | EventKind::Unlocked { .. }
            | EventKind::Skipped
            | EventKind::KeyStaged { .. }
            | EventKind::KeyActivated { .. }
            | EventKind::KeyRetired { .. }
            | EventKind::LedgerKeyChanged(_)
            | EventKind::HostAdded(_)
            | EventKind::HostJoined(_)
            | EventKind::HostRemoved(_)
            | EventKind::CaKeyOrdered(_)
            | EventKind::HostCertified(_)
            | EventKind::HostBehind(_)
            | EventKind::HostCurrent { .. }
            | EventKind::ForeignLogin(_) => None,
        }
    }
}
