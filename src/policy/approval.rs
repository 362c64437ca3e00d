//! `approval`, `emergency` and `on_behalf`: the approvals that a role needs, the emergencies that
//! need none, and who asks on behalf of its users. Pure.

use std::time::Duration;

use super::{
    Denial, Error, Grant, Reason, Restriction, condition::Condition, file, grant::JumpHost, limits,
    paging::timing::PageTiming, registered, text::Text,
};
use crate::ssh::permissions::Permissions;

/// Largest number of approvals that a role may demand.
const MOST: u32 = 16;

/// `approval = { count, by, within, presence }`.
pub(super) struct Approval {
    pub(super) count: u32,
    pub(super) by: Condition,
    pub(super) within: Duration,
    /// Whether an approval needs a signature that shows the approver's presence.
    pub(super) presence: bool,
}

/// `emergency = { allow, ttl, review, keys, page }`.
pub(super) struct Emergency {
    pub(super) allow: Condition,
    pub(super) ttl: Duration,
    pub(super) review: Condition,
    /// Number of people whose registered keys must sign, if there is no token.
    pub(super) keys: u32,
    pub(super) page: PageTiming,
}

impl Approval {
    pub(super) fn load(text: Text<'_>, raw: &file::Approval) -> Result<Self, Error> {
        Ok(Self {
            count: text.parse(&raw.count, |count| match u32::try_from(*count) {
                Ok(count @ 1..=MOST) => Ok(count),
                _ => Err(format!("`count` is {count}; demand 1 to {MOST} approvals")),
            })?,
            by: text.parse(&raw.by, |by| satisfiable(by, "by"))?,
            within: text.parse(&raw.within, |within| limits::lifetime(within))?,
            presence: raw.presence.as_ref().is_some_and(|it| *it.get_ref()),
        })
    }
}

impl Emergency {
    pub(super) fn load(text: Text<'_>, raw: &file::Emergency) -> Result<Self, Error> {
        Ok(Self {
            allow: text.parse(&raw.allow, |allow| satisfiable(allow, "allow"))?,
            ttl: text.parse(&raw.ttl, |ttl| limits::lifetime(ttl))?,
            review: text.parse(&raw.review, |review| satisfiable(review, "review"))?,
            keys: match &raw.keys {
                None => 1,
                Some(keys) => text.parse(keys, |keys| registered::quorum(*keys))?,
            },
            page: raw.page,
        })
    }
}

/// `on_behalf = { by }`.
pub(super) struct OnBehalf {
    /// Over the claims of the identity that asks.
    pub(super) by: Condition,
}

impl OnBehalf {
    pub(super) fn load(text: Text<'_>, raw: &file::OnBehalf) -> Result<Self, Error> {
        let by = text.parse(&raw.by, |by| satisfiable(by, "by"))?;
        Ok(Self { by })
    }
}

/// Compiles a condition and refuses `false`, which no identity satisfies.
fn satisfiable(source: &str, key: &str) -> Result<Condition, String> {
    let condition = Condition::compile(source)?;
    match condition.source() {
        "false" => Err(format!(
            "`{key}` is false, so no identity satisfies it; name a group"
        )),
        _ => Ok(condition),
    }
}

/// The grant for an ask after approval. Only [`Pending::approved`] returns it.
#[derive(Clone, Debug)]
pub struct Pending {
    pub(super) grant: Grant,
    pub(super) count: u32,
    pub(super) within: Duration,
}

impl Pending {
    /// Required number of distinct approvers.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }
    /// Time after which the request expires.
    pub(crate) fn within(&self) -> Duration {
        self.within
    }
    /// Permissions of the pass.
    pub(crate) fn permissions(&self) -> &Permissions {
        self.grant.permissions()
    }
    /// The bastion in front of the host, if there is one.
    pub(crate) fn jump_host(&self) -> Option<&JumpHost> {
        self.grant.jump_host()
    }
    /// Lifetime of the pass.
    pub(crate) fn ttl(&self) -> Duration {
        self.grant.ttl()
    }

    /// The grant within the approved restriction, given `approvers` distinct identities. The
    /// store's writer counts them again.
    ///
    /// # Errors
    /// Returns [`Reason::Approval`] if the policy now demands more approvals, and the denial of
    /// [`Grant::narrow`] if nothing is left.
    pub(crate) fn approved(
        self,
        approvers: usize,
        approved: &Restriction,
    ) -> Result<Grant, Denial> {
        if u32::try_from(approvers).unwrap_or(u32::MAX) < self.count {
            return Err(Denial::new(
                Reason::Approval,
                format!(
                    "role {:?} needs {} approvals now, and the request has {approvers}",
                    self.grant.role(),
                    self.count
                ),
            ));
        }
        self.grant.narrow(approved)
    }
}
