//! The frames of log lines: time, host and program around sshd's message. Pure.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use serde::Deserialize;
use time::{
    Duration, Month, OffsetDateTime, PrimitiveDateTime, format_description::well_known::Rfc3339,
};

/// The programs whose messages count: since OpenSSH 9.8 a session is a program of its own.
pub(crate) const PROGRAMS: [&str; 3] = ["sshd", "sshd-session", "sshd-auth"];

/// The time of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stamp {
    At(OffsetDateTime),
    /// RFC 3164: in the log's own zone, and without a year. The year here is 2000.
    Local(PrimitiveDateTime),
}

impl Stamp {
    /// The moment. One without a year is in this zone, and in the latest year in which it is not
    /// later than a day after `now`.
    pub(crate) fn moment(self, now: OffsetDateTime, zone: &TimeZone) -> Option<OffsetDateTime> {
        match self {
            Self::At(at) => Some(at),
            Self::Local(time) => in_zone(time, now, zone),
        }
    }
}

fn in_zone(
    time: PrimitiveDateTime,
    now: OffsetDateTime,
    zone: &TimeZone,
) -> Option<OffsetDateTime> {
    let latest = now + Duration::days(1);
    let years = (latest.year() - 8..=latest.year()).rev();
    let at = |year: i32| {
        let time = time.replace_year(year).ok()?;
        let civil = jiff::civil::DateTime::new(
            i16::try_from(year).ok()?,
            i8::try_from(u8::from(time.month())).ok()?,
            i8::try_from(time.day()).ok()?,
            i8::try_from(time.hour()).ok()?,
            i8::try_from(time.minute()).ok()?,
            i8::try_from(time.second()).ok()?,
            0,
        );
        let ambiguous = zone.to_ambiguous_timestamp(civil.ok()?);
        // An hour that comes twice, when daylight saving ends.
        let moments = [ambiguous.earlier(), ambiguous.later()].into_iter();
        let moments =
            moments.filter_map(|it| OffsetDateTime::from_unix_timestamp(it.ok()?.as_second()).ok());
        moments.min_by_key(|it| (*it - now).abs())
    };
    years.filter_map(at).find(|time| *time <= latest)
}

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
    if line.first() == Some(&b'{') {
        return journal(line);
    }
    let Ok(line) = std::str::from_utf8(line) else {
        return Line::Unknown;
    };
    if line.starts_with("Accepted ") {
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

/// `TIME HOST PROGRAM[PID]: MESSAGE`, with either form of time.
fn classic(line: &str) -> Option<Line<'_>> {
    let (time, rest) = match iso(line) {
        Some((time, rest)) => (Stamp::At(time), rest),
        None => local(line)?,
    };
    let (host, rest) = rest.split_once(' ')?;
    let (tag, message) = rest.split_once(": ")?;
    if tag.contains(' ') {
        return None;
    }
    let (program, process) = match tag.split_once('[') {
        Some((program, rest)) => (program, rest.strip_suffix(']').unwrap_or(rest)),
        None => (tag, "0"),
    };
    let is_sshd = PROGRAMS.contains(&program) && process.parse::<u32>().is_ok();
    Some(match is_sshd {
        false => Line::OtherProgram,
        true => Line::Sshd(Framed {
            time: Some(time),
            host: Some(host.into()),
            message: message.into(),
        }),
    })
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

/// An RFC 3339 time at the start, also with an offset without a colon, and the rest of the line.
fn iso(line: &str) -> Option<(OffsetDateTime, &str)> {
    let (word, rest) = line.split_once(' ')?;
    if let Ok(time) = OffsetDateTime::parse(word, &Rfc3339) {
        return Some((time, rest));
    }
    let (head, minutes) = word.split_at_checked(word.len().checked_sub(2)?)?;
    let time = OffsetDateTime::parse(&format!("{head}:{minutes}"), &Rfc3339).ok()?;
    Some((time, rest))
}

/// `Nov  9 21:30:01`, also with fractions of the second, and the rest of the line.
fn local(line: &str) -> Option<(Stamp, &str)> {
    let (month, rest) = line.split_once(' ')?;
    let month = month_named(month)?;
    let (day, rest) = rest.trim_start_matches(' ').split_once(' ')?;
    let (clock, rest) = rest.split_once(' ')?;
    let mut parts = clock.split('.').next()?.split(':');
    let mut part = || parts.next()?.parse::<u8>().ok();
    let (hour, minute, second) = (part()?, part()?, part()?);
    // 2000 is a leap year, so that the last of February parses.
    let date = time::Date::from_calendar_date(2000, month, day.parse().ok()?).ok()?;
    let time = date.with_hms(hour, minute, second.min(59)).ok()?;
    Some((Stamp::Local(time), rest))
}

fn month_named(word: &str) -> Option<Month> {
    let names = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let place = names.iter().position(|name| *name == word)?;
    Month::try_from(u8::try_from(place).ok()? + 1).ok()
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
