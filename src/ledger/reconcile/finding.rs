//! What a comparison of logins with the ledger finds. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;

use crate::ledger::event::Issued;

/// Kinds of finding, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The ledger has no such pass: a CA key was copied, or the ledger is another one.
    Unknown,
    /// The certificate is not the one that was recorded.
    Altered,
    /// After expiry or revocation, or before it was valid.
    Late,
    /// On another host.
    Elsewhere,
}

/// A login that the ledger does not explain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    pub(crate) why: String,
    pub(crate) serial: u64,
    pub(crate) host: String,
    pub(crate) login: String,
    pub(crate) from: String,
    pub(crate) key_id: String,
    pub(crate) first: Option<OffsetDateTime>,
    pub(crate) last: Option<OffsetDateTime>,
    pub(crate) count: u64,
}

impl Kind {
    /// Whether no honest use of Daypass leads to it.
    pub(crate) fn is_alarm(self) -> bool {
        match self {
            Self::Unknown | Self::Altered => true,
            Self::Late | Self::Elsewhere => false,
        }
    }

    /// For a table.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Unknown => "not issued",
            Self::Altered => "altered",
            Self::Late => "outside its time",
            Self::Elsewhere => "other host",
        }
    }
}

/// Passes without a login, by person and role.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Unused {
    /// Passes.
    pub(crate) count: u64,
    /// (label, role) and the number of such passes.
    #[serde(skip)]
    pub(crate) by: BTreeMap<(String, String), u64>,
    /// The first serials.
    pub(crate) serials: Vec<u64>,
}

impl Unused {
    pub(super) fn add(&mut self, serial: u64, issued: &Issued, most: usize) {
        self.count += 1;
        if self.serials.len() < most {
            self.serials.push(serial);
        }
        let key = (issued.who.label.clone(), issued.ask.role.clone());
        // Bounded: beyond it only pairs that are there already are counted.
        if self.by.len() < most || self.by.contains_key(&key) {
            *self.by.entry(key).or_default() += 1;
        }
    }
}
