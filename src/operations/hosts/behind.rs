//! Why a host is behind. Pure.

use std::{collections::BTreeSet, time::Duration};

use super::report::Report;
use crate::{
    ca::KeyState,
    ledger::state::{HostRecord, Joined, MOST_REASONS},
    ssh::certificate::HOST_BACKDATE,
    unix_seconds::{UnixSeconds, moment},
};

/// Two runs of the hosts' timer (`systemd/daypass-sync.timer`), each with its random delay. For so
/// long after a CA key's retirement a report may still name it.
pub(crate) const TWO_SYNCS: Duration = Duration::from_secs(5 * 60);

/// What a host is compared with.
pub(crate) struct Facts<'a> {
    /// The time.
    pub now: UnixSeconds,
    /// Time without a report, or with an old revocation list, after which a host is behind.
    pub behind_after: Duration,
    /// The user CA's keys by fingerprint.
    pub ca_keys: &'a [(String, KeyState)],
    /// Those that are retired for good, and since when.
    pub retired: &'a [(String, UnixSeconds)],
    /// The fingerprints of the keys by which users accept host certificates.
    pub host_ca_keys: &'a [String],
    /// The version of the revocation list.
    pub krl_version: u64,
    /// When a host with this version of it began to be behind.
    pub outdated_since: &'a dyn Fn(u64) -> Option<UnixSeconds>,
}

/// The last report of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastReport {
    /// When a server received it.
    pub received: UnixSeconds,
    /// What it says.
    pub report: Report,
}

/// The first second at which the earliest certificate of the host's keys is no longer valid; none
/// if there is no certificate.
pub(crate) fn certified_until(host: &HostRecord) -> Option<UnixSeconds> {
    let certificates = host.joined.iter().flat_map(|it| it.certificates.values());
    certificates.map(|it| it.valid_before).min()
}

/// Until when users can rely on the host's showing a certificate; none if it has none, or the
/// newest one of a key is not valid yet: a clock was ahead when it was made.
pub(crate) fn shows_until(host: &HostRecord, now: UnixSeconds) -> Option<UnixSeconds> {
    let mut certificates = host.joined.iter().flat_map(|it| it.certificates.values());
    match certificates.any(|it| it.valid_after > now) {
        true => None,
        false => certified_until(host),
    }
}

/// The fingerprints of the host CA keys that signed the newest certificates of the host's keys,
/// each once.
pub(crate) fn certified_by(host: &HostRecord) -> BTreeSet<&str> {
    let certificates = host.joined.iter().flat_map(|it| it.certificates.values());
    certificates.map(|it| &*it.ca).collect()
}

/// Why the host is behind, a sentence each. Empty: it is current, or has not joined.
pub(crate) fn why(host: &HostRecord, last: Option<&LastReport>, facts: &Facts<'_>) -> Vec<String> {
    let Some(joined) = &host.joined else {
        return Vec::new();
    };
    let mut why = Vec::new();
    let is_long_ago = |at: UnixSeconds| at.saturating_add(facts.behind_after) <= facts.now;
    match last {
        None if is_long_ago(joined.at) => why.push(format!(
            "it has not reported since it joined at {}",
            moment(joined.at.get())
        )),
        Some(last) if is_long_ago(last.received) => why.push(format!(
            "its last report is of {}",
            moment(last.received.get())
        )),
        None | Some(_) => {}
    }
    match certified_until(host) {
        None => why.push("it has no host certificate: daypass host sync gets one".to_owned()),
        Some(until) if until <= facts.now => {
            why.push("its host certificate has expired".to_owned());
        }
        Some(_) => {}
    }
    for key in certified_by(host) {
        if !facts.host_ca_keys.iter().any(|it| it == key) {
            why.push(format!(
                "its host certificate is by the key {key}, which users no longer trust: daypass host sync gets another"
            ));
        }
    }
    if let Some(last) = last {
        why.extend(facts.kept(last));
        why.extend(untaken(joined, &last.report, is_long_ago));
        why.extend(facts.of(&last.report, is_long_ago));
    }
    why.truncate(MOST_REASONS);
    why
}

/// Why, if the host does not say that it has a certificate that was made for it some time ago.
fn untaken(
    joined: &Joined,
    report: &Report,
    is_long_ago: impl Fn(UnixSeconds) -> bool,
) -> Option<String> {
    let mut newest = joined.certificates.values();
    let is_untaken = newest.any(|it| {
        let made = it.valid_after.saturating_add(HOST_BACKDATE);
        !report.certificates.contains(&it.serial) && is_long_ago(made)
    });
    let why =
        "it has not taken a host certificate that was made for it: daypass host doctor says why";
    is_untaken.then(|| why.to_owned())
}

impl Facts<'_> {
    /// Says which retired keys the host trusted well after it should have forgotten them: a thief
    /// of such a key logs in there.
    fn kept(&self, last: &LastReport) -> impl Iterator<Item = String> {
        let is_kept = |(key, since): &&(String, UnixSeconds)| {
            let is_late = last.received >= since.saturating_add(TWO_SYNCS);
            is_late && last.report.trusted_ca_keys.contains(key)
        };
        self.retired.iter().filter(is_kept).map(|(key, _)| {
            format!(
                "it still trusts the retired CA key {key}: run daypass host sync there, and if that does not help, \
                 take the key out of its TrustedUserCAKeys"
            )
        })
    }

    fn of(&self, report: &Report, is_long_ago: impl Fn(UnixSeconds) -> bool) -> Vec<String> {
        let mut why = Vec::new();
        for (key, state) in self.ca_keys {
            let state = match state {
                KeyState::Active => "active",
                KeyState::Staged => "staged",
                KeyState::Retired => continue,
            };
            if !report.trusted_ca_keys.contains(key) {
                why.push(format!("it does not trust the {state} CA key {key}"));
            }
        }
        match report.krl_version {
            None => why.push("it has no revocation list".to_owned()),
            Some(version) => {
                if (self.outdated_since)(version).is_some_and(is_long_ago) {
                    why.push(format!(
                        "its revocation list has version {version}, and the newest is {}",
                        self.krl_version
                    ));
                }
            }
        }
        why.extend(report.faults.iter().cloned());
        why
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ledger::state::CertificateRecord;

    /// Its thief could log in there, and no view said so.
    #[test]
    fn a_host_that_keeps_a_retired_key_is_behind_once_it_had_time_to_forget_it() {
        let (new, old) = ("SHA256:new".to_owned(), "SHA256:old".to_owned());
        let retired_at = UnixSeconds(1_000_000);
        let certificate = CertificateRecord {
            serial: 7,
            valid_after: UnixSeconds(0),
            valid_before: UnixSeconds(9_000_000),
            ca: "SHA256:hosts".to_owned(),
        };
        let mut host = HostRecord::default();
        let _ = host.joined.insert(Joined {
            index: 1,
            at: UnixSeconds(900_000),
            digest: String::new(),
            code_until: UnixSeconds(0),
            keys: Vec::new(),
            certificates: BTreeMap::from([("SHA256:key".to_owned(), certificate)]),
        });
        let keys = [(new.clone(), KeyState::Active)];
        let said = |trusted: &[&String], seconds: u64| {
            let received = UnixSeconds(retired_at.get() + seconds);
            let facts = Facts {
                now: received,
                behind_after: Duration::from_secs(3600),
                ca_keys: &keys,
                retired: &[(old.clone(), retired_at)],
                host_ca_keys: &["SHA256:hosts".to_owned()],
                krl_version: 1,
                outdated_since: &|_| None,
            };
            let report = Report {
                trusted_ca_keys: trusted.iter().map(|it| (*it).clone()).collect(),
                krl_version: Some(1),
                certificates: vec![7],
                ..Report::default()
            };
            why(&host, Some(&LastReport { received, report }), &facts)
        };
        for seconds in [0, 120, 299] {
            assert!(said(&[&new, &old], seconds).is_empty(), "{seconds}");
        }
        let late = said(&[&new, &old], 300);
        let [late] = &late[..] else {
            unreachable!("{late:?}")
        };
        assert!(
            late.contains("still trusts the retired CA key SHA256:old"),
            "{late}"
        );
        assert!(said(&[&new], 300).is_empty());
    }
}
