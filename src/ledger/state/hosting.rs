//! The rules of known hosts: which event about them may come next. Pure.

use std::{collections::BTreeSet, time::Duration};

use ssh_key::PublicKey;

use super::{
    LedgerState, Rejection, Rule,
    hosts::{HostRecord, Joined, Outstanding},
    invitations::expect_invitation,
};
use crate::{
    ledger::{
        Event, approval,
        event::{Applicant, HostAdded, HostBehind, HostCertified, HostJoined, HostRemoved, Target},
    },
    ssh::{self, host_name::is_host_name, host_proof::MAX_KEYS, principal::is_name},
    unix_seconds::UnixSeconds,
};

/// The most hosts that are known or expected at once.
const MOST_HOSTS: usize = 20_000;

/// The most aliases of a host.
const MOST_ALIASES: usize = 16;

/// The longest validity of a host certificate, with the time by which it is backdated.
const LONGEST_CERTIFICATE: u64 = 90 * 24 * 3600 + 300;

/// The shortest time between two events that a host is behind or current.
const MARK_EVERY: Duration = Duration::from_secs(3600);

/// The most reasons of a host that is behind.
pub(crate) const MOST_REASONS: usize = 32;

const BAD_CODE: &str = "the join code is not valid: it may be mistyped, used up or expired. Ask an administrator for a new one \
     (daypass admin hosts add NAME --group GROUP)";

fn reject<T>(rule: Rule, detail: impl Into<String>) -> Result<T, Rejection> {
    Err(Rejection::new(rule, detail))
}

impl Rejection {
    /// The rejection of a host with other keys than it joined with.
    pub(crate) fn host_changed(host: &str) -> Self {
        Self::new(
            Rule::HostKeyChanged,
            format!(
                "host {host} is known with other host keys. If they were replaced on purpose, an administrator lets it \
                 join again: daypass admin hosts add {host} --rekey"
            ),
        )
    }

    /// The rejection of an unknown host, or of one that has not joined.
    pub(crate) fn no_such_host(name: &str) -> Self {
        Self::new(
            Rule::NoSuchHost,
            format!("no host {name} has joined: daypass hosts lists those that are known"),
        )
    }

    /// The rejection of a join code that opens nothing: unknown, expired, or of a removed host.
    pub(crate) fn bad_code() -> Self {
        Self::new(Rule::HostCode, BAD_CODE)
    }
}

impl LedgerState {
    /// The host of this name.
    pub(crate) fn host(&self, name: &str) -> Option<&HostRecord> {
        self.hosts.get(name)
    }

    /// The host of this name or alias.
    pub(crate) fn host_called(&self, name: &str) -> Option<&HostRecord> {
        self.hosts.called(name)
    }

    /// The host whose join code has this hash (hex): open, used or expired.
    pub(crate) fn host_of_code(&self, code: &str) -> Option<&HostRecord> {
        self.hosts.of_code(code)
    }

    /// The hosts after this name, by name.
    pub(crate) fn hosts_after(&self, name: &str) -> impl Iterator<Item = &HostRecord> {
        self.hosts.after(name)
    }

    /// Whether this is the serial of a host certificate that users may still accept.
    pub(super) fn has_host_certificate(&self, serial: u64) -> bool {
        self.hosts.has_certificate(serial)
    }

    /// The host certificates that users must refuse and might still accept, by serial: those of
    /// hosts that were removed, of keys that a host has no longer, and those whose signing failed.
    pub(crate) fn revoked_host_certificates(&self) -> impl Iterator<Item = (u64, &Outstanding)> {
        self.hosts.revoked()
    }

    /// The serials of host certificates that a lost ledger may have made, by any host CA key.
    pub(crate) fn lost_host_certificates(&self) -> impl Iterator<Item = u64> {
        self.hosts.lost()
    }

    /// Version of [`LedgerState::revoked_host_certificates`]: one more than the index of the event
    /// that changed it last, 0 before any; and the time of that event.
    pub(crate) fn host_revocation_version(&self) -> (u64, UnixSeconds) {
        self.hosts.revoked_version()
    }

    /// When a host with this version of the revocation list began to be behind; `None` if it has
    /// the newest one.
    pub(crate) fn outdated_since(&self, version: u64) -> Option<UnixSeconds> {
        self.revocation_times.outdated_since(version)
    }

    pub(super) fn apply_added(&mut self, event: &Event, added: &HostAdded) {
        self.orders.apply(&Target::from(added), event.index);
        self.hosts.add(event, added);
    }

    pub(super) fn apply_removed(&mut self, event: &Event, removed: &HostRemoved) {
        let target = Target::Host(removed.host.clone());
        self.orders.apply(&target, event.index);
        let agreed = self.agreed.seconds();
        self.hosts.remove(event, &removed.host, agreed);
    }
}

impl LedgerState {
    pub(super) fn expect_host(&self, name: &str) -> Result<(), Rejection> {
        match self.hosts.get(name) {
            Some(_) => Ok(()),
            None => Err(self.no_such_host(name)),
        }
    }

    /// The rejection of a name that is no host's: of an alias, with the name to use.
    fn no_such_host(&self, name: &str) -> Rejection {
        match self.hosts.called(name) {
            Some(host) if host.name != name => Rejection::new(
                Rule::NoSuchHost,
                format!(
                    "{name} is an alias of host {0}: name {0} instead",
                    host.name
                ),
            ),
            Some(_) | None => Rejection::no_such_host(name),
        }
    }

    pub(super) fn admit_behind(&self, event: &Event, behind: &HostBehind) -> Result<(), Rejection> {
        match behind.why.len() {
            1..=MOST_REASONS => self.admit_mark(event, &behind.host, true),
            _ => reject(Rule::HostMark, "it has no reason, or too many"),
        }
    }

    pub(super) fn admit_added(&self, event: &Event, added: &HostAdded) -> Result<(), Rejection> {
        expect_invitation(event.at.into(), added.expires_at)
            .map_err(|why| Rejection::new(Rule::HostOrder, why))?;
        if !is_digest(&added.code) || self.hosts.of_code(&added.code).is_some() {
            return reject(
                Rule::HostOrder,
                "the join code is no new one: run the command again",
            );
        }
        let known = self.hosts.get(&added.host);
        let has_joined = known.is_some_and(|host| host.joined.is_some());
        match (added.rekey, has_joined) {
            (true, false) => Err(self.no_such_host(&added.host)),
            (true, true) if !added.group.is_empty() || !added.aliases.is_empty() => reject(
                Rule::HostOrder,
                "with --rekey a host keeps its group and aliases: remove it first to change them",
            ),
            (true, true) => Ok(()),
            (false, true) => reject(
                Rule::HostKnown,
                format!(
                    "host {0} has joined already: to let it join with other keys, daypass admin hosts add {0} --rekey; \
                     to change its group or aliases, remove it first",
                    added.host
                ),
            ),
            (false, false) if known.is_none() && self.hosts.len() >= MOST_HOSTS => reject(
                Rule::TooManyHosts,
                format!("{MOST_HOSTS} hosts are known, and no more are kept: remove some"),
            ),
            (false, false) => self.expect_names(&added.host, &added.group, &added.aliases),
        }
    }

    /// Checks the form of a host's names and group, and that no other host has one of the names.
    fn expect_names(&self, name: &str, group: &str, aliases: &[String]) -> Result<(), Rejection> {
        if !is_name(group) {
            return reject(Rule::HostOrder, "its group is not the name of a host group");
        }
        if aliases.len() > MOST_ALIASES {
            return reject(
                Rule::HostOrder,
                format!("a host has at most {MOST_ALIASES} aliases"),
            );
        }
        let mut seen = BTreeSet::new();
        for one in std::iter::once(name).chain(aliases.iter().map(String::as_str)) {
            if !is_host_name(one) || !seen.insert(one) {
                return reject(
                    Rule::HostOrder,
                    "each name and alias is one exact host name or address in lower case, and stands once",
                );
            }
            let other = self.hosts.called(one).filter(|host| host.name != name);
            if let Some(other) = other {
                return reject(
                    Rule::HostName,
                    format!("the name {one} belongs to host {}", other.name),
                );
            }
        }
        Ok(())
    }

    /// Checks that the host with this code may join at `now`, and returns it.
    ///
    /// # Errors
    /// One and the same for a code that is unknown and one that has expired. Another one for a code
    /// that was used: only its holder learns that.
    pub(crate) fn invited(&self, code: &str, now: UnixSeconds) -> Result<&HostRecord, Rejection> {
        let host = self.hosts.of_code(code).ok_or_else(Rejection::bad_code)?;
        if let Some(open) = host.invitation.as_ref().filter(|open| open.code == code) {
            return match now < open.expires_at {
                true => Ok(host),
                false => Err(Rejection::bad_code()),
            };
        }
        let used = host.joined.as_ref().filter(|it| it.digest == code);
        match used.is_some_and(|joined| now < joined.code_until) {
            true => reject(
                Rule::HostCodeUsed,
                "the join code was used by a host with other keys: ask an administrator, and have that host removed if \
                 it is not yours",
            ),
            false => Err(Rejection::bad_code()),
        }
    }

    /// The host that joined with this code and exactly these keys, while the code is valid: its
    /// answer may be given again.
    pub(crate) fn joined_with(
        &self,
        code: &str,
        keys: &[String],
        now: UnixSeconds,
    ) -> Option<&HostRecord> {
        let host = self.hosts.of_code(code)?;
        let joined = host.joined.as_ref().filter(|it| it.digest == code)?;
        (now < joined.code_until && joined.has_keys(keys)).then_some(host)
    }

    pub(super) fn admit_joined(&self, event: &Event, joined: &HostJoined) -> Result<(), Rejection> {
        let now = UnixSeconds::from(event.at);
        match &joined.who {
            None => {
                let host = self.invited(&joined.digest, now)?;
                let is_same = host.name == joined.host
                    && host.group == joined.group
                    && host.aliases == joined.aliases;
                if !is_same {
                    return reject(Rule::HostOrder, "it joins as another host than was added");
                }
            }
            Some(who) => {
                self.expect_unlocked(&Applicant::new(who, None, None))?;
                let policy = joined.policy.as_deref().unwrap_or_default();
                self.policies.expect_in_force(policy)?;
                match self.hosts.get(&joined.host) {
                    Some(host) if host.joined.is_some() => {
                        return Err(Rejection::host_changed(&host.name));
                    }
                    Some(_) => {
                        let what = "an administrator added this host: it joins with its code";
                        return reject(Rule::HostKnown, what);
                    }
                    None if self.hosts.len() >= MOST_HOSTS => {
                        let what = "too many hosts are known: an administrator must remove some";
                        return reject(Rule::TooManyHosts, what);
                    }
                    None => self.expect_names(&joined.host, &joined.group, &joined.aliases)?,
                }
            }
        }
        self.expect_keys(joined)
    }

    /// Checks the form of a host's keys, and that no other host has one of them.
    fn expect_keys(&self, joined: &HostJoined) -> Result<(), Rejection> {
        let malformed = "a host has 1 to 4 host keys, one of each type: Ed25519, ECDSA, or RSA of 2048 bits or more";
        let mut types = BTreeSet::new();
        for one in &joined.keys {
            let key = ssh::key::parse_host(&one.key).ok();
            let is_new = |key: &PublicKey| types.insert(key.algorithm().to_string());
            let Some(key) = key.filter(is_new) else {
                return reject(Rule::HostKeys, malformed);
            };
            let other = self.hosts.of_key(&ssh::key::fingerprint(&key));
            if other.is_some_and(|other| other != joined.host) {
                return reject(
                    Rule::HostKeys,
                    "another host has one of these host keys: each host needs its own. Remove /etc/ssh/ssh_host_* on the \
                     copy, and make new ones with ssh-keygen -A",
                );
            }
        }
        match (1..=MAX_KEYS).contains(&types.len()) {
            true => Ok(()),
            false => reject(Rule::HostKeys, malformed),
        }
    }

    pub(super) fn admit_certified(&self, certified: &HostCertified) -> Result<(), Rejection> {
        let wrong = |what: &str| reject(Rule::HostCertificate, what);
        let Some(host) = self.hosts.get(&certified.host) else {
            return Err(self.no_such_host(&certified.host));
        };
        let Some(joined) = &host.joined else {
            return wrong("the host has not joined");
        };
        let mut keys = joined
            .keys
            .iter()
            .filter_map(|it| approval::fingerprint(it));
        if !keys.any(|key| key == certified.key) {
            return Err(Rejection::host_changed(&host.name));
        }
        let names: BTreeSet<&str> = host.names().collect();
        let is_named = certified.principals.iter().map(String::as_str).eq(names);
        if !is_named || certified.key_id != ssh::certificate::host_key_id(&host.name) {
            return wrong("the host certificate has other names than its host");
        }
        let (after, before) = (certified.valid_after.get(), certified.valid_before.get());
        match before.checked_sub(after) {
            Some(1..=LONGEST_CERTIFICATE) => Ok(()),
            _ => wrong("a host certificate is valid for at most 90 days"),
        }
    }

    pub(super) fn admit_mark(
        &self,
        event: &Event,
        name: &str,
        is_behind: bool,
    ) -> Result<(), Rejection> {
        match self.hosts.get(name) {
            None => Err(self.no_such_host(name)),
            Some(host) if host.is_behind == is_behind || !host.may_be_marked(event.at.into()) => {
                reject(
                    Rule::HostMark,
                    "the ledger says so already, or said otherwise a moment ago",
                )
            }
            Some(_) => Ok(()),
        }
    }
}

impl HostRecord {
    /// Whether the ledger may say at `now` that it is behind or current: at most once an hour.
    pub(crate) fn may_be_marked(&self, now: UnixSeconds) -> bool {
        // A mark of the future is by a clock that was ahead, and was put back.
        let is_ahead = self.marked_at > now.saturating_add(MARK_EVERY);
        let is_over = now >= self.marked_at.saturating_add(MARK_EVERY);
        self.joined.is_some() && (is_over || is_ahead)
    }
}

impl Joined {
    /// Whether these are its keys, in any order.
    pub(crate) fn has_keys(&self, keys: &[String]) -> bool {
        let (own, shown): (BTreeSet<_>, BTreeSet<_>) =
            (self.keys.iter().collect(), keys.iter().collect());
        own == shown && self.keys.len() == keys.len()
    }
}

/// A SHA-256 hash in lower-case hex.
fn is_digest(text: &str) -> bool {
    base16ct::lower::decode(text, &mut [0; 32]).is_ok_and(|hash| hash.len() == 32)
}

#[cfg(test)]
mod tests;
