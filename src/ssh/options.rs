//! The extensions of OpenSSH user certificates. All are off unless a role names them.

use serde::{Deserialize, Serialize};

/// What a session under the pass may do beyond running a command (PROTOCOL.certkeys, "Extensions").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extension {
    /// Forward the caller's ssh-agent to the host.
    AgentForwarding,
    /// Forward TCP ports and Unix sockets.
    PortForwarding,
    /// Have a terminal.
    Pty,
    /// Run `~/.ssh/rc`.
    UserRc,
    /// Forward X11.
    #[serde(rename = "x11-forwarding")]
    X11Forwarding,
}

impl Extension {
    /// Every extension, in the order of their names.
    pub const ALL: [Self; 5] = [
        Self::AgentForwarding,
        Self::PortForwarding,
        Self::Pty,
        Self::UserRc,
        Self::X11Forwarding,
    ];

    /// The word of the policy file and of the wire (`pty`).
    pub fn word(self) -> &'static str {
        match self {
            Self::AgentForwarding => "agent-forwarding",
            Self::PortForwarding => "port-forwarding",
            Self::Pty => "pty",
            Self::UserRc => "user-rc",
            Self::X11Forwarding => "x11-forwarding",
        }
    }

    /// The certificate's name for it (`permit-pty`).
    pub fn name(self) -> &'static str {
        match self {
            Self::AgentForwarding => "permit-agent-forwarding",
            Self::PortForwarding => "permit-port-forwarding",
            Self::Pty => "permit-pty",
            Self::UserRc => "permit-user-rc",
            Self::X11Forwarding => "permit-X11-forwarding",
        }
    }

    /// Reads either spelling, [`Extension::word`] or [`Extension::name`].
    pub fn from_word(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|extension| text == extension.word() || text == extension.name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_spelling_reads_back_and_serde_agrees_with_it() {
        for extension in Extension::ALL {
            assert_eq!(Extension::from_word(extension.word()), Some(extension));
            assert_eq!(Extension::from_word(extension.name()), Some(extension));
            let json = serde_json::to_value(extension).unwrap();
            assert_eq!(json, extension.word());
        }
        assert_eq!(Extension::from_word("no-touch-required"), None);
    }
}
