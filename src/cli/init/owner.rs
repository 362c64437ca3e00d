//! The owner of the files: by default the user who runs `init`, with `--owner` another account.

use std::{
    io,
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::Path,
    process::{Command, Stdio},
};

use crate::cli::{Failure, failure::Code, output::clean};

/// The account of `systemd/daypass.service`.
pub(super) const UNITS_USER: &str = "daypass";

/// The `StateDirectory` of `systemd/daypass.service`.
pub(super) const UNITS_STATE: &str = "/var/lib/daypass";

/// An account of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) name: String,
    user: u32,
    group: u32,
}

impl Owner {
    /// The account of this name, with its first group.
    ///
    /// # Errors
    /// Returns code 2 if there is no such account.
    pub(super) fn find(name: &str) -> Result<Self, Failure> {
        let id = |option: &str| id(&[option, "--", name]);
        match (id("-u"), id("-g")) {
            (Some(user), Some(group)) => Ok(Self {
                name: name.to_owned(),
                user,
                group,
            }),
            _ => {
                let message = format!(
                    "there is no account {name:?}, which is to own the files; make it first: useradd --system \
                     --home-dir /var/lib/{0} --shell /usr/sbin/nologin {0}",
                    clean(name)
                );
                Err(Failure::new(Code::Usage, message))
            }
        }
    }

    /// Makes the account the owner of an open file or folder.
    pub(super) fn own(&self, file: &std::fs::File) -> io::Result<()> {
        fchown(file, Some(self.user), Some(self.group))
    }

    /// Checks that the account can enter an existing folder.
    ///
    /// # Errors
    /// Returns the command that repairs it.
    pub(super) fn expect_entry(&self, folder: &Path) -> Result<(), Failure> {
        let Ok(metadata) = folder.metadata() else {
            return Ok(());
        };
        let is_open = metadata.permissions().mode() & 0o005 == 0o005;
        if metadata.uid() == self.user || self.user == 0 || is_open {
            return Ok(());
        }
        let (folder, name) = (folder.display(), &self.name);
        let message = format!(
            "{folder} is not open to {name}: nothing was written; run `chown {name}: {folder}`"
        );
        Err(Failure::new(Code::Failure, message))
    }
}

/// The number of this process's own account.
pub(super) fn own_number() -> String {
    id(&["-u"]).unwrap_or_default().to_string()
}

/// Whether this process runs as root.
pub(super) fn is_root() -> bool {
    id(&["-u"]) == Some(0)
}

fn id(words: &[&str]) -> Option<u32> {
    let output = Command::new("id")
        .args(words)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim().parse().ok()
}
