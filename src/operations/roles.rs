//! Listing and explaining roles. Grants nothing, records nothing.

use super::Authority;
use crate::{
    identity::Identity,
    policy::{Ask, Context, Policy, explain::Explanation, role::Role},
};

/// The roles open to `identity`, in the policy's order; with a host, those usable there.
pub fn list<'a>(policy: &'a Policy, identity: &Identity, host: Option<&str>) -> Vec<&'a Role> {
    policy.roles_for(identity, host)
}

/// Why each role does or does not answer this ask; only the ask's own role where it names one.
pub fn explain(
    authority: &Authority,
    identity: &Identity,
    ask: &Ask,
    context: Context,
) -> Vec<Explanation> {
    authority.policy().explain(identity.into(), ask, context)
}
