//! Terms by which events are found, and questions made of them. Pure.
//!
//! The search index is derived from the leaves: for each event it has the terms that [`terms`]
//! gives. A term is a hash, so the index never decides anything: each found event is checked again
//! by [`Question::matches`], which a collision or a changed index cannot deceive.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::approval::fingerprint;
use super::event::{
    Actor, Covered, Event, EventKind, ForeignLogin, HostJoined, LockTarget, RequestDecision,
    RequestDetails, RevokeTarget, kinds::EMERGENCY,
};
use crate::ssh::{permissions::Permissions, principal::group};

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

/// Conditions on events. All must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Question {
    /// An event has at least one term of each group.
    pub(crate) groups: Vec<Vec<Term>>,
    /// Events at this time or later.
    pub(crate) since: Option<OffsetDateTime>,
    /// Events before this time.
    pub(crate) until: Option<OffsetDateTime>,
    /// Passes that are valid in a second from the first of these times to before the other, in Unix
    /// seconds.
    pub(crate) valid: Option<(u64, u64)>,
    /// A part of the reason or comment, in any case.
    pub(crate) reason: Option<String>,
    /// A host. One of the groups has its terms ([`AtHost::terms`]).
    pub(crate) host: Option<AtHost>,
}

/// The events of a host or host group, and the passes that hold there.
#[derive(Clone, Debug, Default)]
pub(crate) struct AtHost {
    /// Events with one of these are of it.
    pub(crate) named: Vec<Term>,
    /// Groups of the host: passes with a login of theirs hold there. Other events of a group are
    /// not of this host.
    pub(crate) groups: Vec<Term>,
    /// Passes with a login of no group count too: they hold on hosts that were set up without one.
    pub(crate) plain: bool,
}

impl AtHost {
    /// An event that counts has one of these.
    pub(crate) fn terms(&self) -> Vec<Term> {
        let passes = ["issued", "requested"].map(Term::kind);
        let passes = passes.into_iter().filter(|_| self.plain);
        let all = self.named.iter().chain(&self.groups).copied().chain(passes);
        all.collect()
    }

    fn matches(&self, event: &Event, terms: &BTreeSet<Term>) -> bool {
        let has = |all: &[Term]| all.iter().any(|term| terms.contains(term));
        has(&self.named)
            || logins(event).is_some() && has(&self.groups)
            || self.plain && has_plain_login(event)
    }
}

/// The logins of a pass, or of a request for one.
fn logins(event: &Event) -> Option<&BTreeSet<String>> {
    if let EventKind::Issued(issued) = &event.what {
        return Some(&issued.permissions.principals);
    }
    if let EventKind::Requested(asked) = &event.what {
        return Some(&asked.permissions.principals);
    }
    None
}

/// Whether this is a pass, or a request for one, with a login that names no host group.
fn has_plain_login(event: &Event) -> bool {
    let mut logins = logins(event).into_iter().flatten();
    logins.any(|login| group(login).is_none())
}

impl Question {
    /// Checks the event itself.
    pub(crate) fn matches(&self, event: &Event) -> bool {
        let terms = terms(event);
        let unreviewed = Term::unreviewed();
        let has = |term: &Term| *term == unreviewed || terms.contains(term);
        self.groups.iter().all(|group| group.iter().any(has))
            && self
                .host
                .as_ref()
                .is_none_or(|host| host.matches(event, &terms))
            && self.since.is_none_or(|since| event.at >= since)
            && self.until.is_none_or(|until| event.at < until)
            && self.valid.is_none_or(|(from, to)| {
                validity(event).is_some_and(|(first, end)| first < to && end > from)
            })
            && self.reason.as_ref().is_none_or(|part| {
                let part = part.to_lowercase();
                reasons(event).any(|text| text.to_lowercase().contains(&part))
            })
    }
}

/// First second of a pass, and first second after it.
pub(crate) fn validity(event: &Event) -> Option<(u64, u64)> {
    let EventKind::Issued(issued) = &event.what else {
        return None;
    };
    Some((issued.valid_after.get(), issued.valid_before.get()))
}

/// Terms of an event, without [`Term::unreviewed`].
pub(crate) fn terms(event: &Event) -> BTreeSet<Term> {
    let mut terms = Terms::default();
    terms.add(Term::kind(event.what.kind()));
    for who in event.what.people() {
        terms.person(who);
    }
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

fn reasons(event: &Event) -> impl Iterator<Item = &str> {
    let (first, second) = match &event.what {
        EventKind::Issued(issued) => (issued.ask.reason.as_deref(), None),
        EventKind::Requested(asked) => (asked.ask.reason.as_deref(), None),
        EventKind::Denied { ask, reason, .. } => (ask.reason.as_deref(), Some(reason.as_str())),
        EventKind::Approved(decided)
        | EventKind::Refused(decided)
        | EventKind::Cancelled(decided)
        | EventKind::Reviewed(decided) => (Some(decided.comment.as_str()), None),
        EventKind::Revoked(revoked) => (revoked.reason.as_deref(), None),
        EventKind::Locked(locked) => (locked.reason.as_deref(), None),
        EventKind::Unlocked(unlocked) => (unlocked.reason.as_deref(), None),
        EventKind::LedgerKeyChanged(changed) => (changed.reason.as_deref(), None),
        EventKind::HostAdded(added) => (added.reason.as_deref(), None),
        EventKind::HostRemoved(removed) => (removed.reason.as_deref(), None),
        EventKind::CaKeyOrdered(ordered) => (ordered.reason.as_deref(), None),
        EventKind::Started { .. }
        | EventKind::PolicyLoaded { .. }
        | EventKind::SigningFailed { .. }
        | EventKind::Denials(_)
        | EventKind::Skipped
        | EventKind::KeyStaged { .. }
        | EventKind::KeyActivated { .. }
        | EventKind::KeyRetired { .. }
        | EventKind::HostJoined(_)
        | EventKind::HostCertified(_)
        | EventKind::HostBehind(_)
        | EventKind::HostCurrent { .. }
        | EventKind::ForeignLogin(_) => (None, None),
    };
    first.into_iter().chain(second)
}

#[derive(Default)]
struct Terms(BTreeSet<Term>);

impl Terms {
    fn add(&mut self, term: Term) {
        self.0.insert(term);
    }

    fn person(&mut self, who: &Actor) {
        self.add(Term::identity(&who.issuer, &who.subject));
    }

    fn ca_key(&mut self, key: &str) {
        self.0.extend(fingerprint(key).map(|key| Term::key(&key)));
    }

    fn of(&mut self, what: &EventKind) {
        match what {
            EventKind::Issued(issued) => {
                self.ask(&issued.ask);
                self.permissions(&issued.permissions);
                self.add(Term::key(&issued.key));
                if let Some(jump) = &issued.jump {
                    self.add(Term::host(&jump.bastion));
                    self.add(Term::about(jump.pass));
                } else if issued.ask.emergency {
                    self.add(Term::emergency());
                }
            }
            EventKind::Requested(asked) => {
                self.ask(&asked.ask);
                self.permissions(&asked.permissions);
                self.add(Term::key(&asked.key));
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

    fn ask(&mut self, ask: &RequestDetails) {
        self.add(Term::role(&ask.role));
        if let Some(host) = &ask.host {
            self.add(Term::host(host));
        }
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
