//! The frames of log lines: time, host and program around sshd's message. Pure.

use std::borrow::Cow;

use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::stamps::{Stamp, stamp};

/// The programs whose messages count: since OpenSSH 9.8 a session is a program of its own.
pub(crate) const PROGRAMS: [&str; 3] = ["sshd", "sshd-session", "sshd-auth"];

/// How messages of sshd begin, in a file that has nothing else (`sshd -E`, `journalctl -o cat`).
const BEGINNINGS: [&str; 12] = [
    "Accepted ",
    "Server listening on ",
    "Connection from ",
    "Connection closed by ",
    "Connection reset by ",
    "Disconnected from ",
    "Received disconnect from ",
    "Received signal ",
    "Failed publickey for ",
    "Failed password for ",
    "Invalid user ",
    "User child is on pid ",
];

/// A message of sshd and what stood around it.
pub(super) struct Framed<'a> {
    pub(super) time: Option<Stamp>,
    pub(super) host: Option<Cow<'a, str>>,
    pub(super) message: Cow<'a, str>,
}

/// What a line is.
pub(super) enum Line<'a> {
    Sshd(Framed<'a>),
    OtherProgram,
    /// Of no form that is read here.
    Unknown,
}

/// Takes sshd's message out of a line.
pub(super) fn unframed(line: &[u8]) -> Line<'_> {
    // `journalctl -o json-seq` and `json-sse`.
    let entry = line.strip_prefix(b"\x1e").unwrap_or(line);
    let entry = entry.strip_prefix(b"data: ").unwrap_or(entry);
    if entry.first() == Some(&b'{') {
        return journal(entry);
    }
    let Ok(line) = std::str::from_utf8(line) else {
        return Line::Unknown;
    };
    if BEGINNINGS.iter().any(|start| line.starts_with(start)) {
        return Line::Sshd(Framed {
            time: None,
            host: None,
            message: line.into(),
        });
    }
    let line = without_priority(line);
    let read = match line.strip_prefix("1 ") {
        Some(line) => rfc_5424(line),
        None => classic(line),
    };
    read.unwrap_or(Line::Unknown)
}

fn without_priority(line: &str) -> &str {
    let rest = line.strip_prefix('<').and_then(|it| it.split_once('>'));
    match rest {
        Some((number, rest)) if number.parse::<u8>().is_ok() => rest,
        Some(_) | None => line,
    }
}

/// `TIME HOST PROGRAM[PID]: MESSAGE`, with any form of time. The host may be missing, and before or
/// after it may be the level, such as `auth.info`.
fn classic(line: &str) -> Option<Line<'_>> {
    let (time, mut rest) = stamp(line)?;
    let mut host = None;
    loop {
        let (word, after) = rest.split_once(' ')?;
        match word.strip_suffix(':') {
            // socklog puts the level before all the rest.
            Some(level) if is_level(level) && host.is_none() => return classic(after),
            Some(tag) => return Some(tagged(tag, (time, host), after)),
            None if is_level(word) => {}
            None if host.is_none() => host = Some(word),
            None => return None,
        }
        rest = after;
    }
}

/// A message after `PROGRAM[PID]: `.
fn tagged<'a>(
    tag: &str,
    (time, host): (Option<Stamp>, Option<&'a str>),
    message: &'a str,
) -> Line<'a> {
    let (program, process) = match tag.split_once('[') {
        Some((program, rest)) => (program, rest.strip_suffix(']').unwrap_or(rest)),
        None => (tag, "0"),
    };
    let is_sshd = PROGRAMS.contains(&program) || is_unit(program);
    if !is_sshd || process.parse::<u32>().is_err() {
        return Line::OtherProgram;
    }
    Line::Sshd(Framed {
        time,
        host: host.map(Cow::from),
        message: without_id(message).into(),
    })
}

/// Whether this is sshd's unit, which `journalctl -o with-unit` prints in place of the program.
fn is_unit(word: &str) -> bool {
    let unit = word.strip_suffix(".service");
    let name = unit.map(|unit| unit.split_once('@').map_or(unit, |(name, _)| name));
    name.is_some_and(|name| matches!(name, "ssh" | "sshd"))
}

/// The message without `[ID 800047 auth.info] ` of a Solaris or illumos.
fn without_id(message: &str) -> &str {
    let id = message
        .strip_prefix("[ID ")
        .and_then(|it| it.split_once("] "));
    id.map_or(message, |(_, message)| message)
}

/// Whether this is the level of a message: `auth.info`, or `<auth.info>`.
fn is_level(word: &str) -> bool {
    let bracketed = word.strip_prefix('<').and_then(|it| it.strip_suffix('>'));
    let (facility, level) = match bracketed.unwrap_or(word).split_once('.') {
        Some(parts) => parts,
        None => return false,
    };
    let facilities = ["auth", "authpriv", "security", "daemon", "user", "syslog"];
    let is_local = facility
        .strip_prefix("local")
        .is_some_and(|it| it.len() == 1);
    let levels = [
        "emerg", "panic", "alert", "crit", "err", "error", "warn", "warning", "notice", "info",
        "debug",
    ];
    (is_local || facilities.contains(&facility)) && levels.contains(&level)
}

/// `TIME HOST PROGRAM PID MSGID STRUCTURED-DATA MESSAGE`, where `-` stands for what is not known.
fn rfc_5424(line: &str) -> Option<Line<'_>> {
    let (time, rest) = line.split_once(' ')?;
    let (host, rest) = rest.split_once(' ')?;
    let (program, rest) = rest.split_once(' ')?;
    let mut rest = rest.splitn(3, ' ');
    let (_, _, rest) = (rest.next()?, rest.next()?, rest.next()?);
    if !PROGRAMS.contains(&program) {
        return Some(Line::OtherProgram);
    }
    let message = without_data(rest)?.strip_prefix(' ')?;
    Some(Line::Sshd(Framed {
        time: OffsetDateTime::parse(time, &Rfc3339).ok().map(Stamp::At),
        host: (host != "-").then(|| host.into()),
        // Some writers put a byte-order mark before it.
        message: message.trim_start_matches('\u{feff}').into(),
    }))
}

/// What follows the structured data: `-`, or elements `[ID NAME="VALUE" ...]`, in whose values a
/// backslash escapes `"`, `\` and `]` (RFC 5424, 6.3).
fn without_data(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix('-') {
        return Some(rest);
    }
    let mut rest = text.strip_prefix('[')?;
    loop {
        let mut is_escaped = false;
        let end = rest.find(|c| {
            let is_end = c == ']' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        });
        rest = rest.get(end? + 1..)?;
        match rest.strip_prefix('[') {
            Some(next) => rest = next,
            None => return Some(rest),
        }
    }
}

/// Fields of a journal entry. Those that begin with `_` come from the journal itself.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "MESSAGE")]
    message: Text,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    identifier: Option<Cow<'a, str>>,
    #[serde(rename = "__REALTIME_TIMESTAMP", default)]
    microseconds: Option<Cow<'a, str>>,
    #[serde(rename = "_HOSTNAME", default)]
    host: Option<Cow<'a, str>>,
    #[serde(rename = "_UID", default)]
    user: Option<Cow<'a, str>>,
}

/// A text field. The journal writes one that is not UTF-8 as a list of bytes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Bytes(Vec<u8>),
}

/// A field of every entry of the journal.
const CURSOR: &[u8] = b"\"__CURSOR\"";

/// A journal entry of sshd. Every user can log in sshd's name; the user id comes from the journal.
fn journal(line: &[u8]) -> Line<'_> {
    let Ok(entry) = serde_json::from_slice::<Entry<'_>>(line) else {
        // Every user can write journal entries with odd fields. sshd writes none.
        let is_entry = line.windows(CURSOR.len()).any(|it| it == CURSOR);
        return match is_entry {
            true => Line::OtherProgram,
            false => Line::Unknown,
        };
    };
    let is_sshd = entry.identifier.is_some_and(|it| PROGRAMS.contains(&&*it));
    let is_root = entry.user.is_none_or(|user| user == "0");
    if !is_sshd || !is_root {
        return Line::OtherProgram;
    }
    let microseconds = entry.microseconds.and_then(|it| it.parse::<i64>().ok());
    let time = microseconds.map(|it| OffsetDateTime::from_unix_timestamp(it / 1_000_000));
    Line::Sshd(Framed {
        time: time.and_then(Result::ok).map(Stamp::At),
        host: entry.host.map(|host| host.into_owned().into()),
        message: match entry.message {
            Text::Text(text) => text.into(),
            Text::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        },
    })
}
