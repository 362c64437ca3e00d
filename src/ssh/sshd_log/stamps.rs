//! The times at the beginning of log lines, with and without a zone or a year. Pure.

use jiff::tz::TimeZone;
use time::{
    Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset,
    format_description::well_known::Rfc3339,
};

/// The time of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stamp {
    At(OffsetDateTime),
    /// In the log's own zone.
    Zoneless(PrimitiveDateTime),
    /// RFC 3164: in the log's own zone, and without a year. The year here is 2000.
    Local(PrimitiveDateTime),
}

impl Stamp {
    /// The moment. One without a zone is in this one. One without a year is in the latest year in
    /// which it is not later than a day after `now`.
    pub(crate) fn moment(self, now: OffsetDateTime, zone: &TimeZone) -> Option<OffsetDateTime> {
        let latest = now + Duration::days(1);
        match self {
            Self::At(at) => Some(at),
            Self::Zoneless(time) => in_zone(time, now, zone),
            Self::Local(time) => {
                let years = (latest.year() - 8..=latest.year()).rev();
                let times = years.filter_map(|year| time.replace_year(year).ok());
                times
                    .filter_map(|time| in_zone(time, now, zone))
                    .find(|time| *time <= latest)
            }
        }
    }

    /// Whether it says which zone it is in.
    pub(crate) fn has_zone(self) -> bool {
        match self {
            Self::At(_) => true,
            Self::Zoneless(_) | Self::Local(_) => false,
        }
    }
}

/// The moment of this time in a zone. Of an hour that comes twice, when daylight saving ends, it is
/// the one nearer to `now`.
fn in_zone(
    time: PrimitiveDateTime,
    now: OffsetDateTime,
    zone: &TimeZone,
) -> Option<OffsetDateTime> {
    let civil = jiff::civil::DateTime::new(
        i16::try_from(time.year()).ok()?,
        i8::try_from(u8::from(time.month())).ok()?,
        i8::try_from(time.day()).ok()?,
        i8::try_from(time.hour()).ok()?,
        i8::try_from(time.minute()).ok()?,
        i8::try_from(time.second()).ok()?,
        0,
    );
    let ambiguous = zone.to_ambiguous_timestamp(civil.ok()?);
    let moments = [ambiguous.earlier(), ambiguous.later()].into_iter();
    let moments =
        moments.filter_map(|it| OffsetDateTime::from_unix_timestamp(it.ok()?.as_second()).ok());
    moments.min_by_key(|it| (*it - now).abs())
}

/// Reads `+02:00`, `+0200`, `+02`, `UTC`, `GMT` or `Z`.
pub(crate) fn offset(text: &str) -> Option<UtcOffset> {
    if matches!(text, "UTC" | "GMT" | "Z") {
        return Some(UtcOffset::UTC);
    }
    let (sign, digits) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(digits), _) => (1, digits),
        (None, Some(digits)) => (-1, digits),
        (None, None) => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None => digits.split_at_checked(2)?,
    };
    let number = |text: &str| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i8>().ok().filter(|_| is_number)
    };
    let minutes = match minutes {
        "" if !digits.contains(':') => 0,
        minutes => number(minutes).filter(|it| *it < 60)?,
    };
    UtcOffset::from_hms(sign * number(hours)?, sign * minutes, 0).ok()
}

/// The time at the start of a line, if it is one of a clock, and the rest of the line.
pub(super) fn stamp(line: &str) -> Option<(Option<Stamp>, &str)> {
    if let Some(rest) = line.strip_prefix('[') {
        return Some((None, since_start(rest)?));
    }
    let (word, rest) = line.split_once(' ')?;
    let (stamp, rest) = match is_weekday(word) {
        true => after_weekday(rest)?,
        false => one_word(word)
            .map(|stamp| (stamp, rest))
            .or_else(|| dated(line))
            .or_else(|| year_first(word, rest))
            .or_else(|| local(line))?,
    };
    Some((Some(stamp), rest))
}

/// `[ 1234.567890] ` or `[ 1234.567890 <    0.1 >] `: seconds since the start (`journalctl -o
/// short-monotonic`, `short-delta`). Returns what follows.
fn since_start(rest: &str) -> Option<&str> {
    let (seconds, rest) = rest.split_once("] ")?;
    let seconds = seconds.split_whitespace().next()?;
    let is_number = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    seconds.bytes().all(is_number).then_some(rest)
}

/// `2026-11-29T21:30:01.5+01:00`, also with an offset without a colon or without any, or
/// `1795987801.123456` (`journalctl -o short-unix`).
fn one_word(word: &str) -> Option<Stamp> {
    if let Ok(time) = OffsetDateTime::parse(word, &Rfc3339) {
        return Some(Stamp::At(time));
    }
    if let Some((day, rest)) = word.split_once('T') {
        let date = date(day)?;
        let end = rest.find(['+', '-', 'Z']).unwrap_or(rest.len());
        let (clock, zone) = rest.split_at_checked(end)?;
        let time = date.with_time(clock_time(clock)?);
        return match zone {
            "" => Some(Stamp::Zoneless(time)),
            zone => Some(Stamp::At(time.assume_offset(offset(zone)?))),
        };
    }
    let seconds = word.split_once('.').map_or(word, |(seconds, _)| seconds);
    let is_clock = (9..=11).contains(&seconds.len());
    let seconds = seconds.parse().ok().filter(|_| is_clock)?;
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    Some(Stamp::At(time))
}

fn is_weekday(word: &str) -> bool {
    ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].contains(&word)
}

/// `2026-11-29 21:30:01 CET ` (`journalctl -o short-full`), or `Nov 29 21:30:01 2026 `. A zone that
/// has no number is that of the log: more than one zone is called `CST`.
fn after_weekday(line: &str) -> Option<(Stamp, &str)> {
    if let Some((stamp, rest)) = dated(line) {
        let has_zone = stamp.has_zone();
        return match has_zone {
            true => Some((stamp, rest)),
            false => Some((stamp, rest.split_once(' ')?.1)),
        };
    }
    let (stamp, rest) = local(line)?;
    let (word, after) = rest.split_once(' ')?;
    match (stamp, year(word)) {
        (Stamp::Local(time), Some(year)) => Some((in_year(time, year)?, after)),
        _ => Some((stamp, rest)),
    }
}

/// `2026-11-29 21:30:01 ` and perhaps an offset.
fn dated(line: &str) -> Option<(Stamp, &str)> {
    let (day, rest) = line.split_once(' ')?;
    let date = date(day)?;
    let (clock, rest) = rest.split_once(' ')?;
    let time = date.with_time(clock_time(clock)?);
    let zoned = rest.split_once(' ').and_then(|(word, after)| {
        let offset = offset(word)?;
        Some((Stamp::At(time.assume_offset(offset)), after))
    });
    Some(zoned.unwrap_or((Stamp::Zoneless(time), rest)))
}

/// `2026 Nov 29 21:30:01 ` (syslog-ng's `full`).
fn year_first<'a>(word: &str, rest: &'a str) -> Option<(Stamp, &'a str)> {
    let year = year(word)?;
    match local(rest)? {
        (Stamp::Local(time), rest) => Some((in_year(time, year)?, rest)),
        (Stamp::At(_) | Stamp::Zoneless(_), _) => None,
    }
}

/// `Nov  9 21:30:01 `, also with fractions of the second, or `Nov  9 2026 21:30:01 `.
fn local(line: &str) -> Option<(Stamp, &str)> {
    let (month, rest) = line.split_once(' ')?;
    let month = month_named(month)?;
    let (day, rest) = rest.trim_start_matches(' ').split_once(' ')?;
    let (clock, rest) = rest.split_once(' ')?;
    // 2000 is a leap year, so that the last of February parses.
    let date = Date::from_calendar_date(2000, month, day.parse().ok()?).ok()?;
    if let Some(year) = year(clock) {
        let (clock, rest) = rest.split_once(' ')?;
        return Some((in_year(date.with_time(clock_time(clock)?), year)?, rest));
    }
    Some((Stamp::Local(date.with_time(clock_time(clock)?)), rest))
}

fn in_year(time: PrimitiveDateTime, year: i32) -> Option<Stamp> {
    time.replace_year(year).ok().map(Stamp::Zoneless)
}

/// `2026-11-29`.
fn date(word: &str) -> Option<Date> {
    let (years, rest) = word.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
    Date::from_calendar_date(year(years)?, month, day.parse().ok()?).ok()
}

fn year(word: &str) -> Option<i32> {
    let is_year = word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| is_year)
}

/// `21:30:01`, with or without fractions, which are left out.
fn clock_time(clock: &str) -> Option<Time> {
    let mut parts = clock.split(['.', ',']).next()?.split(':');
    let mut part = || parts.next()?.parse::<u8>().ok();
    let (hour, minute, second) = (part()?, part()?, part()?);
    Time::from_hms(hour, minute, second.min(59)).ok()
}

fn month_named(word: &str) -> Option<Month> {
    let names = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let place = names.iter().position(|name| *name == word)?;
    Month::try_from(u8::try_from(place).ok()? + 1).ok()
}
