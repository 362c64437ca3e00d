//! What sshd logs of accepted logins, in the forms of the common log files. Pure.
//!
//! | form | where from |
//! |---|---|
//! | `Nov 29 21:30:01 HOST sshd[7]: MESSAGE` | RFC 3164; `auth.log`, `secure`, `journalctl` |
//! | `2026-11-29T21:30:01.5+01:00 HOST sshd[7]: MESSAGE` | rsyslog, `journalctl -o short-iso` |
//! | `<38>1 2026-11-29T21:30:01Z HOST sshd 7 - - MESSAGE` | RFC 5424 |
//! | `{"MESSAGE": ...}` | `journalctl -o json` |
//! | `MESSAGE` | `sshd -E FILE`; it has neither time nor host |
//!
//! The message is that of `auth_log` in OpenSSH's `auth.c`, and for certificates that of
//! `auth2-pubkey.c`:
//! `Accepted publickey for USER from ADDRESS port PORT ssh2: TYPE-CERT FINGERPRINT ID KEY-ID
//! (serial SERIAL) CA TYPE FINGERPRINT`. sshd cuts a message after 1,023 bytes and escapes
//! what is not printable.

mod framing;

pub(crate) use framing::Stamp;
use framing::{Framed, unframed};

/// Bytes of the longest line that is read: a journal entry with all its fields.
pub(crate) const LONGEST_LINE: usize = 64 * 1024;

/// An accepted login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    ByCertificate(CertificateLogin),
    /// By a plain key, a password or another method.
    Otherwise,
    /// By a certificate, and the rest of the message is cut off or of another form.
    Unreadable,
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
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let framed = unframed(line)?;
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
        Some(login) => Accepted::ByCertificate(login.at(&framed)),
        None => Accepted::Unreadable,
    })
}

/// Reads `USER from ADDRESS port PORT` and `FINGERPRINT ID KEY-ID (serial SERIAL) CA TYPE
/// FINGERPRINT`.
///
/// A key id may hold any text, also one that looks like the rest. So it ends at the last
/// ` (serial `.
fn by_certificate(person: &str, proof: &str) -> Option<CertificateLogin> {
    let (login, origin) = person.split_once(" from ")?;
    let (from, port) = origin.split_once(" port ")?;
    let _: u16 = port.parse().ok()?;
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
        login: login.to_owned(),
        from: from.to_owned(),
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
