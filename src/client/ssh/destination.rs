//! The destination on a command line: `[USER@]HOST` or `ssh://[USER@]HOST[:PORT]`. Pure.

use crate::client::{
    Error,
    words::{check_host, is_user_word},
};

/// Begins a destination that is a URI.
const SCHEME: &str = "ssh://";

/// The destination of an `ssh`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The login name, if one was given.
    pub(crate) user: Option<String>,
    /// The host, as the user spelled it, without brackets.
    pub(crate) host: String,
    /// The port, if one was given.
    pub(crate) port: Option<u16>,
}

impl Destination {
    /// Reads a destination. Brackets around an IPv6 address are taken away: ssh 9.2 does not read
    /// them.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if a part of it is invalid.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let invalid = || {
            Error::Usage(format!(
                "invalid destination {text:?}: use [USER@]HOST or ssh://[USER@]HOST[:PORT]"
            ))
        };
        let (user, host, port) = match text.strip_prefix(SCHEME) {
            Some(uri) => parts_of_uri(uri).ok_or_else(invalid)?,
            None => {
                let (user, host) = with_user(text);
                (user.map(str::to_owned), host, None)
            }
        };
        let host = without_brackets(host).ok_or_else(invalid)?;
        check_host(host)?;
        if user.as_deref().is_some_and(|user| !is_user_word(user)) {
            return Err(invalid());
        }
        Ok(Self {
            user,
            host: host.to_owned(),
            port,
        })
    }
}

/// Splits at the last `@`, as ssh does.
fn with_user(text: &str) -> (Option<&str>, &str) {
    match text.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, text),
    }
}

/// Host of `[HOST]`. A host without brackets stays as it is.
fn without_brackets(host: &str) -> Option<&str> {
    match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').filter(|inner| inner.contains(':')),
        None => Some(host),
    }
}

/// User, host (perhaps in brackets) and port of a URI without its scheme.
fn parts_of_uri(uri: &str) -> Option<(Option<String>, &str, Option<u16>)> {
    // A path is not allowed.
    let uri = uri.strip_suffix('/').unwrap_or(uri);
    if uri.contains('/') {
        return None;
    }
    let (user, place) = with_user(uri);
    let user = match user {
        // Connection parameters follow a semicolon; ssh ignores them.
        Some(user) => Some(decoded(user.split(';').next().unwrap_or(user))?),
        None => None,
    };
    let after_address = place.rfind(']').map_or(0, |at| at + 1);
    let colon = place.get(after_address..)?.find(':');
    let (host, port) = match colon {
        Some(colon) => {
            let (host, port) = place.split_at_checked(after_address + colon)?;
            (host, Some(port.get(1..)?))
        }
        None => (place, None),
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
        None => None,
    };
    Some((user, host, port))
}

/// Text with its `%41` decoded.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Parts = (Option<&'static str>, &'static str, Option<u16>);

    #[test]
    fn destinations_are_split_and_checked() {
        let cases: &[(&str, Option<Parts>)] = &[
            ("web-1", Some((None, "web-1", None))),
            ("root@web-1", Some((Some("root"), "web-1", None))),
            ("a@b@web-1", Some((Some("a@b"), "web-1", None))),
            ("::1", Some((None, "::1", None))),
            ("[::1]", Some((None, "::1", None))),
            ("dave@[::1]", Some((Some("dave"), "::1", None))),
            ("ssh://web-1", Some((None, "web-1", None))),
            ("ssh://web-1/", Some((None, "web-1", None))),
            ("ssh://dave@[::1]:22", Some((Some("dave"), "::1", Some(22)))),
            ("ssh://[::1]", Some((None, "::1", None))),
            (
                "ssh://d%61ve;x=y@web-1:2222",
                Some((Some("dave"), "web-1", Some(2222))),
            ),
            ("ssh://web-1:0", None),
            ("ssh://web-1:22x", None),
            ("ssh://web-1:", None),
            ("ssh://web-1:65536", None),
            ("ssh://web-1/path", None),
            ("ssh://@web-1", None),
            ("ssh://%zz@web-1", None),
            ("ssh://", None),
            ("[web-1]", None),
            ("[::1", None),
            ("[::1]:22", None),
            ("@web-1", None),
            ("-oProxyCommand=x", None),
            ("-l@web-1", None),
            ("root@-x", None),
            ("$(id)@web-1", None),
            ("ssh://%24(id)@web-1", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let parsed = Destination::parse(text).ok();
            let parts = parsed
                .as_ref()
                .map(|d| (d.user.as_deref(), &*d.host, d.port));
            assert_eq!(parts, *expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_one_word_and_no_option(text in "(ssh://)?[ -~é\n]{0,24}") {
            if let Ok(destination) = Destination::parse(&text) {
                prop_assert!(!destination.host.starts_with('-'));
                prop_assert!(destination.user.is_none_or(|user| !user.starts_with('-')));
                prop_assert!(Destination::parse(&destination.host).is_ok());
            }
        }
    }
}
