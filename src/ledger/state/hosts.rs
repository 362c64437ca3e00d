//! The table of known hosts. Pure.

mod restored;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
};

use serde::{Deserialize, Serialize};

use super::{foreign::ForeignLogins, passes::MARGIN};
use crate::{
    ledger::{
        Event, approval,
        event::{ForeignLogin, HostAdded, HostCertified, HostJoined},
    },
    unix_seconds::UnixSeconds,
};

/// A known host, or one that is expected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct HostRecord {
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// The join code that is open, or expired unused.
    pub invitation: Option<Invitation>,
    /// How it joined; `None` if it has not.
    pub joined: Option<Joined>,
    /// Whether the ledger says that it is behind.
    pub is_behind: bool,
    /// When the ledger said last that it is behind or current.
    pub marked_at: UnixSeconds,
    /// Its certificates that users may still accept, by serial: also those of keys that it joined
    /// with before.
    pub(super) out: BTreeMap<u64, Outstanding>,
    /// The last logins there that the ledger does not explain.
    pub foreign: ForeignLogins,
}

/// A host certificate that users may still accept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outstanding {
    /// Fingerprint of the host key.
    pub key: String,
    /// First second after validity.
    pub valid_before: UnixSeconds,
    /// Fingerprint of the host CA key.
    pub ca: String,
}

/// A join code that was not used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Invitation {
    /// Hex SHA-256 of the code.
    pub code: String,
    /// First second at which it is no longer taken.
    pub expires_at: UnixSeconds,
}

/// How a host joined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Joined {
    /// The index of the event.
    pub index: u64,
    /// When.
    pub at: UnixSeconds,
    /// Hex SHA-256 of the join code, or of the machine's token.
    pub digest: String,
    /// First second at which the same code is no longer answered again; 0 for a token.
    pub code_until: UnixSeconds,
    /// Its keys in OpenSSH form, in the order of the join.
    pub keys: Vec<String>,
    /// The newest certificate of each key, by fingerprint.
    pub certificates: BTreeMap<String, CertificateRecord>,
}

/// A host certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CertificateRecord {
    /// The serial, which is its event's index.
    pub serial: u64,
    /// First second of validity.
    pub valid_after: UnixSeconds,
    /// First second after validity.
    pub valid_before: UnixSeconds,
    /// Fingerprint of the host CA key.
    pub ca: String,
}

impl HostRecord {
    /// The name and the aliases.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let aliases = self.aliases.iter().map(String::as_str);
        std::iter::once(self.name.as_str()).chain(aliases)
    }

    /// Serials of the certificates of one of its keys that users may still accept, in ascending
    /// order.
    pub(crate) fn certificates_of(&self, key: &str) -> impl DoubleEndedIterator<Item = u64> {
        let made = self.out.iter().filter(move |(_, it)| it.key == key);
        made.map(|(serial, _)| *serial)
    }

    /// Serials of its certificates that are valid at `now`, in ascending order.
    pub(crate) fn valid_certificates(&self, now: UnixSeconds) -> Vec<u64> {
        let valid = self.out.iter().filter(|(_, it)| it.valid_before > now);
        valid.map(|(serial, _)| *serial).collect()
    }
}

/// Hosts by name, by alias, by the hash of a code, and by key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Hosts {
    by_name: BTreeMap<String, HostRecord>,
    /// The host of each name and alias.
    names: BTreeMap<String, String>,
    /// The host of each code: the open one, and the one that it joined with.
    codes: BTreeMap<String, String>,
    /// The host of each key, by fingerprint.
    keys: BTreeMap<String, String>,
    /// Certificates that users must refuse, by serial: of hosts that were removed, and of keys that
    /// a host no longer has.
    revoked: BTreeMap<u64, Outstanding>,
    /// One more than the index of the event that changed `revoked` last; 0 before any.
    revoked_version: u64,
    /// The time of that event.
    revoked_at: UnixSeconds,
    /// The serials of certificates that a lost ledger may have made.
    lost: Vec<Lost>,
}

/// Serials of a lost ledger, after a restored copy was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Lost {
    /// The first one.
    from: u64,
    /// One more than the last one.
    through: u64,
    /// First second at which each certificate of the lost ledger has ended.
    until: UnixSeconds,
}

impl Lost {
    fn is_over(&self, agreed: UnixSeconds) -> bool {
        self.until <= agreed
    }
}

impl Hosts {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn get(&self, name: &str) -> Option<&HostRecord> {
        self.by_name.get(name)
    }

    pub(super) fn of_code(&self, code: &str) -> Option<&HostRecord> {
        self.get(self.codes.get(code)?)
    }

    /// The host whose name or alias this is.
    pub(super) fn called(&self, name: &str) -> Option<&HostRecord> {
        self.get(self.names.get(name)?)
    }

    /// The name of the host with this key.
    pub(super) fn of_key(&self, fingerprint: &str) -> Option<&str> {
        self.keys.get(fingerprint).map(String::as_str)
    }

    pub(super) fn after(&self, name: &str) -> impl Iterator<Item = &HostRecord> {
        let from = (Bound::Excluded(name), Bound::Unbounded);
        // No name is empty, so that the first page begins with the first host.
        self.by_name.range::<str, _>(from).map(|(_, host)| host)
    }

    pub(super) fn has_certificate(&self, serial: u64) -> bool {
        let mut hosts = self.by_name.values();
        hosts.any(|host| host.out.contains_key(&serial))
    }

    pub(super) fn revoked(&self) -> impl Iterator<Item = (u64, &Outstanding)> {
        self.revoked.iter().map(|(serial, it)| (*serial, it))
    }

    pub(super) fn revoked_version(&self) -> (u64, UnixSeconds) {
        (self.revoked_version, self.revoked_at)
    }

    /// Takes in that users must refuse these certificates. Forgets those that no one accepts any
    /// more by the agreed time: the list changes with events alone.
    fn revoke(
        &mut self,
        event: &Event,
        certificates: impl IntoIterator<Item = (u64, Outstanding)>,
        agreed: UnixSeconds,
    ) {
        let before = self.revoked.len();
        let is_live = |it: &Outstanding| it.valid_before.saturating_add(MARGIN) > agreed;
        let live = certificates.into_iter().filter(|(_, it)| is_live(it));
        self.revoked.extend(live);
        if self.revoked.len() == before {
            return;
        }
        self.revoked.retain(|_, it| is_live(it));
        self.lost.retain(|it| !it.is_over(agreed));
        self.revoked_version = event.index.saturating_add(1);
        self.revoked_at = UnixSeconds::from(event.at);
    }

    pub(super) fn add(&mut self, event: &Event, added: &HostAdded) {
        let host = self.by_name.entry(added.host.clone()).or_default();
        if let Some(old) = host.invitation.take() {
            self.codes.remove(&old.code);
        }
        host.invitation = Some(Invitation {
            code: added.code.clone(),
            expires_at: added.expires_at,
        });
        if !added.rekey {
            for alias in &host.aliases {
                self.names.remove(alias);
            }
            host.name.clone_from(&added.host);
            host.group.clone_from(&added.group);
            host.aliases.clone_from(&added.aliases);
            host.marked_at = UnixSeconds::from(event.at);
            for name in host.names() {
                self.names.insert(name.to_owned(), added.host.clone());
            }
        }
        self.codes.insert(added.code.clone(), added.host.clone());
    }

    pub(super) fn remove(&mut self, event: &Event, name: &str, agreed: UnixSeconds) {
        let Some(mut host) = self.by_name.remove(name) else {
            return;
        };
        self.revoke(event, std::mem::take(&mut host.out), agreed);
        for name in host.names() {
            self.names.remove(name);
        }
        if let Some(open) = &host.invitation {
            self.codes.remove(&open.code);
        }
        self.forget_join(host.joined.as_ref());
    }

    fn forget_join(&mut self, joined: Option<&Joined>) {
        let Some(joined) = joined else {
            return;
        };
        self.codes.remove(&joined.digest);
        for key in joined
            .keys
            .iter()
            .filter_map(|it| approval::fingerprint(it))
        {
            self.keys.remove(&key);
        }
    }

    pub(super) fn join(&mut self, event: &Event, joined: &HostJoined, agreed: UnixSeconds) {
        let mut host = self.by_name.remove(&joined.host).unwrap_or_default();
        self.forget_join(host.joined.as_ref());
        let open = host.invitation.take();
        host.name.clone_from(&joined.host);
        host.group.clone_from(&joined.group);
        host.aliases.clone_from(&joined.aliases);
        host.is_behind = false;
        host.marked_at = UnixSeconds::from(event.at);
        let by_code = open.filter(|open| open.code == joined.digest);
        host.joined = Some(Joined {
            index: event.index,
            at: UnixSeconds::from(event.at),
            digest: joined.digest.clone(),
            code_until: by_code.map_or(UnixSeconds::default(), |open| open.expires_at),
            keys: joined.keys.iter().map(|it| it.key.clone()).collect(),
            certificates: BTreeMap::new(),
        });
        for name in host.names() {
            self.names.insert(name.to_owned(), host.name.clone());
        }
        let keys = joined.keys.iter();
        let keys: BTreeSet<String> = keys
            .filter_map(|it| approval::fingerprint(&it.key))
            .collect();
        let (kept, gone) = std::mem::take(&mut host.out)
            .into_iter()
            .partition(|(_, it)| keys.contains(&it.key));
        host.out = kept;
        let gone: BTreeMap<u64, Outstanding> = gone;
        self.revoke(event, gone, agreed);
        for key in keys {
            self.keys.insert(key, host.name.clone());
        }
        if joined.who.is_none() {
            self.codes.insert(joined.digest.clone(), host.name.clone());
        }
        self.by_name.insert(host.name.clone(), host);
    }

    pub(super) fn certify(
        &mut self,
        event: &Event,
        certified: &HostCertified,
        agreed: UnixSeconds,
    ) {
        let Some(host) = self.by_name.get_mut(&certified.host) else {
            return;
        };
        let Some(joined) = host.joined.as_mut() else {
            return;
        };
        host.out
            .retain(|_, it| it.valid_before.saturating_add(MARGIN) > agreed);
        let outstanding = Outstanding {
            key: certified.key.clone(),
            valid_before: certified.valid_before,
            ca: certified.ca.clone(),
        };
        host.out.insert(event.index, outstanding);
        let certificate = CertificateRecord {
            serial: event.index,
            valid_after: certified.valid_after,
            valid_before: certified.valid_before,
            ca: certified.ca.clone(),
        };
        joined
            .certificates
            .insert(certified.key.clone(), certificate);
    }

    /// Takes in that signing the certificate with this serial failed. The key may have signed it
    /// all the same, after the deadline, so users must refuse it.
    pub(super) fn forget_certificate(&mut self, event: &Event, serial: u64, agreed: UnixSeconds) {
        let mut unsigned = None;
        for host in self.by_name.values_mut() {
            if let Some(joined) = &mut host.joined {
                joined.certificates.retain(|_, it| it.serial != serial);
            }
            unsigned = unsigned.or(host.out.remove(&serial));
        }
        let unsigned = unsigned.map(|it| (serial, it));
        self.revoke(event, unsigned, agreed);
    }

    pub(super) fn take_foreign(&mut self, event: &Event, login: &ForeignLogin) {
        if let Some(host) = self.by_name.get_mut(&login.host) {
            host.foreign.take(event.at.into(), login);
        }
    }

    pub(super) fn mark(&mut self, event: &Event, name: &str, is_behind: bool) {
        if let Some(host) = self.by_name.get_mut(name) {
            host.is_behind = is_behind;
            host.marked_at = UnixSeconds::from(event.at);
        }
    }
}

/// The last versions of the revocation list, and when each was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RevocationTimes(VecDeque<(u64, UnixSeconds)>);

/// The most versions that are remembered. A host with an older one counts as behind since the
/// oldest of them, which is later than the truth.
const MOST_VERSIONS: usize = 64;

impl RevocationTimes {
    pub(super) fn put(&mut self, version: u64, at: UnixSeconds) {
        if self.0.len() >= MOST_VERSIONS {
            self.0.pop_front();
        }
        self.0.push_back((version, at));
    }

    pub(super) fn outdated_since(&self, version: u64) -> Option<UnixSeconds> {
        let newer = self.0.iter().find(|(it, _)| *it > version);
        newer.map(|(_, at)| *at)
    }
}
