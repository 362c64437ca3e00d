//! The client's errors, by what the user can do about them. No error holds a token or a secret.

use std::{io, path::PathBuf};

use tonic::Code;

use super::step_up::StepUp;
use crate::{os_error, proto::status::Details, reason};

/// A client's failure. [`Error::exit_code`] is the documented exit code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line, a variable or a file that the user named is wrong.
    #[error("{0}")]
    Usage(String),
    /// The server's policy, or the issuer, refused.
    #[error("denied: {message} ({reason})")]
    Denied {
        /// The stable reason code.
        reason: String,
        /// The server's message.
        message: String,
    },
    /// There is no login that the server accepts.
    #[error("{message}")]
    SignIn {
        /// The server's stable reason code, if the server refused.
        reason: Option<String>,
        /// Description of the problem, and the command that helps.
        message: String,
    },
    /// The role demands a more recent or stronger login.
    #[error("{message}")]
    StepUp {
        /// The demands.
        wanted: StepUp,
        /// Description of the problem, and the command that helps.
        message: String,
    },
    /// A request waits for approval.
    #[error("{}", pending(*id))]
    Pending {
        /// The request's id.
        id: u64,
    },
    /// A user, a command or the agent did not act in time.
    #[error("{0}")]
    TimedOut(String),
    /// The server or the issuer does not answer.
    #[error("{message}")]
    Unreachable {
        /// The server's stable reason code, if it sent one; `ISSUER_UNAVAILABLE` if the issuer does
        /// not answer this client.
        reason: Option<String>,
        /// The party that does not answer, and what to look at.
        message: String,
    },
    /// The server's answer contradicts itself, or what is known of the server.
    #[error("the server's answer is not to be trusted: {0}")]
    Untrusted(String),
    /// The ledger contradicts the remembered checkpoint.
    #[error("LEDGER FORK: {0}")]
    Fork(String),
    /// A file cannot be read or written.
    #[error("failed to access {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The files for an answer cannot be written. Found before the server was asked.
    #[error(
        "cannot write {}: {cause}; nothing was asked for yet: make it writable, or choose another place with --out or \
         DAYPASS_STATE_DIR",
        path.display()
    )]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        cause: io::Error,
    },
    /// A failure of no other kind.
    #[error("{message}")]
    Other {
        /// The server's stable reason code, if it sent one.
        reason: Option<String>,
        /// Description of the failure.
        message: String,
    },
}

/// What would let a command that failed succeed.
pub(crate) enum Remedy<'a> {
    /// A sign-in.
    SignIn,
    /// A newer or stronger sign-in.
    StepUp(&'a StepUp),
    /// Access that the ask did not have, such as a request's approval.
    Access,
    /// Nothing that Daypass could get for the user.
    None,
}

impl Error {
    /// A failure of no other kind, without a reason code.
    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self::Other {
            reason: None,
            message: message.into(),
        }
    }

    /// The user must sign in; `why` begins the sentence.
    pub(crate) fn sign_in(why: &str) -> Self {
        Self::SignIn {
            reason: None,
            message: format!("{why}; sign in with: daypass login"),
        }
    }

    /// The issuer, or the user in the browser, refused the login.
    pub(super) fn login_refused(message: impl Into<String>) -> Self {
        Self::Denied {
            reason: reason::LOGIN_REFUSED.to_owned(),
            message: message.into(),
        }
    }

    /// The role demands another login; the server's details say which.
    fn step_up(details: Option<&Details>, message: &str) -> Self {
        let wanted = details.map(StepUp::of).unwrap_or_default();
        Self::StepUp {
            message: format!("{message}; sign in again with: {}", wanted.command()),
            wanted,
        }
    }

    /// The caller reached a limit of the server.
    fn limited(details: Option<&Details>, message: String, reason: Option<String>) -> Self {
        let message = match details.and_then(|details| details.retry_after) {
            Some(wait) => format!(
                "too many requests; try again in {} s",
                wait.as_secs().max(1)
            ),
            None => format!("a limit of the server is reached: {message}"),
        };
        Self::Other { reason, message }
    }

    /// The server answers that it, or the issuer, has a problem.
    fn unavailable(message: &str, reason: Option<String>) -> Self {
        let message = match reason.as_deref() {
            Some(reason::ISSUER_UNAVAILABLE) => format!(
                "the server cannot check your sign-in, since it does not reach the identity provider: failed to {message}; \
                 its log says why"
            ),
            _ => format!("the server cannot answer now: {message}"),
        };
        Self::Unreachable { reason, message }
    }

    /// The server or issuer at `peer` does not answer.
    pub(crate) fn unreachable(peer: &str, cause: impl std::fmt::Display) -> Self {
        Self::Unreachable {
            reason: None,
            message: format!("failed to reach {peer}: {cause}"),
        }
    }

    /// For `map_err` on file operations.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            path,
            source: os_error::plain(source),
        }
    }

    /// The documented exit code (DESIGN 9).
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Denied { .. } => 3,
            Self::SignIn { .. } | Self::StepUp { .. } => 4,
            Self::TimedOut(_) | Self::Pending { .. } => 5,
            Self::Unreachable { .. } => 6,
            Self::Untrusted(_)
            | Self::Fork(_)
            | Self::File { .. }
            | Self::Unwritable { .. }
            | Self::Other { .. } => 1,
        }
    }

    /// What would let the same command succeed.
    pub(crate) fn remedy(&self) -> Remedy<'_> {
        match self {
            Self::SignIn { .. } => Remedy::SignIn,
            Self::StepUp { wanted, .. } => Remedy::StepUp(wanted),
            Self::Usage(_) | Self::Denied { .. } => Remedy::Access,
            Self::Pending { .. }
            | Self::TimedOut(_)
            | Self::Unreachable { .. }
            | Self::Untrusted(_)
            | Self::Fork(_)
            | Self::File { .. }
            | Self::Unwritable { .. }
            | Self::Other { .. } => Remedy::None,
        }
    }

    /// The stable reason code, for programs.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Denied { reason, .. } => Some(reason),
            Self::SignIn { reason, .. }
            | Self::Unreachable { reason, .. }
            | Self::Other { reason, .. } => reason.as_deref(),
            Self::StepUp { .. } => Some(reason::STEP_UP_REQUIRED),
            Self::Pending { .. } => Some(reason::REQUEST_PENDING),
            Self::Fork(_) => Some(reason::LEDGER_FORK),
            Self::Untrusted(_) => Some(reason::UNTRUSTED_ANSWER),
            Self::Usage(_) | Self::TimedOut(_) | Self::File { .. } | Self::Unwritable { .. } => {
                None
            }
        }
    }
}

fn pending(id: u64) -> String {
    format!("request {id} waits for approval; look at it with: daypass show {id}")
}

/// Translates the server's status into what the user can do about it.
impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        let details = Details::of(&status);
        let reason = details.as_ref().map(|details| details.reason.clone());
        let message = message_of(&status);
        match status.code() {
            // Signing in does not help: the caller used a registered key.
            Code::Unauthenticated
                if matches!(
                    reason.as_deref(),
                    Some(reason::EMERGENCY_KEY | reason::CHALLENGE)
                ) =>
            {
                Self::Denied {
                    reason: reason.unwrap_or_default(),
                    message,
                }
            }
            // The caller's own sign-in is good.
            Code::Unauthenticated if message.starts_with(reason::OF_USER) => Self::Denied {
                reason: reason.unwrap_or_default(),
                message: format!(
                    "{message}. Prepare a new file, and let the user sign in again and sign that"
                ),
            },
            Code::Unauthenticated => Self::SignIn {
                message: format!(
                    "the server refused your sign-in: {message}; sign in again with: daypass login"
                ),
                reason,
            },
            Code::PermissionDenied if reason.as_deref() == Some(reason::STEP_UP_REQUIRED) => {
                Self::step_up(details.as_ref(), &message)
            }
            Code::PermissionDenied | Code::InvalidArgument => Self::Denied {
                reason: reason.unwrap_or_else(|| reason::DENIED.to_owned()),
                message,
            },
            Code::ResourceExhausted => Self::limited(details.as_ref(), message, reason),
            Code::Unavailable | Code::DeadlineExceeded => Self::unavailable(&message, reason),
            // A status without our reason code comes from the transport: the connection broke
            // during the call.
            Code::Unknown | Code::Cancelled | Code::Internal if reason.is_none() => {
                Self::Unreachable {
                    message: format!(
                        "the connection to the server broke: {message}; run the command again"
                    ),
                    reason,
                }
            }
            Code::Unimplemented => Self::Other {
                message: "the server is older than this client and does not know this command"
                    .to_owned(),
                reason,
            },
            _ => Self::Other { message, reason },
        }
    }
}

/// The status's message without a trailing full stop, or its code's description.
fn message_of(status: &tonic::Status) -> String {
    match status.message().trim().trim_end_matches('.') {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_the_documented_exit_code_and_keeps_its_reason() {
        let cases = [
            (Code::Unauthenticated, "TOKEN_EXPIRED", 4),
            (Code::Unauthenticated, "EMERGENCY_KEY", 3),
            (Code::Unauthenticated, "CHALLENGE", 3),
            (Code::PermissionDenied, "NOT_ALLOWED", 3),
            (Code::InvalidArgument, "SUBJECT_KEY", 3),
            (Code::ResourceExhausted, "RATE_LIMITED", 1),
            (Code::Unavailable, "STORE_UNAVAILABLE", 6),
            (Code::NotFound, "NO_SUCH_ENTRY", 1),
        ];
        for (code, reason, exit) in cases {
            let error = Error::from(Details::new(reason).into_status(code, "no."));
            assert_eq!(error.exit_code(), exit, "{reason}");
            assert_eq!(error.reason(), Some(reason));
        }
    }

    #[test]
    fn a_broken_connection_is_unreachable() {
        assert_eq!(Error::from(tonic::Status::unknown("reset")).exit_code(), 6);
        assert_eq!(Error::from(tonic::Status::internal("h2")).exit_code(), 6);
        assert_eq!(
            Error::from(tonic::Status::deadline_exceeded("")).exit_code(),
            6
        );
    }
}
