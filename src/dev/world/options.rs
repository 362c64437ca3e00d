//! Options of one dev world.

use std::path::PathBuf;

use crate::notify::Schedule;

/// The name of the server, and of its TLS certificate.
pub(super) const NAME: &str = "localhost";

/// Options of one world.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The `daypass` program for `ssh_config` and `env`. By default the running program.
    pub program: Option<PathBuf>,
    /// Replaces the policy in the folder. Without it, an existing one is kept, or the world writes
    /// its own.
    pub policy: Option<String>,
    /// More sections for `daypass.toml`, such as `[limits]`.
    pub configuration: String,
    /// Leaves sshd out, even if it is installed.
    pub without_sshd: bool,
    /// The number of servers that share a ledger in a PostgreSQL of the world's own; none for one
    /// server with its ledger in the folder.
    pub servers: Option<u8>,
    /// Knows hosts: `[hosts]` with a host CA key.
    pub knows_hosts: bool,
    /// When failed deliveries are tried again. By default the daemon's own schedule.
    pub webhook_schedule: Option<Schedule>,
}
