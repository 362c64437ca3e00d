//! The options of every command that talks to a server: which one, whose state, which roots. Flags mirror variables.

use std::{io::Write as _, path::PathBuf};

use super::{Failure, output};
use crate::{
    client::{Client, Error, Settings},
    unix_seconds::UnixSeconds,
};

/// Heading of these options in the help of a command.
const HEADING: &str = "Server and session";

/// Which server, and where this user's session is.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// The server, https://HOST:PORT; by default the one of the last login.
    #[arg(long, global = true, env = "DAYPASS_SERVER", hide_env_values = true, value_name = "URL", help_heading = HEADING)]
    pub server: Option<String>,
    /// The folder for session, keys and passes; by default $XDG_STATE_HOME/daypass.
    #[arg(long, global = true, env = "DAYPASS_STATE_DIR", hide_env_values = true, value_name = "DIR", help_heading = HEADING)]
    pub state_dir: Option<PathBuf>,
    /// PEM file of CA certificates for the server's TLS; by default the operating system's.
    #[arg(long, global = true, env = "DAYPASS_CA_FILE", hide_env_values = true, value_name = "FILE", help_heading = HEADING)]
    pub ca_file: Option<PathBuf>,
}

impl Target {
    /// The client for it; no network yet.
    ///
    /// # Errors
    /// Where there is no home folder and none was named.
    pub fn client(&self) -> Result<Client, Failure> {
        // A variable that is set to nothing is as good as unset.
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
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            code: error.exit_code(),
            message: crate::daemon::chain(&error),
            reason: error.reason().map(str::to_owned),
        }
    }
}

/// A note or a prompt while a command runs.
fn say(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", output::clean_lines(message));
}

/// Unix seconds as people read them, in UTC.
pub fn moment(seconds: u64) -> String {
    let format =
        time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    UnixSeconds(seconds)
        .to_utc()
        .and_then(|time| time.format(format).ok())
        .unwrap_or_else(|| "the end of time".to_owned())
}

/// `53m` from `now` to `end`, or `expired`; for people, so one or two units.
pub fn left(now: u64, end: u64) -> String {
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
