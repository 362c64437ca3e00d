//! What sshd logs of accepted logins, in the forms of the common log files. Pure.
//!
//! | form | where from |
//! |---|---|
//! | `Nov 29 21:30:01 HOST sshd[7]: MESSAGE` | RFC 3164; `auth.log`, `secure`, `journalctl` |
//! | `2026-11-29T21:30:01.5+01:00 HOST sshd[7]: MESSAGE` | rsyslog, syslog-ng, `short-iso` |
//! | `Sun 2026-11-29 21:30:01 UTC HOST sshd[7]: MESSAGE` | `short-full` of `journalctl` |
//! | `Nov 29 21:30:01 HOST auth.info sshd[7]: MESSAGE` | busybox (Alpine) |
//! | `<38>1 2026-11-29T21:30:01Z HOST sshd 7 - - MESSAGE` | RFC 5424 |
//! | `{"MESSAGE": ...}` | `journalctl -o json` |
//! | `MESSAGE` | `sshd -E FILE`; it has neither time nor host |
//!
//! The stamp of each of the first four may stand in the others, and the host may be missing.
//!
//! A line of another form that has sshd's words of a login by a certificate is an unreadable one.
//!
//! The message is that of `auth_log` in OpenSSH's `auth.c`, and for certificates that of
//! `auth2-pubkey.c`:
//! `Accepted publickey for USER from ADDRESS port PORT ssh2: TYPE-CERT FINGERPRINT ID KEY-ID
//! (serial SERIAL) CA TYPE FINGERPRINT`. sshd cuts a message after 1,023 bytes and escapes
//! what is not printable.

mod framing;
mod lines;
mod stamps;

pub(crate) use framing::PROGRAMS;
use framing::{Framed, Line, unframed};
pub(crate) use lines::{LONGEST_LINE, next_line};
pub(crate) use stamps::{Stamp, offset};

/// A line of sshd, or one with sshd's words of a login by a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    pub(crate) time: Option<Stamp>,
    /// The host's name in its log.
    pub(crate) host: Option<String>,
    /// The login, if the line is about an accepted one.
    pub(crate) accepted: Option<Accepted>,
}

/// An accepted login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    ByCertificate(CertificateLogin),
    /// By a plain key, a password or another method.
    Otherwise,
    /// By a certificate, and the rest of the message is cut off, or the line is of another form.
    Unreadable(UnreadableLogin),
}

/// A login by a certificate whose message does not say which. sshd cuts a message, so that a long
/// key id hides serial and CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnreadableLogin {
    pub(crate) time: Option<Stamp>,
    /// The account, the client's address and its port, if the message has them.
    pub(crate) client: Option<(String, String, u16)>,
}

/// A login by a certificate, as sshd logged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateLogin {
    pub(crate) time: Option<Stamp>,
    /// The host's name in its log.
    pub(crate) host: Option<String>,
    /// The account.
    pub(crate) login: String,
    /// The client's address.
    pub(crate) from: String,
    /// The client's port: with the time, it tells one login from the next.
    pub(crate) port: u16,
    /// Fingerprint of the certified key (`SHA256:...`).
    pub(crate) key: String,
    /// As logged, with sshd's escapes.
    pub(crate) key_id: String,
    pub(crate) serial: u64,
    /// Fingerprint of the CA key.
    pub(crate) ca: String,
}

/// Reads a line of a log; `None` if it is of no accepted login.
pub(crate) fn read(line: &[u8]) -> Option<Accepted> {
    read_line(line)?.accepted
}

/// Reads a line of a log; `None` if it is not of sshd.
pub(crate) fn read_line(line: &[u8]) -> Option<LogLine> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match unframed(line) {
        Line::Sshd(framed) => Some(LogLine {
            time: framed.time,
            host: framed.host.as_ref().map(|host| host.to_string()),
            accepted: accepted(&framed),
        }),
        Line::OtherProgram => None,
        Line::Unknown => of_unknown_form(line).map(|login| LogLine {
            time: None,
            host: None,
            accepted: Some(login),
        }),
    }
}

/// The accepted login that a message of sshd is about.
fn accepted(framed: &Framed<'_>) -> Option<Accepted> {
    let rest = framed.message.strip_prefix("Accepted ")?;
    let (method, rest) = rest.split_once(" for ")?;
    if method != "publickey" {
        return Some(Accepted::Otherwise);
    }
    let Some((person, proof)) = rest.split_once(" ssh2: ") else {
        return Some(Accepted::Otherwise);
    };
    let (kind, proof) = proof.split_once(' ').unwrap_or((proof, ""));
    if !kind.ends_with("-CERT") {
        return Some(Accepted::Otherwise);
    }
    let login = by_certificate(person, proof);
    Some(match login {
        Some(login) => Accepted::ByCertificate(login.at(framed)),
        None => Accepted::Unreadable(UnreadableLogin {
            time: framed.time,
            client: client(person),
        }),
    })
}

/// A login by a certificate in a line of a form that is not read here: it must not pass unseen.
fn of_unknown_form(line: &[u8]) -> Option<Accepted> {
    let line = String::from_utf8_lossy(line);
    let (_, rest) = line.split_once("Accepted publickey for ")?;
    let (person, _) = rest.split_once("-CERT ")?;
    let person = person.split(" ssh2: ").next().unwrap_or_default();
    Some(Accepted::Unreadable(UnreadableLogin {
        time: None,
        client: client(person),
    }))
}

/// Reads `USER from ADDRESS port PORT`.
fn client(person: &str) -> Option<(String, String, u16)> {
    let (login, origin) = person.split_once(" from ")?;
    let (from, port) = origin.split_once(" port ")?;
    Some((login.to_owned(), from.to_owned(), port.parse().ok()?))
}

/// Reads `USER from ADDRESS port PORT` and `FINGERPRINT ID KEY-ID (serial SERIAL) CA TYPE
/// FINGERPRINT`.
///
/// A key id may hold any text, also one that looks like the rest. So it ends at the last
/// ` (serial `.
fn by_certificate(person: &str, proof: &str) -> Option<CertificateLogin> {
    let (login, from, port) = client(person)?;
    let (key, rest) = proof.split_once(" ID ")?;
    let (key_id, rest) = rest.rsplit_once(" (serial ")?;
    let (serial, ca) = rest.split_once(") CA ")?;
    let (_, ca) = ca.split_once(' ')?;
    let is_fingerprint = |text: &str| text.starts_with("SHA256:") && !text.contains(' ');
    if !is_fingerprint(key) || !is_fingerprint(ca) {
        return None;
    }
    Some(CertificateLogin {
        time: None,
        host: None,
        login,
        from,
        port,
        key: key.to_owned(),
        key_id: key_id.to_owned(),
        serial: serial.parse().ok()?,
        ca: ca.to_owned(),
    })
}

impl CertificateLogin {
    fn at(self, framed: &Framed<'_>) -> Self {
        Self {
            time: framed.time,
            host: framed.host.as_ref().map(|host| host.to_string()),
            ..self
        }
    }
}

/// Whether `logged` is this key id. sshd doubles backslashes.
pub(crate) fn is_key_id(logged: &str, key_id: &str) -> bool {
    logged == key_id.replace('\\', r"\\")
}

#[cfg(test)]
mod tests;
