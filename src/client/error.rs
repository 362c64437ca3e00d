//! What a command can fail with, by what its user can do about it. Holds no token and no secret.

use std::{io, path::PathBuf};

use tonic::Code;

use super::login::StepUp;
use crate::{proto::status::Details, reason};

/// A client's failure. [`Error::exit_code`] is the documented exit code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line, a variable or a file the user named is wrong.
    #[error("{0}")]
    Usage(String),
    /// The server's policy, or the issuer, said no.
    #[error("denied: {message} ({reason})")]
    Denied {
        /// The stable reason code.
        reason: String,
        /// The server's sentence.
        message: String,
    },
    /// There is no session that the server takes.
    #[error("{message}")]
    SignIn {
        /// The server's stable reason code, where it was the server that refused.
        reason: Option<String>,
        /// What is wrong and which command helps.
        message: String,
    },
    /// The role wants a newer or stronger sign-in.
    #[error("{message}")]
    StepUp {
        /// What would meet it.
        wanted: StepUp,
        /// What is wrong and which command helps.
        message: String,
    },
    /// A request waits for somebody else's yes.
    #[error("{}", pending(*id))]
    Pending {
        /// The request's id.
        id: u64,
    },
    /// Somebody did not do something in time.
    #[error("{0}")]
    TimedOut(String),
    /// The server or the issuer does not answer.
    #[error("{message}")]
    Unreachable {
        /// The server's stable reason code, where one came.
        reason: Option<String>,
        /// Who does not answer, and what to look at.
        message: String,
    },
    /// The server answered something that is not to be believed.
    #[error("the server's answer is not to be trusted: {0}")]
    Untrusted(String),
    /// Ledger and remembered checkpoint contradict each other.
    #[error("LEDGER FORK: {0}")]
    Fork(String),
    /// A file cannot be read or written.
    #[error("failed to access {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The place for an answer cannot be written, which was found before anything was asked for.
    #[error(
        "cannot write {}: {cause}; nothing was asked for yet: make it writable, or choose another place with --out or \
         DAYPASS_STATE_DIR",
        path.display()
    )]
    Unwritable {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Anything else.
    #[error("{message}")]
    Other {
        /// The server's stable reason code, where one came.
        reason: Option<String>,
        /// What failed.
        message: String,
    },
}

impl Error {
    /// A failure that no other variant names.
    pub fn other(message: impl Into<String>) -> Self {
        Self::Other {
            reason: None,
            message: message.into(),
        }
    }

    /// Sign in first; `why` is the beginning of the sentence.
    pub fn sign_in(why: &str) -> Self {
        Self::SignIn {
            reason: None,
            message: format!("{why}; sign in with: daypass login"),
        }
    }

    /// The server or issuer at `whom` does not answer.
    pub fn unreachable(whom: &str, cause: impl std::fmt::Display) -> Self {
        Self::Unreachable {
            reason: None,
            message: format!("failed to reach {whom}: {cause}"),
        }
    }

    /// For `map_err` on file operations.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// The documented exit code (DESIGN 9).
    pub fn exit_code(&self) -> u8 {
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
    format!("request {id} waits for somebody else's approval; look at it with: daypass show {id}")
}

/// What a refusal on the wire means to the user.
impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        let details = Details::of(&status);
        let reason = details.as_ref().map(|details| details.reason.clone());
        let message = said(&status);
        match status.code() {
            // No sign-in mends these: the caller came by a registered key.
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
            Code::Unauthenticated => Self::SignIn {
                message: format!(
                    "the server refused your sign-in: {message}; sign in again with: daypass login"
                ),
                reason,
            },
            Code::PermissionDenied if reason.as_deref() == Some(reason::STEP_UP_REQUIRED) => {
                let wanted = details.as_ref().map(StepUp::of).unwrap_or_default();
                Self::StepUp {
                    message: format!("{message}; sign in again with: {}", wanted.command()),
                    wanted,
                }
            }
            Code::PermissionDenied | Code::InvalidArgument => Self::Denied {
                reason: reason.unwrap_or_else(|| reason::DENIED.to_owned()),
                message,
            },
            Code::ResourceExhausted => Self::Other {
                message: match details.and_then(|details| details.retry_after) {
                    Some(wait) => format!(
                        "too many requests; try again in {} s",
                        wait.as_secs().max(1)
                    ),
                    None => format!("a limit of the server is reached: {message}"),
                },
                reason,
            },
            Code::Unavailable | Code::DeadlineExceeded => Self::Unreachable {
                message: format!("the server cannot answer now: {message}"),
                reason,
            },
            // Without a reason of ours it is the transport's word: the connection ended under the call.
            Code::Unknown | Code::Cancelled | Code::Internal if reason.is_none() => {
                Self::Unreachable {
                    message: format!("the connection to the server broke: {message}"),
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

/// The status's own message without a trailing full stop, or its code's description.
fn said(status: &tonic::Status) -> String {
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
