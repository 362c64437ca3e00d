//! The known hosts, for administrators and auditors, and the marks of those that fall behind.

use std::{collections::HashMap, time::Duration};

use time::OffsetDateTime;

use super::{
    Authority, Error,
    behind::{Facts, LastReport, TWO_SYNCS, why},
    known,
};
use crate::{
    ca::KeyState,
    identity::Identity,
    ledger::{
        EventKind, LedgerState,
        event::{CaKeyState, HostBehind},
        state::HostRecord,
    },
    operations::admin::expect_reader,
    policy::Context,
    ssh::key::fingerprint,
    store,
};

/// The most hosts of one page.
pub(crate) const PAGE: usize = 1000;

/// The most marks that one round records, so that an outage of a network floods no ledger.
const MARKS: usize = 256;

/// A host as it is listed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listed {
    /// What the ledger says.
    pub host: HostRecord,
    /// Its last report.
    pub last: Option<LastReport>,
    /// Why it is behind.
    pub behind: Vec<String>,
}

/// A page of hosts. `behind`: only those that are. Returns the name after which the next page
/// begins; none after the last page.
///
/// # Errors
/// Returns [`Error::AdminDenied`], recorded, if the policy names this identity neither as
/// administrator nor as auditor, and [`Error::Store`] if the reports cannot be read.
pub(crate) async fn list(
    authority: &Authority,
    identity: &Identity,
    (after, size, behind): (&str, usize, bool),
    context: Context,
) -> Result<(Vec<Listed>, Option<String>), Error> {
    if !authority.policy().may_audit(identity) {
        expect_reader(authority, identity, context, "list hosts").await?;
    }
    known(authority)?;
    authority.store.follow().await?;
    let size = size.clamp(1, PAGE);
    let (mut found, mut after) = (Vec::new(), after.to_owned());
    loop {
        let page = page(authority, &after, PAGE, context.now).await?;
        let is_last = page.len() < PAGE;
        for listed in page {
            if behind && listed.behind.is_empty() {
                listed.host.name.clone_into(&mut after);
                continue;
            }
            if found.len() == size {
                return Ok((found, Some(after)));
            }
            listed.host.name.clone_into(&mut after);
            found.push(listed);
        }
        if is_last {
            return Ok((found, None));
        }
    }
}

/// The hosts after this name, at most `size`.
pub(in crate::operations) async fn page(
    authority: &Authority,
    after: &str,
    size: usize,
    now: OffsetDateTime,
) -> Result<Vec<Listed>, Error> {
    let hosts = authority.store.state(|state| {
        let hosts = state.hosts_after(after).take(size).cloned();
        hosts.collect::<Vec<HostRecord>>()
    });
    let (Some(first), Some(last)) = (hosts.first(), hosts.last()) else {
        return Ok(Vec::new());
    };
    let reports = authority.store.reports(&first.name, &last.name).await?;
    let mut reports: HashMap<_, _> = reports
        .into_iter()
        .map(|it| (it.host.clone(), it))
        .collect();
    let with_report = hosts.into_iter().map(|host| {
        let joined = host.joined.as_ref().map(|it| it.index);
        let stored = reports.remove(&host.name);
        let stored = stored.filter(|it| Some(it.joined) == joined);
        let last = stored.and_then(|it| {
            let report = serde_json::from_slice(&it.content).ok()?;
            let received = it.received;
            Some(LastReport { received, report })
        });
        (host, last)
    });
    compared(authority, with_report.collect(), now)
}

fn compared(
    authority: &Authority,
    hosts: Vec<(HostRecord, Option<LastReport>)>,
    now: OffsetDateTime,
) -> Result<Vec<Listed>, Error> {
    let own = known(authority)?;
    let behind_after = own.settings.behind_after;
    let host_ca_keys: Vec<String> = own.ca.keys().map(|(key, _)| fingerprint(key)).collect();
    let keys = authority.ca();
    let keys = keys.keys();
    let ca_keys: Vec<(String, KeyState)> =
        keys.map(|(key, state)| (fingerprint(key), state)).collect();
    Ok(authority.store.state(|state| {
        let outdated_since = |version| state.outdated_since(version);
        let retired = state.ca_keys().iter();
        let retired = retired.filter(|it| it.state == CaKeyState::Retired);
        let retired: Vec<_> = retired
            .map(|it| (it.fingerprint.clone(), it.since))
            .collect();
        let facts = Facts {
            now: now.into(),
            behind_after,
            ca_keys: &ca_keys,
            retired: &retired,
            host_ca_keys: &host_ca_keys,
            krl_version: state.revocation_version(),
            outdated_since: &outdated_since,
        };
        let listed = hosts.into_iter().map(|(host, last)| {
            let behind = why(&host, last.as_ref(), &facts);
            Listed { host, last, behind }
        });
        listed.collect()
    }))
}

/// The numbers of hosts, as the ledger has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Those that have joined.
    pub joined: usize,
    /// Those that have a join code and have not.
    pub expected: usize,
    /// Those that are behind.
    pub behind: usize,
}

/// Counts the hosts.
pub(crate) fn count(authority: &Authority) -> Count {
    authority.store.state(|state: &LedgerState| {
        let mut count = Count::default();
        for host in state.hosts_after("") {
            count.joined += usize::from(host.joined.is_some());
            count.expected += usize::from(host.joined.is_none());
            count.behind += usize::from(host.is_behind);
        }
        count
    })
}

/// Records which hosts fell behind, and which are current again: at most once an hour and host. The
/// daemon calls it now and then. `heard` is how long this server has listened without a gap: until
/// each host had its turn to report, none is said to be behind.
///
/// # Errors
/// Returns [`Error::Store`] if reports cannot be read or the ledger cannot be written.
pub(crate) async fn mark(
    authority: &Authority,
    heard: Duration,
    now: OffsetDateTime,
) -> Result<usize, Error> {
    let Some(hosts) = &authority.hosts else {
        return Ok(0);
    };
    let is_early = heard < TWO_SYNCS.min(hosts.settings.behind_after);
    let (mut after, mut marks) = (String::new(), 0);
    loop {
        let page = page(authority, &after, PAGE, now).await?;
        let is_last = page.len() < PAGE;
        for Listed { host, behind, .. } in page {
            host.name.clone_into(&mut after);
            let is_same = host.is_behind != behind.is_empty();
            let is_unheard = is_early && !behind.is_empty();
            if is_same || is_unheard || !host.may_be_marked(now.into()) {
                continue;
            }
            if marks == MARKS {
                return Ok(marks);
            }
            let mark = match behind.is_empty() {
                true => EventKind::HostCurrent { host: host.name },
                false => EventKind::HostBehind(Box::new(HostBehind {
                    host: host.name,
                    why: behind,
                })),
            };
            match authority.store.record(mark, now).await {
                Ok(_) => marks += 1,
                // Another server has said so.
                Err(store::Error::Rejection(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if is_last {
            return Ok(marks);
        }
    }
}
