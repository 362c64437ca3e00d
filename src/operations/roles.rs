//! Lists and explains roles. Grants and records nothing.

use std::net::IpAddr;

use super::authority::Authority;
use crate::{
    identity::Identity,
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

/// Says for each role why it does or does not answer this ask; for one role if the ask names it.
pub(crate) fn explain(
    authority: &Authority,
    identity: &Identity,
    ask: &Ask,
    context: Context,
) -> Vec<Explanation> {
    authority.policy().explain(identity.into(), ask, context)
}
