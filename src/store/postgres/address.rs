//! The address of a PostgreSQL database, with its password.

use std::{fmt, str::FromStr};

use sqlx::postgres::PgConnectOptions;

use super::super::Error;

/// The schemes of an address.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Address of a database: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with settings such as
/// `?sslmode=verify-full` or `?host=/run/postgresql`. Neither `Debug` nor `Display` shows the
/// password.
#[derive(Clone)]
pub struct PostgresAddress(Box<PgConnectOptions>);

impl PostgresAddress {
    /// Reads the address.
    ///
    /// # Errors
    /// Returns [`Error::Start`], without the text of the address, if it is not one.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = || {
            Error::Start(
                "invalid PostgreSQL address: use postgres://USER:PASSWORD@HOST:PORT/DATABASE"
                    .to_owned(),
            )
        };
        let text = text.trim();
        if !SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
            return Err(invalid());
        }
        // The cause may quote the text, and the text holds the password.
        let options = PgConnectOptions::from_str(text).map_err(|_| invalid())?;
        match options.get_database() {
            Some(_) => Ok(Self(Box::new(options))),
            None => Err(invalid()),
        }
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        (*self.0).clone()
    }

    /// The error with the address before it, if the database is unavailable.
    pub(super) fn named(&self, error: Error) -> Error {
        match error {
            Error::Unavailable(what) => Error::Unavailable(format!("{self}: {what}")),
            Error::Tampered(_)
            | Error::Locked(_)
            | Error::Start(_)
            | Error::Rejection(_)
            | Error::Range { .. } => error,
        }
    }
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.0.get_database().unwrap_or_default();
        let user = self.0.get_username();
        match self.0.get_socket() {
            Some(socket) => write!(
                f,
                "PostgreSQL database {database:?} at {} (user {user:?})",
                socket.display()
            ),
            None => write!(
                f,
                "PostgreSQL database {database:?} at {}:{} (user {user:?})",
                self.0.get_host(),
                self.0.get_port()
            ),
        }
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresAddress({self})")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests: a panic is the failure")]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_an_address_shows_its_password() {
        let address = PostgresAddress::parse("postgres://ada:geheim@127.0.0.1:5433/daypass");
        let address = address.unwrap();
        let texts = [
            format!("{address}"),
            format!("{address:?}"),
            format!("{:?}", address.named(Error::Unavailable(String::new()))),
        ];
        for text in texts {
            assert!(!text.contains("geheim"), "{text}");
            assert!(text.contains("127.0.0.1:5433"), "{text}");
        }
    }

    #[test]
    fn an_invalid_address_is_refused_without_its_text() {
        let cases = [
            "",
            "geheim",
            "mysql://ada:geheim@h/d",
            "postgres://ada:geheim@h",
            "postgres://ada:geheim@h:99999/d",
            "postgres://ada:geheim@h/d?sslmode=geheim",
            "postgres://ada:%FFgeheim@h/d",
        ];
        for case in cases {
            let refused = PostgresAddress::parse(case).unwrap_err().to_string();
            assert!(!refused.contains("geheim"), "{case}: {refused}");
            assert!(refused.contains("invalid PostgreSQL address"), "{refused}");
        }
    }
}
