//! The loopback listener that the browser is redirected to (RFC 8252 section 7.3): one port, one
//! redirect, a static page.
//!
//! Nothing of the query string is ever shown, on the page or in an error.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};
use url::form_urlencoded;

use crate::client::Error;

const PATH: &str = "/callback";
/// Bytes of a request's head at most; browsers send less than 4 KiB.
const HEAD: usize = 32 * 1024;
/// Time for a connection to send its head, and to take the answer. Browsers open connections that
/// they never use.
const FIRST: Duration = Duration::from_secs(10);
/// Connections at the same time; more wait in the kernel's queue.
const CONNECTIONS: usize = 16;

/// Outcome that the redirect brought.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Code(String),
    Refused(String),
}

/// A listener on a free port of 127.0.0.1. Dropping it closes the port.
#[derive(Debug)]
pub(super) struct Callback {
    listener: TcpListener,
    address: SocketAddr,
}

/// Parameters of a valid redirect.
#[derive(Debug)]
struct Expected {
    host: String,
    state: String,
    issuer: String,
}

impl Callback {
    /// Listens.
    ///
    /// # Errors
    /// Returns the error if there is no free port.
    pub(super) async fn open() -> Result<Self, Error> {
        let failed =
            |error: std::io::Error| Error::other(format!("failed to listen on 127.0.0.1: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// The redirect URI for the authorization request.
    pub(super) fn redirect_url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Waits for the one redirect, answers it, closes the port and returns the code. Requests for
    /// other paths, or with other methods, are answered and ignored.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the issuer refused, or the redirect is of another login.
    pub(super) async fn wait(self, state: &str, issuer: &str) -> Result<String, Error> {
        let expected = Arc::new(Expected {
            host: self.address.to_string(),
            state: state.to_owned(),
            issuer: issuer.to_owned(),
        });
        let (send, mut hit) = mpsc::channel(1);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                outcome = hit.recv() => return finish(outcome),
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS => {
                    // An accept error is of one connection; the listener goes on.
                    if let Ok((stream, _)) = accepted {
                        connections.spawn(serve(stream, Arc::clone(&expected), send.clone()));
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

fn finish(outcome: Option<Outcome>) -> Result<String, Error> {
    match outcome {
        Some(Outcome::Code(code)) => Ok(code),
        Some(Outcome::Refused(message)) => Err(Error::login_refused(message)),
        None => Err(Error::other("the login's listener ended")),
    }
}

async fn serve(mut stream: TcpStream, expected: Arc<Expected>, hit: mpsc::Sender<Outcome>) {
    let Ok(Some(head)) = tokio::time::timeout(FIRST, head(&mut stream)).await else {
        return;
    };
    let answer = judge(&head, &expected);
    let _ = tokio::time::timeout(FIRST, reply(&mut stream, &answer)).await;
    if let Answer::Hit(outcome) = answer {
        // Of a second redirect the channel is full; it is dropped.
        let _ = hit.try_send(outcome);
    }
}

/// Reads a request's head; none if it is too long or the connection ends before it does.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        let count = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(chunk.get(..count)?);
        if bytes.windows(4).any(|four| four == b"\r\n\r\n") {
            return String::from_utf8(bytes).ok();
        }
        if bytes.len() > HEAD {
            return None;
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    NotFound,
    MethodNotAllowed,
    BadRequest,
    Hit(Outcome),
}

fn judge(head: &str, expected: &Expected) -> Answer {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let hosts: Vec<&str> = lines
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map(|(_, value)| value.trim())
        .collect();
    // DNS rebinding: another Host is a page whose name was made to resolve to this machine.
    if hosts != [expected.host.as_str()] {
        return Answer::BadRequest;
    }
    if path != PATH {
        return Answer::NotFound;
    }
    if method != Some("GET") {
        return Answer::MethodNotAllowed;
    }
    Answer::Hit(outcome(query, expected))
}

fn outcome(query: &str, expected: &Expected) -> Outcome {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let only = |name: &str| {
        let mut values = pairs.iter().filter(|(key, _)| key == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value.as_str()),
            _ => None,
        }
    };
    let names = |name: &str| pairs.iter().any(|(key, _)| key == name);
    if only("state") != Some(expected.state.as_str()) {
        return Outcome::Refused("the browser came back with another login's state".to_owned());
    }
    // RFC 9207: an issuer that names itself must be the one that was asked.
    if names("iss") && only("iss") != Some(expected.issuer.as_str()) {
        return Outcome::Refused("the browser came back from another issuer".to_owned());
    }
    match (only("code"), names("error")) {
        (Some(code), false) if !code.is_empty() => Outcome::Code(code.to_owned()),
        (_, true) => Outcome::Refused(format!(
            "the issuer refused the login: {}",
            code_word(only("error").unwrap_or_default())
        )),
        _ => Outcome::Refused("the browser came back without a code".to_owned()),
    }
}

/// An error code of RFC 6749 section 4.1.2.1. The description is dropped: any page can write one
/// into a URL.
fn code_word(error: &str) -> &str {
    let plain = !error.is_empty()
        && error.len() <= 64
        && error.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    if plain { error } else { "no reason given" }
}

async fn reply(stream: &mut TcpStream, answer: &Answer) -> std::io::Result<()> {
    let (status, text) = match answer {
        Answer::Hit(Outcome::Code(_)) => (
            "200 OK",
            "Almost done: go back to the terminal. You can close this page.",
        ),
        Answer::Hit(Outcome::Refused(_)) => (
            "400 Bad Request",
            "The sign-in did not work. The terminal says why. You can close this page.",
        ),
        Answer::BadRequest => ("400 Bad Request", "Bad request."),
        Answer::NotFound => ("404 Not Found", "Not found."),
        Answer::MethodNotAllowed => ("405 Method Not Allowed", "Method not allowed."),
    };
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Daypass</title><p>{text}</p></html>\n"
    );
    let response = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         content-security-policy: default-src 'none'\r\nreferrer-policy: no-referrer\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    async fn send(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// A child process that another test has forked holds a copy of the listener until it runs its
    /// own program, so a closed port may still answer for a moment.
    async fn is_closed_soon(address: SocketAddr) -> bool {
        tokio::time::timeout(Duration::from_secs(10), async {
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .is_ok()
    }

    fn get(address: SocketAddr, target: &str) -> String {
        format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n")
    }

    #[tokio::test]
    async fn the_one_redirect_gives_the_code_and_closes_the_port() {
        let callback = Callback::open().await.unwrap();
        let address = callback.address;
        let silent = TcpStream::connect(address).await.unwrap();
        let waiting = tokio::spawn(async move { callback.wait("right", "https://id").await });

        let other_path = send(address, &get(address, "/favicon.ico")).await;
        assert!(other_path.starts_with("HTTP/1.1 404"));
        let post = get(address, "/callback?code=c&state=right").replace("GET", "POST");
        assert!(send(address, &post).await.starts_with("HTTP/1.1 405"));
        let rebound = "GET /callback?code=c&state=right HTTP/1.1\r\nHost: evil.example\r\n\r\n";
        assert!(send(address, rebound).await.starts_with("HTTP/1.1 400"));

        let hit = send(
            address,
            &get(address, "/callback?code=the%2Dcode&state=right"),
        )
        .await;
        assert!(hit.starts_with("HTTP/1.1 200"));
        assert_eq!(waiting.await.unwrap().unwrap(), "the-code");
        drop(silent);
        assert!(is_closed_soon(address).await, "the port is closed");
    }

    #[tokio::test]
    async fn an_invalid_redirect_ends_the_login_and_is_not_shown() {
        let script = "%3Cscript%3Ealert(1)%3C/script%3E";
        let cases = [
            ("a wrong state", "code=c&state=wrong".to_owned()),
            ("no state", "code=c".to_owned()),
            ("two states", "code=c&state=right&state=wrong".to_owned()),
            ("no code", "state=right".to_owned()),
            ("two codes", "code=c&code=d&state=right".to_owned()),
            (
                "another issuer",
                "code=c&state=right&iss=https://evil".to_owned(),
            ),
            (
                "a script in the description",
                format!("error=access_denied&error_description={script}&state=right"),
            ),
            (
                "a script as the error",
                format!("error={script}&state=right"),
            ),
            (
                "a code beside an error",
                "error=x&code=c&state=right".to_owned(),
            ),
        ];
        for (case, query) in cases {
            let callback = Callback::open().await.unwrap();
            let address = callback.address;
            let waiting = tokio::spawn(async move { callback.wait("right", "https://id").await });
            let page = send(address, &get(address, &format!("/callback?{query}"))).await;
            assert!(page.starts_with("HTTP/1.1 400"), "{case}");
            assert!(
                !page.contains("script>") && !page.contains("alert"),
                "{case}"
            );
            let error = waiting.await.unwrap().unwrap_err();
            assert_eq!(error.exit_code(), 3, "{case}");
            assert!(!error.to_string().contains("script"), "{case}");
            assert!(is_closed_soon(address).await, "{case}");
        }
    }
}
