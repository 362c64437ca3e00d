//! Times as people write them in options: `7d` (so long ago), a day, or an exact time.
//! Pure.

use thiserror::Error;
use time::{
    Date, Duration, OffsetDateTime,
    format_description::well_known::{Iso8601, Rfc3339},
};

/// A time of an option.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// An exact time, or a duration before now.
    Exact(OffsetDateTime),
    /// The beginnings of a day and of the next one.
    Day(OffsetDateTime, OffsetDateTime),
}

/// The beginnings of a day and of the next one, in the reader's zone.
pub(crate) type Day = (OffsetDateTime, OffsetDateTime);

/// The reason why a word is not read as a time: what to write instead.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum NotATime {
    #[error("use 7d, today, 2026-01-05 or 2026-01-05T09:00:00Z")]
    Form,
    /// A day with more behind it. Without an offset, it could be a time of any zone.
    #[error(
        "a time of day needs seconds and an offset, as in 2026-01-05T09:00:00Z or 2026-01-05T09:00:00+01:00"
    )]
    TimeOfDay,
    /// 0 means no time on the wire, and each day has a next one.
    #[error("use a time from 1970-01-02 to 9999-12-30")]
    Range,
}

/// Bytes of `2026-01-05`.
const DAY: usize = 10;

impl Moment {
    /// Reads `30d`, `now`, `2026-01-05T09:00:00Z`, `2026-01-05`, `today` or `yesterday`. `day`
    /// knows the zone in which times are shown.
    ///
    /// # Errors
    /// Returns what to write instead.
    pub(crate) fn parse(
        word: &str,
        now: OffsetDateTime,
        day: impl Fn(Date) -> Option<Day>,
    ) -> Result<Self, NotATime> {
        let of_day = |found: Option<Day>| {
            let (start, end) = found.ok_or(NotATime::Range)?;
            Ok(Self::Day(start, end))
        };
        match word {
            "now" => return Ok(Self::Exact(now)),
            "today" => return of_day(today(now, &day).and_then(&day)),
            "yesterday" => {
                let yesterday = today(now, &day).and_then(Date::previous_day);
                return of_day(yesterday.and_then(&day));
            }
            _ => (),
        }
        if let Ok(back) = humantime::parse_duration(word) {
            let back = Duration::try_from(back).map_err(|_| NotATime::Range)?;
            let moment = now.checked_sub(back).ok_or(NotATime::Range)?;
            return Ok(Self::Exact(moment));
        }
        if let Ok(moment) = OffsetDateTime::parse(word, &Rfc3339) {
            return Ok(Self::Exact(moment));
        }
        let (date, rest) = word.split_at_checked(DAY).ok_or(NotATime::Form)?;
        let date = written_day(date).ok_or(NotATime::Form)?;
        match rest {
            "" => of_day(day(date)),
            _ => Err(NotATime::TimeOfDay),
        }
    }

    /// The time, or the beginning of the day.
    pub(crate) fn start(&self) -> OffsetDateTime {
        match self {
            Self::Exact(time) | Self::Day(time, _) => *time,
        }
    }

    /// The time, or the beginning of the day, in Unix seconds and nanoseconds after them. The
    /// ledger has parts of seconds, and a time that is copied from it means that one.
    ///
    /// # Errors
    /// Returns [`NotATime::Range`] for a time that the wire does not have.
    pub(crate) fn exact(self) -> Result<(u64, u32), NotATime> {
        let nanos = self.start().nanosecond();
        self.seconds().map(|(start, _)| (start, nanos))
    }

    /// Beginning and end in Unix seconds: of the day, or of one second.
    ///
    /// # Errors
    /// Returns [`NotATime::Range`] for a time that the wire does not have.
    pub(crate) fn seconds(self) -> Result<(u64, u64), NotATime> {
        let second = |time: OffsetDateTime| u64::try_from(time.unix_timestamp()).ok();
        let times = match self {
            Self::Exact(time) => second(time).map(|start| (start, start.saturating_add(1))),
            Self::Day(start, end) => second(start).zip(second(end)),
        };
        times.filter(|(start, _)| *start > 0).ok_or(NotATime::Range)
    }
}

/// The day that `now` is in.
fn today(now: OffsetDateTime, day: impl Fn(Date) -> Option<Day>) -> Option<Date> {
    // A zone is at most a day ahead of UTC or behind.
    let near = [
        Some(now.date()),
        now.date().next_day(),
        now.date().previous_day(),
    ];
    let is_now = |date: &Date| day(*date).is_some_and(|(start, end)| start <= now && now < end);
    near.into_iter().flatten().find(is_now)
}

/// A day as `2026-01-05`. ISO 8601 has more forms of a day, which a number or the beginning of a
/// time can be by mistake.
fn written_day(word: &str) -> Option<Date> {
    let is_written = |(at, byte): (usize, u8)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    let is_day = word.len() == DAY && word.bytes().enumerate().all(is_written);
    Date::parse(word, &Iso8601::DATE).ok().filter(|_| is_day)
}

/// A day of UTC.
pub(crate) fn utc_day(date: Date) -> Option<Day> {
    let next = date.next_day()?;
    Some((date.midnight().assume_utc(), next.midnight().assume_utc()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use time::{
        UtcOffset,
        macros::{date, datetime, offset},
    };

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-29 12:00 UTC);

    fn read(word: &str) -> Result<(u64, u64), NotATime> {
        Moment::parse(word, NOW, utc_day).and_then(Moment::seconds)
    }

    #[test]
    fn days_times_and_durations_are_read() {
        let second = |time: OffsetDateTime| u64::try_from(time.unix_timestamp()).unwrap();
        let day = second(datetime!(2026-11-22 0:00 UTC));
        for (word, expected) in [
            ("2026-11-22", (day, day + 86_400)),
            ("2026-11-22T00:00:00Z", (day, day + 1)),
            ("2026-11-22T00:00:00.5Z", (day, day + 1)),
            ("2026-11-22T01:00:00+01:00", (day, day + 1)),
            ("7d", (day + 43_200, day + 43_201)),
            ("now", (second(NOW), second(NOW) + 1)),
            ("today", (day + 7 * 86_400, day + 8 * 86_400)),
            ("yesterday", (day + 6 * 86_400, day + 7 * 86_400)),
        ] {
            assert_eq!(read(word), Ok(expected), "{word}");
        }
    }

    /// The part of a second was dropped: `--since ...05.9Z` listed the events of 05.5.
    #[test]
    fn the_part_of_a_second_stays() {
        let second = |time: OffsetDateTime| u64::try_from(time.unix_timestamp()).unwrap();
        let day = second(datetime!(2026-11-22 0:00 UTC));
        for (word, expected) in [
            ("2026-11-22T00:00:05.9Z", (day + 5, 900_000_000)),
            ("2026-11-22T00:00:05.000000001Z", (day + 5, 1)),
            ("2026-11-22T00:00:05Z", (day + 5, 0)),
            ("2026-11-22", (day, 0)),
        ] {
            let exact = Moment::parse(word, NOW, utc_day).and_then(Moment::exact);
            assert_eq!(exact, Ok(expected), "{word}");
        }
    }

    /// The time of day was dropped: each of these meant the whole day.
    #[test]
    fn a_time_of_day_without_an_offset_is_not_the_whole_day() {
        for (word, expected) in [
            ("2026-11-30T23:00:00", NotATime::TimeOfDay),
            ("2026-11-30T23:00:00.5", NotATime::TimeOfDay),
            ("2026-11-30T16:24Z", NotATime::TimeOfDay),
            ("2026-11-30T16:24:00+0530", NotATime::TimeOfDay),
            ("2026-11-30T16", NotATime::TimeOfDay),
            ("2026-11-30 16:24:00", NotATime::TimeOfDay),
            ("2026-11-30T", NotATime::TimeOfDay),
            ("2026-11-30Z", NotATime::TimeOfDay),
            ("2026-11-30 ", NotATime::TimeOfDay),
            ("20261130", NotATime::Form),
            ("20261130T162400Z", NotATime::Form),
            ("2026-W48-1", NotATime::Form),
            ("2026W481", NotATime::Form),
            ("2026-334", NotATime::Form),
            ("+002026-11-30", NotATime::Form),
            ("2026-11", NotATime::Form),
        ] {
            assert_eq!(read(word), Err(expected), "{word}");
        }
    }

    #[test]
    fn a_time_that_is_none_or_out_of_range_is_refused() {
        for (word, expected) in [
            ("", NotATime::Form),
            ("soon", NotATime::Form),
            ("2026-13-01", NotATime::Form),
            ("2026-02-30", NotATime::Form),
            ("-1d", NotATime::Form),
            ("\u{0662}d", NotATime::Form),
            ("\u{0662}\u{0662}\u{0662}\u{0662}\u{0662}", NotATime::Form),
            ("9999-12-31", NotATime::Range),
            ("1969-12-31", NotATime::Range),
            ("1970-01-01", NotATime::Range),
            ("1969-12-31T23:59:59Z", NotATime::Range),
            ("60y", NotATime::Range),
            ("999999999y", NotATime::Range),
        ] {
            assert_eq!(read(word), Err(expected), "{word:?}");
        }
    }

    #[test]
    fn today_is_the_day_of_the_zone() {
        let in_zone = |offset: UtcOffset| {
            move |date: Date| {
                let start = |date: Date| date.midnight().assume_offset(offset);
                Some((start(date), start(date.next_day()?)))
            }
        };
        for (offset, now, expected) in [
            (
                offset!(+14),
                datetime!(2026-11-29 12:00 UTC),
                date!(2026 - 11 - 30),
            ),
            (
                offset!(-12),
                datetime!(2026-11-29 11:00 UTC),
                date!(2026 - 11 - 28),
            ),
            (
                offset!(UTC),
                datetime!(2026-11-29 0:00 UTC),
                date!(2026 - 11 - 29),
            ),
        ] {
            let (start, end) = in_zone(offset)(expected).unwrap();
            let found = Moment::parse("today", now, in_zone(offset));
            assert_eq!(found, Ok(Moment::Day(start, end)), "{offset}");
        }
    }
}
