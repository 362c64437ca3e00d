//! The address of a PostgreSQL database, with its password.

use std::{fmt, net::IpAddr, str::FromStr};

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::super::Error;

/// The settings that an address may have.
const SETTINGS: [&str; 9] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "port",
    "dbname",
    "user",
    "password",
];

/// The schemes of an address.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Address of a database: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with settings such as
/// `?sslmode=verify-full` or `?host=/run/postgresql`. Neither `Debug` nor `Display` shows the
/// password.
#[derive(Clone)]
pub struct PostgresAddress {
    options: Box<PgConnectOptions>,
    has_password: bool,
}

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
        let mut schemes = SCHEMES.iter();
        let rest = schemes.find_map(|scheme| text.strip_prefix(scheme));
        let (rest, settings) = split_at(rest.ok_or_else(invalid)?, '?');
        let settings: Vec<&str> = settings.split('&').map(|it| split_at(it, '=').0).collect();
        // The driver logs a setting that it does not know, with its value.
        if settings
            .iter()
            .any(|name| !name.is_empty() && !SETTINGS.contains(name))
        {
            return Err(Error::Start(format!(
                "invalid PostgreSQL address: its settings may be {}",
                SETTINGS.join(", ")
            )));
        }
        let user = split_at(rest, '/')
            .0
            .rsplit_once('@')
            .map_or("", |(user, _)| user);
        let has_password = user.contains(':') || settings.contains(&"password");
        // The cause may quote the text, and the text holds the password.
        let options = PgConnectOptions::from_str(text).map_err(|_| invalid())?;
        match options.get_database() {
            Some(_) => Ok(Self {
                options: Box::new(options),
                has_password,
            }),
            None => Err(invalid()),
        }
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        (*self.options).clone()
    }

    /// True if the text of the address holds a password.
    pub(crate) fn has_password(&self) -> bool {
        self.has_password
    }

    /// True if the server proves that it is the right one, or is on this machine.
    pub(in crate::store) fn is_protected(&self) -> bool {
        let host = self.options.get_host().trim_matches(['[', ']']);
        let is_local = host == "localhost" || host.parse().is_ok_and(|it: IpAddr| it.is_loopback());
        let verifies = match self.options.get_ssl_mode() {
            PgSslMode::VerifyCa | PgSslMode::VerifyFull => true,
            PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer | PgSslMode::Require => false,
        };
        self.options.get_socket().is_some() || is_local || verifies
    }

    /// The error with the address before it, if the database is unavailable.
    pub(in crate::store) fn named(&self, error: Error) -> Error {
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

/// The text before and after the first `mark`.
fn split_at(text: &str, mark: char) -> (&str, &str) {
    text.split_once(mark).unwrap_or((text, ""))
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.options.get_database().unwrap_or_default();
        let user = self.options.get_username();
        match self.options.get_socket() {
            Some(socket) => write!(
                f,
                "PostgreSQL database {database:?} at {} (user {user:?})",
                socket.display()
            ),
            None => write!(
                f,
                "PostgreSQL database {database:?} at {}:{} (user {user:?})",
                self.options.get_host(),
                self.options.get_port()
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
    fn a_password_and_a_server_that_proves_nothing_are_noticed() {
        let cases = [
            ("postgres://ada@db/d", false, false),
            ("postgres://ada:geheim@db/d?sslmode=require", true, false),
            (
                "postgres://ada@db/d?sslmode=verify-full&password=geheim",
                true,
                true,
            ),
            ("postgres://ada@db:5433/d?sslmode=verify-ca", false, true),
            ("postgres://ada:geheim@localhost/d", true, true),
            ("postgres://ada@[::1]/d", false, true),
            ("postgres://ada@db/d?host=/run/postgresql", false, true),
        ];
        for (text, has_password, is_protected) in cases {
            let address = PostgresAddress::parse(text).unwrap();
            let found = (address.has_password(), address.is_protected());
            assert_eq!(found, (has_password, is_protected), "{text}");
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
            "postgres://ada@h/d?passwort=geheim",
            "postgres://ada@h/d?pass%77ord=geheim",
            "postgres://ada@h/d?options=-c%20synchronous_commit=off",
        ];
        for case in cases {
            let refused = PostgresAddress::parse(case).unwrap_err().to_string();
            assert!(!refused.contains("geheim"), "{case}: {refused}");
            assert!(refused.contains("invalid PostgreSQL address"), "{refused}");
        }
    }
}
