//! The content of a delivery: an event, or an emergency that is about to be one. Pure.
//!
//! [`Notification::json`] is for programs, [`Notification::chat`](super::chat) for people. Neither
//! ever holds claims, tokens, keys or signatures. `tests/golden/webhooks/` has one of each kind.

use std::collections::BTreeMap;

use serde::Serialize;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::{
    ledger::{
        Event, EventKind,
        event::{
            Actor, Covered, Issued, LockTarget, Locked, RequestDecision, RequestDetails, Requested,
            RevokeTarget, Revoked, Unlocked, ascii_json,
        },
    },
    ssh::permissions::Permissions,
    unix_seconds::UnixSeconds,
};

/// The content of a delivery, with its source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notification<'a> {
    pub(super) server: &'a str,
    pub(super) at: OffsetDateTime,
    pub(super) news: NotificationBody<'a>,
}

/// The content of a notification.
#[derive(Clone, Copy, Debug)]
pub(super) enum NotificationBody<'a> {
    Requested(u64, &'a Requested),
    RequestDecision(DecisionKind, u64, &'a RequestDecision),
    Emergency(u64, &'a Issued),
    /// Before an emergency's pass is recorded: there is no serial yet.
    Page(&'a Issued),
    Revoked(u64, &'a Revoked),
    Locked(u64, &'a Locked),
    Unlocked(u64, &'a Unlocked),
    /// An administrator tries the webhook.
    Test(&'a Actor),
}

/// A decision about a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum DecisionKind {
    Approved,
    Refused,
    Cancelled,
    Reviewed,
}

impl<'a> Notification<'a> {
    /// The notification of an event; none if webhooks are not told of it.
    pub(super) fn of(event: &'a Event, server: &'a str) -> Option<Self> {
        let index = event.index;
        let decided =
            |decision, decided| NotificationBody::RequestDecision(decision, index, decided);
        let news = match &event.what {
            EventKind::Requested(asked) => NotificationBody::Requested(index, asked),
            EventKind::Approved(it) => decided(DecisionKind::Approved, it),
            EventKind::Refused(it) => decided(DecisionKind::Refused, it),
            EventKind::Cancelled(it) => decided(DecisionKind::Cancelled, it),
            EventKind::Reviewed(it) => decided(DecisionKind::Reviewed, it),
            EventKind::Issued(issued) if issued.ask.emergency && issued.jump.is_none() => {
                NotificationBody::Emergency(index, issued)
            }
            EventKind::Revoked(revoked) => NotificationBody::Revoked(index, revoked),
            EventKind::Locked(locked) => NotificationBody::Locked(index, locked),
            EventKind::Unlocked(unlocked) => NotificationBody::Unlocked(index, unlocked),
            EventKind::Started { .. }
            | EventKind::PolicyLoaded { .. }
            | EventKind::Issued(_)
            | EventKind::SigningFailed { .. }
            | EventKind::Denied { .. }
            | EventKind::Denials(_)
            | EventKind::Skipped
            | EventKind::KeyStaged { .. }
            | EventKind::KeyActivated { .. }
            | EventKind::KeyRetired { .. } => return None,
        };
        let at = event.at;
        Some(Self { server, at, news })
    }

    /// The page before an emergency.
    pub(super) fn page(issued: &'a Issued, server: &'a str, at: OffsetDateTime) -> Self {
        let news = NotificationBody::Page(issued);
        Self { server, at, news }
    }

    /// A test by an administrator.
    pub(super) fn test(who: &'a Actor, server: &'a str, at: OffsetDateTime) -> Self {
        let news = NotificationBody::Test(who);
        Self { server, at, news }
    }

    /// `type` of the JSON.
    pub(super) fn as_str(&self) -> &'static str {
        match self.news {
            NotificationBody::Requested(..) => "requested",
            NotificationBody::RequestDecision(decision, ..) => decision.as_str(),
            NotificationBody::Emergency(..) => "emergency",
            NotificationBody::Page(_) => "page",
            NotificationBody::Revoked(..) => "revoked",
            NotificationBody::Locked(..) => "locked",
            NotificationBody::Unlocked(..) => "unlocked",
            NotificationBody::Test(_) => "test",
        }
    }

    /// The command for the reader. It holds no text of a caller.
    pub(super) fn next(&self) -> String {
        match self.news {
            NotificationBody::Requested(id, _) => format!("daypass approve {id}"),
            NotificationBody::RequestDecision(_, _, decided) => {
                format!("daypass show {}", decided.request)
            }
            NotificationBody::Emergency(serial, _) => format!("daypass review {serial}"),
            NotificationBody::Page(_) => "daypass requests".to_owned(),
            NotificationBody::Revoked(index, _) | NotificationBody::Unlocked(index, _) => {
                format!("daypass ledger show {index}")
            }
            NotificationBody::Locked(..) => "daypass admin locks".to_owned(),
            NotificationBody::Test(_) => "daypass admin webhooks".to_owned(),
        }
    }

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

impl DecisionKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Reviewed => "reviewed",
        }
    }
}

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
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    next: String,
}

impl<'a> Data<'a> {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::notify::sample;

    /// `DAYPASS_WRITE_GOLDEN=1` writes the files, for a change that means to change them.
    fn golden(name: &str, bytes: &[u8]) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/webhooks");
        let file = folder.join(name);
        let text = format!("{}\n", std::str::from_utf8(bytes).unwrap());
        if std::env::var_os("DAYPASS_WRITE_GOLDEN").is_some() {
            fs::write(&file, &text).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(text, expected, "{name}");
    }

    #[test]
    fn every_kind_has_its_golden_file_in_both_formats() {
        let events = sample::events();
        let notices = events
            .iter()
            .map(|event| Notification::of(event, sample::SERVER));
        let mut notices: Vec<_> = notices.map(Option::unwrap).collect();
        let emergency = sample::emergency();
        let EventKind::Issued(issued) = &emergency.what else {
            unreachable!()
        };
        notices.push(Notification::page(issued, sample::SERVER, emergency.at));
        for notification in notices {
            golden(
                &format!("{}.json", notification.as_str()),
                &notification.json().unwrap(),
            );
            golden(
                &format!("{}.chat.json", notification.as_str()),
                &notification.chat(),
            );
        }
    }

    #[test]
    fn claims_keys_and_signatures_are_not_told() {
        for event in sample::events() {
            let notification = Notification::of(&event, sample::SERVER).unwrap();
            let text = [notification.json().unwrap(), notification.chat()].concat();
            let text = String::from_utf8(text).unwrap();
            for word in [
                "groups",
                "claims",
                "SHA256",
                "signature",
                "c2lnbmF0dXJl",
                "policy",
            ] {
                assert!(!text.contains(word), "{word}: {text}");
            }
        }
    }
}
