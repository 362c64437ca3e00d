//! Reason why a daemon does not start, reload or stop.

use std::{io, net::SocketAddr, path::Path};

use crate::{
    ca, config,
    identity::issuer::SettingsError,
    ledger::{checkpoint, handover},
    modes, notify, operations, outbound, policy, server, signer, store,
};

/// Reason why a daemon does not start, reload or stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `daypass.toml`.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The policy file's content.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// A file that the configuration names.
    #[error("failed to read {what} {file}: {problem}")]
    File {
        /// Its special purpose.
        what: &'static str,
        /// Its path.
        file: String,
        /// The problem and what to do.
        problem: String,
    },
    /// The TLS certificate or its key.
    #[error("failed to load the TLS certificate: {0}")]
    Tls(#[from] server::tls::Error),
    /// A CA key file.
    #[error(transparent)]
    CaKey(#[from] ca::key::file::Error),
    /// The public half of a CA key that another program keeps.
    #[error(transparent)]
    PublicCaKey(#[from] ca::key::public::Error),
    /// The CA keys together.
    #[error(transparent)]
    Ca(#[from] ca::Error),
    /// The ledger's name.
    #[error(transparent)]
    Ledger(#[from] checkpoint::Error),
    /// The ledger's keys together.
    #[error("[ledger] next_key: {0}")]
    LedgerKeys(#[from] handover::Fault),
    /// An issuer.
    #[error(transparent)]
    Issuers(#[from] SettingsError),
    /// The state folder.
    #[error("failed to open the state folder {folder}: {source}")]
    State {
        /// Its path.
        folder: String,
        /// The reason.
        source: modes::Problem,
    },
    /// A file of the ledger that root has copied, say.
    #[error(
        "{file} belongs to the user with id {user}, and the state folder to another: run `chown -R --reference={folder} {folder}`"
    )]
    Owner {
        /// The file.
        file: String,
        /// Its owner.
        user: u32,
        /// The state folder.
        folder: String,
    },
    /// A backup or a restore.
    #[error("{0}")]
    Backup(String),
    /// A webhook.
    #[error(transparent)]
    Webhook(#[from] notify::SetUpError),
    /// The outbox of the webhooks.
    #[error("failed to open webhooks.json in {0}: {1}")]
    Webhooks(String, #[source] io::Error),
    /// The store.
    #[error("failed to open the ledger: {0}")]
    Store(#[from] store::Error),
    /// The socket.
    #[error("failed to listen on {address}: {source}; is another program there?")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
    /// systemd's socket, signals.
    #[error("failed to {0}: {1}")]
    System(&'static str, io::Error),
    /// The memory of a signer.
    #[error("{0}")]
    Signer(String),
    /// An account in a signer's `callers`.
    #[error(
        "there is no account {0:?} in /etc/passwd: give the number of the account that `daypass serve` runs as"
    )]
    Account(String),
    /// The certificates of a signer and its callers.
    #[error("failed to load the certificates for the signer: {0}")]
    MutualTls(#[from] outbound::MutualTlsError),
    /// A signer's socket.
    #[error("failed to listen on {0}: {1}")]
    Socket(String, #[source] io::Error),
    /// The server.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// The recorder of metrics.
    #[error("failed to set up metrics: {0}")]
    Metrics(String),
    /// Recording a new policy.
    #[error(transparent)]
    Operation(#[from] operations::Error),
    /// The parts that stayed as they were, and why.
    #[error("kept what does not load as it was: {0}")]
    Reload(String),
    /// A bug.
    #[error("the server ended unexpectedly")]
    Panicked,
    /// A bug, or the end of the machine's memory.
    #[error("the ledger's writer ended unexpectedly")]
    NoWriter,
    /// The reason is in the log.
    #[error("the daemon failed; its log says why")]
    Logged,
}

impl From<signer::memory::Error> for Error {
    fn from(error: signer::memory::Error) -> Self {
        Self::Signer(error.to_string())
    }
}

impl Error {
    pub(super) fn state(folder: &Path) -> impl Fn(modes::Problem) -> Self {
        move |source| Self::State {
            folder: folder.display().to_string(),
            source,
        }
    }
}

/// `what: cause: its cause`, leaving out a cause that its parent has already quoted.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}
