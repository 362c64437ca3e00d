//! The tables of the database. Each step is the same SQL text for every engine.

use sqlx::migrate::Migrator;

/// The steps from an empty database, or an older one, to the tables of this version.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations");
