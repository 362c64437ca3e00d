//! The address of a server: one name under which it is remembered, and the URLs at which it is
//! reached.

use std::fmt;

use url::{Host, Url};

use crate::{client::Error, identity::web_url};

/// URLs of one server at most.
const MOST: usize = 16;

/// A server's URLs, `https://HOST[:PORT]`, or `http://` on loopback: one for each replica. The
/// first one that the user ever named is the server's name, also when it is no longer among them.
///
/// Two addresses are equal if they have the same name.
#[derive(Clone, Debug)]
pub struct Address {
    name: Url,
    urls: Vec<Url>,
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Address {}

impl Address {
    /// Parses one URL or several, separated by commas; a bare `HOST[:PORT]` means `https://`.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if one has a path or a user, or is plain http to another machine,
    /// or if there are too many.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let mut urls = Vec::new();
        for part in text.split(',') {
            let url = parse(part.trim())?;
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        match urls.first().cloned() {
            Some(name) if urls.len() <= MOST => Ok(Self { name, urls }),
            Some(_) | None => Err(Error::Usage(format!(
                "invalid server address: at most {MOST} addresses of one server"
            ))),
        }
    }

    /// The name, as the session keeps it.
    pub(crate) fn as_str(&self) -> &str {
        self.name.as_str()
    }

    /// The URLs, in the order in which the user named them.
    pub(crate) fn urls(&self) -> &[Url] {
        &self.urls
    }

    /// These URLs as those of the server that is known as `name`.
    pub(crate) fn known_as(self, known: &Self) -> Self {
        let name = known.name.clone();
        Self { name, ..self }
    }

    /// True if both have a URL in common.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let mut urls = self.urls.iter().chain([&self.name]);
        urls.any(|url| *url == other.name || other.urls.contains(url))
    }

    /// The host of the name; an IPv6 address without brackets.
    pub(crate) fn host(&self) -> String {
        host(&self.name)
    }

    /// The name of the folder with what is remembered of this server.
    pub(in crate::client) fn folder(&self) -> String {
        let port = self.name.port_or_known_default().unwrap_or(443);
        format!("{}_{port}", self.host().replace(':', "-"))
    }
}

/// The URLs, as they are typed.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, url) in self.urls.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{url}")?;
        }
        Ok(())
    }
}

/// The host of a URL; an IPv6 address without brackets.
pub(super) fn host(url: &Url) -> String {
    match url.host() {
        Some(Host::Ipv6(address)) => address.to_string(),
        Some(host) => host.to_string(),
        None => String::new(),
    }
}

fn parse(text: &str) -> Result<Url, Error> {
    let invalid = |why: &str| Error::Usage(format!("invalid server address {text:?}: {why}"));
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let url = Url::parse(&full).map_err(|error| invalid(&error.to_string()))?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("it has a path"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("it has a user"));
    }
    match url.scheme() {
        "https" if url.has_host() => Ok(url),
        "http" if web_url::is_loopback(&url) => Ok(url),
        "http" => Err(invalid("plain http is for loopback only; use https")),
        _ => Err(invalid("use https://HOST:PORT")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_or_loopback() {
        let cases = [
            (
                "https://daypass.example.com:7443",
                Some("https://daypass.example.com:7443/"),
            ),
            (
                "daypass.example.com:7443",
                Some("https://daypass.example.com:7443/"),
            ),
            (
                "https://DAYPASS.example.com",
                Some("https://daypass.example.com/"),
            ),
            ("http://127.0.0.1:7443", Some("http://127.0.0.1:7443/")),
            ("http://[::1]:7443", Some("http://[::1]:7443/")),
            ("http://localhost:7443/", Some("http://localhost:7443/")),
            (
                "a.example.com, b.example.com:7443,a.example.com:443",
                Some("https://a.example.com/,https://b.example.com:7443/"),
            ),
            ("a.example.com,", None),
            (",", None),
            ("a.example.com,http://b.example.com", None),
            ("http://daypass.example.com", None),
            ("http://localhost.example.com", None),
            ("https://u:p@daypass.example.com", None),
            ("https://daypass.example.com/x", None),
            ("ftp://daypass.example.com", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let parsed = Address::parse(text);
            let shown = parsed.as_ref().ok().map(Address::to_string);
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
        let many: Vec<_> = (0..=MOST).map(|number| format!("a{number}")).collect();
        assert!(Address::parse(&many.join(",")).is_err());
        let most: Vec<_> = many.iter().take(MOST).cloned().collect();
        assert!(Address::parse(&most.join(",")).is_ok());
    }

    #[test]
    fn an_ipv6_host_has_no_brackets_and_a_folder_name_no_colon() {
        let address = Address::parse("https://[::1]:7443").unwrap();
        assert_eq!(address.host(), "::1");
        assert_eq!(address.folder(), "--1_7443");
    }

    #[test]
    fn a_server_keeps_its_name_when_its_addresses_change() {
        let known = Address::parse("a,b").unwrap();
        let changed = Address::parse("b,c").unwrap();
        assert!(changed.overlaps(&known) && known.overlaps(&changed));
        let changed = changed.known_as(&known);
        assert_eq!(
            (changed.as_str(), changed.folder()),
            ("https://a/", "a_443".into())
        );
        assert_eq!(changed.to_string(), "https://b/,https://c/");
        assert_eq!(changed, known);
        let by_name = Address::parse("a").unwrap();
        assert!(by_name.overlaps(&changed), "the name stays the server's");
        assert!(!Address::parse("d").unwrap().overlaps(&changed));
    }
}
