//! The kinds of events that webhooks take, by the words of the ledger. Pure.

use serde::{Deserialize, Serialize};

use crate::ledger::EventKind;

/// A kind of event that webhooks take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotificationKind {
    /// A request waits for an approver.
    Requested,
    /// A request was approved.
    Approved,
    /// A request was denied.
    Refused,
    /// A request was withdrawn by its requester.
    Cancelled,
    /// A pass was issued as an emergency. A webhook that takes these is also paged before one is.
    Emergency,
    /// The review of an emergency was closed.
    Reviewed,
    /// Passes were revoked.
    Revoked,
    /// An identity, key or role was locked.
    Locked,
    /// A lock was removed.
    Unlocked,
    /// A host joined, or joined again with other keys.
    #[serde(rename = "host_joined")]
    HostJoined,
    /// A known host fell behind.
    #[serde(rename = "host_behind")]
    HostBehind,
    /// A known host that was behind is current again.
    #[serde(rename = "host_current")]
    HostCurrent,
    /// A login on a known host that the ledger does not explain.
    #[serde(rename = "foreign_login")]
    ForeignLogin,
    /// A key of the CA was staged, activated or retired by an administrator's order.
    #[serde(rename = "ca_key_ordered")]
    CaKeyOrdered,
    /// The ledger was handed over to another key.
    #[serde(rename = "ledger_key_changed")]
    LedgerKeyChanged,
}

impl NotificationKind {
    /// Every kind.
    pub(crate) const ALL: [Self; 15] = [
        Self::Requested,
        Self::Approved,
        Self::Refused,
        Self::Cancelled,
        Self::Emergency,
        Self::Reviewed,
        Self::Revoked,
        Self::Locked,
        Self::Unlocked,
        Self::HostJoined,
        Self::HostBehind,
        Self::HostCurrent,
        Self::ForeignLogin,
        Self::CaKeyOrdered,
        Self::LedgerKeyChanged,
    ];

    /// Its word in `events`, in payloads and in the outbox.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Emergency => "emergency",
            Self::Reviewed => "reviewed",
            Self::Revoked => "revoked",
            Self::Locked => "locked",
            Self::Unlocked => "unlocked",
            Self::HostJoined => "host_joined",
            Self::HostBehind => "host_behind",
            Self::HostCurrent => "host_current",
            Self::ForeignLogin => "foreign_login",
            Self::CaKeyOrdered => "ca_key_ordered",
            Self::LedgerKeyChanged => "ledger_key_changed",
        }
    }

    /// The kind with this word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The kind of an event; none if webhooks are not told of it.
    pub(crate) fn of(what: &EventKind) -> Option<Self> {
        match what {
            EventKind::Requested(_) => Some(Self::Requested),
            EventKind::Approved(_) => Some(Self::Approved),
            EventKind::Refused(_) => Some(Self::Refused),
            EventKind::Cancelled(_) => Some(Self::Cancelled),
            // The jump pass is part of its pass.
            EventKind::Issued(issued) if issued.ask.emergency && issued.jump.is_none() => {
                Some(Self::Emergency)
            }
            EventKind::Reviewed(_) => Some(Self::Reviewed),
            EventKind::Revoked(_) => Some(Self::Revoked),
            EventKind::Locked(_) => Some(Self::Locked),
            EventKind::Unlocked(_) => Some(Self::Unlocked),
            EventKind::HostJoined(_) => Some(Self::HostJoined),
            EventKind::HostBehind(_) => Some(Self::HostBehind),
            EventKind::HostCurrent { .. } => Some(Self::HostCurrent),
            EventKind::ForeignLogin(_) => Some(Self::ForeignLogin),
            EventKind::CaKeyOrdered(_) => Some(Self::CaKeyOrdered),
            EventKind::LedgerKeyChanged(_) => Some(Self::LedgerKeyChanged),
            EventKind::Issued(_)
            | EventKind::Started { .. }
            | EventKind::PolicyLoaded { .. }
            | EventKind::SigningFailed { .. }
            | EventKind::Denied { .. }
            | EventKind::Denials(_)
            | EventKind::Skipped
            | EventKind::KeyStaged { .. }
            | EventKind::KeyActivated { .. }
            | EventKind::KeyRetired { .. }
            | EventKind::HostAdded(_)
            | EventKind::HostRemoved(_)
            | EventKind::HostCertified(_) => None,
        }
    }
}

/// True if a leaf may be of a kind that webhooks take. Most leaves are passes, which need no
/// parsing then.
pub(super) fn may_be_told(leaf: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(leaf) else {
        return false;
    };
    // An event's type comes before anything in it that a caller or an issuer wrote.
    let Some((_, rest)) = text.split_once(r#""type":""#) else {
        return false;
    };
    match rest.split('"').next() {
        Some("issued") => rest.contains(r#""emergency":true"#),
        Some(word) => NotificationKind::from_word(word).is_some(),
        None => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::{ledger::Event, notify::sample};

    #[test]
    fn words_are_the_ledgers_and_come_back() {
        for kind in NotificationKind::ALL {
            assert_eq!(NotificationKind::from_word(kind.as_str()), Some(kind));
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{}\"", kind.as_str()));
        }
        assert_eq!(NotificationKind::from_word("issued"), None);
    }

    #[test]
    fn a_glance_at_a_leaf_misses_nothing_that_is_told() {
        for event in sample::events() {
            let leaf = event.to_bytes().unwrap();
            assert!(may_be_told(&leaf), "{event:?}");
            assert!(NotificationKind::of(&Event::parse(&leaf).unwrap().what).is_some());
        }
        for leaf in include_bytes!("../../tests/golden/events.jsonl").split(|b| *b == b'\n') {
            assert!(!may_be_told(leaf), "{}", String::from_utf8_lossy(leaf));
        }
    }

    #[test]
    fn claims_that_look_like_an_event_hide_none() {
        let mut event = sample::requested();
        let EventKind::Requested(asked) = &mut event.what else {
            unreachable!()
        };
        asked.who.claims =
            serde_json::json!({ "type": "issued", "at": "\"type\":\"issued\"" }).into();
        assert!(may_be_told(&event.to_bytes().unwrap()));
    }
}
