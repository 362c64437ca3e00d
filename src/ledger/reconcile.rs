//! Compares logins that hosts saw with the passes of the ledger. Pure.
//!
//! First every login is noted, then every event is taken in, in order; the rest follows. A login
//! by a certificate that the ledger lacks shows that a CA key was copied.

mod finding;
mod judgement;
mod names;
mod places;
mod seen;
mod unused;

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;

pub(crate) use super::event::LoginFinding as Kind;
pub(crate) use finding::Finding;
pub(crate) use unused::Unused;

use super::{
    Event, EventKind,
    approval::fingerprint,
    event::{Issued, SeenCertificate},
};
use crate::ssh::{
    principal,
    printable::line,
    sshd_log::{CertificateLogin, UnreadableLogin},
};
use judgement::{Pass, Recorded, seconds, wrong};
use places::{Logs, MOST_HOSTS, Places};
use seen::{Seen, Times};
use unused::Collector;

/// The most logins that differ in more than their time.
pub(crate) const MOST_LOGINS: usize = 200_000;

/// The most bytes of them.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// The most bytes of each text of a login: sshd cuts its message before.
const LONGEST_TEXT: usize = 1024;

/// What is compared.
pub(crate) struct Reconciler {
    places: Places,
    seen: BTreeMap<Seen, Times>,
    /// Bytes of the texts in `seen`.
    bytes: usize,
    /// The first and the last time in the logs. Each pass of the ledger is compared with it.
    span: Option<(OffsetDateTime, OffsetDateTime)>,
    passes: BTreeMap<u64, Pass>,
    /// CA keys that the ledger names.
    cas: BTreeSet<String>,
    /// CA keys of others, whose logins are not judged.
    others: BTreeSet<String>,
    /// The logs are of every host, so a pass was used on one of them or not at all.
    is_every_host: bool,
    unused: Collector,
}

/// There is too much for one comparison.
#[derive(Debug, thiserror::Error)]
#[error(
    "more than {MOST_LOGINS} different logins ({} MiB) or {MOST_HOSTS} hosts: compare the logs of fewer hosts or days",
    MOST_BYTES / 1024 / 1024
)]
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
    /// For logs of hosts. `others`: fingerprints of CA keys of others.
    pub(crate) fn new(others: BTreeSet<String>, is_every_host: bool) -> Self {
        Self {
            others,
            is_every_host,
            ..Self::at(Places::Logs(Box::default()))
        }
    }

    /// For the logins on one host of these names and groups, each told apart from the next.
    pub(crate) fn of_host(names: BTreeSet<String>, groups: BTreeSet<String>) -> Self {
        Self::at(Places::One { names, groups })
    }

    fn at(places: Places) -> Self {
        Self {
            places,
            seen: BTreeMap::new(),
            bytes: 0,
            span: None,
            passes: BTreeMap::new(),
            cas: BTreeSet::new(),
            others: BTreeSet::new(),
            is_every_host: false,
            unused: Collector::default(),
        }
    }

    /// Takes in a CA key of ours that no event names, or not yet.
    pub(crate) fn know(&mut self, ca: String) {
        self.cas.insert(ca);
    }

    /// Notes that the logs are of this host, too, at this time.
    ///
    /// # Errors
    /// Returns [`TooMany`] beyond [`MOST_HOSTS`].
    pub(crate) fn cover(&mut self, host: &str, at: Option<OffsetDateTime>) -> Result<(), TooMany> {
        if let Some(at) = at {
            let (first, last) = self.span.unwrap_or((at, at));
            self.span = Some((first.min(at), last.max(at)));
        }
        match &mut self.places {
            Places::Logs(logs) => logs.note(host).then_some(()).ok_or(TooMany),
            Places::One { .. } => Ok(()),
        }
    }

    /// Notes a login on `host`, at this time if it is known.
    ///
    /// # Errors
    /// Returns [`TooMany`] beyond [`MOST_LOGINS`] or [`MOST_HOSTS`].
    pub(crate) fn note(
        &mut self,
        login: CertificateLogin,
        host: &str,
        at: Option<OffsetDateTime>,
    ) -> Result<(), TooMany> {
        self.passes.entry(login.serial).or_default();
        let seen = Seen {
            host: text(host),
            login: text(&login.login),
            from: text(&login.from),
            port: self.port(login.port),
            certificate: Some(SeenCertificate {
                serial: login.serial,
                key_id: text(&login.key_id),
                key: text(&login.key),
                ca: text(&login.ca),
            }),
        };
        self.note_seen(seen, at)
    }

    /// Notes a login whose message does not say which certificate it was.
    ///
    /// # Errors
    /// As [`Reconciler::note`].
    pub(crate) fn note_unreadable(
        &mut self,
        login: UnreadableLogin,
        host: &str,
        at: Option<OffsetDateTime>,
    ) -> Result<(), TooMany> {
        let (login, from, port) = login.client.unwrap_or_default();
        let seen = Seen {
            host: text(host),
            login: text(&login),
            from: text(&from),
            port: self.port(port),
            certificate: None,
        };
        self.note_seen(seen, at)
    }

    fn port(&self, port: u16) -> u16 {
        match self.places {
            Places::Logs(_) => 0,
            Places::One { .. } => port,
        }
    }

    fn note_seen(&mut self, seen: Seen, at: Option<OffsetDateTime>) -> Result<(), TooMany> {
        self.cover(&seen.host, at)?;
        if !self.seen.contains_key(&seen) {
            self.bytes += seen.bytes();
            if self.seen.len() >= MOST_LOGINS || self.bytes > MOST_BYTES {
                return Err(TooMany);
            }
        }
        let times = self.seen.entry(seen).or_default();
        times.count += 1;
        if let Some(at) = at {
            times.first = Some(times.first.map_or(at, |first| first.min(at)));
            times.last = Some(times.last.map_or(at, |last| last.max(at)));
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
                if let Some(jump) = &issued.jump {
                    self.unused.jump(event.index, jump.pass);
                }
                match self.passes.get_mut(&event.index) {
                    Some(pass) => pass.issued = Some(Box::new(Recorded::from(*issued))),
                    None => self.not_seen(event.index, &issued),
                }
            }
            EventKind::Skipped => {
                if let Some(pass) = self.passes.get_mut(&event.index) {
                    pass.is_lost = true;
                }
            }
            EventKind::Revoked(revoked) => self.revoked(&revoked.serials, event.at),
            EventKind::Locked(locked) => self.revoked(&locked.serials, event.at),
            EventKind::SigningFailed { serial, .. } => {
                self.revoked(&[serial], event.at);
                self.unused.failed(serial);
            }
            EventKind::HostJoined(host) => self.places.joined(&host, (event.index, event.at)),
            EventKind::HostRemoved(host) => self.places.removed(&host.host, event.at),
            EventKind::KeyStaged { key }
            | EventKind::KeyActivated { key }
            | EventKind::KeyRetired { key } => {
                self.cas.insert(key);
            }
            EventKind::CaKeyOrdered(ordered) => {
                let named = ordered.from.iter().map(|it| &it.key);
                let keys = named.chain([&ordered.key]);
                self.cas.extend(keys.filter_map(|key| fingerprint(key)));
            }
            EventKind::Started { .. }
            | EventKind::PolicyLoaded { .. }
            | EventKind::Denied { .. }
            | EventKind::Denials(_)
            | EventKind::Requested(_)
            | EventKind::Approved(_)
            | EventKind::Refused(_)
            | EventKind::Cancelled(_)
            | EventKind::Reviewed(_)
            | EventKind::Unlocked(_)
            | EventKind::LedgerKeyChanged(_)
            | EventKind::HostAdded(_)
            | EventKind::HostCertified(_)
            | EventKind::HostBehind(_)
            | EventKind::HostCurrent { .. }
            | EventKind::ForeignLogin(_) => (),
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
        let (Some((first, last)), Places::Logs(logs)) = (self.span, &self.places) else {
            return;
        };
        let (from, to) = (first.unix_timestamp(), last.unix_timestamp());
        let is_then = seconds(issued.valid_before) > from && seconds(issued.valid_after) < to;
        if is_then && (self.is_every_host || is_here(logs, issued)) {
            self.unused.add(serial, issued);
        }
    }

    /// Judges each login, after the last event.
    pub(crate) fn finish(self) -> Reconciled {
        let mut result = Reconciled {
            logins: 0,
            good: 0,
            others: 0,
            findings: Vec::new(),
            unused: self.unused.finish(),
        };
        for (seen, times) in self.seen {
            let certificate = seen.certificate.as_ref();
            if certificate.is_some_and(|it| self.others.contains(&it.ca)) {
                result.others += times.count;
                continue;
            }
            result.logins += times.count;
            let pass = certificate.and_then(|it| self.passes.get(&it.serial));
            match wrong(&seen, times, pass, (&self.cas, &self.places)) {
                None => result.good += times.count,
                Some((kind, why)) => result.findings.push(Finding {
                    kind,
                    why,
                    host: seen.host,
                    login: seen.login,
                    from: seen.from,
                    port: seen.port,
                    certificate: seen.certificate,
                    first: times.first,
                    last: times.last,
                    count: times.count,
                }),
            }
        }
        let serial = |it: &Finding| it.certificate.as_ref().map(|it| it.serial);
        let order = |it: &Finding| (it.kind, it.first, serial(it));
        result.findings.sort_by_key(order);
        result
    }
}

/// Whether the logs are of the host that a pass is for: of the one that it was asked for, and for a
/// jump pass of all known hosts in the bastion's group.
fn is_here(logs: &Logs, issued: &Issued) -> bool {
    if issued.jump.is_none() {
        return issued.ask.host.as_ref().is_some_and(|host| logs.has(host));
    }
    let mut groups = issued.permissions.principals.iter();
    groups.all(|name| principal::group(name).is_some_and(|group| logs.has_group(group)))
}

fn text(logged: &str) -> String {
    line(logged, LONGEST_TEXT)
}

#[cfg(test)]
mod tests;
