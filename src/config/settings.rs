//! The configuration in the modules' own types.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::{
    ca::KeyState,
    identity, notify,
    outbound::MutualTls,
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
    /// Known hosts; none: this server knows no hosts.
    pub hosts: Option<Hosts>,
    /// The ledger's own Ed25519 key.
    pub ledger_key: PathBuf,
    /// The key that the ledger is handed over to; none: there is only one.
    pub next_ledger_key: Option<PathBuf>,
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
    /// An OpenSSH private key file; if another program keeps the key, its public half.
    pub file: PathBuf,
    /// The program that keeps the private half.
    pub keeper: Option<Keeper>,
    /// The file that holds the passphrase of an encrypted key (a systemd credential is a file too).
    pub passphrase: Option<PathBuf>,
    /// The stage of the key's life.
    pub state: KeyState,
}

impl CaKey {
    /// The files of mutual TLS, if the key is behind a signer on another machine.
    pub(crate) fn mutual_tls(&self) -> Option<&MutualTls> {
        match &self.keeper {
            Some(Keeper::Signer(SignerAddress::Tls { files, .. })) => Some(files),
            Some(Keeper::Signer(_) | Keeper::Agent { .. } | Keeper::Pkcs11 { .. }) | None => None,
        }
    }
}

/// `[hosts]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// The keys that sign host certificates; exactly one is active.
    pub keys: Vec<CaKey>,
    /// Patterns of the names that hosts may have; none: those of the policy's host groups.
    pub names: Option<Vec<String>>,
    /// How long a host certificate is valid.
    pub lifetime: Duration,
    /// Time without a report after which a host is behind.
    pub behind_after: Duration,
}

/// A program that keeps a CA key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// An ssh-agent.
    Agent {
        /// Its socket.
        socket: PathBuf,
    },
    /// `daypass signer`.
    Signer(SignerAddress),
    /// A PKCS#11 token.
    Pkcs11 {
        /// The shared library.
        module: PathBuf,
        /// The token's label.
        token: String,
        /// The file that holds the user's PIN.
        pin: Option<PathBuf>,
    },
}

/// The address of `daypass signer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignerAddress {
    /// A Unix socket.
    Socket(PathBuf),
    /// Mutual TLS.
    Tls {
        /// The name in the signer's certificate.
        host: String,
        /// Its port.
        port: u16,
        /// This side's files.
        files: MutualTls,
    },
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
