//! The addresses of a server, as the administrator of a host names them.

use url::Url;

use crate::{host::Error, outbound::is_loopback};

/// Addresses of one server at most.
const MOST: usize = 16;

/// Reads one address, or several separated by commas.
pub(super) fn parse_all(addresses: &str) -> Result<Vec<Url>, Error> {
    let mut urls = Vec::new();
    for address in addresses.split(',') {
        let url = parse(address.trim())?;
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    match urls.len() {
        ..=MOST => Ok(urls),
        _ => Err(Error::Usage(format!(
            "invalid server address: at most {MOST} addresses of one server"
        ))),
    }
}

fn parse(address: &str) -> Result<Url, Error> {
    let wrong = |why: &str| Error::Usage(format!("invalid server address {address:?}: {why}"));
    let full = match address.contains("://") {
        true => address.to_owned(),
        false => format!("https://{address}"),
    };
    let url = Url::parse(&full).map_err(|error| wrong(&error.to_string()))?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a path"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it has a user"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(wrong("plain http is for loopback only; use https")),
        _ => Err(wrong("use https://HOST:PORT")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::trimmed, *};

    #[test]
    fn addresses_are_https_or_loopback_without_path_or_user() {
        for (address, expected) in [
            (
                "https://daypass.example.com:7443",
                Some("https://daypass.example.com:7443"),
            ),
            (
                "daypass.example.com:7443",
                Some("https://daypass.example.com:7443"),
            ),
            ("http://127.0.0.1:1", Some("http://127.0.0.1:1")),
            ("http://[::1]:1", Some("http://[::1]:1")),
            (
                "a.example.com, b.example.com:7443,a.example.com:443",
                Some("https://a.example.com,https://b.example.com:7443"),
            ),
            ("a.example.com,", None),
            ("http://daypass.example.com", None),
            ("http://127.0.0.1.evil.example", None),
            ("ftp://daypass.example.com", None),
            ("https://daypass.example.com/krl", None),
            ("https://a@daypass.example.com", None),
            ("https://", None),
            ("", None),
        ] {
            let parsed = parse_all(address).ok();
            let parsed = parsed.map(|urls| {
                let urls: Vec<_> = urls.iter().map(trimmed).collect();
                urls.join(",")
            });
            assert_eq!(parsed.as_deref(), expected, "{address}");
        }
    }
}
