//! What a comparison of logins with the ledger finds. Pure.

use time::OffsetDateTime;

use crate::{
    ledger::event::{ForeignLogin, LoginFinding as Kind, SeenCertificate},
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
