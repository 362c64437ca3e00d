//! Listing and explaining roles.
use super::Authority;
use crate::{
    identity::Identity,
    policy::{Ask, Context, Policy, explain::Explanation, role::Role},
};

/// The roles open to this identity, optionally on one host, in the policy file's order.
pub fn list<'a>(policy: &'a Policy, identity: &Identity, host: Option<&str>) -> Vec<&'a Role> {
    policy.roles_for(identity, host)
}

/// Why each role does or does not answer; only the ask's role where it names one. Grants nothing, records nothing.
pub fn explain(
    _authority: &Authority,
    _identity: &Identity,
    _ask: &Ask,
    _context: Context,
) -> Vec<Explanation> {
    todo!()
}
