//! The check that a request that changes something comes from a page of ours. Pure.

use http::{HeaderMap, header::ORIGIN};

/// Whether the browser says that a page of `origin` made this request. Every browser that can hold
/// a key sends `Origin` with such requests.
///
/// Of a form on a page with `Referrer-Policy: no-referrer`, the origin is `null` (Fetch, "append a
/// request `Origin` header"). Then only `Sec-Fetch-Site` tells: no page can set it.
pub(super) fn is_own(headers: &HeaderMap, origin: &str) -> bool {
    let mut named = headers.get_all(ORIGIN).iter();
    let (Some(named), None) = (named.next(), named.next()) else {
        return false;
    };
    match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin" && (named == origin || named == "null"),
        None => named == origin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_a_page_of_ours_may_change_something() {
        let check = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                let _ = headers.append(*name, HeaderValue::from_static(value));
            }
            is_own(&headers, "https://ca.example.com")
        };
        let ours = ("origin", "https://ca.example.com");
        assert!(check(&[ours]));
        assert!(check(&[ours, ("sec-fetch-site", "same-origin")]));
        assert!(check(&[
            ("origin", "null"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(!check(&[
            ("origin", "null"),
            ("sec-fetch-site", "cross-site")
        ]));
        assert!(!check(&[("sec-fetch-site", "same-origin")]));
        assert!(!check(&[ours, ("sec-fetch-site", "same-site")]));
        assert!(!check(&[ours, ours]));
        assert!(!check(&[]));
        for other in [
            "null",
            "https://ca.example.com.evil.example",
            "http://ca.example.com",
        ] {
            assert!(!check(&[("origin", other)]), "{other}");
        }
    }
}
