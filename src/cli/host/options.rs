//! The options that the commands about a host share.

use std::{path::PathBuf, time::Duration};

use crate::{
    cli::{Failure, output::say, values::duration},
    host::{files::Layout, lock::Wait, settings::LoginLog},
};

/// The folder of the host's files.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Place {
    /// A folder to use in place of `/`. All files are in its etc/ssh, and name each other there.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide_default_value = true
    )]
    pub(super) root: PathBuf,
}

/// The time for another command on this host, if no option names one.
pub(super) const USUAL: Duration = Duration::from_secs(30);

/// Time limit for the server.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Patience {
    /// Time limit for one request to the server, and for another daypass command that works on this
    /// host.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(super) timeout: Duration,
}

/// How a command waits for another one on this host.
pub(super) const fn waiting(limit: Duration) -> Wait {
    Wait { limit, say }
}

/// The log of `--logins[=FILE]`.
pub(super) fn login_log(file: Option<PathBuf>) -> LoginLog {
    match file {
        None => LoginLog::Journal,
        // The timer's runs have another folder.
        Some(file) => LoginLog::File(std::path::absolute(&file).unwrap_or(file)),
    }
}

impl Place {
    /// The host's files below the folder.
    ///
    /// # Errors
    /// Returns an error if the current folder is unknown.
    pub(super) fn layout(&self) -> Result<Layout, Failure> {
        Ok(Layout::new(&std::path::absolute(&self.root)?))
    }
}
