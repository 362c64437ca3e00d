//! The loopback listener that the browser is redirected to (RFC 8252 section 7.3): one port, one
//! redirect, a static page. Nothing of the query string is ever shown on the page.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};

use super::redirect::{Expected, Outcome};
use crate::client::{Error, server_info::Issuer};

const PATH: &str = "/callback";
/// Bytes of a request's head at most; browsers send less than 4 KiB.
const HEAD: usize = 32 * 1024;
/// Time for a connection to send its head, and to take the answer. Browsers open connections that
/// they never use.
const FIRST: Duration = Duration::from_secs(10);
/// Connections at the same time; more wait in the kernel's queue.
const CONNECTIONS: usize = 16;

/// The listener that a browser is redirected to. Dropping it closes the port.
#[derive(Debug)]
pub(super) struct Callback {
    /// One for each address that the redirect's host stands for. None if every port is taken, and
    /// the user pastes the address.
    listeners: Vec<TcpListener>,
    /// The host and port, as browsers name them.
    host: String,
}

impl Callback {
    /// Listens on the first free one of the ports that are registered for `issuer`, or on any free
    /// port.
    ///
    /// # Errors
    /// Returns the error if there is no free port.
    pub(super) async fn open(issuer: &Issuer) -> Result<Self, Error> {
        let host = match issuer.redirect_host.as_str() {
            "" => "127.0.0.1",
            host => host,
        };
        let ports = match issuer.redirect_ports.as_slice() {
            [] => &[0; TRIES][..],
            ports => ports,
        };
        let mut last = None;
        for port in ports {
            match listen(host, *port).await {
                Ok((listeners, port)) => {
                    let host = format!("{host}:{port}");
                    return Ok(Self { listeners, host });
                }
                Err(error) => last = Some(error),
            }
        }
        let why = last.map(|error| error.to_string()).unwrap_or_default();
        Err(taken(issuer, &why))
    }

    /// As [`Callback::open`], for a user who pastes the address where the browser ends. Then the
    /// ports may all be taken.
    ///
    /// # Errors
    /// Returns the error if no port is registered and there is no free one.
    pub(super) async fn open_or_paste(issuer: &Issuer) -> Result<Self, Error> {
        match (Self::open(issuer).await, issuer.redirect_ports.first()) {
            (Err(_), Some(port)) => Ok(Self {
                listeners: Vec::new(),
                host: format!("{}:{port}", issuer.redirect_host),
            }),
            (opened, _) => opened,
        }
    }

    /// The redirect URI for the authorization request.
    pub(super) fn redirect_url(&self) -> String {
        format!("http://{}{PATH}", self.host)
    }

    /// The port of the redirect.
    pub(super) fn port(&self) -> &str {
        self.host.rsplit(':').next().unwrap_or_default()
    }

    /// Waits for the one redirect, answers it, closes the port and returns the code. Requests for
    /// other paths, or with other methods, are answered and ignored.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the issuer refused, or the redirect is of another login.
    pub(super) async fn wait(self, expected: &Expected) -> Result<String, Error> {
        let door = Arc::new(Door {
            host: self.host.clone(),
            expected: expected.clone(),
        });
        let (send, mut hit) = mpsc::channel::<Outcome>(1);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                outcome = hit.recv() => return match outcome {
                    Some(outcome) => outcome.code(),
                    None => Err(Error::other("the login's listener ended")),
                },
                accepted = accept(&self.listeners), if connections.len() < CONNECTIONS => {
                    // An accept error is of one connection; the listener goes on.
                    if let Ok((stream, _)) = accepted {
                        connections.spawn(serve(stream, Arc::clone(&door), send.clone()));
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// What the listener compares requests with.
struct Door {
    host: String,
    expected: Expected,
}

/// Ports to try if any will do. `localhost` needs one that is free at both addresses.
const TRIES: usize = 8;

/// Listens on `port` of 127.0.0.1, and for `localhost` also of `[::1]` if there is IPv6: browsers
/// try it first. A port that another program has at one of them is taken: the program would get
/// the code.
async fn listen(host: &str, port: u16) -> io::Result<(Vec<TcpListener>, u16)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let port = listener.local_addr()?.port();
    let mut listeners = vec![listener];
    if host == "localhost" {
        match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
            Ok(listener) => listeners.push(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            // This machine has no IPv6.
            Err(_) => (),
        }
    }
    Ok((listeners, port))
}

async fn accept(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    match listeners {
        [] => std::future::pending().await,
        [only] => only.accept().await,
        [first, second, ..] => tokio::select! {
            accepted = first.accept() => accepted,
            accepted = second.accept() => accepted,
        },
    }
}

fn taken(issuer: &Issuer, why: &str) -> Error {
    let ports: Vec<String> = issuer
        .redirect_ports
        .iter()
        .map(ToString::to_string)
        .collect();
    match ports.first() {
        None => Error::other(format!("failed to listen on this machine: {why}")),
        Some(first) => Error::other(format!(
            "the ports that are registered for {} are in use on this machine ({}): end the program that has one (ss -ltnp \
             sport = :{first}), or sign in with: daypass login --paste",
            issuer.name,
            ports.join(", ")
        )),
    }
}

async fn serve(mut stream: TcpStream, door: Arc<Door>, hit: mpsc::Sender<Outcome>) {
    let Ok(Some(head)) = tokio::time::timeout(FIRST, head(&mut stream)).await else {
        return;
    };
    let answer = judge(&head, &door);
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

fn judge(head: &str, door: &Door) -> Answer {
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
    if hosts != [door.host.as_str()] {
        return Answer::BadRequest;
    }
    if path != PATH {
        return Answer::NotFound;
    }
    if method != Some("GET") {
        return Answer::MethodNotAllowed;
    }
    Answer::Hit(door.expected.outcome(query))
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
mod tests;
