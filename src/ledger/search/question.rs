//! Questions: conditions by which events are found and then checked one by one. Pure.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::terms::{Term, lent, terms, validity};
use crate::{
    ledger::event::{Event, EventKind},
    ssh::principal::group,
};

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

/// The kinds of passes, of requests, and of events about them.
const PLAIN: [&str; 10] = [
    "issued",
    "requested",
    "approved",
    "refused",
    "cancelled",
    "reviewed",
    "revoked",
    "locked",
    "signing_failed",
    "foreign_login",
];

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
        let passes = PLAIN.map(Term::kind);
        let passes = passes.into_iter().filter(|_| self.plain);
        let all = self.named.iter().chain(&self.groups).copied().chain(passes);
        all.collect()
    }

    /// Whether an event with these terms is of it.
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
        self.may_match(event) && self.has_all(event, None)
    }

    /// Checks an event with one that it is about ([`super::terms::about`]), which lends it its
    /// terms.
    pub(crate) fn matches_about(&self, event: &Event, about: &Event) -> bool {
        self.may_match(event) && self.has_all(event, Some(about))
    }

    /// The groups of which the event has no term of its own.
    pub(crate) fn lacking(&self, event: &Event) -> Vec<&[Term]> {
        let terms = terms(event);
        let groups = self.groups.iter().map(Vec::as_slice);
        groups.filter(|group| !has_one(group, &terms)).collect()
    }

    /// Checks the conditions for which terms of another event do not count.
    pub(crate) fn may_match(&self, event: &Event) -> bool {
        self.since.is_none_or(|since| event.at >= since)
            && self.until.is_none_or(|until| event.at < until)
            && self.valid.is_none_or(|(from, to)| {
                validity(event).is_some_and(|(first, end)| first < to && end > from)
            })
            && self.reason.as_ref().is_none_or(|part| {
                let part = part.to_lowercase();
                reasons(event).any(|text| text.to_lowercase().contains(&part))
            })
    }

    fn has_all(&self, event: &Event, about: Option<&Event>) -> bool {
        let own = terms(event);
        let lent = about.map(|about| (about, lent(about)));
        let mut all = own.clone();
        all.extend(lent.iter().flat_map(|(_, lent)| lent));
        self.groups.iter().all(|group| has_one(group, &all))
            && self.host.as_ref().is_none_or(|host| {
                let lent = lent.as_ref();
                host.matches(event, &own)
                    || lent.is_some_and(|(about, lent)| host.matches(about, lent))
            })
    }
}

/// The index alone knows which reviews are open.
fn has_one(group: &[Term], terms: &BTreeSet<Term>) -> bool {
    let unreviewed = Term::unreviewed();
    let has = |term: &Term| *term == unreviewed || terms.contains(term);
    group.iter().any(has)
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
