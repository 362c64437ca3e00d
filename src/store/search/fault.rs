//! Which errors of the index's file mean that it must be made again, which takes long for a large
//! ledger. Any other error passes by itself or is the machine's: a file that is busy or cannot be
//! opened, no memory, a read that the disk refuses. The events are read from the ledger meanwhile.

use crate::store::{Error, sqlite};

/// The error of a statement on the index, or of a connection to it. [`Error::Tampered`] if the file
/// must be made again:
///
/// - it is damaged (`SQLITE_CORRUPT`), is no database (`SQLITE_NOTADB`) or ends too early
///   (`SQLITE_IOERR_SHORT_READ`);
/// - a table or column is missing (`SQLITE_ERROR`: the statements are ours and valid), or a value
///   has another type.
pub(super) fn fault(error: sqlx::Error) -> Error {
    let is_of_other_form = match &error {
        sqlx::Error::ColumnDecode { .. } => true,
        other => sqlite::is_damaged(other) || sqlite::is_of_other_form(other),
    };
    match is_of_other_form {
        true => Error::Tampered(error.to_string()),
        false => Error::Unavailable(error.to_string()),
    }
}
