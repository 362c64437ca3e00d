//! The configuration in the modules' own types.

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use crate::{
    ca::KeyState,
    identity, notify,
    server::{Limits, log::Format},
    store::PostgresAddress,
    web,
};

/// A whole, valid server configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The host that users dial, and the name possession proofs are made for.
    pub name: String,
    /// Address to listen on, unless systemd passes a socket.
    pub listen: SocketAddr,
    /// The folder of ledger, checkpoint and lock.
    pub state: PathBuf,
    /// The policy file.
    pub policy: PathBuf,
    /// `None`: plain text, and `listen` is loopback.
    pub tls: Option<TlsFiles>,
    /// The CA's keys; exactly one is active.
    pub ca_keys: Vec<CaKey>,
    /// The ledger's own Ed25519 key.
    pub ledger_key: PathBuf,
    /// The database that servers of one name share; none: the ledger is in the state folder.
    pub postgres: Option<PostgresAddress>,
    /// At least one, with distinct names and URLs.
    pub issuers: Vec<identity::Settings>,
    /// The limits on callers.
    pub limits: Limits,
    /// True if `/metrics` also answers callers that are not on loopback.
    pub metrics_public: bool,
    /// The level and format of the log.
    pub log: Log,
    /// The webhooks, with distinct names.
    pub webhooks: Vec<notify::Settings>,
    /// The page for approvers; none: there is no page.
    pub(crate) web: Option<web::Settings>,
    /// The schedule of retries. The file does not set it; tests do.
    pub webhook_schedule: notify::Schedule,
    /// The file itself, to read it again.
    pub(super) origin: PathBuf,
    /// The file's text, to compare it with another.
    pub(super) document: toml::Table,
    /// The files that a reload could not read.
    pub(super) unread: Vec<String>,
}

/// PEM files of the server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The leaf's private key.
    pub key: PathBuf,
}

/// One `[[ca.key]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaKey {
    /// An OpenSSH private key file.
    pub file: PathBuf,
    /// The file that holds the passphrase of an encrypted key (a systemd credential is a file too).
    pub passphrase: Option<PathBuf>,
    /// The stage of the key's life.
    pub state: KeyState,
}

/// `[log]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Text or JSON lines.
    pub format: Format,
    /// The least severe level that is written.
    pub level: LogLevel,
}

/// The least severe level that is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Faults that an operator must act on.
    Error,
    /// And what may become a fault.
    Warn,
    /// And every decision.
    #[default]
    Info,
    /// And details for finding a fault.
    Debug,
}

impl LogLevel {
    /// The `tracing` filter: this level for Daypass, and only warnings of libraries, because some
    /// of them log headers and bodies, which hold tokens, at lower levels.
    pub(crate) fn filter(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "warn,daypass=info",
            Self::Debug => "warn,daypass=debug",
        }
    }
}
