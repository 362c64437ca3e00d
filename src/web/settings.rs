//! The settings of `[web]`. Pure.

use secrecy::SecretString;
use url::Url;

use crate::identity::{self, Binding};

/// `[web]`, valid.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The page's origin as browsers write it, such as `https://ca.example.com:7443`.
    pub origin: String,
    /// The client secrets of the page alone, each with the name of its issuer.
    pub secrets: Vec<(String, SecretString)>,
}

impl Settings {
    /// The redirect URI that is registered at each provider.
    pub(crate) fn redirect(&self) -> String {
        format!("{}/web/callback", self.origin)
    }
}

/// Whether people can sign in on the page with this issuer: it binds the token to the browser's key
/// by the nonce.
pub(crate) fn is_usable(issuer: &identity::Settings) -> bool {
    issuer.interactive && issuer.binding == Binding::Nonce
}

/// The origin of a page's address, as browsers write it in `Origin`.
///
/// # Errors
/// Returns the fault, as the rest of a sentence about the address.
pub(crate) fn origin(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    if url.scheme() != "https" {
        return Err("is not https: browsers keep keys and cookies of https pages only");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name or password");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("has a path: write scheme, host and port only");
    }
    Ok(url.origin().ascii_serialization())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (text, expected) in [
            ("https://ca.example.com", "https://ca.example.com"),
            ("https://CA.example.com:443/", "https://ca.example.com"),
            ("https://localhost:7443", "https://localhost:7443"),
            ("https://[::1]:7443", "https://[::1]:7443"),
        ] {
            assert_eq!(origin(text).unwrap(), expected);
        }
        for text in [
            "http://ca.example.com",
            "https://ca.example.com/web",
            "https://u@ca.example.com",
            "https://ca.example.com/?a",
            "ca.example.com",
            "",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }
}
