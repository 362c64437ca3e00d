//! The names of a search: what they stand for, and which known ones are near.

use std::collections::BTreeSet;

use super::lookups::is_seen;
use crate::{
    ledger::{
        near::near,
        search::{AtHost, Term},
        state::LedgerState,
    },
    operations::{authority::Authority, error::Error},
    policy::Policy,
};

/// Identities or hosts of one name that are searched.
const NAMES: usize = 1024;

/// Terms of the events of a person, and whether there are more. One of them must fit.
pub(super) fn of_person(authority: &Authority, name: &str) -> (Vec<Term>, bool) {
    let (called, names) = authority
        .store
        .state(|state| (state.called(name), state.names_with(name)));
    let is_cut = called.len() > NAMES || names.len() > NAMES;
    let called = called.iter().take(NAMES);
    let identities = called.map(|one| Term::identity(&one.issuer, &one.subject));
    // An unlock says one name alone, which may be another one of theirs.
    let names = names.iter().filter(|one| *one != name).take(NAMES);
    let names = names.map(|name| Term::name(name));
    let all = identities.chain(names);
    (
        all.chain([Term::name(name), Term::key(name)]).collect(),
        is_cut,
    )
}

/// The host or group of this name: its other names and its groups, or the hosts of the group. Only
/// names that the ledger or the policy has: a pattern of `[hosts]` with `*` or `?` stands for any
/// number of others.
/// And whether there are more.
pub(super) fn at_host(authority: &Authority, host: &str, plain: bool) -> (AtHost, bool) {
    let (policy, host) = (authority.policy(), host.to_ascii_lowercase());
    let mut names = BTreeSet::from([host.clone()]);
    let mut groups = BTreeSet::new();
    authority.store.state(|state| {
        if let Some(known) = state.host_called(&host) {
            names.extend(known.names().map(str::to_owned));
            groups.insert(known.group.clone());
        }
        names.extend(members(&policy, state, &host));
    });
    let of_host = policy.hosts().groups();
    let of_host = of_host.filter(|group| policy.hosts().belongs(&host, group));
    groups.extend(of_host.map(str::to_owned));
    let is_cut = names.len() > NAMES;
    // The name itself is searched in any case.
    let others = names.iter().filter(|name| **name != host).take(NAMES);
    let named = std::iter::once(&host).chain(others);
    let at_host = AtHost {
        named: named.map(|name| Term::host(name)).collect(),
        groups: groups.iter().map(|group| Term::host(group)).collect(),
        plain,
    };
    (at_host, is_cut)
}

/// The names of the hosts of a group: those that `[hosts]` spells out, and of the known hosts those
/// that joined it and those that its patterns fit. Some more than are searched, if there are as
/// many.
fn members(policy: &Policy, state: &LedgerState, group: &str) -> Vec<String> {
    let hosts = policy.hosts();
    let written = written(policy, group);
    let spelled = written.into_iter().flat_map(|group| hosts.names(group));
    let known = state.hosts_after("").flat_map(|host| {
        let is_member = host.group.eq_ignore_ascii_case(group);
        let fits = move |name: &str| written.is_some_and(|group| hosts.belongs(name, group));
        host.names().filter(move |name| is_member || fits(name))
    });
    let all = spelled.map(str::to_ascii_lowercase);
    let all = all.chain(known.map(str::to_owned));
    all.take(NAMES + 1).collect()
}

/// The group of the policy that has this name, in any case.
fn written<'a>(policy: &'a Policy, group: &str) -> Option<&'a str> {
    let mut groups = policy.hosts().groups();
    groups.find(|written| written.eq_ignore_ascii_case(group))
}

/// Names near an unknown one of a person. Keys are not names.
pub(super) async fn near_people(
    authority: &Authority,
    name: &str,
) -> Result<Option<Vec<String>>, Error> {
    if name.starts_with("SHA256:") {
        return Ok(None);
    }
    let near = authority.store.state(|state| {
        let is_unknown = state.called(name).is_empty();
        is_unknown.then(|| state.near_people(name))
    });
    unless_seen(authority, near, Term::name(name)).await
}

/// Names near one of no role in force or in the ledger.
pub(super) async fn near_roles(
    authority: &Authority,
    name: &str,
) -> Result<Option<Vec<String>>, Error> {
    let policy = authority.policy();
    let roles = || policy.roles().iter().map(|role| role.name.as_str());
    let is_unknown = roles().all(|role| role != name);
    let near = is_unknown.then(|| near(name, roles()));
    unless_seen(authority, near, Term::role(name)).await
}

/// Names near one of no known host or group, and of no event.
pub(super) async fn near_hosts(
    authority: &Authority,
    name: &str,
) -> Result<Option<Vec<String>>, Error> {
    let (policy, host) = (authority.policy(), name.to_ascii_lowercase());
    let hosts = policy.hosts();
    let is_of_policy =
        written(&policy, name).is_some() || hosts.groups().any(|group| hosts.belongs(&host, group));
    if is_of_policy {
        return Ok(None);
    }
    let near = authority.store.state(|state| {
        let known = || state.hosts_after("");
        if state.host_called(&host).is_some()
            || known().any(|it| it.group.eq_ignore_ascii_case(name))
        {
            return None;
        }
        let joined = known().flat_map(|it| it.names().chain([it.group.as_str()]));
        let bastions = policy.bastions().iter().map(|it| it.name.as_str());
        let all: BTreeSet<_> = joined.chain(hosts.groups()).chain(bastions).collect();
        Some(near(&host, all.into_iter()))
    });
    unless_seen(authority, near, Term::host(name)).await
}

/// None if an event has the term: the policy forgets roles and groups, and the ledger does not.
async fn unless_seen(
    authority: &Authority,
    near: Option<Vec<String>>,
    term: Term,
) -> Result<Option<Vec<String>>, Error> {
    match near {
        Some(near) if !is_seen(authority, term).await? => Ok(Some(near)),
        Some(_) | None => Ok(None),
    }
}
