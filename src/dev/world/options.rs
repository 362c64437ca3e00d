//! How one dev world differs from another.

use std::path::PathBuf;

use crate::notify::Schedule;

/// The name of the server, and of its TLS certificate.
pub(super) const NAME: &str = "localhost";

/// What one world has that another has not.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The `daypass` program for `ssh_config` and `env`; the running program where it is not given.
    pub program: Option<PathBuf>,
    /// Replaces the policy in the folder. Without it, one that is there is kept, and else [`World`] writes its own.
    pub policy: Option<String>,
    /// More sections for `daypass.toml` (`[limits]`, say).
    pub configuration: String,
    /// Leave sshd out, even where it is installed.
    pub without_sshd: bool,
    /// When webhooks that failed are told again; the daemon's own rule where it is not given.
    pub webhook_schedule: Option<Schedule>,
}
