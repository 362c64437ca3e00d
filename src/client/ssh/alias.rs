//! Aliases: a host that the user's own configuration gives another name.

use std::{
    ffi::{OsStr, OsString},
    process::{Command, Stdio},
};

use super::command_line::CommandLine;
use crate::client::{Client, Error, words::check_host};

impl Client {
    /// The name of a command line's host for the policy. That is the name as it is typed if a
    /// server names a pattern for it; else the `HostName` of the user's configuration if a server
    /// names one for that; else the name as it is typed.
    ///
    /// `environment` keeps ssh from asking for a pass while it reads its configuration.
    ///
    /// # Errors
    /// Returns the error if a file of the state folder cannot be read.
    pub(crate) fn policy_host(
        &self,
        line: &CommandLine,
        typed: &str,
        environment: (&str, &OsStr),
    ) -> Result<String, Error> {
        if self.is_host_of_a_server(typed)? {
            return Ok(typed.to_owned());
        }
        // ssh itself will say what is wrong.
        let Some(settings) = settings(&line.words(), environment) else {
            return Ok(typed.to_owned());
        };
        match hostname(&settings) {
            Some(host) if check_host(host).is_ok() && self.is_host_of_a_server(host)? => {
                Ok(host.to_owned())
            }
            Some(_) | None => Ok(typed.to_owned()),
        }
    }
}

/// What `ssh -G` prints for a command line: the settings in force, one a line. None if ssh does not
/// run, or refuses them. `environment` keeps it from asking for a pass.
pub(crate) fn settings(words: &[OsString], environment: (&str, &OsStr)) -> Option<String> {
    let (name, value) = environment;
    let output = Command::new("ssh")
        .arg("-G")
        .args(words)
        .env(name, value)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The host that ssh would connect to, in what `ssh -G` prints.
fn hostname(settings: &str) -> Option<&str> {
    let mut lines = settings.lines();
    lines.find_map(|line| line.strip_prefix("hostname "))
}
