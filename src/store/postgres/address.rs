//! The address of a PostgreSQL database, with its password.

use std::{
    fmt,
    net::IpAddr,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

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

/// Hosts of one address at most.
const MOST_HOSTS: usize = 8;

/// The schemes of an address.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Address of a database: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with settings such as
/// `?sslmode=verify-full` or `?host=/run/postgresql`. Several hosts are separated by commas: the
/// one that is the primary is used. Neither `Debug` nor `Display` shows the password.
#[derive(Clone)]
pub struct PostgresAddress {
    hosts: Arc<[PgConnectOptions]>,
    /// The host that was the primary last. All clones share it.
    current: Arc<AtomicUsize>,
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
        // The driver's own name for a missing user is one that no database has.
        if split_at(user, ':').0.is_empty() && !settings.contains(&"user") {
            return Err(Error::Start(
                "invalid PostgreSQL address: it names no user; use postgres://USER@HOST/DATABASE, or \
                 postgres://USER@localhost/DATABASE?host=/run/postgresql for a Unix socket"
                    .to_owned(),
            ));
        }
        let has_password = user.contains(':') || settings.contains(&"password");
        // The cause may quote the text, and the text holds the password.
        let parse = |text: &String| {
            let options = PgConnectOptions::from_str(text).map_err(|_| invalid())?;
            options.get_database().ok_or_else(invalid)?;
            Ok(options)
        };
        let texts = of_each_host(text).ok_or_else(|| {
            Error::Start(format!(
                "invalid PostgreSQL address: with several hosts, name each of them (at most {MOST_HOSTS}), in one place, with \
                 one port for all or one for each"
            ))
        })?;
        let hosts: Result<Vec<_>, Error> = texts.iter().map(parse).collect();
        Ok(Self {
            hosts: hosts?.into(),
            current: Arc::default(),
            has_password,
        })
    }

    /// Settings and place of each host, from the one on that was the primary last.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (usize, PgConnectOptions)> + use<> {
        let hosts = self.hosts.clone();
        let (count, first) = (hosts.len(), self.current.load(Ordering::Relaxed));
        let places = (0..count).map(move |step| (first + step) % count);
        places.filter_map(move |at| Some((at, hosts.get(at)?.clone())))
    }

    /// True if the primary must be sought.
    pub(super) fn has_several(&self) -> bool {
        self.hosts.len() > 1
    }

    /// Remembers the host that is the primary.
    pub(super) fn set_current(&self, at: usize) {
        self.current.store(at, Ordering::Relaxed);
    }

    /// True if the text of the address holds a password.
    pub(crate) fn has_password(&self) -> bool {
        self.has_password
    }

    /// True if the server proves that it is the right one, or is on this machine.
    pub(in crate::store) fn is_protected(&self) -> bool {
        self.hosts.iter().all(is_protected)
    }

    /// The error with the address before it, if the database is unavailable.
    pub(in crate::store) fn named(&self, error: Error) -> Error {
        match error {
            Error::Unavailable(what) => Error::Unavailable(format!("{self}: {what}")),
            Error::Tampered(_)
            | Error::Locked(_)
            | Error::Lacking(_)
            | Error::Start(_)
            | Error::Rejection(_)
            | Error::Range { .. } => error,
        }
    }
}

fn is_protected(options: &PgConnectOptions) -> bool {
    let host = options.get_host().trim_matches(['[', ']']);
    let is_local = host == "localhost" || host.parse().is_ok_and(|it: IpAddr| it.is_loopback());
    let verifies = match options.get_ssl_mode() {
        PgSslMode::VerifyCa | PgSslMode::VerifyFull => true,
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer | PgSslMode::Require => false,
    };
    options.get_socket().is_some() || is_local || verifies
}

/// The address with one host each, because the driver knows no lists. None if the lists do not fit.
fn of_each_host(text: &str) -> Option<Vec<String>> {
    let (start, settings) = split_at(text, '?');
    let (scheme, rest) = start.split_once("://")?;
    let (authority, database) = split_at(rest, '/');
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    let settings: Vec<_> = settings.split('&').map(|it| split_at(it, '=')).collect();
    let list = |name: &str| {
        let found = settings.iter().rfind(|(known, _)| *known == name)?;
        Some(found.1.split(',').collect::<Vec<_>>())
    };
    let lists = [Some(hosts.split(',').collect()), list("host"), list("port")];
    let count = lists.iter().flatten().map(Vec::len).max()?;
    let fits = |list: &Vec<&str>| list.len() == 1 || list.len() == count;
    let named = lists
        .iter()
        .take(2)
        .flatten()
        .filter(|list| list.len() == count);
    let is_whole = lists
        .iter()
        .flatten()
        .all(|list| count == 1 || !list.contains(&""));
    let has_one_list = count == 1 || named.count() == 1;
    if count > MOST_HOSTS || !lists.iter().flatten().all(fits) || !is_whole || !has_one_list {
        return None;
    }
    let item = |list: &str, at: usize| {
        let all: Vec<&str> = list.split(',').collect();
        all.get(at).or(all.first()).map(|it| (*it).to_owned())
    };
    let address = |at: usize| {
        let settings = settings.iter().map(|(name, value)| match *name {
            "" => Some(String::new()),
            "host" | "port" => Some(format!("{name}={}", item(value, at)?)),
            _ => Some(format!("{name}={value}")),
        });
        let settings: Option<Vec<String>> = settings.collect();
        let (host, settings) = (item(hosts, at)?, settings?.join("&"));
        Some(format!("{scheme}://{user}{host}/{database}?{settings}"))
    };
    (0..count).map(address).collect()
}

/// The host of these settings, for people.
pub(super) fn host(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

/// The text before and after the first `mark`.
fn split_at(text: &str, mark: char) -> (&str, &str) {
    text.split_once(mark).unwrap_or((text, ""))
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.hosts.iter().map(host).collect();
        let any = self.hosts.first();
        write!(
            f,
            "PostgreSQL database {:?} at {} (user {:?})",
            any.and_then(PgConnectOptions::get_database)
                .unwrap_or_default(),
            hosts.join(", "),
            any.map_or("", PgConnectOptions::get_username)
        )
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
            ("postgres:///d?host=/run/postgresql&user=ada", false, true),
        ];
        for (text, has_password, is_protected) in cases {
            let address = PostgresAddress::parse(text).unwrap();
            let found = (address.has_password(), address.is_protected());
            assert_eq!(found, (has_password, is_protected), "{text}");
        }
    }

    #[test]
    fn each_of_several_hosts_is_tried_from_the_last_primary_on() {
        let cases = [
            ("postgres://ada@a,b:5433/d", "a:5432, b:5433"),
            ("postgres://ada@x/d?host=/run/a,/run/b", "/run/a, /run/b"),
            ("postgres://ada@x/d?host=a,b&port=1,2", "a:1, b:2"),
            (
                "postgres://ada:p%2Cq@[::1]:1,[::2]:2/d?sslmode=require",
                "[::1]:1, [::2]:2",
            ),
        ];
        for (text, hosts) in cases {
            let address = PostgresAddress::parse(text).unwrap();
            let shown = format!("PostgreSQL database \"d\" at {hosts} (user \"ada\")");
            assert_eq!(address.to_string(), shown, "{text}");
            address.set_current(1);
            let places = address.clone().hosts().map(|(at, _)| at);
            assert_eq!(places.collect::<Vec<_>>(), [1, 0]);
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
            "postgres://ada:geheim@a,/d",
            "postgres://ada:geheim@a,b,c/d?port=1,2",
            "postgres://ada:geheim@a,b/d?host=c,d",
            "postgres://ada:geheim@a,b,c,d,e,f,g,h,i/d",
            "postgres://h/d",
            "postgres:///d?host=/run/geheim",
            "postgres://:geheim@h/d",
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
