//! Writes new files, all or none. Never overwrites a file.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use ssh_key::{LineEnding, PrivateKey};
use zeroize::Zeroizing;

use super::owner::Owner;
use crate::cli::{Failure, failure::Code};

/// Readers of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Privacy {
    /// 0600.
    Private,
    /// 0644.
    Public,
}

/// A file to write.
pub(super) struct File {
    pub(super) name: &'static str,
    privacy: Privacy,
    text: Zeroizing<String>,
}

impl File {
    /// A file whose text ends in a newline.
    pub(super) fn new(name: &'static str, privacy: Privacy, text: impl Into<String>) -> Self {
        let mut text = Zeroizing::new(text.into());
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Self {
            name,
            privacy,
            text,
        }
    }

    pub(super) fn private_key(name: &'static str, key: &PrivateKey) -> Result<Self, Failure> {
        let text = key.to_openssh(LineEnding::LF)?;
        Ok(Self::new(name, Privacy::Private, text.as_str()))
    }

    fn write(&self, folder: &Path, owner: Option<&Owner>) -> io::Result<()> {
        let mode = match self.privacy {
            Privacy::Private => 0o600,
            Privacy::Public => 0o644,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(folder.join(self.name))?;
        file.write_all(self.text.as_bytes())?;
        if let Some(owner) = owner {
            owner.own(&file)?;
        }
        file.sync_all()
    }
}

/// Refuses a folder that holds one of them.
///
/// # Errors
/// Returns their names.
pub(super) fn expect_none(folder: &Path, files: &[File]) -> Result<(), Failure> {
    let there: Vec<_> = files
        .iter()
        .filter(|file| folder.join(file.name).symlink_metadata().is_ok())
        .map(|file| file.name)
        .collect();
    if there.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} already holds {}: nothing was written; choose another folder, or move them away",
        folder.display(),
        there.join(", ")
    );
    Err(Failure::new(Code::Failure, message))
}

/// Writes the files in order, for `owner` if one is named. If one fails, removes those before it.
pub(super) fn write_new(
    folder: &Path,
    files: &[File],
    owner: Option<&Owner>,
) -> Result<(), Failure> {
    let failed = |what: &Path, error: io::Error| {
        let message = format!("failed to write {}: {error}", what.display());
        Failure::new(Code::Failure, message)
    };
    make_folder(folder, owner).map_err(|error| failed(folder, error))?;
    for (written, file) in files.iter().enumerate() {
        if let Err(error) = file.write(folder, owner) {
            remove(folder, files.iter().take(written));
            return Err(failed(&folder.join(file.name), error));
        }
    }
    Ok(())
}

/// An absolute path: the configuration reads relative paths from its own folder, not from the
/// current one.
pub(super) fn absolute(path: impl AsRef<Path>) -> Result<String, Failure> {
    let path = std::path::absolute(path)?;
    path.into_os_string().into_string().map_err(|path| {
        let message = format!(
            "{} is not UTF-8, so a TOML file cannot name it",
            path.display()
        );
        Failure::new(Code::Usage, message)
    })
}

/// Makes the folder if it is missing.
fn make_folder(folder: &Path, owner: Option<&Owner>) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    DirBuilder::new().mode(0o700).create(folder)?;
    match owner {
        Some(owner) => owner.own(&fs::File::open(folder)?),
        None => Ok(()),
    }
}

fn remove<'a>(folder: &Path, files: impl Iterator<Item = &'a File>) {
    for file in files {
        let _ = fs::remove_file(folder.join(file.name));
    }
}
