//! A question to a server about its ledger.

use super::{connect::Server, server_info::ServerInfo, session::Login};

/// A server to ask, and the user's choice.
pub(crate) struct Asking<'a> {
    pub(crate) server: &'a Server,
    pub(crate) server_info: &'a ServerInfo,
    pub(crate) login: &'a Login,
    /// Fingerprint of an administrator's key that the user accepts by name.
    pub(crate) accept: Option<&'a str>,
}
