//! How far the search index is, and what a question finds.

use sqlx::SqlitePool;

/// Indices that a question found, descending.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) positions: Vec<u64>,
    /// The highest index that was not searched; none if all were.
    pub(crate) next: Option<u64>,
}

/// How far the index is.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// The number of indexed events.
    pub(super) size: u64,
    /// Connections to the file; none until it is open.
    pub(super) readers: Option<SqlitePool>,
    /// The file that they read, to notice another one in its place.
    pub(super) file: Option<(u64, u64)>,
}
