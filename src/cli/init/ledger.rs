//! Makes the empty ledger of a new server, so that a start without a ledger means a lost one.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use super::owner::Owner;
use crate::{
    cli::{Failure, failure::Code, output::clean},
    config::Config,
    daemon,
};

/// Refuses a folder that has a ledger, whose key is another one.
///
/// # Errors
/// Returns what to do.
pub(super) fn expect_none(folder: &Path) -> Result<(), Failure> {
    let there = ["ledger.db", "checkpoint"]
        .into_iter()
        .find(|name| folder.join(name).symlink_metadata().is_ok());
    match there {
        None => Ok(()),
        Some(name) => {
            let folder = folder.display().to_string();
            let message = format!(
                "{} already holds the {name} of another server: nothing was written; choose another folder with --state, \
                 or move it away",
                clean(&folder)
            );
            Err(Failure::new(Code::Failure, message))
        }
    }
}

/// Begins an empty ledger in the configuration's state folder, for `owner` if one is named.
///
/// # Errors
/// Returns an error if the folder cannot be made or written.
pub(super) async fn begin(config: &Config, owner: Option<&Owner>) -> Result<(), Failure> {
    let folder = &config.state;
    let failed = |error: io::Error| {
        let message = format!("failed to make {}: {error}", folder.display());
        Failure::new(Code::Failure, message)
    };
    make(folder).map_err(failed)?;
    daemon::prepare(config).await?;
    match owner {
        Some(owner) => give(folder, owner).map_err(failed),
        None => Ok(()),
    }
}

/// Makes a folder for its owner alone, if it is missing.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    DirBuilder::new().mode(0o700).create(folder)
}

/// Gives a folder and the files in it to an account.
pub(super) fn give(folder: &Path, owner: &Owner) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        owner.own(&File::open(entry?.path())?)?;
    }
    owner.own(&File::open(folder)?)
}
