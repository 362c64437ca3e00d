//! What a comparison of logins with the ledger finds. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    ledger::event::{ForeignLogin, Issued, LoginFinding as Kind, SeenCertificate},
    unix_seconds::UnixSeconds,
};

/// A login that the ledger does not explain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    pub(crate) why: String,
    pub(crate) host: String,
    pub(crate) login: String,
    pub(crate) from: String,
    /// 0 if logins are not told apart by it.
    pub(crate) port: u16,
    /// `None` if sshd's message is cut.
    pub(crate) certificate: Option<SeenCertificate>,
    pub(crate) first: Option<OffsetDateTime>,
    pub(crate) last: Option<OffsetDateTime>,
    pub(crate) count: u64,
}

impl Finding {
    /// The event of a login on this known host.
    pub(crate) fn foreign_login(self, host: &str) -> ForeignLogin {
        ForeignLogin {
            host: host.to_owned(),
            finding: self.kind,
            why: self.why,
            logged_at: self.last.map(UnixSeconds::from),
            login: self.login,
            from: self.from,
            port: self.port,
            certificate: self.certificate,
            more: 0,
        }
        .bounded()
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
