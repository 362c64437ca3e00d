//! The cookies of one sign-in (RFC 6265, as much as loopback issuers need: names, paths, deletion).

use url::Url;

/// The cookies that an issuer has set so far.
#[derive(Default)]
pub(super) struct Cookies(Vec<Cookie>);

struct Cookie {
    origin: String,
    path: String,
    name: String,
    value: String,
}

impl Cookies {
    /// Takes one `Set-Cookie` value that came with an answer from `url`. An expired or empty one
    /// deletes.
    pub(super) fn set(&mut self, url: &Url, header: &str) {
        let mut parts = header.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let mut path = "/".to_owned();
        let mut dead = value.is_empty();
        for attribute in parts {
            let (key, setting) = attribute.split_once('=').unwrap_or((attribute, ""));
            match key.to_ascii_lowercase().as_str() {
                "path" => setting.clone_into(&mut path),
                "max-age" => dead |= setting == "0",
                "expires" => dead |= setting.contains("1970"),
                _ => {}
            }
        }
        let origin = url.origin().ascii_serialization();
        self.0
            .retain(|it| !(it.name == name && it.path == path && it.origin == origin));
        if !dead {
            self.0.push(Cookie {
                origin,
                path,
                name: name.to_owned(),
                value: value.to_owned(),
            });
        }
    }

    /// The `Cookie` header for a request to `url`, longest paths first.
    pub(super) fn header(&self, url: &Url) -> Option<String> {
        let origin = url.origin().ascii_serialization();
        let mut matching: Vec<&Cookie> = self
            .0
            .iter()
            .filter(|cookie| cookie.origin == origin && covers(&cookie.path, url.path()))
            .collect();
        matching.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = matching
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// RFC 6265, 5.1.4.
fn covers(cookie_path: &str, path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie_path.ends_with('/'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn cookies_go_where_they_came_from_and_can_be_deleted() {
        let at = |text: &str| Url::parse(text).unwrap();
        let issuer = at("http://127.0.0.1:1000/auth");
        let mut cookies = Cookies::default();
        cookies.set(&issuer, "session=s1; path=/; httponly");
        cookies.set(&issuer, "step=a; Path=/auth/1");
        cookies.set(&issuer, "nonsense");
        let header = |cookies: &Cookies, url: &str| cookies.header(&at(url)).unwrap_or_default();
        for (case, url, expected) in [
            ("everywhere", "http://127.0.0.1:1000/x", "session=s1"),
            (
                "below a path",
                "http://127.0.0.1:1000/auth/1/y",
                "step=a; session=s1",
            ),
            (
                "not beside it",
                "http://127.0.0.1:1000/auth/10",
                "session=s1",
            ),
            ("not at another port", "http://127.0.0.1:1001/auth/1", ""),
        ] {
            assert_eq!(header(&cookies, url), expected, "{case}");
        }
        cookies.set(
            &issuer,
            "session=; expires=Thu, 01 Jan 1970 00:00:00 GMT; path=/",
        );
        assert_eq!(header(&cookies, "http://127.0.0.1:1000/x"), "");
    }
}
