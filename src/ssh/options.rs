//! Critical options and extensions of user certificates (PROTOCOL.certkeys): every name, once.
//!
//! sshd refuses a certificate with a critical option that it does not know, and ignores an
//! extension that it does not know. An option in the wrong section is therefore either fatal or
//! without effect. All extensions are off unless a role names them.

use serde::{Deserialize, Serialize};

/// A restriction that sshd must understand, or else refuse the certificate.
///
/// ```
/// use daypass::ssh::options::CriticalOption;
///
/// let option = CriticalOption::from_name("source-address");
/// assert_eq!(option, Some(CriticalOption::SourceAddress));
/// assert_eq!(CriticalOption::from_name("permit-pty"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CriticalOption {
    /// The only command that a session runs.
    ForceCommand,
    /// The only networks that the certificate can be used from, as comma-separated CIDRs.
    SourceAddress,
    /// A security key must have verified its user (PIN or biometric) for each login. It has no
    /// value. sshd ignores it for other kinds of key.
    VerifyRequired,
}

impl CriticalOption {
    /// Every critical option that OpenSSH defines, in the order of their names.
    pub(crate) const ALL: [Self; 3] = [
        Self::ForceCommand,
        Self::SourceAddress,
        Self::VerifyRequired,
    ];

    /// The certificate's name for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ForceCommand => "force-command",
            Self::SourceAddress => "source-address",
            Self::VerifyRequired => "verify-required",
        }
    }

    /// The option with this name; `None` if OpenSSH defines none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|option| option.name() == name)
    }
}

/// A permission of a session beyond running a command (PROTOCOL.certkeys, "Extensions").
///
/// It has two spellings: a word in the policy file, the ledger and the API (`pty`), and the
/// certificate's name (`permit-pty`).
///
/// ```
/// use daypass::ssh::options::Extension;
///
/// assert_eq!(Extension::from_word("permit-pty"), Some(Extension::Pty));
/// assert_eq!(Extension::Pty.as_str(), "pty");
/// assert_eq!(Extension::Pty.name(), "permit-pty");
/// assert_eq!(Extension::from_word("no-touch-required"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
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
    X11Forwarding,
    /// A text from a stored event or a foreign certificate that is not one of the words above.
    /// The policy never grants it.
    Unknown(Box<str>),
}

impl std::fmt::Display for Extension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Extension {
    /// Every extension that a policy can grant, in the order of their names.
    pub(crate) const ALL: [Self; 5] = [
        Self::AgentForwarding,
        Self::PortForwarding,
        Self::Pty,
        Self::UserRc,
        Self::X11Forwarding,
    ];

    /// The word of the policy file, the ledger and the API (`pty`).
    pub fn as_str(&self) -> &str {
        match self {
            Self::AgentForwarding => "agent-forwarding",
            Self::PortForwarding => "port-forwarding",
            Self::Pty => "pty",
            Self::UserRc => "user-rc",
            Self::X11Forwarding => "x11-forwarding",
            Self::Unknown(text) => text,
        }
    }

    /// The certificate's name for it (`permit-pty`).
    pub fn name(&self) -> &str {
        match self {
            Self::AgentForwarding => "permit-agent-forwarding",
            Self::PortForwarding => "permit-port-forwarding",
            Self::Pty => "permit-pty",
            Self::UserRc => "permit-user-rc",
            Self::X11Forwarding => "permit-X11-forwarding",
            Self::Unknown(text) => text,
        }
    }

    /// Reads either spelling of an extension that a policy can grant.
    pub fn from_word(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|extension| text == extension.as_str() || text == extension.name())
    }

    /// Reads the name of a certificate's extension.
    pub(crate) fn from_name(name: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|extension| name == extension.name())
            .unwrap_or_else(|| Self::Unknown(name.into()))
    }

    /// The extension that a stored text means: events may hold either spelling.
    pub(super) fn meaning(&self) -> Option<Self> {
        Self::from_word(self.as_str())
    }
}

/// Keeps a text that is not a word as it is, so that a stored event is written as it was read.
impl From<String> for Extension {
    fn from(text: String) -> Self {
        Self::ALL
            .into_iter()
            .find(|extension| text == extension.as_str())
            .unwrap_or_else(|| Self::Unknown(text.into()))
    }
}

impl From<Extension> for String {
    fn from(extension: Extension) -> Self {
        extension.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_spelling_reads_back_and_serde_agrees_with_it() {
        for extension in Extension::ALL {
            assert_eq!(
                Extension::from_word(extension.as_str()),
                Some(extension.clone())
            );
            assert_eq!(
                Extension::from_word(extension.name()),
                Some(extension.clone())
            );
            assert_eq!(Extension::from_name(extension.name()), extension);
            let json = serde_json::to_value(&extension).unwrap();
            assert_eq!(json, extension.as_str());
            assert_eq!(
                serde_json::from_value::<Extension>(json).unwrap(),
                extension
            );
        }
        assert_eq!(Extension::from_word("no-touch-required"), None);
    }

    #[test]
    fn a_stored_text_that_is_no_word_is_written_as_it_was_read() {
        for (text, meaning) in [
            ("permit-pty", Some(Extension::Pty)),
            ("login@github.com", None),
            ("", None),
        ] {
            let read: Extension = serde_json::from_value(text.into()).unwrap();
            assert_eq!(read, Extension::Unknown(text.into()), "{text}");
            assert_eq!(serde_json::to_value(&read).unwrap(), text);
            assert_eq!(read.meaning(), meaning, "{text}");
        }
    }

    #[test]
    fn names_are_in_order_as_a_certificate_wants_them() {
        assert!(CriticalOption::ALL.map(CriticalOption::name).is_sorted());
        for option in CriticalOption::ALL {
            assert_eq!(CriticalOption::from_name(option.name()), Some(option));
            assert_eq!(Extension::from_word(option.name()), None);
        }
    }
}
