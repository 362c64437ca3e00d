//! A notification as one JSON object, for programs. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use super::notification::{HostNews, KeyNews, Notification, NotificationBody};
use crate::{
    ledger::event::{
        Actor, CaKeyOrdered, CaKeyStep, Covered, ForeignLogin, Issued, LedgerKeyChanged,
        LockTarget, LoginFinding, RequestDetails, RevokeTarget, Revoked, ascii_json,
        ca_key_fingerprint,
    },
    ssh::permissions::Permissions,
    unix_seconds::UnixSeconds,
};

impl<'a> Notification<'a> {
    /// One JSON object of printable ASCII: `{"type":"...","timestamp":"RFC 3339","data":{...}}`.
    ///
    /// # Errors
    /// Returns an error if the time cannot be written. No event causes it: its time was written
    /// before.
    pub(super) fn json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let at = self.at.to_offset(UtcOffset::UTC).format(&Rfc3339);
        ascii_json(&Message {
            kind: self.as_str(),
            timestamp: at.map_err(serde::ser::Error::custom)?,
            data: self.data(),
        })
    }

    fn data(&self) -> Data<'a> {
        let base = Data {
            server: self.server,
            next: self.next(),
            url: self.link(),
            ..Data::default()
        };
        match self.news {
            NotificationBody::Requested(id, asked) => Data {
                id: Some(id),
                who: person(&asked.who),
                permissions: Some(&asked.permissions),
                ttl_seconds: Some(asked.ttl_seconds),
                needed: Some(asked.needed),
                expires_at: Some(asked.expires_at),
                ..base.asked(&asked.ask)
            },
            NotificationBody::Emergency(serial, issued) => Data {
                serial: Some(serial),
                expires_at: Some(issued.valid_before),
                ..base.issued(issued, self.at, person(&issued.who))
            },
            NotificationBody::Page(issued) => Data {
                note: Some(PAGE_NOTE),
                ..base.issued(issued, self.at, person(&issued.who))
            },
            NotificationBody::RequestDecision(_, index, decided) => Data {
                id: Some(decided.request),
                index: Some(index),
                who: person(&decided.who),
                role: Some(&decided.role),
                comment: Some(decided.comment.as_str()).filter(|comment| !comment.is_empty()),
                ..base
            },
            NotificationBody::Revoked(index, revoked) => base.revoked(index, revoked),
            NotificationBody::Locked(index, locked) => Data {
                index: Some(index),
                who: person(&locked.who),
                target: Some(Target::Locked(&locked.target)),
                covers: covers(&locked.covers),
                reason: locked.reason.as_deref(),
                serials: Some(&locked.serials),
                ..base
            },
            NotificationBody::Unlocked(index, unlocked) => Data {
                index: Some(index),
                who: person(&unlocked.who),
                target: Some(Target::Locked(&unlocked.target)),
                reason: unlocked.reason.as_deref(),
                ..base
            },
            NotificationBody::Host(index, news) => base.host(index, news),
            NotificationBody::Key(index, news) => base.key(index, news),
            NotificationBody::Test(who) => Data {
                who: person(who),
                note: Some(TEST_NOTE),
                ..base
            },
        }
    }
}

fn person(who: &Actor) -> Option<PersonJson<'_>> {
    Some(PersonJson {
        issuer: &who.issuer,
        subject: &who.subject,
        label: &who.label,
    })
}

const PAGE_NOTE: &str =
    "an emergency pass is issued as soon as this is acknowledged; a review follows";

const TEST_NOTE: &str = "a test of this webhook; nothing has happened";

#[derive(Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct PersonJson<'a> {
    issuer: &'a str,
    subject: &'a str,
    label: &'a str,
}

/// A login that the ledger does not explain.
#[derive(Serialize)]
struct LoginJson<'a> {
    finding: LoginFinding,
    login: &'a str,
    from: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    logged_at: Option<UnixSeconds>,
    /// Further findings of the same report.
    more: u64,
}

/// An order about a key of the CA, or the ledger's new key.
#[derive(Serialize)]
struct KeyJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<CaKeyStep>,
    /// The fingerprint of the CA key, or the verifier key of the ledger.
    key: String,
    /// The verifier key of the ledger until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_key: Option<String>,
    /// True if the administrator did not wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    anyway: Option<bool>,
    /// The first known hosts that were not waited for.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    behind: &'a [String],
}

#[derive(Serialize)]
#[serde(untagged)]
enum Target<'a> {
    Revoked(&'a RevokeTarget),
    Locked(&'a LockTarget),
}

/// Every field that some kind has, in their order. Times are Unix seconds.
#[derive(Default, Serialize)]
struct Data<'a> {
    /// The request.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    /// The pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<u64>,
    /// The event, if it is neither request nor pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    server: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<PersonJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target<'a>>,
    /// The identities that the target's name covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    covers: Option<&'a [Covered]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'a str>,
    #[serde(flatten)]
    permissions: Option<&'a Permissions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    needed: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serials: Option<&'a [u64]>,
    /// Why a host is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a [String]>,
    #[serde(flatten)]
    login: Option<LoginJson<'a>>,
    #[serde(flatten)]
    key: Option<KeyJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    next: String,
    /// The page of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl<'a> Data<'a> {
    fn host(self, index: u64, news: HostNews<'a>) -> Self {
        let (who, host, why) = match news {
            HostNews::Joined(joined) => (joined.who.as_ref(), joined.host.as_str(), None),
            HostNews::Behind(behind) => (None, behind.host.as_str(), Some(&*behind.why)),
            HostNews::Current(host) => (None, host, None),
            HostNews::Foreign(login) => return self.foreign(index, login),
        };
        Self {
            index: Some(index),
            who: who.and_then(person),
            host: Some(host),
            why,
            ..self
        }
    }

    fn foreign(self, index: u64, login: &'a ForeignLogin) -> Self {
        Self {
            index: Some(index),
            host: Some(&login.host),
            serial: login.certificate.as_ref().map(|seen| seen.serial),
            login: Some(LoginJson {
                finding: login.finding,
                login: &login.login,
                from: &login.from,
                logged_at: login.logged_at,
                more: login.more,
            }),
            note: Some(login.finding.advice()),
            ..self
        }
    }

    fn key(self, index: u64, news: KeyNews<'a>) -> Self {
        match news {
            KeyNews::Ca(ordered) => self.ca_key(index, ordered),
            KeyNews::Ledger(changed) => self.ledger_key(index, changed),
        }
    }

    fn ca_key(self, index: u64, ordered: &'a CaKeyOrdered) -> Self {
        Self {
            index: Some(index),
            who: person(&ordered.who),
            reason: ordered.reason.as_deref(),
            key: Some(KeyJson {
                step: Some(ordered.step),
                key: ca_key_fingerprint(&ordered.key).unwrap_or_default(),
                old_key: None,
                anyway: Some(ordered.anyway),
                behind: &ordered.behind,
            }),
            ..self
        }
    }

    fn ledger_key(self, index: u64, changed: &'a LedgerKeyChanged) -> Self {
        Self {
            index: Some(index),
            who: person(&changed.who),
            reason: changed.reason.as_deref(),
            key: Some(KeyJson {
                step: None,
                key: changed.handover.new.to_string(),
                old_key: Some(changed.handover.old.to_string()),
                anyway: None,
                behind: &[],
            }),
            ..self
        }
    }

    fn revoked(self, index: u64, revoked: &'a Revoked) -> Self {
        Self {
            index: Some(index),
            who: person(&revoked.who),
            target: Some(Target::Revoked(&revoked.target)),
            covers: covers(&revoked.covers),
            reason: revoked.reason.as_deref(),
            serials: Some(&revoked.serials),
            ..self
        }
    }

    fn asked(self, ask: &'a RequestDetails) -> Self {
        Self {
            role: Some(&ask.role),
            host: ask.host.as_deref(),
            params: Some(&ask.params),
            reason: ask.reason.as_deref(),
            ..self
        }
    }

    fn issued(self, issued: &'a Issued, at: OffsetDateTime, who: Option<PersonJson<'a>>) -> Self {
        Self {
            who,
            permissions: Some(&issued.permissions),
            ttl_seconds: Some(lifetime(issued, at)),
            ..self.asked(&issued.ask)
        }
    }
}

/// The first identities that a target's name covers; none for a target of another kind.
fn covers(covers: &[Covered]) -> Option<&[Covered]> {
    let few = covers.get(..MOST_COVERED).unwrap_or(covers);
    (!few.is_empty()).then_some(few)
}

/// The most identities in a notification. The ledger has all of them.
const MOST_COVERED: usize = 20;

/// Seconds from being issued at `at`.
fn lifetime(issued: &Issued, at: OffsetDateTime) -> u64 {
    issued.valid_before.seconds_since(at.into())
}
