//! Aliases: a host that the user's own configuration gives another name.

use std::{
    ffi::OsStr,
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
        let (name, value) = environment;
        let settings = Command::new("ssh")
            .arg("-G")
            .args(line.words())
            .env(name, value)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        // ssh itself will say what is wrong.
        let Ok(settings) = settings else {
            return Ok(typed.to_owned());
        };
        let settings = String::from_utf8_lossy(&settings.stdout).into_owned();
        match hostname(&settings) {
            Some(host) if check_host(host).is_ok() && self.is_host_of_a_server(host)? => {
                Ok(host.to_owned())
            }
            Some(_) | None => Ok(typed.to_owned()),
        }
    }
}

/// The host that ssh would connect to, in what `ssh -G` prints.
fn hostname(settings: &str) -> Option<&str> {
    let mut lines = settings.lines();
    lines.find_map(|line| line.strip_prefix("hostname "))
}
