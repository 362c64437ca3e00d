//! The check that a request that changes something comes from a page of ours. Pure.

use http::{HeaderMap, header::ORIGIN};

/// Whether the browser says that a page of `origin` made this request. Every browser that can hold
/// a key sends `Origin` with such requests; `Sec-Fetch-Site` is sent besides.
pub(super) fn is_own(headers: &HeaderMap, origin: &str) -> bool {
    let mut named = headers.get_all(ORIGIN).iter();
    let is_origin = named.next().is_some_and(|it| it == origin) && named.next().is_none();
    let site = headers.get("sec-fetch-site");
    is_origin && site.is_none_or(|site| site == "same-origin")
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
