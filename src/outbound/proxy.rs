//! The proxy between this machine and a server: HTTPS_PROXY, ALL_PROXY and NO_PROXY as curl reads
//! them, and the tunnel through it (CONNECT, RFC 9110 section 9.3.6).

use std::{fmt, io};

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use url::Url;

use super::is_loopback;

/// Bytes of the head of a proxy's answer at most.
const LONGEST: usize = 16 * 1024;

/// The proxy for one server.
#[derive(Clone)]
pub(crate) struct Proxy {
    /// Its address, without user and password.
    uri: Uri,
    /// The variable that names it.
    variable: &'static str,
    authorization: Option<HeaderValue>,
}

/// A proxy that cannot be used, or that refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("{0} does not name a proxy that can be used here: write http://HOST:PORT, or unset it")]
    Variable(&'static str),
    #[error("failed to reach the proxy {proxy}: {cause}")]
    Unreachable { proxy: String, cause: String },
    #[error(
        "the proxy {0} wants a user name and a password (407): write them into the variable, http://USER:PASSWORD@HOST:PORT"
    )]
    Authorization(String),
    #[error(
        "the proxy {proxy} refuses to connect to {server} ({answer}): if the server is reached without it, name the server's \
         host in NO_PROXY"
    )]
    Refused {
        proxy: String,
        server: String,
        answer: String,
    },
    #[error("the proxy {0} does not answer as an HTTP proxy does: check its address and port")]
    NoProxy(String),
}

impl Proxy {
    /// The environment's proxy for an https URL; none if it is reached directly. Loopback always
    /// is.
    ///
    /// # Errors
    /// Returns [`ProxyError::Variable`] if the variable has no usable proxy. Going on without it
    /// would only fail later, with another message.
    pub(crate) fn of(url: &Url) -> Result<Option<Self>, ProxyError> {
        let value = |name: &'static str| Some((name, std::env::var(name).ok()?));
        Self::choose(url, value)
    }

    /// As [`Proxy::of`], with the environment as a function.
    fn choose(
        url: &Url,
        value: impl Fn(&'static str) -> Option<(&'static str, String)>,
    ) -> Result<Option<Self>, ProxyError> {
        if is_loopback(url) || url.scheme() != "https" {
            return Ok(None);
        }
        // The upper-case name wins, even if it is empty, as the library has it.
        let first = |upper, lower| value(upper).or_else(|| value(lower));
        let named = [("HTTPS_PROXY", "https_proxy"), ("ALL_PROXY", "all_proxy")];
        let named = named.map(|(upper, lower)| first(upper, lower));
        let Some((variable, proxy)) = named.into_iter().flatten().find(|(_, it)| !it.is_empty())
        else {
            return Ok(None);
        };
        let no = first("NO_PROXY", "no_proxy").map_or_else(String::new, |(_, no)| no);
        let server: Uri = url
            .as_str()
            .parse()
            .map_err(|_| ProxyError::Variable(variable))?;
        let is_named = |no: &str| {
            let matcher = Matcher::builder().https(proxy.as_str()).no(no).build();
            matcher.intercept(&server)
        };
        // The library drops a port that is too large.
        let is_address = match proxy.contains("://") {
            true => Url::parse(&proxy).is_ok(),
            false => Url::parse(&format!("http://{proxy}")).is_ok(),
        };
        let is_usable =
            |uri: &Uri| is_address && matches!(uri.scheme_str(), Some("http" | "https"));
        let usable = is_named("").filter(|it| is_usable(it.uri()));
        let Some(proxy) = usable else {
            // It may be that this server needs none.
            let all = Matcher::builder()
                .https("http://localhost:1")
                .no(no.as_str())
                .build();
            return match all.intercept(&server) {
                Some(_) => Err(ProxyError::Variable(variable)),
                None => Ok(None),
            };
        };
        Ok(is_named(&no).is_some().then(|| Self {
            uri: proxy.uri().clone(),
            variable,
            authorization: proxy.basic_auth().cloned(),
        }))
    }

    /// Host and port to connect to; an IPv6 address without brackets.
    pub(super) fn host_and_port(&self) -> (String, u16) {
        let host = self.uri.host().unwrap_or_default();
        let port = if self.is_tls() { 443 } else { 80 };
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        (host, self.uri.port_u16().unwrap_or(port))
    }

    /// Whether the proxy itself is reached by TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    pub(super) fn unreachable(&self, cause: impl fmt::Display) -> ProxyError {
        ProxyError::Unreachable {
            proxy: self.to_string(),
            cause: cause.to_string(),
        }
    }

    /// Asks the proxy, on a connection to it, for a tunnel to the server.
    ///
    /// # Errors
    /// Returns the proxy's refusal, or [`ProxyError::Unreachable`] if the connection breaks.
    pub(super) async fn tunnel<S>(&self, stream: &mut S, url: &Url) -> Result<(), ProxyError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let server = authority(url);
        let mut ask = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n").into_bytes();
        if let Some(value) = &self.authorization {
            ask.extend_from_slice(b"Proxy-Authorization: ");
            ask.extend_from_slice(value.as_bytes());
            ask.extend_from_slice(b"\r\n");
        }
        ask.extend_from_slice(b"\r\n");
        let sent = stream.write_all(&ask).await;
        sent.map_err(|error| self.unreachable(error))?;
        let head = head(stream)
            .await
            .map_err(|error| self.unreachable(error))?;
        match status(&head) {
            Some((200..=299, _)) if head.ends_with(b"\r\n\r\n") => Ok(()),
            Some((407, _)) => Err(ProxyError::Authorization(self.to_string())),
            Some((300..=599, answer)) => Err(ProxyError::Refused {
                proxy: self.to_string(),
                server,
                answer,
            }),
            Some(_) | None => Err(ProxyError::NoProxy(self.to_string())),
        }
    }
}

/// The address and the variable, never the password.
impl fmt::Display for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.uri.scheme_str().unwrap_or("http");
        let (host, port) = self.host_and_port();
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host
        };
        write!(formatter, "{scheme}://{host}:{port} ({})", self.variable)
    }
}

/// Names the proxy between, or the fault of its variable, for a failure that another library
/// reports: the fault may be the proxy's own, and the server may know nothing of it.
pub(crate) fn proxy_between(url: &str) -> Option<String> {
    match Proxy::of(&Url::parse(url).ok()?) {
        Ok(proxy) => proxy.map(|proxy| format!("through the proxy {proxy}")),
        Err(error) => Some(error.to_string()),
    }
}

/// `HOST:PORT` of a URL; an IPv6 address with brackets.
fn authority(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or(443);
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

/// Reads until the end of the head, the end of the stream, or the limit. A server that is tunnelled
/// to waits for our TLS, so nothing follows the head of a success.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    while head.len() < LONGEST && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            break;
        }
        head.extend_from_slice(chunk.get(..read).unwrap_or_default());
    }
    Ok(head)
}

/// Reads the status line of an HTTP/1 answer: the code, and code and reason for people.
fn status(head: &[u8]) -> Option<(u16, String)> {
    let line = head.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let rest = line
        .strip_prefix("HTTP/1.0 ")
        .or_else(|| line.strip_prefix("HTTP/1.1 "))?;
    let code = rest.get(..3)?.parse().ok()?;
    let is_word = rest.len() == 3 || rest.get(3..)?.starts_with(' ');
    let shown = rest.chars().filter(|c| !c.is_control()).take(80).collect();
    is_word.then_some((code, shown))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(url: &str, environment: &[(&'static str, &str)]) -> String {
        let url = Url::parse(url).unwrap();
        let value = |name: &'static str| {
            let found = environment.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (name, (*value).to_owned()))
        };
        match Proxy::choose(&url, value) {
            Ok(Some(proxy)) => proxy.to_string(),
            Ok(None) => "direct".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_environment_chooses_the_proxy_and_loopback_needs_none() {
        let ca = "https://ca.example.com:7443";
        let proxy = ("HTTPS_PROXY", "http://proxy:3128");
        for (url, environment, expected) in [
            (ca, &[][..], "direct"),
            (ca, &[proxy], "http://proxy:3128 (HTTPS_PROXY)"),
            (
                ca,
                &[("https_proxy", "proxy:3128")],
                "http://proxy:3128 (https_proxy)",
            ),
            (
                ca,
                &[("ALL_PROXY", "http://proxy")],
                "http://proxy:80 (ALL_PROXY)",
            ),
            (
                ca,
                &[("all_proxy", "https://proxy")],
                "https://proxy:443 (all_proxy)",
            ),
            (ca, &[("HTTP_PROXY", "http://proxy:3128")], "direct"),
            (
                ca,
                &[("HTTPS_PROXY", ""), ("https_proxy", "http://proxy")],
                "direct",
            ),
            (
                ca,
                &[("HTTPS_PROXY", "http://alice:secret@[::2]:3128")],
                "http://[::2]:3128 (HTTPS_PROXY)",
            ),
            (ca, &[proxy, ("NO_PROXY", "db, .example.com")], "direct"),
            (ca, &[proxy, ("no_proxy", "*")], "direct"),
            (
                ca,
                &[proxy, ("NO_PROXY", "ample.com")],
                "http://proxy:3128 (HTTPS_PROXY)",
            ),
            (
                "https://10.0.0.1",
                &[proxy, ("NO_PROXY", "10.0.0.0/8")],
                "direct",
            ),
            (
                "https://[fd00::1]",
                &[proxy, ("NO_PROXY", "fd00::/8")],
                "direct",
            ),
            ("https://localhost:1", &[proxy], "direct"),
            ("https://127.0.0.9", &[proxy], "direct"),
            ("https://[::1]", &[proxy], "direct"),
            (
                ca,
                &[("HTTPS_PROXY", "a b"), ("NO_PROXY", "example.com")],
                "direct",
            ),
        ] {
            assert_eq!(chosen(url, environment), expected, "{url} {environment:?}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_names_its_variable() {
        for value in [
            "socks5://proxy:1080",
            "a b",
            "ftp://proxy",
            "http://",
            "http://proxy:99999",
        ] {
            let said = chosen("https://ca.example.com", &[("ALL_PROXY", value)]);
            assert!(
                said.starts_with("ALL_PROXY does not name"),
                "{value}: {said}"
            );
        }
    }

    #[test]
    fn only_a_status_line_is_an_answer() {
        for (head, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
            ("HTTP/1.0 200\r\n\r\n", Some(200)),
            ("HTTP/1.1 407 Proxy Authentication Required\r\n", Some(407)),
            ("HTTP/1.1 2000 x\r\n\r\n", None),
            ("HTTP/2 200\r\n\r\n", None),
            ("<!DOCTYPE html><html>", None),
            ("SSH-2.0-OpenSSH_9.2\r\n", None),
            ("", None),
        ] {
            assert_eq!(status(head.as_bytes()).map(|it| it.0), expected, "{head}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_a_panic(bytes: Vec<u8>) {
            let _ = status(&bytes);
            let mut line = b"HTTP/1.1 ".to_vec();
            line.extend_from_slice(&bytes);
            if let Some((_, shown)) = status(&line) {
                prop_assert!(shown.chars().count() <= 80 && !shown.chars().any(char::is_control));
            }
        }
    }
}
