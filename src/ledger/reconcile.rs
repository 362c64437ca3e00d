//! Compares logins that hosts saw with the passes of the ledger. Pure.
//!
//! First every login is noted, then every event is taken in, in order; the rest follows. A login
//! by a certificate that the ledger lacks shows that a CA key was copied.

mod finding;
mod judgement;

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;

pub(crate) use super::event::LoginFinding as Kind;
pub(crate) use finding::{Finding, Unused};

use super::{
    Event, EventKind,
    approval::fingerprint,
    event::{Issued, SeenCertificate},
};
use crate::ssh::sshd_log::{CertificateLogin, UnreadableLogin};
use judgement::{Hosts, Pass, Seen, Times, seconds, short, wrong};

/// The most logins that differ in more than their time.
pub(crate) const MOST_LOGINS: usize = 200_000;

/// The most unused passes that are named; all are counted.
const NAMED: usize = 1000;

/// What is compared.
pub(crate) struct Reconciler {
    hosts_of_passes: Hosts,
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
    /// For logs of hosts. `others`: fingerprints of CA keys of others.
    pub(crate) fn new(others: BTreeSet<String>, is_every_host: bool) -> Self {
        Self {
            others,
            is_every_host,
            ..Self::of(Hosts::Named)
        }
    }

    /// For the logins on one host of these groups, each told apart from the next.
    pub(crate) fn of_host(groups: BTreeSet<String>) -> Self {
        Self::of(Hosts::Groups(groups))
    }

    fn of(hosts_of_passes: Hosts) -> Self {
        Self {
            hosts_of_passes,
            seen: BTreeMap::new(),
            span: None,
            passes: BTreeMap::new(),
            cas: BTreeSet::new(),
            others: BTreeSet::new(),
            hosts: BTreeSet::new(),
            is_every_host: false,
            unused: Unused::default(),
        }
    }

    /// Takes in a CA key of ours that no event names, or not yet.
    pub(crate) fn know(&mut self, ca: String) {
        self.cas.insert(ca);
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
            host: host.to_owned(),
            login: login.login,
            from: login.from,
            port: self.port(login.port),
            certificate: Some(SeenCertificate {
                serial: login.serial,
                key_id: login.key_id,
                key: login.key,
                ca: login.ca,
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
            host: host.to_owned(),
            login,
            from,
            port: self.port(port),
            certificate: None,
        };
        self.note_seen(seen, at)
    }

    fn port(&self, port: u16) -> u16 {
        match self.hosts_of_passes {
            Hosts::Named => 0,
            Hosts::Groups(_) => port,
        }
    }

    fn note_seen(&mut self, seen: Seen, at: Option<OffsetDateTime>) -> Result<(), TooMany> {
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
            EventKind::Skipped => {
                if let Some(pass) = self.passes.get_mut(&event.index) {
                    pass.is_lost = true;
                }
            }
            EventKind::Revoked(revoked) => self.revoked(&revoked.serials, event.at),
            EventKind::Locked(locked) => self.revoked(&locked.serials, event.at),
            EventKind::SigningFailed { serial, .. } => self.revoked(&[serial], event.at),
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
            | EventKind::HostJoined(_)
            | EventKind::HostRemoved(_)
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
            let certificate = seen.certificate.as_ref();
            if certificate.is_some_and(|it| self.others.contains(&it.ca)) {
                result.others += times.count;
                continue;
            }
            result.logins += times.count;
            let pass = certificate.and_then(|it| self.passes.get(&it.serial));
            match wrong(&seen, times, pass, (&self.cas, &self.hosts_of_passes)) {
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

#[cfg(test)]
mod tests;
