//! The options of every command that talks to a server: its address, the state folder, and the
//! roots for its TLS. Each option has a variable.

use std::path::PathBuf;

use super::{Failure, outage, output::say};
use crate::client::{Client, Error, Settings};

pub(crate) use crate::unix_seconds::moment;

/// Heading of these options in the help of a command.
const HEADING: &str = "Server and session";

/// The variable for `--server`.
const SERVER: &str = "DAYPASS_SERVER";

/// The variable for `--state-dir`.
const STATE_DIR: &str = "DAYPASS_STATE_DIR";

/// The variable for `--ca-file`.
const CA_FILE: &str = "DAYPASS_CA_FILE";

/// The server, and the folder of this user's session.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Target {
    /// The server, https://HOST:PORT. Several addresses of one server have commas between them. By
    /// default the one of the last login.
    #[arg(
        long,
        global = true,
        env = SERVER,
        hide_env_values = true,
        value_name = "URL",
        help_heading = HEADING
    )]
    pub server: Option<String>,
    /// The folder for session, keys and passes. By default $XDG_STATE_HOME/daypass.
    #[arg(
        long,
        global = true,
        env = STATE_DIR,
        hide_env_values = true,
        value_name = "DIR",
        help_heading = HEADING
    )]
    pub state_dir: Option<PathBuf>,
    /// PEM file of CA certificates for the server's TLS. By default those of the operating system.
    #[arg(
        long,
        global = true,
        env = CA_FILE,
        hide_env_values = true,
        value_name = "FILE",
        help_heading = HEADING
    )]
    pub ca_file: Option<PathBuf>,
}

impl Target {
    /// The client for this server. Does not connect yet.
    ///
    /// # Errors
    /// Returns an error if no state folder is named and there is no home folder.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        // An empty variable counts as unset.
        let named =
            |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        let settings = Settings {
            server: self.server.clone().filter(|server| !server.is_empty()),
            state_dir: named(&self.state_dir),
            ca_file: named(&self.ca_file),
            say,
        };
        Ok(Client::new(settings)?)
    }

    /// The client for the server that passes for `host` come from, if a host is named. Does not
    /// connect yet.
    ///
    /// # Errors
    /// As [`Target::client`]; also returns an error if a session is damaged.
    pub(crate) fn client_for(&self, host: Option<&str>) -> Result<Client, Failure> {
        let client = self.client()?;
        Ok(match host {
            Some(host) => client.for_host(host)?,
            None => client,
        })
    }
}

impl Target {
    /// Passes these options on to each `daypass` that a program runs.
    pub(super) fn pass_on(&self, program: &mut std::process::Command) {
        if let Some(server) = &self.server {
            program.env(SERVER, server);
        }
        for (name, path) in [(STATE_DIR, &self.state_dir), (CA_FILE, &self.ca_file)] {
            if let Some(path) = path {
                program.env(name, path);
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        outage::advised(Self {
            code: error.exit_code(),
            message: crate::daemon::chain(&error),
            reason: error.reason().map(str::to_owned),
        })
    }
}

/// Time from `now` to `end` in one or two units, such as `53m`, or `expired`.
pub(crate) fn left(now: u64, end: u64) -> String {
    match end.saturating_sub(now) {
        0 => "expired".to_owned(),
        seconds @ 1..60 => format!("{seconds}s"),
        seconds @ 60..7200 => format!("{}m", seconds / 60),
        seconds if seconds < 1_000_000_000 => {
            format!("{}h {}m", seconds / 3600, seconds % 3600 / 60)
        }
        _ => "for ever".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_keep_code_and_reason() {
        let denied = Error::Denied {
            reason: "NOT_ALLOWED".into(),
            message: "no".into(),
        };
        let failure = Failure::from(denied);
        assert_eq!(
            (failure.code, failure.reason.as_deref()),
            (3, Some("NOT_ALLOWED"))
        );
        assert_eq!(failure.message, "denied: no (NOT_ALLOWED)");
    }

    #[test]
    fn times_read_well() {
        assert_eq!(moment(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(moment(u64::MAX), "the end of time");
        assert_eq!(left(100, 100), "expired");
        assert_eq!(left(0, 59), "59s");
        assert_eq!(left(0, 3600), "60m");
        assert_eq!(left(0, 8 * 3600), "8h 0m");
    }
}
