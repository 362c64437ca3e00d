//! The sizes of lists in claims, most of all groups: a token that has too many of them, or left
//! them out. Pure.

use serde_json::{Map, Value};

use super::error::Error;

/// Members of any list or object in the claims at most. It bounds what a condition walks.
const LIST_LIMIT: usize = 512;

/// Entra replaces too many groups by a URL that has them. We do not fetch it: without the groups,
/// the policy cannot decide.
pub(super) fn check_overage(claims: &Map<String, Value>) -> Result<(), Error> {
    let has_groups = claims.get("hasgroups");
    let told = has_groups.is_some_and(|value| value != &Value::Bool(false));
    let sign = match () {
        () if told => "hasgroups",
        () if claims.contains_key("_claim_names") => "_claim_names",
        () if claims.contains_key("_claim_sources") => "_claim_sources",
        () => return Ok(()),
    };
    Err(Error::GroupsOverage(sign))
}

/// Bounds what a condition walks.
pub(super) fn check_sizes(claims: &Map<String, Value>) -> Result<(), Error> {
    if claims.len() > LIST_LIMIT {
        return Err(too_long("the token", claims.len()));
    }
    let mut sizes = claims.iter().map(|(name, value)| (name, longest(value)));
    match sizes.find(|(_, count)| *count > LIST_LIMIT) {
        None => Ok(()),
        Some((name, count)) => Err(too_long(known_list(name), count)),
    }
}

fn too_long(claim: &'static str, count: usize) -> Error {
    Error::LongList {
        claim,
        count,
        limit: LIST_LIMIT,
    }
}

/// The name of a claim that commonly holds groups. Another name is not repeated: the token chose
/// it.
fn known_list(name: &str) -> &'static str {
    const LISTS: [(&str, &str); 6] = [
        ("groups", "`groups`"),
        ("roles", "`roles`"),
        ("cognito:groups", "`cognito:groups`"),
        ("realm_access", "`realm_access`"),
        ("resource_access", "`resource_access`"),
        ("groups_direct", "`groups_direct`"),
    ];
    let known = LISTS.iter().find(|(claim, _)| *claim == name);
    known.map_or("one of them", |(_, quoted)| quoted)
}

/// Members of the longest list or object in the value.
/// Recurses no deeper than [`super::json`] reads.
fn longest(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(longest).fold(items.len(), usize::max),
        Value::Object(members) => {
            let below = members.values().map(longest);
            below.fold(members.len(), usize::max)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
