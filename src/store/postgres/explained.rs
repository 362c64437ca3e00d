//! PostgreSQL's errors for operators: the cause, and what to do.

use std::io::{self, ErrorKind};

/// What a user without rights needs.
pub(in crate::store) const NO_RIGHTS: &str = "the user needs all rights in this database: ALTER DATABASE ... OWNER TO USER; \
                                              if the tables are another user's, also GRANT SELECT, INSERT, UPDATE, \
                                              DELETE ON ALL TABLES IN SCHEMA public TO USER";

/// The advice for a standby.
pub(in crate::store) const STANDBY: &str =
    "the address leads to a standby, which only reads: use the address of the primary";

/// An error with its cause and advice; none if there is no advice.
pub(in crate::store) fn explained(error: &sqlx::Error) -> Option<String> {
    if let sqlx::Error::Io(cause) = error {
        return unreached(cause);
    }
    let code = error.as_database_error()?.code()?;
    let advice = match &*code {
        "28P01" | "28000" => "check the user and the password of the address, and pg_hba.conf",
        "3D000" => {
            "make the database first: createdb --owner USER DATABASE. Daypass makes its tables itself"
        }
        "42501" => NO_RIGHTS,
        "53300" => "raise max_connections, or end other clients: a daypass daemon needs 6",
        "25006" => STANDBY,
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

/// The advice for a server that is not reached; none for any other failure.
fn unreached(cause: &io::Error) -> Option<String> {
    let advice = match cause.kind() {
        ErrorKind::ConnectionRefused => {
            "no PostgreSQL listens there: check the host and the port of the address, and that it runs \
             (listen_addresses in postgresql.conf)"
        }
        ErrorKind::NotFound => {
            "PostgreSQL has no socket there: check `host` of the address, and that it runs"
        }
        ErrorKind::PermissionDenied => {
            "this user may not use PostgreSQL's socket: check the rights of its folder"
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::TimedOut => {
            "check the host of the address, the network and its firewalls"
        }
        // The system's resolver has no kind of its own.
        _ if cause.to_string().contains("lookup address") => {
            "the name of the host is not known here: check the address, and the DNS of this machine"
        }
        _ => return None,
    };
    Some(format!("{cause}: {advice}"))
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
