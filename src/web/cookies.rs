//! Cookies of the page. Pure.
//!
//! The prefix `__Host-` makes browsers refuse such a cookie from another host, from a subdomain,
//! over plain HTTP or for a part of the site (RFC 6265bis, section 4.1.3).

use http::{HeaderMap, HeaderValue, header::COOKIE};

/// The cookie of a session.
pub(super) const SESSION: &str = "__Host-daypass";

/// The cookie of a sign-in that is under way.
pub(super) const SIGN_IN: &str = "__Host-daypass-sign-in";

/// The cookie of a browser in which a person has signed in before.
pub(super) const KNOWN: &str = "__Host-daypass-known";

/// The value of a cookie. `None` if it is absent or there are several, which no browser sends.
pub(super) fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let headers = headers.get_all(COOKIE).iter();
    let mut values = headers
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(one, _)| *one == name)
        .map(|(_, value)| value);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// `Set-Cookie` for a value that lives as long as the browser, `seconds` at most.
///
/// `SameSite=Lax`: a link from a chat or a provider's redirect brings the cookie, a form or a frame
/// of another site does not.
///
/// # Errors
/// Returns the error if the value cannot be in a header.
pub(super) fn set(
    name: &str,
    value: &str,
    seconds: u64,
) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}").parse()
}

/// `Set-Cookie` that removes a cookie.
///
/// # Errors
/// As [`set`].
pub(super) fn remove(name: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    set(name, "", 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn found(headers: &[&'static str]) -> Option<String> {
        let mut map = HeaderMap::new();
        for header in headers {
            let _ = map.append(COOKIE, HeaderValue::from_static(header));
        }
        value(&map, SESSION).map(str::to_owned)
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_once() {
        for (case, headers, expected) in [
            ("alone", vec!["__Host-daypass=a"], Some("a")),
            (
                "among others",
                vec!["x=1; __Host-daypass=a; y=2"],
                Some("a"),
            ),
            (
                "in its own header",
                vec!["x=1", "__Host-daypass=a"],
                Some("a"),
            ),
            ("absent", vec!["daypass=a; __Host-daypass-sign-in=b"], None),
            ("twice", vec!["__Host-daypass=a; __Host-daypass=b"], None),
            ("another case", vec!["__host-daypass=a"], None),
            ("no value", vec!["__Host-daypass"], None),
        ] {
            assert_eq!(found(&headers).as_deref(), expected, "{case}");
        }
    }

    #[test]
    fn a_cookie_is_for_this_host_and_no_script() {
        let header = set(SESSION, "a", 60).unwrap();
        let header = header.to_str().unwrap();
        for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=60"] {
            assert!(header.split("; ").any(|it| it == attribute), "{header}");
        }
        assert!(!header.contains("Domain"));
    }
}
