//! PostgreSQL's errors for operators: the cause, and what to do.

/// What a user without rights needs.
pub(in crate::store) const NO_RIGHTS: &str =
    "the user needs all rights in this database: ALTER DATABASE ... OWNER TO USER";

/// The advice for an error that PostgreSQL gives a code of its own to; none for any other.
pub(in crate::store) fn explained(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    let advice = match &*code {
        "28P01" | "28000" => "check the user and the password of the address, and pg_hba.conf",
        "3D000" => {
            "make the database first: createdb --owner USER DATABASE. Daypass makes its tables itself"
        }
        "42501" => NO_RIGHTS,
        "53300" => "raise max_connections, or end other clients: a daypass daemon needs 6",
        "25006" => {
            "the address leads to a standby, which only reads: use the address of the primary"
        }
        "55P03" | "57014" => {
            "another replica, or another program, holds the ledger for too long; it goes on when that one ends"
        }
        "42P01" | "42703" | "42P07" => {
            "its tables are of no version of daypass: restore the database"
        }
        _ => return None,
    };
    Some(format!("{}: {advice}", said(error)))
}

/// The words of an error. PostgreSQL's come with a line of its own source, which is left out: the
/// reader would look for it in a file of theirs.
pub(in crate::store) fn said(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(error) => error.message().to_owned(),
        None => error.to_string(),
    }
}

/// True if the error says that the database is not what was written: `data_corrupted` and
/// `index_corrupted`.
pub(in crate::store) fn is_damaged(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("XX001" | "XX002"))
}
