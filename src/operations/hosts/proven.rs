//! What hosts have proven about the CA keys that they trust.
//!
//! Reports are rows of the database, which the ledger does not protect. So a report counts here
//! only with the signatures by the host's own keys that it came with: a row of another host, an old
//! one that was put back and altered bytes count as no report.

use std::{collections::HashMap, time::Duration};

use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::{
    Authority, Error,
    listing::PAGE,
    report::{KeptReport, Report},
    reporting::CLOCKS_APART,
};
use crate::{
    ledger::{hosts::is_signed_by_all, state::HostRecord},
    ssh::host_proof::HostVerb,
    store::StoredReport,
    unix_seconds::{UnixSeconds, moment},
};

/// Reads the bytes of a report, as a host signs them. The wire's form is unknown here.
pub(crate) type ReadReport = fn(&[u8]) -> Option<Report>;

/// What a known host has proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProvenTrust {
    /// Its name.
    pub host: String,
    /// When it made its report; none if no report counts.
    pub reported_at: Option<UnixSeconds>,
    /// Fingerprints of the CA keys that it trusts, or why none is known.
    pub trusted: Result<Vec<String>, String>,
    /// Those of its last report, also if that is too old to prove anything.
    pub named: Vec<String>,
}

/// Bounds for a report.
#[derive(Clone, Debug)]
struct Rules {
    server: String,
    now: UnixSeconds,
    /// Older reports count no more.
    counts_for: Duration,
    read: ReadReport,
}

/// What every host that has joined has proven, by name. Empty if this server knows no hosts.
///
/// # Errors
/// Returns [`Error::Store`] if the reports cannot be read.
pub(crate) async fn proven(
    authority: &Authority,
    read: ReadReport,
    now: UnixSeconds,
) -> Result<Vec<ProvenTrust>, Error> {
    let Some(hosts) = &authority.hosts else {
        return Ok(Vec::new());
    };
    let rules = Rules {
        server: authority.server_name.clone(),
        now,
        counts_for: hosts.settings.behind_after,
        read,
    };
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = authority.store.state(|state| {
            let hosts = state.hosts_after(&after).take(PAGE).cloned();
            hosts.collect::<Vec<HostRecord>>()
        });
        let (Some(first), Some(last)) = (page.first(), page.last()) else {
            return Ok(found);
        };
        let reports = authority.store.reports(&first.name, &last.name).await?;
        last.name.clone_into(&mut after);
        let rules = rules.clone();
        // Up to four signatures of each host.
        let checked = spawn_blocking(move || check(page, reports, &rules)).await;
        found.extend(checked.map_err(|error| Error::Invalid(error.to_string()))?);
    }
}

fn check(hosts: Vec<HostRecord>, reports: Vec<StoredReport>, rules: &Rules) -> Vec<ProvenTrust> {
    let reports = reports.into_iter().map(|it| (it.host.clone(), it));
    let reports: HashMap<String, StoredReport> = reports.collect();
    let joined = hosts.into_iter().filter(|host| host.joined.is_some());
    let check = |host: HostRecord| {
        let report = rules.check(&host, reports.get(&host.name));
        let reported_at = report.as_ref().ok().map(|it| UnixSeconds(it.at / 1000));
        let named = report.as_ref().map(|it| it.trusted_ca_keys.clone());
        let named = named.unwrap_or_default();
        let trusted = report.and_then(|report| rules.expect_new(report));
        ProvenTrust {
            host: host.name,
            reported_at,
            trusted: trusted.map(|report| report.trusted_ca_keys),
            named,
        }
    };
    joined.map(check).collect()
}

impl Rules {
    /// The report that the host itself signed, with the keys by which it joined.
    fn check(&self, host: &HostRecord, stored: Option<&StoredReport>) -> Result<Report, String> {
        let joined = host.joined.as_ref().ok_or("it has not joined")?;
        let stored = stored.filter(|it| it.joined == joined.index);
        let stored = stored.ok_or("it has not reported since it joined")?;
        let kept: Option<KeptReport> = serde_json::from_slice(&stored.content).ok();
        let signed = kept.and_then(|it| it.signed);
        let signed = signed.ok_or("its last report was kept without its signature")?;
        let altered = "its last report in the database is not the one that it signed";
        let bytes = signed.bytes().ok_or(altered)?;
        let texts: Vec<String> = signed.keys.iter().map(|it| it.key.clone()).collect();
        let digest = Sha256::digest(&bytes).into();
        let is_signed = joined.has_keys(&texts)
            && is_signed_by_all(&self.server, HostVerb::Sync, &digest, &signed.keys) == Some(true);
        let report = (self.read)(&bytes).filter(|it| is_signed && it.host == host.name);
        report.ok_or_else(|| altered.to_owned())
    }

    fn expect_new(&self, report: Report) -> Result<Report, String> {
        let made = UnixSeconds(report.at / 1000);
        if made.saturating_add(self.counts_for) <= self.now {
            return Err(format!("its last report is of {}", moment(made.get())));
        }
        match made > self.now.saturating_add(CLOCKS_APART) {
            true => Err(format!(
                "its last report is of {}, which is in the future",
                moment(made.get())
            )),
            false => Ok(report),
        }
    }
}
