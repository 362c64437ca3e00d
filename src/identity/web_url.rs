//! The URLs that issuers name, for servers to fetch and for people to open: https, or http to this
//! machine. Pure.

use url::Url;

pub(crate) use crate::outbound::is_loopback;

/// Checks a URL: https, or http to this machine if `loopback_allowed`, and nothing that two parsers
/// could read differently.
///
/// # Errors
/// Returns the fault, as the rest of a sentence about the URL.
pub(crate) fn check(text: &str, loopback_allowed: bool) -> Result<Url, &'static str> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has white space, control or non-ASCII characters");
    }
    if text.contains('\\') {
        return Err("has a backslash");
    }
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    match url.scheme() {
        "https" if text.starts_with("https://") => {}
        "http" if loopback_allowed && text.starts_with("http://") && is_loopback(&url) => {}
        _ => return Err("is neither https nor, with an issuer on loopback, http on loopback"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name or password");
    }
    Ok(url)
}

/// As [`check`], for a URL that a program calls.
///
/// # Errors
/// As [`check`]. A fragment is refused, too.
pub(crate) fn check_endpoint(text: &str, loopback_allowed: bool) -> Result<Url, &'static str> {
    let url = check(text, loopback_allowed)?;
    match url.fragment() {
        None => Ok(url),
        Some(_) => Err("has a fragment"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_http_on_loopback_are_opened() {
        for (text, with_loopback, without) in [
            ("https://id.example.com/authorize?a=b", true, true),
            ("https://id.example.com:8443/", true, true),
            ("http://127.0.0.1:8080/x", true, false),
            ("http://127.1.2.3/x", true, false),
            ("http://[::1]:8080/x", true, false),
            ("http://localhost:8080/x", true, false),
            ("http://localhost.example.com/", false, false),
            ("http://127.0.0.1.example.com/", false, false),
            ("http://[::ffff:127.0.0.1]/", false, false),
            ("http://10.0.0.1/", false, false),
            ("http://0.0.0.0/", false, false),
            ("http://id.example.com/", false, false),
            ("file:///etc/passwd", false, false),
            ("smb://evil.example/share", false, false),
            ("x-evil:payload", false, false),
            ("javascript:alert(1)", false, false),
            ("data:text/html,x", false, false),
            ("https:id.example.com", false, false),
            ("https:\\\\id.example.com", false, false),
            ("https://id.example.com\\@evil.example/", false, false),
            ("https://alice@id.example.com/", false, false),
            ("https://id.example.com:secret@evil.example/", false, false),
            ("https://id.example.com/a b", false, false),
            ("https://id.example.com/\u{1b}[2J", false, false),
            ("https://id.example.com/\nx", false, false),
            ("https://\u{456}d.example.com/", false, false),
            ("--help", false, false),
            ("", false, false),
        ] {
            assert_eq!(check(text, true).is_ok(), with_loopback, "{text}");
            assert_eq!(check(text, false).is_ok(), without, "{text}");
        }
        assert!(check("https://id.example.com/#a", false).is_ok());
        assert!(check_endpoint("https://id.example.com/#a", false).is_err());
    }

    proptest::proptest! {
        /// An accepted URL begins with https, or with http and this machine.
        #[test]
        fn no_text_opens_another_scheme(
            scheme in "(https?|HTTPS?|file|smb|x-evil|javascript)?",
            middle in "[:/@\\\\#?.a-z0-9\\[\\] %-]{0,12}",
            host in "(localhost|127\\.0\\.0\\.1|\\[::1\\]|evil\\.example|0x7f\\.1)?",
            rest in "[ -~\u{a0}\u{202e}]{0,12}",
        ) {
            let text = format!("{scheme}{middle}{host}{rest}");
            if let Ok(url) = check(&text, true) {
                let is_here = url.scheme() == "http" && is_loopback(&url);
                proptest::prop_assert!(url.scheme() == "https" || is_here, "{text:?}");
                proptest::prop_assert!(url.username().is_empty() && url.password().is_none());
            }
        }
    }
}
