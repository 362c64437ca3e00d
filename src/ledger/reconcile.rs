//! Compares logins that hosts saw with the passes of the ledger. Pure.
//!
//! First every login is noted, then every event is taken in, in order; the rest follows. A login
//! by a certificate that the ledger lacks shows that a CA key was copied.

mod finding;

use std::collections::{BTreeMap, BTreeSet};

use time::{Duration, OffsetDateTime};

pub(crate) use finding::{Finding, Kind, Unused};

use super::{Event, EventKind, event::Issued};
use crate::{
    ssh::{
        principal,
        sshd_log::{CertificateLogin, is_key_id},
    },
    unix_seconds::UnixSeconds,
};

/// Different clocks of server and host.
const SKEW: Duration = Duration::seconds(60);

/// The most logins that differ in more than their time.
pub(crate) const MOST_LOGINS: usize = 200_000;

/// The most unused passes that are named; all are counted.
const NAMED: usize = 1000;

/// What one login is, except its time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    serial: u64,
    host: String,
    login: String,
    from: String,
    key: String,
    key_id: String,
    ca: String,
}

/// When it was seen.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    first: Option<OffsetDateTime>,
    last: Option<OffsetDateTime>,
    count: u64,
}

/// The pass of a serial that was seen.
#[derive(Default)]
struct Pass {
    issued: Option<Box<Issued>>,
    revoked: Option<OffsetDateTime>,
}

/// What is compared.
#[derive(Default)]
pub(crate) struct Reconciler {
    seen: BTreeMap<Seen, Times>,
    /// The first and the last of their times. Each pass of the ledger is compared with it.
    span: Option<(OffsetDateTime, OffsetDateTime)>,
    passes: BTreeMap<u64, Pass>,
    /// CA keys that the ledger names.
    cas: BTreeSet<String>,
    /// CA keys of others, whose logins are not judged.
    others: BTreeSet<String>,
    hosts: BTreeSet<String>,
    /// The logs are of every host, so a pass without a host was used on one of them.
    is_every_host: bool,
    unused: Unused,
}

/// There are too many different logins for one comparison.
#[derive(Debug, thiserror::Error)]
#[error("more than {MOST_LOGINS} different logins: compare the logs of fewer hosts or days")]
pub(crate) struct TooMany;

/// The result.
pub(crate) struct Reconciled {
    /// Certificate logins that were compared.
    pub(crate) logins: u64,
    /// Those whose pass is in the ledger, used as it was issued.
    pub(crate) good: u64,
    /// Those by CA keys of others.
    pub(crate) others: u64,
    /// Worst first.
    pub(crate) findings: Vec<Finding>,
    pub(crate) unused: Unused,
}

impl Reconciler {
    pub(crate) fn new(others: BTreeSet<String>, is_every_host: bool) -> Self {
        Self {
            others,
            is_every_host,
            ..Self::default()
        }
    }

    /// Notes a login on `host`, at this time if it is known.
    ///
    /// # Errors
    /// Returns [`TooMany`] beyond [`MOST_LOGINS`].
    pub(crate) fn note(
        &mut self,
        login: CertificateLogin,
        host: &str,
        at: Option<OffsetDateTime>,
    ) -> Result<(), TooMany> {
        self.hosts.insert(short(host));
        self.passes.entry(login.serial).or_default();
        let seen = Seen {
            serial: login.serial,
            host: host.to_owned(),
            login: login.login,
            from: login.from,
            key: login.key,
            key_id: login.key_id,
            ca: login.ca,
        };
        if self.seen.len() >= MOST_LOGINS && !self.seen.contains_key(&seen) {
            return Err(TooMany);
        }
        let times = self.seen.entry(seen).or_default();
        times.count += 1;
        if let Some(at) = at {
            times.first = Some(times.first.map_or(at, |first| first.min(at)));
            times.last = Some(times.last.map_or(at, |last| last.max(at)));
            let (first, last) = self.span.unwrap_or((at, at));
            self.span = Some((first.min(at), last.max(at)));
        }
        Ok(())
    }

    /// Takes these events, in their order.
    pub(crate) fn take_all(&mut self, events: Vec<Event>) {
        for event in events {
            self.take(event);
        }
    }

    /// Takes in the next event of the ledger.
    fn take(&mut self, event: Event) {
        match event.what {
            EventKind::Issued(issued) => {
                if !self.cas.contains(&issued.ca) {
                    self.cas.insert(issued.ca.clone());
                }
                match self.passes.get_mut(&event.index) {
                    Some(pass) => pass.issued = Some(issued),
                    None => self.not_seen(event.index, &issued),
                }
            }
            EventKind::Revoked(revoked) => self.revoked(&revoked.serials, event.at),
            EventKind::Locked(locked) => self.revoked(&locked.serials, event.at),
            EventKind::KeyStaged { key }
            | EventKind::KeyActivated { key }
            | EventKind::KeyRetired { key } => {
                self.cas.insert(key);
            }
            EventKind::Started { .. }
            | EventKind::PolicyLoaded { .. }
            | EventKind::SigningFailed { .. }
            | EventKind::Denied { .. }
            | EventKind::Denials(_)
            | EventKind::Requested(_)
            | EventKind::Approved(_)
            | EventKind::Refused(_)
            | EventKind::Cancelled(_)
            | EventKind::Reviewed(_)
            | EventKind::Unlocked(_)
            | EventKind::Skipped
            | EventKind::HostAdded(_)
            | EventKind::HostJoined(_)
            | EventKind::HostRemoved(_)
            | EventKind::HostCertified(_)
            | EventKind::HostBehind(_)
            | EventKind::HostCurrent { .. } => (),
        }
    }

    fn revoked(&mut self, serials: &[u64], at: OffsetDateTime) {
        for serial in serials {
            if let Some(pass) = self.passes.get_mut(serial) {
                pass.revoked.get_or_insert(at);
            }
        }
    }

    /// A pass that was valid within the time of the logs, for one of their hosts, and not used.
    fn not_seen(&mut self, serial: u64, issued: &Issued) {
        let Some((first, last)) = self.span else {
            return;
        };
        let (from, to) = (first.unix_timestamp(), last.unix_timestamp());
        let is_here = match &issued.ask.host {
            Some(host) => self.hosts.contains(&short(host)),
            None => self.is_every_host,
        };
        let is_then = seconds(issued.valid_before) > from && seconds(issued.valid_after) < to;
        if is_here && is_then {
            self.unused.add(serial, issued, NAMED);
        }
    }

    /// Judges each login, after the last event.
    pub(crate) fn finish(self) -> Reconciled {
        let mut result = Reconciled {
            logins: 0,
            good: 0,
            others: 0,
            findings: Vec::new(),
            unused: self.unused,
        };
        for (seen, times) in self.seen {
            if self.others.contains(&seen.ca) {
                result.others += times.count;
                continue;
            }
            result.logins += times.count;
            let pass = self.passes.get(&seen.serial);
            match wrong(&seen, times, pass, &self.cas) {
                None => result.good += times.count,
                Some((kind, why)) => result.findings.push(Finding {
                    kind,
                    why,
                    serial: seen.serial,
                    host: seen.host,
                    login: seen.login,
                    from: seen.from,
                    key_id: seen.key_id,
                    first: times.first,
                    last: times.last,
                    count: times.count,
                }),
            }
        }
        let order = |it: &Finding| (it.kind, it.first, it.serial);
        result.findings.sort_by_key(order);
        result
    }
}

/// The worst that is wrong with a login.
fn wrong(
    seen: &Seen,
    times: Times,
    pass: Option<&Pass>,
    cas: &BTreeSet<String>,
) -> Option<(Kind, String)> {
    if !cas.contains(&seen.ca) {
        let why = format!("the ledger names no CA key {}", seen.ca);
        return Some((Kind::Unknown, why));
    }
    let (issued, revoked) = match pass {
        Some(Pass {
            issued: Some(issued),
            revoked,
        }) => (issued, revoked),
        Some(_) | None => {
            let why = format!(
                "event {} of the ledger is not a pass: a CA key of yours signed it elsewhere",
                seen.serial
            );
            return Some((Kind::Unknown, why));
        }
    };
    altered(seen, issued)
        .map(|why| (Kind::Altered, why))
        .or_else(|| late(times, issued, *revoked).map(|why| (Kind::Late, why)))
        .or_else(|| elsewhere(seen, issued).map(|why| (Kind::Elsewhere, why)))
}

/// What the certificate has otherwise than its event.
fn altered(seen: &Seen, issued: &Issued) -> Option<String> {
    let other = |what: &str, here: &str, recorded: &str| {
        Some(format!("its {what} is {here}; recorded is {recorded}"))
    };
    if seen.ca != issued.ca {
        return other("CA key", &seen.ca, &issued.ca);
    }
    if !is_key_id(&seen.key_id, &issued.key_id) {
        return other("key id", &seen.key_id, &issued.key_id);
    }
    if seen.key != issued.key {
        return other("key", &seen.key, &issued.key);
    }
    let principals = &issued.permissions.principals;
    let is_login = |name: &String| principal::login(name) == seen.login;
    match principals.iter().any(is_login) {
        true => None,
        false => {
            let principals: Vec<&str> = principals.iter().map(String::as_str).collect();
            other("login", &seen.login, &principals.join(", "))
        }
    }
}

/// A use outside the pass's time.
fn late(times: Times, issued: &Issued, revoked: Option<OffsetDateTime>) -> Option<String> {
    let moment = |at| OffsetDateTime::from_unix_timestamp(seconds(at)).ok();
    let (first, last) = (times.first?, times.last?);
    if let Some(end) = moment(issued.valid_before)
        && last > end + SKEW
    {
        return Some(format!("{} after it expired", spoken(last - end)));
    }
    if let Some(at) = revoked
        && last > at + SKEW
    {
        return Some(format!("{} after it was revoked", spoken(last - at)));
    }
    if let Some(start) = moment(issued.valid_after)
        && first < start - SKEW
    {
        return Some(format!("{} before it was valid", spoken(start - first)));
    }
    None
}

/// A use on another host than it was asked for.
fn elsewhere(seen: &Seen, issued: &Issued) -> Option<String> {
    let host = issued.ask.host.as_ref()?;
    (short(host) != short(&seen.host)).then(|| format!("it was asked for {host}"))
}

/// A host's name up to the first dot, in small letters: logs seldom have the whole name.
fn short(host: &str) -> String {
    let first = host.split('.').next().unwrap_or(host);
    first.to_ascii_lowercase()
}

fn seconds(time: UnixSeconds) -> i64 {
    i64::try_from(time.get()).unwrap_or(i64::MAX)
}

fn spoken(time: Duration) -> String {
    match time.whole_seconds() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
