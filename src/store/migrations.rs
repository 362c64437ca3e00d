//! The tables of the database. Each step is the same SQL text for every engine.

use sqlx::migrate::Migrator;

use super::Error;

/// The steps from an empty database, or an older one, to the tables of this version.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations");

/// The refusal of tables that were made by another text of this step.
pub(super) fn changed(step: i64) -> Error {
    Error::Tampered(format!(
        "step {step} of its tables was made by another program than daypass. Restore the database from a backup"
    ))
}

/// The refusal of tables whose step is recorded as one that was not done.
pub(super) fn undone(step: i64) -> Error {
    Error::Tampered(format!(
        "step {step} of its tables is recorded as not done (table `_sqlx_migrations`), which daypass never does: another \
         program changed the database"
    ))
}
