//! Makes the state folder of a new server, and opens it.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::Path,
};

use super::{clock::now, error::Error, parts};
use crate::{
    config::Config,
    ledger::{EventKind, keyring::Keyring},
    modes,
    store::{self, Beginning, Opening, Store},
};

/// Makes the state folder of a server that has never run, with an empty ledger in it, which
/// [`Beginning::Existing`] accepts. An existing ledger stays as it is.
///
/// # Errors
/// Returns an error if the ledger key cannot be read or the folder cannot be written.
pub async fn prepare(config: &Config) -> Result<(), Error> {
    let keys = parts::keyring(config)?;
    folder(&config.state).map_err(Error::state(&config.state))?;
    Ok(store::prepare(&config.state, keys).await?)
}

/// Opens the ledger.
pub(super) async fn open(
    config: &Config,
    keys: Keyring,
    opening: Opening<'_>,
) -> Result<Store, Error> {
    let postgres = config.postgres.as_ref();
    let opening = Opening {
        postgres,
        ..opening
    };
    if let Some(address) = postgres {
        tracing::info!("the ledger is in the {address}");
    }
    // A missing folder is not made if a ledger is expected in it.
    let is_expected = opening.beginning == Beginning::Existing && postgres.is_none();
    if !is_expected || config.state.exists() {
        folder(&config.state).map_err(Error::state(&config.state))?;
    }
    let started = EventKind::started(env!("CARGO_PKG_VERSION"), &*config.name);
    expect_one_owner(&config.state)?;
    Ok(Store::open_with(&config.state, keys, started, now(), opening).await?)
}

/// Refuses a folder with a file of another user than its own owner: a copy that root has put back.
///
/// # Errors
/// Returns [`Error::Owner`] with the line that mends it.
pub(super) fn expect_one_owner(folder: &Path) -> Result<(), Error> {
    let owner = |path: &Path| path.symlink_metadata().map(|it| it.uid()).ok();
    let own = owner(folder);
    for name in [
        "ledger.db",
        "ledger.db-wal",
        "ledger.db-shm",
        "checkpoint",
        "snapshot",
        "search.db",
        "search.db-wal",
        "search.db-shm",
    ] {
        let file = folder.join(name);
        if let Some(user) = owner(&file).filter(|it| Some(*it) != own) {
            let folder = folder.display().to_string();
            return Err(Error::Owner {
                file: file.display().to_string(),
                user,
                folder,
            });
        }
    }
    Ok(())
}

/// Makes the folder for its owner alone, if it is missing.
pub(super) fn folder(path: &Path) -> Result<(), modes::Problem> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    modes::expect_own_folder(path)
}
