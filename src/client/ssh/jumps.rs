//! Jump hosts that the user names with `-J`. Pure.
//!
//! ssh logs in to a jump host by a configuration of its own. So if the policy has the jump host, a
//! `daypass ssh` of its own goes there.

use std::path::Path;

use super::destination::Destination;
use crate::client::{Error, words::shell_word};

/// The jump host before the host, and how to reach it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LastJump {
    /// The jump host.
    pub(crate) host: String,
    login: Option<String>,
    port: Option<u16>,
    /// The jump hosts before it, as `-J` has them.
    before: Option<String>,
}

impl LastJump {
    /// Reads the value of `-J`. None for `none`, and if it is invalid: ssh says what is wrong.
    pub(crate) fn parse(jump_hosts: &str) -> Option<Self> {
        let (before, last) = match jump_hosts.rsplit_once(',') {
            Some((before, last)) => (Some(before), last),
            None => (None, jump_hosts),
        };
        let is_uri = last.starts_with("ssh://");
        let uri = if is_uri {
            last.to_owned()
        } else {
            format!("ssh://{last}")
        };
        let place = Destination::parse(&uri).ok()?;
        let is_plain = |text: &str| {
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || "._:/@,[]-".contains(c))
        };
        if place.host.eq_ignore_ascii_case("none") || !before.is_none_or(is_plain) {
            return None;
        }
        Some(Self {
            host: place.host,
            login: place.user,
            port: place.port,
            before: before.map(str::to_owned),
        })
    }

    /// The setting that goes through this jump host by `program`, which is Daypass.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if a path cannot be written into an ssh option.
    pub(crate) fn proxy_command(
        &self,
        program: &Path,
        config: Option<&Path>,
    ) -> Result<String, Error> {
        let mut words = vec![shell_word(program)?, "ssh".to_owned()];
        if let Some(config) = config {
            words.extend(["-F".to_owned(), shell_word(config)?]);
        }
        let login = self.login.clone().map(|login| ("-l", login));
        let port = self.port.map(|port| ("-p", port.to_string()));
        let before = self.before.clone().map(|before| ("-J", before));
        for (option, value) in [login, port, before].into_iter().flatten() {
            words.extend([option.to_owned(), shell_word(Path::new(&value))?]);
        }
        words.extend(["-W", "'[%h]:%p'", "--"].map(str::to_owned));
        words.push(shell_word(Path::new(&self.host))?);
        Ok(format!("ProxyCommand={}", words.join(" ")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_last_jump_host_is_reached_by_daypass_and_those_before_it_as_typed() {
        for (jump_hosts, expected) in [
            ("edge", Some("'/d' ssh -F '/c' -W '[%h]:%p' -- 'edge'")),
            (
                "a@b,ssh://c:22,jump@edge:2222",
                Some(
                    "'/d' ssh -F '/c' -l 'jump' -p '2222' -J 'a@b,ssh://c:22' -W '[%h]:%p' -- 'edge'",
                ),
            ),
            (
                "[fe80::1%eth0]:22",
                Some("'/d' ssh -F '/c' -p '22' -W '[%h]:%p' -- 'fe80::1%%eth0'"),
            ),
            ("none", None),
            ("", None),
            ("a;id,edge", None),
            ("$(id)@edge", None),
            ("edge:0", None),
        ] {
            let jump = LastJump::parse(jump_hosts);
            let command = jump.map(|it| {
                it.proxy_command(Path::new("/d"), Some(Path::new("/c")))
                    .unwrap()
            });
            let expected = expected.map(|it| format!("ProxyCommand={it}"));
            assert_eq!(command, expected, "{jump_hosts}");
        }
    }
}
