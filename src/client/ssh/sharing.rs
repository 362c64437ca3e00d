//! Connections that `ssh` processes share (`ControlMaster`). Pure.

use super::{command_line::CommandLine, options::SshOption};

/// The settings of a shared connection, in lower case.
const SETTINGS: [&str; 3] = ["controlpath", "controlmaster", "controlpersist"];

impl CommandLine {
    /// Removes the options by which this ssh would use, or become, a shared connection. Returns
    /// whether there were some. A shared connection has the rights of the pass that opened it,
    /// perhaps of one that is revoked by now.
    pub(crate) fn stop_sharing(&mut self) -> bool {
        let before = self.options.len();
        self.options.retain(|option| !is_of_sharing(option));
        self.options.len() < before
    }
}

fn is_of_sharing(option: &SshOption) -> bool {
    matches!(option.letter, 'M' | 'S') || SETTINGS.iter().any(|it| option.setting(it).is_some())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::client::ssh::command_line::Takes;

    #[test]
    fn every_spelling_of_a_shared_connection_is_removed_and_nothing_else() {
        for (words, expected) in [
            ("-S /c web-1", "-- web-1"),
            ("-S/c web-1", "-- web-1"),
            ("-MNS /c web-1", "-N -- web-1"),
            ("-MM web-1", "-- web-1"),
            ("-oControlPath=/c -p 22 web-1", "-p 22 -- web-1"),
            ("web-1 -o CONTROLPATH=\"/c\" id -S", "-- web-1 id -S"),
            (
                "-oControlMaster=auto -oControlPersist=60s web-1",
                "-- web-1",
            ),
            (
                "-oControlPathX=1 -m hmac web-1",
                "-o ControlPathX=1 -m hmac -- web-1",
            ),
        ] {
            let split = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
            let mut line = CommandLine::parse(&split(words), |_| Takes::Nothing).unwrap();
            let is_shared = words != "-oControlPathX=1 -m hmac web-1";
            assert_eq!(line.stop_sharing(), is_shared, "{words}");
            assert_eq!(line.words(), split(expected), "{words}");
        }
    }
}
