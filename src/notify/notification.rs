//! The content of a delivery: an event, or an emergency that is about to be one. Pure.
//!
//! [`message`](super::message) is for programs, [`chat`](super::chat) for people. Neither ever
//! holds claims, tokens, users' keys or signatures. `tests/golden/webhooks/` has one of each kind.

use time::OffsetDateTime;

use crate::ledger::{
    Event, EventKind,
    event::{
        Actor, CaKeyOrdered, ForeignLogin, HostBehind, HostJoined, Issued, LedgerKeyChanged,
        Locked, RequestDecision, Requested, Revoked, Unlocked,
    },
};

/// The content of a delivery, with its source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notification<'a> {
    pub(super) server: &'a str,
    pub(super) at: OffsetDateTime,
    pub(super) news: NotificationBody<'a>,
    /// The address of the server's page; none if it has no page.
    pub(super) page: Option<&'a str>,
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
    Host(u64, HostNews<'a>),
    Key(u64, KeyNews<'a>),
    /// An administrator tries the webhook.
    Test(&'a Actor),
}

/// News of a known host.
#[derive(Clone, Copy, Debug)]
pub(super) enum HostNews<'a> {
    Joined(&'a HostJoined),
    Behind(&'a HostBehind),
    /// The host of this name is.
    Current(&'a str),
    /// A login there that the ledger does not explain.
    Foreign(&'a ForeignLogin),
}

/// News of the server's own keys.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyNews<'a> {
    /// An order about a key of the CA.
    Ca(&'a CaKeyOrdered),
    /// The ledger has another key.
    Ledger(&'a LedgerKeyChanged),
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
    fn new(server: &'a str, at: OffsetDateTime, news: NotificationBody<'a>) -> Self {
        Self {
            server,
            at,
            news,
            page: None,
        }
    }

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
            EventKind::HostJoined(joined) => {
                NotificationBody::Host(index, HostNews::Joined(joined))
            }
            EventKind::HostBehind(behind) => {
                NotificationBody::Host(index, HostNews::Behind(behind))
            }
            EventKind::HostCurrent { host } => {
                NotificationBody::Host(index, HostNews::Current(host))
            }
            EventKind::ForeignLogin(login) => {
                NotificationBody::Host(index, HostNews::Foreign(login))
            }
            EventKind::CaKeyOrdered(ordered) => NotificationBody::Key(index, KeyNews::Ca(ordered)),
            EventKind::LedgerKeyChanged(changed) => {
                NotificationBody::Key(index, KeyNews::Ledger(changed))
            }
            EventKind::Started { .. }
            | EventKind::PolicyLoaded { .. }
            | EventKind::Issued(_)
            | EventKind::SigningFailed { .. }
            | EventKind::Denied { .. }
            | EventKind::Denials(_)
            | EventKind::Skipped
            | EventKind::KeyStaged { .. }
            | EventKind::KeyActivated { .. }
            | EventKind::KeyRetired { .. }
            | EventKind::HostAdded(_)
            | EventKind::HostRemoved(_)
            | EventKind::HostCertified(_) => return None,
        };
        let at = event.at;
        Some(Self::new(server, at, news))
    }

    /// The page before an emergency.
    pub(super) fn page(issued: &'a Issued, server: &'a str, at: OffsetDateTime) -> Self {
        let news = NotificationBody::Page(issued);
        Self::new(server, at, news)
    }

    /// A test by an administrator.
    pub(super) fn test(who: &'a Actor, server: &'a str, at: OffsetDateTime) -> Self {
        let news = NotificationBody::Test(who);
        Self::new(server, at, news)
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
            NotificationBody::Host(_, news) => news.as_str(),
            NotificationBody::Key(_, news) => news.as_str(),
            NotificationBody::Test(_) => "test",
        }
    }

    /// The page of the request or review for a browser. It holds no text of a caller.
    pub(super) fn link(&self) -> Option<String> {
        let id = match self.news {
            NotificationBody::Requested(id, _) | NotificationBody::Emergency(id, _) => id,
            NotificationBody::RequestDecision(_, _, decided) => decided.request,
            NotificationBody::Page(_)
            | NotificationBody::Revoked(..)
            | NotificationBody::Locked(..)
            | NotificationBody::Unlocked(..)
            | NotificationBody::Host(..)
            | NotificationBody::Key(..)
            | NotificationBody::Test(_) => return None,
        };
        Some(format!("{}/requests/{id}", self.page?))
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
            NotificationBody::Revoked(index, _)
            | NotificationBody::Unlocked(index, _)
            | NotificationBody::Host(index, HostNews::Joined(_) | HostNews::Foreign(_))
            | NotificationBody::Key(index, KeyNews::Ledger(_)) => {
                format!("daypass ledger show {index}")
            }
            NotificationBody::Host(_, HostNews::Behind(_)) => "daypass hosts --behind".to_owned(),
            NotificationBody::Host(_, HostNews::Current(_)) => "daypass hosts".to_owned(),
            NotificationBody::Key(_, KeyNews::Ca(_)) => "daypass admin keys".to_owned(),
            NotificationBody::Locked(..) => "daypass admin locks".to_owned(),
            NotificationBody::Test(_) => "daypass admin webhooks".to_owned(),
        }
    }
}

impl HostNews<'_> {
    fn as_str(self) -> &'static str {
        match self {
            Self::Joined(_) => "host_joined",
            Self::Behind(_) => "host_behind",
            Self::Current(_) => "host_current",
            Self::Foreign(_) => "foreign_login",
        }
    }
}

impl KeyNews<'_> {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ca(_) => "ca_key_ordered",
            Self::Ledger(_) => "ledger_key_changed",
        }
    }
}

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
    fn notifications_about_requests_link_to_their_page_if_there_is_one() {
        let linked = [
            "requested",
            "approved",
            "refused",
            "cancelled",
            "reviewed",
            "emergency",
        ];
        for event in sample::events() {
            let plain = Notification::of(&event, sample::SERVER).unwrap();
            assert_eq!(plain.link(), None, "{}", plain.as_str());
            let page = Some("https://ca.example.com/web");
            let notification = Notification { page, ..plain };
            let kind = notification.as_str();
            let texts = [notification.json().unwrap(), notification.chat()];
            for text in texts.map(|text| String::from_utf8(text).unwrap()) {
                let has_link = text.contains("https://ca.example.com/web/requests/");
                assert_eq!(has_link, linked.contains(&kind), "{kind}: {text}");
            }
        }
        let event = sample::events().into_iter().next().unwrap();
        let plain = Notification::of(&event, sample::SERVER).unwrap();
        let page = Some("https://ca.example.com/web");
        let notification = Notification { page, ..plain };
        golden("linked.json", &notification.json().unwrap());
        golden("linked.chat.json", &notification.chat());
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
                "SHA256:subject",
                "SHA256:thief",
                "SHA256:ca\"",
                "ssh-ed25519",
                "signature",
                "c2lnbmF0dXJl",
                "policy",
            ] {
                assert!(!text.contains(word), "{word}: {text}");
            }
        }
    }
}
