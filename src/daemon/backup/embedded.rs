//! Refuses a restore for a server whose ledger is in a database that servers share.

use super::files::refused;
use crate::{config::Config, daemon::Error};

/// Refuses a configuration with a shared database: this command writes a folder.
pub(super) fn expect_embedded(config: &Config) -> Result<(), Error> {
    match &config.postgres {
        None => Ok(()),
        Some(address) => Err(refused(format!(
            "the ledger of this server is in the {address}: restore the database with PostgreSQL's own means, up to its \
             last commit. `daypass help server` says what to do if commits were lost"
        ))),
    }
}
