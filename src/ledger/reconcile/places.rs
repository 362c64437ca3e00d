//! Where logins were seen, and what the ledger says of these hosts: names, aliases and group. Pure.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;

use super::{
    names::{Names, canonical, is_same, one_less, short},
    seen::{SKEW, Times},
};
use crate::ledger::event::HostJoined;

/// The most hosts in the logs: as many as a ledger knows.
pub(super) const MOST_HOSTS: usize = 20_000;

/// The most groups of a host over time, and of hosts with one short name.
const MOST_PERIODS: usize = 16;

/// The most other names of a host of the logs.
const MOST_NAMES: usize = 64;

/// The hosts that logins are of.
pub(super) enum Places {
    /// Those of logs, by their names in the logs.
    Logs(Box<Logs>),
    /// One known host, with its names and the groups whose passes it takes.
    One {
        names: BTreeSet<String>,
        groups: BTreeSet<String>,
    },
}

/// Hosts of logs, and what the ledger says of them.
#[derive(Default)]
pub(super) struct Logs {
    hosts: BTreeMap<String, Place>,
    /// Names in the logs with a dot, by what is before it.
    by_short: BTreeMap<String, BTreeSet<String>>,
    /// Their names, and the other names of known ones.
    called: Names,
    /// Known hosts, by name.
    known: BTreeMap<String, Known>,
    /// Known hosts of each group: all, and those without a log.
    groups: BTreeMap<String, u32>,
    without_log: BTreeMap<String, u32>,
}

/// A host of the logs.
#[derive(Default)]
struct Place {
    /// As a host of exactly this name.
    exact: Vec<Period>,
    /// As one whose name is this one up to the first dot, or the reverse.
    similar: Vec<Period>,
    /// Names and aliases.
    names: BTreeSet<String>,
}

/// The time in which the ledger knew a host.
struct Period {
    /// The index of the event by which it joined.
    joined: u64,
    from: OffsetDateTime,
    until: Option<OffsetDateTime>,
    group: String,
}

/// A host that the ledger knows now.
struct Known {
    joined: u64,
    group: String,
    names: Vec<String>,
    /// Its places in the logs.
    places: BTreeSet<String>,
}

impl Places {
    /// Takes in a host that joined, by the event of this index and time.
    pub(super) fn joined(&mut self, joined: &HostJoined, event: (u64, OffsetDateTime)) {
        match self {
            Self::Logs(logs) => logs.joined(joined, event),
            Self::One { .. } => {}
        }
    }

    /// Takes in that a host was removed.
    pub(super) fn removed(&mut self, host: &str, at: OffsetDateTime) {
        match self {
            Self::Logs(logs) => logs.removed(host, at),
            Self::One { .. } => {}
        }
    }

    /// The groups of a host while these logins were; `None` if the ledger does not know it.
    pub(super) fn groups(&self, host: &str, times: Times) -> Option<BTreeSet<&str>> {
        match self {
            Self::One { groups, .. } => Some(groups.iter().map(String::as_str).collect()),
            Self::Logs(logs) => logs.hosts.get(&canonical(host))?.groups(times),
        }
    }

    /// Whether an ask for `asked` may have meant this host.
    pub(super) fn is_called(&self, host: &str, asked: &str) -> bool {
        let asked = canonical(asked);
        match self {
            Self::One { names, .. } => names.iter().any(|name| is_same(name, &asked)),
            Self::Logs(logs) => {
                let host = canonical(host);
                let place = logs.hosts.get(&host);
                let names = place.iter().flat_map(|it| &it.names);
                is_same(&host, &asked) || names.into_iter().any(|name| is_same(name, &asked))
            }
        }
    }
}

impl Logs {
    /// Takes in a host of the logs. Returns whether there is room for it.
    pub(super) fn note(&mut self, host: &str) -> bool {
        let host = canonical(host);
        if self.hosts.contains_key(&host) {
            return true;
        }
        if self.hosts.len() >= MOST_HOSTS {
            return false;
        }
        if let Some(short) = short(&host) {
            let same = self.by_short.entry(short.to_owned()).or_default();
            same.insert(host.clone());
        }
        self.called.add(&host);
        self.hosts.insert(host, Place::default());
        true
    }

    /// Whether the logs are of a host that this name may mean.
    pub(super) fn has(&self, name: &str) -> bool {
        self.called.have(&canonical(name))
    }

    /// Whether the ledger knows hosts of this group, and the logs are of each.
    pub(super) fn has_group(&self, group: &str) -> bool {
        self.groups.contains_key(group) && !self.without_log.contains_key(group)
    }

    fn joined(&mut self, joined: &HostJoined, (index, at): (u64, OffsetDateTime)) {
        let names = std::iter::once(&joined.host).chain(&joined.aliases);
        let names: Vec<String> = names.map(|name| canonical(name)).collect();
        let known = self.known.get(&joined.host);
        if known.is_some_and(|it| it.group == joined.group && it.names == names) {
            return;
        }
        self.removed(&joined.host, at);
        let mut places = BTreeSet::new();
        for name in &names {
            places.extend(self.hosts.get(name).map(|_| name.clone()));
            match short(name) {
                Some(short) => places.extend(self.hosts.get(short).map(|_| short.to_owned())),
                None => places.extend(self.by_short.get(name).into_iter().flatten().cloned()),
            }
        }
        *self.groups.entry(joined.group.clone()).or_default() += 1;
        if places.is_empty() {
            *self.without_log.entry(joined.group.clone()).or_default() += 1;
        }
        for place in &places {
            let is_exact = names.contains(place);
            if let Some(place) = self.hosts.get_mut(place) {
                let period = Period {
                    joined: index,
                    from: at,
                    until: None,
                    group: joined.group.clone(),
                };
                place.know(period, is_exact, &names);
            }
        }
        // The names of hosts without a log mean no place.
        let names_here = if places.is_empty() {
            &[]
        } else {
            names.as_slice()
        };
        names_here.iter().for_each(|name| self.called.add(name));
        let known = Known {
            joined: index,
            group: joined.group.clone(),
            names,
            places,
        };
        self.known.insert(joined.host.clone(), known);
    }

    fn removed(&mut self, host: &str, at: OffsetDateTime) {
        let Some(known) = self.known.remove(host) else {
            return;
        };
        one_less(&mut self.groups, &known.group);
        if known.places.is_empty() {
            one_less(&mut self.without_log, &known.group);
            return;
        }
        known.names.iter().for_each(|name| self.called.remove(name));
        for place in &known.places {
            let Some(place) = self.hosts.get_mut(place) else {
                continue;
            };
            let periods = place.exact.iter_mut().chain(&mut place.similar);
            let of_it = periods.filter(|it| it.joined == known.joined);
            of_it.for_each(|it| it.until = Some(at));
        }
    }
}

impl Place {
    fn know(&mut self, period: Period, is_exact: bool, names: &[String]) {
        let periods = match is_exact {
            true => &mut self.exact,
            false => &mut self.similar,
        };
        if periods.len() >= MOST_PERIODS {
            let ended = periods.iter().position(|it| it.until.is_some());
            periods.remove(ended.unwrap_or(0));
        }
        periods.push(period);
        let room = MOST_NAMES.saturating_sub(self.names.len());
        self.names.extend(names.iter().take(room).cloned());
    }

    /// The groups at these times. At a time when the ledger did not know the host, its groups at
    /// all other times count: what sshd takes is changed neither by joining nor by removal alone.
    fn groups(&self, times: Times) -> Option<BTreeSet<&str>> {
        let periods = match self.exact.is_empty() {
            true => &self.similar,
            false => &self.exact,
        };
        let is_then = |period: &&Period| {
            let has_begun = times
                .last
                .is_none_or(|last| period.from <= last.saturating_add(SKEW));
            let is_over = |until| {
                times
                    .first
                    .is_some_and(|first| until < first.saturating_sub(SKEW))
            };
            has_begun && !period.until.is_some_and(is_over)
        };
        let then: BTreeSet<&str> = periods
            .iter()
            .filter(is_then)
            .map(|it| it.group.as_str())
            .collect();
        if !then.is_empty() {
            return Some(then);
        }
        let all: BTreeSet<&str> = periods.iter().map(|it| it.group.as_str()).collect();
        (!all.is_empty()).then_some(all)
    }
}
