//! Terms of events, and what events lend to those about them. Pure.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::{
    ledger::{
        approval::fingerprint,
        event::{
            Covered, Event, EventKind, ForeignLogin, HostJoined, Jump, LockTarget, RequestDecision,
            RequestDetails, RevokeTarget, kinds::EMERGENCY,
        },
    },
    ssh::permissions::Permissions,
    unix_seconds::UnixSeconds,
};

/// A property that an event has or lacks: 48 bits of a hash, so that SQLite stores it in six bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Term(pub(crate) i64);

impl Term {
    fn new(property: &str, values: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for text in [property].iter().chain(values) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        let hash: [u8; 32] = hash.finalize().into();
        let bits = hash.iter().take(6);
        Self(bits.fold(0, |bits, byte| bits << 8 | i64::from(*byte)))
    }

    /// The events of this kind ([`EventKind::kind`]), or of emergencies ([`EMERGENCY`]).
    pub(crate) fn kind(kind: &str) -> Self {
        Self::new("kind", &[kind])
    }

    /// The events by or about this identity.
    pub(crate) fn identity(issuer: &str, subject: &str) -> Self {
        Self::new("identity", &[issuer, subject])
    }

    /// The locks and revocations of this name.
    pub(crate) fn name(name: &str) -> Self {
        Self::new("name", &[name])
    }

    /// The events with this subject key, or about it.
    pub(crate) fn key(fingerprint: &str) -> Self {
        Self::new("key", &[fingerprint])
    }

    /// The events with this role, or about it.
    pub(crate) fn role(role: &str) -> Self {
        Self::new("role", &[role])
    }

    /// The events with this host or host group, in lower case.
    pub(crate) fn host(host: &str) -> Self {
        Self::new("host", &[&host.to_ascii_lowercase()])
    }

    /// The events that name the event of this index.
    pub(crate) fn about(index: u64) -> Self {
        Self::new("about", &[&index.to_string()])
    }

    /// Passes of emergencies that are to be reviewed.
    pub(crate) fn emergency() -> Self {
        Self::new("emergency", &[])
    }

    /// Passes of emergencies without a closed review. No leaf says so of itself: the index takes
    /// the term away with the review.
    pub(crate) fn unreviewed() -> Self {
        Self::new("unreviewed", &[])
    }
}

/// First second of a pass, and first second after it. A certificate is valid from a minute before
/// its event on, for hosts whose clocks are behind: it did not exist then.
pub(crate) fn validity(event: &Event) -> Option<(u64, u64)> {
    let EventKind::Issued(issued) = &event.what else {
        return None;
    };
    let first = issued.valid_after.max(UnixSeconds::from(event.at));
    Some((first.get(), issued.valid_before.get()))
}

/// The earlier events that this one ended or decided: passes, requests and host certificates,
/// ascending. They are found together.
pub(crate) fn about(event: &Event) -> Vec<u64> {
    let mut about = match &event.what {
        EventKind::Approved(decided)
        | EventKind::Refused(decided)
        | EventKind::Cancelled(decided)
        | EventKind::Reviewed(decided) => vec![decided.request],
        EventKind::SigningFailed { serial, .. } => vec![*serial],
        EventKind::Revoked(revoked) => {
            let mut serials = revoked.serials.clone();
            if let RevokeTarget::Serial(serial) = revoked.target {
                serials.push(serial);
            }
            serials
        }
        EventKind::Locked(locked) => locked.serials.clone(),
        EventKind::ForeignLogin(login) => {
            let serial = login.certificate.as_ref().map(|seen| seen.serial);
            serial.into_iter().collect()
        }
        EventKind::Started { .. }
        | EventKind::PolicyLoaded { .. }
        | EventKind::Issued(_)
        | EventKind::Denied { .. }
        | EventKind::Denials(_)
        | EventKind::Requested(_)
        | EventKind::Unlocked(_)
        | EventKind::Skipped
        | EventKind::KeyStaged { .. }
        | EventKind::KeyActivated { .. }
        | EventKind::KeyRetired { .. }
        | EventKind::LedgerKeyChanged(_)
        | EventKind::HostAdded(_)
        | EventKind::HostJoined(_)
        | EventKind::HostRemoved(_)
        | EventKind::CaKeyOrdered(_)
        | EventKind::HostCertified(_)
        | EventKind::HostBehind(_)
        | EventKind::HostCurrent { .. } => Vec::new(),
    };
    about.retain(|at| *at < event.index);
    about.sort_unstable();
    about.dedup();
    about
}

/// The terms that a pass, a request or a host certificate lends to the events [`about`] it: its
/// people, key, role and hosts.
pub(crate) fn lent(event: &Event) -> BTreeSet<Term> {
    let mut terms = Terms::default();
    if let EventKind::Issued(issued) = &event.what {
        terms.subject(&issued.ask, &issued.permissions, &issued.key);
        terms.bastion(issued.jump.as_ref());
    } else if let EventKind::Requested(asked) = &event.what {
        terms.subject(&asked.ask, &asked.permissions, &asked.key);
    } else if let EventKind::HostCertified(it) = &event.what {
        terms.host_key(&it.host, &it.key);
    } else {
        return BTreeSet::new();
    }
    terms.people(&event.what);
    terms.0
}

/// Terms of an event, without [`Term::unreviewed`].
pub(crate) fn terms(event: &Event) -> BTreeSet<Term> {
    let mut terms = Terms::default();
    terms.add(Term::kind(event.what.kind()));
    terms.people(&event.what);
    terms.of(&event.what);
    terms.0
}

/// The emergency whose review this event closes.
pub(crate) fn closed_review(event: &Event) -> Option<u64> {
    let EventKind::Reviewed(decided) = &event.what else {
        return None;
    };
    Some(decided.request)
}

#[derive(Default)]
struct Terms(BTreeSet<Term>);

impl Terms {
    fn add(&mut self, term: Term) {
        self.0.insert(term);
    }

    fn people(&mut self, what: &EventKind) {
        for who in what.people() {
            self.add(Term::identity(&who.issuer, &who.subject));
        }
    }

    fn ca_key(&mut self, key: &str) {
        self.0.extend(fingerprint(key).map(|key| Term::key(&key)));
    }

    fn of(&mut self, what: &EventKind) {
        match what {
            EventKind::Issued(issued) => {
                self.ask(&issued.ask);
                self.subject(&issued.ask, &issued.permissions, &issued.key);
                self.bastion(issued.jump.as_ref());
                if let Some(jump) = &issued.jump {
                    self.add(Term::about(jump.pass));
                } else if issued.ask.emergency {
                    self.add(Term::emergency());
                }
            }
            EventKind::Requested(asked) => {
                self.ask(&asked.ask);
                self.subject(&asked.ask, &asked.permissions, &asked.key);
            }
            EventKind::Denied { ask, key, .. } => {
                self.ask(ask);
                if let Some(key) = key {
                    self.add(Term::key(key));
                }
            }
            EventKind::Approved(decided)
            | EventKind::Refused(decided)
            | EventKind::Cancelled(decided) => self.decided(decided),
            EventKind::Reviewed(decided) => {
                self.decided(decided);
                self.add(Term::kind(EMERGENCY));
            }
            EventKind::Revoked(revoked) => {
                self.revoked(&revoked.target);
                self.touched(&revoked.serials, &revoked.covers);
            }
            EventKind::Locked(locked) => {
                self.locked(&locked.target);
                self.touched(&locked.serials, &locked.covers);
            }
            EventKind::Unlocked(unlocked) => self.locked(&unlocked.target),
            EventKind::SigningFailed { serial, .. } => self.add(Term::about(*serial)),
            EventKind::Started { .. }
            | EventKind::PolicyLoaded { .. }
            | EventKind::Denials(_)
            | EventKind::Skipped
            | EventKind::KeyStaged { .. }
            | EventKind::KeyActivated { .. }
            | EventKind::KeyRetired { .. }
            | EventKind::LedgerKeyChanged(_) => (),
            EventKind::HostAdded(it) => self.host(&it.host, &it.group, &it.aliases),
            EventKind::HostJoined(it) => self.joined(it),
            EventKind::HostRemoved(it) => self.add(Term::host(&it.host)),
            EventKind::CaKeyOrdered(it) => self.ca_key(&it.key),
            EventKind::HostCertified(it) => self.host_key(&it.host, &it.key),
            EventKind::HostBehind(it) => self.add(Term::host(&it.host)),
            EventKind::HostCurrent { host } => self.add(Term::host(host)),
            EventKind::ForeignLogin(it) => self.foreign(it),
        }
    }

    fn host_key(&mut self, host: &str, key: &str) {
        self.0.extend([Term::host(host), Term::key(key)]);
    }

    fn host(&mut self, name: &str, group: &str, aliases: &[String]) {
        let aliases = aliases.iter().map(String::as_str);
        for name in [name, group].into_iter().chain(aliases) {
            self.add(Term::host(name));
        }
    }

    fn joined(&mut self, joined: &HostJoined) {
        self.host(&joined.host, &joined.group, &joined.aliases);
        for key in joined.keys.iter().filter_map(|it| fingerprint(&it.key)) {
            self.add(Term::key(&key));
        }
    }

    fn foreign(&mut self, login: &ForeignLogin) {
        self.add(Term::host(&login.host));
        if let Some(seen) = &login.certificate {
            self.add(Term::key(&seen.key));
            self.add(Term::about(seen.serial));
        }
    }

    fn subject(&mut self, ask: &RequestDetails, permissions: &Permissions, key: &str) {
        self.asked_for(ask);
        self.permissions(permissions);
        self.add(Term::key(key));
    }

    fn bastion(&mut self, jump: Option<&Jump>) {
        self.0.extend(jump.map(|jump| Term::host(&jump.bastion)));
    }

    fn asked_for(&mut self, ask: &RequestDetails) {
        self.add(Term::role(&ask.role));
        if let Some(host) = &ask.host {
            self.add(Term::host(host));
        }
    }

    fn ask(&mut self, ask: &RequestDetails) {
        self.asked_for(ask);
        if let Some(request) = ask.request {
            self.add(Term::about(request));
        }
        if ask.emergency {
            self.add(Term::kind(EMERGENCY));
        }
    }

    fn decided(&mut self, decided: &RequestDecision) {
        self.add(Term::role(&decided.role));
        self.add(Term::about(decided.request));
    }

    fn permissions(&mut self, permissions: &Permissions) {
        for principal in &permissions.principals {
            if let Some((_, group)) = principal.rsplit_once('@') {
                self.add(Term::host(group));
            }
        }
    }

    fn locked(&mut self, target: &LockTarget) {
        match target {
            LockTarget::Identity(name) => self.add(Term::name(name)),
            LockTarget::Key(key) => self.add(Term::key(key)),
            LockTarget::Role(role) => self.add(Term::role(role)),
        }
    }

    fn revoked(&mut self, target: &RevokeTarget) {
        match target {
            RevokeTarget::Serial(serial) => self.add(Term::about(*serial)),
            RevokeTarget::Key(key) => self.add(Term::key(key)),
            RevokeTarget::Identity(name) => self.add(Term::name(name)),
            RevokeTarget::Before(_) | RevokeTarget::Through(_) => (),
        }
    }

    fn touched(&mut self, serials: &[u64], covers: &[Covered]) {
        for serial in serials {
            self.add(Term::about(*serial));
        }
        for one in covers {
            self.add(Term::identity(&one.issuer, &one.subject));
        }
    }
}
