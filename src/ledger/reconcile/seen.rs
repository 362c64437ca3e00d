//! A login, as a log has it. Pure.

use time::{Duration, OffsetDateTime};

use crate::ledger::event::SeenCertificate;

/// Different clocks of server and host.
pub(super) const SKEW: Duration = Duration::seconds(60);

/// What one login is, except its time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) host: String,
    pub(super) login: String,
    pub(super) from: String,
    /// 0 if logins are not told apart by it.
    pub(super) port: u16,
    /// `None` if sshd's message is cut.
    pub(super) certificate: Option<SeenCertificate>,
}

impl Seen {
    /// Bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        let certificate = self.certificate.iter();
        let texts = certificate.flat_map(|it| [&it.key_id, &it.key, &it.ca]);
        let texts = texts.chain([&self.host, &self.login, &self.from]);
        texts.map(String::len).sum()
    }
}

/// When it was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) first: Option<OffsetDateTime>,
    pub(super) last: Option<OffsetDateTime>,
    pub(super) count: u64,
}
