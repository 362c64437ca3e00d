//! `approval` and `emergency`: whose yes a role needs, and when it needs none. Pure.

use std::{collections::BTreeSet, time::Duration};

use ipnet::IpNet;

use super::{
    Denial, Error, Grant, Reason, Restriction,
    condition::Condition,
    file::{self, Text},
    grant::JumpHost,
    limits,
    paging::timing::PageTiming,
    registered,
};
use crate::ssh::options::Extension;

/// The most approvals that a role may demand.
const MOST: u32 = 16;

/// `approval = { count, by, within }`.
pub(super) struct Approval {
    pub(super) count: u32,
    pub(super) by: Condition,
    pub(super) within: Duration,
}

/// `emergency = { allow, ttl, review, keys, page }`.
pub(super) struct Emergency {
    pub(super) allow: Condition,
    pub(super) ttl: Duration,
    pub(super) review: Condition,
    /// How many people's registered keys it takes where there is no token.
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
            by: text.parse(&raw.by, |by| somebody(by, "by"))?,
            within: text.parse(&raw.within, |within| limits::lifetime(within))?,
        })
    }
}

impl Emergency {
    pub(super) fn load(text: Text<'_>, raw: &file::Emergency) -> Result<Self, Error> {
        Ok(Self {
            allow: text.parse(&raw.allow, |allow| somebody(allow, "allow"))?,
            ttl: text.parse(&raw.ttl, |ttl| limits::lifetime(ttl))?,
            review: text.parse(&raw.review, |review| somebody(review, "review"))?,
            keys: match &raw.keys {
                None => 1,
                Some(keys) => text.parse(keys, |keys| registered::quorum(*keys))?,
            },
            page: raw.page,
        })
    }
}

/// A condition that is not plainly nobody.
fn somebody(source: &str, key: &str) -> Result<Condition, String> {
    let condition = Condition::compile(source)?;
    match condition.source() {
        "false" => Err(format!("`{key}` is false, which is nobody; name a group")),
        _ => Ok(condition),
    }
}

/// What an ask would be granted once others have approved it. The grant comes out by [`Pending::approved`] alone.
#[derive(Clone, Debug)]
pub struct Pending {
    pub(super) grant: Grant,
    pub(super) count: u32,
    pub(super) within: Duration,
}

impl Pending {
    /// How many distinct approvers are needed.
    pub fn count(&self) -> u32 {
        self.count
    }
    /// How long the request lives.
    pub fn within(&self) -> Duration {
        self.within
    }
    /// The role.
    pub fn role(&self) -> &str {
        self.grant.role()
    }
    /// The principals that the pass would have.
    pub fn principals(&self) -> &BTreeSet<String> {
        self.grant.principals()
    }
    /// The force-command that it would have.
    pub fn command(&self) -> Option<&str> {
        self.grant.command()
    }
    /// The networks that it would work from.
    pub fn source(&self) -> Option<&BTreeSet<IpNet>> {
        self.grant.source()
    }
    /// The extensions that it would have.
    pub fn extensions(&self) -> &BTreeSet<Extension> {
        self.grant.extensions()
    }
    /// The way through a bastion that it would take.
    pub fn jump_host(&self) -> Option<&JumpHost> {
        self.grant.jump_host()
    }
    /// How long it would last.
    pub fn ttl(&self) -> Duration {
        self.grant.ttl()
    }

    /// The grant, within what `approvers` distinct identities approved. The store's writer counts them again.
    ///
    /// # Errors
    /// They are fewer than the policy demands now, or nothing is left of what they approved.
    pub fn approved(self, approvers: usize, approved: &Restriction) -> Result<Grant, Denial> {
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
