//! The move of a server's ledger from its state folder into the database of `[store]`.

use std::path::PathBuf;

use serde::Serialize;

use super::{backup, error::Error, parts, state};
use crate::{config::Config, modes, notify, store::Move};

/// The result of a move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MoveReport {
    /// The server's name.
    pub server: String,
    /// The state folder.
    pub folder: PathBuf,
    /// The database, without the password.
    pub database: String,
    /// The number of events.
    pub size: u64,
}

/// Moves the ledger of the configuration's state folder into its database, which is empty.
///
/// # Errors
/// Returns [`Error::Backup`] if the configuration names no database or the user is the wrong one,
/// and the error of the store. The ledger is where it was then.
pub(crate) async fn migrate(
    config: &Config,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<MoveReport, Error> {
    let Some(address) = &config.postgres else {
        return Err(backup::refused(format!(
            "{} names no shared database: add [store] with postgres_file first (`daypass help server`, Several servers)",
            config.origin().display()
        )));
    };
    backup::expect_owner(&config.state)?;
    modes::expect_own_folder(&config.state).map_err(Error::state(&config.state))?;
    state::expect_one_owner(&config.state)?;
    let keys = parts::keyring(config)?;
    let mailboxes = notify::kept_in(&config.state).map_err(backup::failed(&config.state))?;
    let moving = Move {
        folder: &config.state,
        address,
        mailboxes,
        progress,
    };
    let moved = moving.run(keys).await?;
    Ok(MoveReport {
        server: config.name.clone(),
        folder: config.state.clone(),
        database: address.to_string(),
        size: moved.size,
    })
}
