//! Lists and explains roles. Grants and records nothing.

use std::{collections::BTreeSet, net::IpAddr};

use super::authority::Authority;
use crate::{
    identity::Identity,
    ledger::event::Applicant,
    policy::{Ask, Context, Policy, explain::Explanation, open_roles::OpenRole},
};

/// The roles open to `identity`, which calls from `caller`, in the policy's order. With a host: the
/// roles usable there.
pub(crate) fn list<'a>(
    policy: &'a Policy,
    identity: &Identity,
    host: Option<&str>,
    caller: Option<IpAddr>,
) -> Vec<OpenRole<'a>> {
    policy.roles_for(identity, host, caller)
}

/// An identity's locks and revoked passes.
pub(crate) struct Standing {
    /// Why the identity gets no pass; none if no lock covers it.
    pub(crate) locked: Option<String>,
    /// The names of the locked roles.
    pub(crate) locked_roles: BTreeSet<String>,
    /// Of the asked serials, the identity's own revoked passes.
    pub(crate) revoked: Vec<u64>,
}

/// The locks that cover `identity`, and which of its passes with these serials are revoked.
pub(crate) fn standing(authority: &Authority, identity: &Identity, serials: &[u64]) -> Standing {
    let who = (identity.issuer(), identity.subject());
    let applicant = Applicant {
        issuer: who.0,
        subject: who.1,
        label: identity.label(),
        key: None,
        role: None,
    };
    authority.store.state(|state| Standing {
        locked: state
            .expect_unlocked(&applicant)
            .err()
            .map(|it| it.to_string()),
        locked_roles: state.locked_roles().map(str::to_owned).collect(),
        revoked: state.revoked_of(who, serials),
    })
}

/// Says for each role why it does or does not answer this ask; for one role if the ask names it.
pub(crate) fn explain(
    authority: &Authority,
    identity: &Identity,
    ask: &Ask,
    context: Context,
) -> Vec<Explanation> {
    authority.policy().explain(identity.into(), ask, context)
}
