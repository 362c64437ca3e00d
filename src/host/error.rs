//! The errors of host commands, by what the administrator can do about them.

use std::{io, path::PathBuf};

use tonic::{Code, Status};

use crate::{file_lock::Busy, os_error, proto::status::Details};

/// A host command's failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line, or a file that the administrator named, is wrong.
    #[error("{0}")]
    Usage(String),
    /// `host setup` never ran on this host.
    #[error("this host is not set up; run: daypass host setup --server https://HOST:PORT")]
    NotSetUp,
    /// The server does not answer, or not in time.
    #[error("failed to reach {server}: {cause}")]
    Unreachable {
        /// The server's address.
        server: String,
        /// The cause.
        cause: String,
    },
    /// The server's TLS certificate is refused.
    #[error("refused {server}: {cause}")]
    Certificate {
        /// The server's address.
        server: String,
        /// The fault, and what helps.
        cause: String,
    },
    /// The server's answer is refused; the files on disk stay.
    #[error("{preface}{0}", preface = .0.preface())]
    Refused(#[from] InvalidAnswer),
    /// The server declines a call of this host.
    #[error("{0}")]
    Declined(#[from] Declined),
    /// sshd rejects its configuration. All changes have been undone.
    #[error("{0}")]
    Sshd(String),
    /// Another command has the lock on this host's files, and keeps it.
    #[error("{0}")]
    Busy(#[from] Busy),
    /// A file cannot be read or written.
    #[error("failed to access {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

/// The server's refusal to let this host join or report.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{message}")]
pub(crate) struct Declined {
    /// The stable reason code.
    pub reason: &'static str,
    /// The server's words, and what helps.
    message: String,
    is_for_now: bool,
}

/// The reasons on which an administrator can act, and what helps.
const DECLINED: [(&str, &str); 14] = [
    (
        "HOST_CODE_INVALID",
        "the server does not know this join code, or it has expired; check it, or ask an administrator for another one: \
         daypass admin hosts add NAME --group GROUP",
    ),
    (
        "HOST_CODE_USED",
        "another machine has joined with this code: a code is for one machine, which is known by its host keys. For this \
         machine, ask an administrator for a code of its own: daypass admin hosts add NAME --group GROUP. If this machine \
         replaces the other one, or has new host keys: daypass admin hosts add NAME --rekey",
    ),
    (
        KEY_CHANGED,
        "the server knows this host by other host keys. If they were replaced on purpose, ask an administrator for a code: \
         daypass admin hosts add NAME --rekey; then run here: daypass host setup --join CODE",
    ),
    (
        "HOST_KEYS",
        "the server does not take these host keys: each must be ed25519, ecdsa, or rsa with 2048 bits or more, and of one \
         host alone. A copy of a machine needs keys of its own: rm /etc/ssh/ssh_host_*, ssh-keygen -A",
    ),
    (
        "NO_SUCH_HOST",
        "the server does not know this host (any more): its host certificates are not renewed. To join again, ask an \
         administrator for a code: daypass admin hosts add NAME --group GROUP; then run here: daypass host setup --join CODE \
         (a machine with a token of its own: daypass host setup --join-token-file FILE)",
    ),
    (
        "TOKEN_AUDIENCE",
        "the token is for another audience: get one for the audience that this prints: daypass host setup --print-audience",
    ),
    (
        "TOKEN_EXPIRED",
        "the token has expired: get a new one for the audience that this prints: daypass host setup --print-audience",
    ),
    (
        "KEY_BINDING",
        "the token is not for the first host key of this machine: get one for the audience that this prints, whole, with the \
         part after the #: daypass host setup --print-audience",
    ),
    (
        "UNBOUND_TOKEN",
        "the token's issuer binds no keys: a host joins with a token of an issuer that has binding = \"audience\" at the server",
    ),
    (
        "NOT_ALLOWED",
        "no [[host]] of the server's policy lets a machine with this token join by this name: name it with --join-name NAME, as \
         `names` there says, or ask an administrator",
    ),
    (
        "HOST_REPORT",
        "the server does not take the report: the clock of this host or of the server is wrong by minutes, or was put back",
    ),
    (
        "RATE_LIMITED",
        "too many calls from this address; try again in a minute",
    ),
    (
        "TOO_MANY_REQUESTS",
        "too many calls from this address; try again in a minute",
    ),
    (
        NO_HOSTS,
        "this server does not know hosts: it is older than this program, or its configuration has no [hosts]",
    ),
];

/// The reason if the host's keys are not those that joined.
const KEY_CHANGED: &str = "HOST_KEY_CHANGED";

/// The reason if the server has no such service.
const NO_HOSTS: &str = "NO_HOSTS";

/// The reason of every other refusal.
const OTHER: &str = "DECLINED";

impl Declined {
    /// The refusal in `status`; none if it is not one of a Daypass server.
    pub(super) fn of(status: &Status) -> Option<Self> {
        let reason = match Details::of(status) {
            // The answer of a server whose configuration knows no hosts.
            Some(details) if details.reason == "NO_SUCH_ENTRY" => NO_HOSTS.to_owned(),
            Some(details) => details.reason,
            None if status.code() == Code::Unimplemented => NO_HOSTS.to_owned(),
            None => return None,
        };
        let said = status.message();
        let is_for_now = status.code() == Code::ResourceExhausted;
        let known = DECLINED.iter().find(|(known, _)| *known == reason);
        Some(match known {
            Some((reason, words)) => Self {
                reason,
                message: format!("{words} (the server says: {said})"),
                is_for_now,
            },
            None => Self {
                reason: OTHER,
                message: format!("the server declines: {said} ({reason})"),
                is_for_now,
            },
        })
    }

    /// Whether the same call may be taken later: the server limits its callers.
    pub(super) fn is_for_now(&self) -> bool {
        self.is_for_now
    }

    /// A refusal without a reason of the server's.
    pub(super) fn other(message: String) -> Self {
        Self {
            reason: OTHER,
            message,
            is_for_now: false,
        }
    }
}

/// Reason why an answer of the server is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum InvalidAnswer {
    /// The status is neither 200 nor a temporary fault of the server.
    #[error("{path}: the answer is {status}")]
    Status {
        /// The path of the request.
        path: &'static str,
        /// The HTTP status.
        status: u16,
    },
    /// The answer is larger than any valid one.
    #[error("{path}: it is larger than {limit} bytes")]
    TooLarge {
        /// The path of the request.
        path: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The answer has no `daypass-signature` header.
    #[error("{path}: it has no signature")]
    Unsigned {
        /// The path of the request.
        path: &'static str,
    },
    /// The signature is malformed, over other bytes, for another purpose, or by a key that this
    /// host does not trust.
    #[error("{path}: no CA key that this host trusts has signed it: {cause}")]
    Signature {
        /// The path of the request.
        path: &'static str,
        /// The fault.
        cause: String,
    },
    /// The body is not a list of public keys.
    #[error("/ca.pub: {0}")]
    Keys(String),
    /// The keys are not the ones that the administrator pinned.
    #[error("/ca.pub: {0}")]
    Pin(String),
    /// A set-up of a host that is set up for this server already: it takes what `host sync` takes.
    #[error("{0}. This host is set up for this server already, so `host setup` takes no CA keys that `host sync` refuses. {help}",
        help = help_again(.0))]
    Again(Box<InvalidAnswer>),
    /// A host certificate is not one that users' ssh would accept for this host.
    #[error("refused the host certificate for {}: {cause}", key.display())]
    HostCertificate {
        /// The host key's file.
        key: PathBuf,
        /// The fault.
        cause: String,
    },
    /// A host key is not the one that joined.
    #[error(
        "{} is missing, or another host key than the one that joined as {name}: users' ssh refuses it. If it was replaced on \
         purpose, ask an administrator for a code: daypass admin hosts add {name} --rekey; then run here: daypass \
         host setup --join CODE", key.display()
    )]
    HostKeyReplaced {
        /// The host key's file.
        key: PathBuf,
        /// The name of the host.
        name: String,
    },
    /// The revocation list has no byte: sshd would accept it and revoke nothing.
    #[error("/krl: it is empty (0 bytes)")]
    Empty,
    /// The body is not a valid revocation list.
    #[error("/krl: {0}")]
    Krl(#[from] crate::ssh::krl::Error),
    /// Other keys, of an older version than those on disk: a replay of an old list.
    #[error(
        "/ca.pub: its version {sent} is older than {kept}, which is on disk, and it has other keys; if the server's ledger was \
         restored from a backup, this host goes on when an administrator has run: daypass admin accept-restore --past {kept}. If \
         an older copy was put back by hand, first, on the server: stop it, run daypass restore --by-hand, start it"
    )]
    OlderKeys {
        /// The version in the answer.
        sent: u64,
        /// The version on disk.
        kept: u64,
    },
    /// The document of administrators' keys is invalid, or another server's.
    #[error("/recovery: {0}")]
    Recovery(String),
    /// The server has no such document any more, and this host has one.
    #[error(
        "/recovery: the answer is 404 (not found), and this host knows administrators' keys ({keys}) from that document. Either \
         the server runs an older daypass than before: look with `daypass --version` there, and update it. Or a proxy in \
         between hides the path: let it pass /recovery as it passes /krl, and look with: curl -i https://SERVER/recovery"
    )]
    NoRecovery {
        /// The number of keys that this host knows.
        keys: usize,
    },
    /// The server's ledger was restored, and no statement that counts on this host accepts it.
    #[error("/recovery: {0}")]
    Restored(String),
    /// The document is older than one that this host has seen: the server lost its ledger.
    #[error(
        "/recovery: its version {sent} is older than {kept}, which this host knows: an older copy of the server's ledger runs. \
         On the server: stop it, run daypass restore --by-hand, start it; then an administrator runs: daypass admin \
         accept-restore --past {kept}"
    )]
    OlderLedger {
        /// The version in the answer.
        sent: u64,
        /// The version that this host knows.
        kept: u64,
    },
    /// The list is older than the one on disk: a replay, or the server lost its ledger.
    #[error(
        "/krl: its version {sent} is older than {kept}, which is on disk; if the server's ledger was restored from a backup, \
         this host goes on when an administrator has run: daypass admin accept-restore --past {kept}. If an older copy was put \
         back by hand, first, on the server: stop it, run daypass restore --by-hand, start it"
    )]
    Older {
        /// The version in the answer.
        sent: u64,
        /// The version on disk.
        kept: u64,
    },
}

impl Error {
    /// Whether the host keys are other ones than those that joined, by the host's own look or the
    /// server's.
    pub(super) fn is_about_replaced_keys(&self) -> bool {
        let is_replaced = matches!(self, Self::Refused(InvalidAnswer::HostKeyReplaced { .. }));
        is_replaced || self.reason() == KEY_CHANGED
    }

    /// For `map_err` on file operations.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            path,
            source: os_error::plain(source),
        }
    }

    /// The stable reason code for scripts.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Usage(_) => "USAGE",
            Self::NotSetUp => "NOT_SET_UP",
            Self::Unreachable { .. } => "UNREACHABLE",
            Self::Certificate { .. } => "TLS_CERTIFICATE",
            Self::Sshd(_) => "SSHD",
            Self::Busy(_) => "BUSY",
            Self::File { .. } => "FILE",
            Self::Declined(declined) => declined.reason,
            Self::Refused(refusal) => refusal.reason(),
        }
    }
}

/// What helps a host that refuses the keys of a server that it knows.
fn help_again(cause: &InvalidAnswer) -> &'static str {
    match cause {
        InvalidAnswer::OlderKeys { .. } => {
            "If the server began anew, with an empty ledger: daypass host remove, then daypass host setup"
        }
        _ => {
            "If its active key was lost and replaced, name the new one, as an administrator tells you: --ca-fingerprint SHA256:..."
        }
    }
}

impl InvalidAnswer {
    /// What stands before its words; nothing before those that say it themselves.
    fn preface(&self) -> &'static str {
        match self {
            Self::HostCertificate { .. } | Self::HostKeyReplaced { .. } => "",
            _ => "refused the server's answer: ",
        }
    }

    /// The stable reason code for scripts.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Status { .. } => "STATUS",
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::Unsigned { .. } => "UNSIGNED",
            Self::Signature { .. } => "SIGNATURE",
            Self::Keys(_) => "CA_KEYS",
            Self::Pin(_) => "CA_PIN",
            Self::Again(cause) => cause.reason(),
            Self::HostKeyReplaced { .. } => "HOST_KEY_CHANGED",
            Self::HostCertificate { .. } => "HOST_CERTIFICATE",
            Self::Empty => "KRL_EMPTY",
            Self::Krl(_) => "KRL_MALFORMED",
            Self::OlderKeys { .. } => "CA_KEYS_OLDER",
            Self::Older { .. } => "KRL_OLDER",
            Self::Recovery(_) | Self::NoRecovery { .. } => "RECOVERY",
            Self::Restored(_) => "LEDGER_RESTORED",
            Self::OlderLedger { .. } => "LEDGER_OLDER",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host key that is not the one that joined was "refused the server's answer".
    #[test]
    fn no_server_is_blamed_for_this_hosts_own_key() {
        let replaced = Error::from(InvalidAnswer::HostKeyReplaced {
            key: "/etc/ssh/ssh_host_rsa_key".into(),
            name: "web-1".to_owned(),
        });
        let replaced = replaced.to_string();
        assert!(replaced.starts_with("/etc/ssh/ssh_host_rsa_key is missing"));
        let empty = Error::from(InvalidAnswer::Empty).to_string();
        assert_eq!(
            empty,
            "refused the server's answer: /krl: it is empty (0 bytes)"
        );
    }
}
