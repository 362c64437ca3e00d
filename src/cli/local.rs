//! The terminal of the person who reads: its width, and the zone of times.
//!
//! Only text on a terminal is fitted to it. A pipe, JSON and CSV get whole texts and UTC, so that
//! no script depends on the machine.

use std::io::{self, IsTerminal};

use jiff::{Timestamp, civil, tz::TimeZone};
use time::{Date, OffsetDateTime};

use super::output::Format;

/// Places of a row on stdout; none if it is no terminal, or one of unknown width.
pub(super) fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

/// The zone of times in an answer, and of days in its question: of the reader, or UTC as programs
/// write it (RFC 3339).
pub(super) struct Zone(Option<TimeZone>);

impl Zone {
    /// UTC, for programs and for people who compare places.
    pub(super) const UTC: Self = Self(None);

    /// The zone of `TZ`, or of the machine, for text on a terminal. Otherwise UTC.
    pub(super) fn of(format: Format) -> Self {
        match format {
            Format::Text if io::stdout().is_terminal() => {
                let zone = TimeZone::system();
                // An unknown zone is UTC, and so is it named.
                Self(Some(match zone.is_unknown() {
                    true => TimeZone::UTC,
                    false => zone,
                }))
            }
            Format::Text | Format::Json | Format::Csv => Self::UTC,
        }
    }

    /// `2026-11-29 18:30:05 CET`; none for programs, and beyond the years up to 9999.
    pub(super) fn format(&self, time: OffsetDateTime) -> Option<String> {
        let time = Timestamp::from_second(time.unix_timestamp()).ok()?;
        let time = time.to_zoned(self.0.clone()?);
        Some(time.strftime("%Y-%m-%d %H:%M:%S %Z").to_string())
    }

    /// The beginnings of this day and of the next one, which is not always 24 hours later. None
    /// outside of the years up to 9999.
    pub(super) fn day(&self, date: Date) -> Option<(OffsetDateTime, OffsetDateTime)> {
        let zone = self.0.clone().unwrap_or(TimeZone::UTC);
        let start = |day: civil::Date| {
            let start = day.to_zoned(zone.clone()).ok()?.start_of_day().ok()?;
            OffsetDateTime::from_unix_timestamp(start.timestamp().as_second()).ok()
        };
        let month = i8::try_from(u8::from(date.month())).ok()?;
        let (year, day) = (
            i16::try_from(date.year()).ok()?,
            i8::try_from(date.day()).ok()?,
        );
        let day = civil::Date::new(year, month, day).ok()?;
        Some((start(day)?, start(day.tomorrow().ok()?)?))
    }

    /// The zone's name (`Europe/Vienna`), if its days may be other ones than those of UTC.
    pub(super) fn name(&self) -> Option<&str> {
        let zone = self.0.as_ref().filter(|zone| **zone != TimeZone::UTC)?;
        Some(zone.iana_name().unwrap_or("this machine's zone"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn a_time_names_its_zone() {
        for (zone, time, expected) in [
            (
                "Europe/Vienna",
                datetime!(2026-11-29 17:30:05.9 UTC),
                "2026-11-29 18:30:05 CET",
            ),
            (
                "Europe/Vienna",
                datetime!(2026-07-01 23:30 UTC),
                "2026-07-02 01:30:00 CEST",
            ),
            (
                "Asia/Kathmandu",
                datetime!(2026-11-29 0:00 UTC),
                "2026-11-29 05:45:00 +0545",
            ),
            (
                "UTC",
                datetime!(2026-11-29 0:00 UTC),
                "2026-11-29 00:00:00 UTC",
            ),
        ] {
            let zone = Zone(Some(TimeZone::get(zone).unwrap()));
            assert_eq!(zone.format(time).unwrap(), expected);
        }
        let zone = Zone(Some(TimeZone::get("Etc/GMT-14").unwrap()));
        assert!(zone.format(datetime!(9999-12-31 23:59:59 UTC)).is_none());
    }

    #[test]
    fn a_day_begins_and_ends_at_midnight_of_its_zone() {
        for (zone, day, start, end) in [
            (
                "UTC",
                date!(2026 - 11 - 22),
                datetime!(2026-11-22 0:00 UTC),
                datetime!(2026-11-23 0:00 UTC),
            ),
            (
                "Pacific/Auckland",
                date!(2026 - 11 - 22),
                datetime!(2026-11-21 11:00 UTC),
                datetime!(2026-11-22 11:00 UTC),
            ),
            (
                "a day of 25 hours: Europe/Vienna",
                date!(2026 - 10 - 25),
                datetime!(2026-10-24 22:00 UTC),
                datetime!(2026-10-25 23:00 UTC),
            ),
            (
                "a day without midnight: America/Santiago",
                date!(2026 - 09 - 06),
                datetime!(2026-09-06 4:00 UTC),
                datetime!(2026-09-07 3:00 UTC),
            ),
        ] {
            let name = zone.rsplit(' ').next().unwrap();
            let found = Zone(Some(TimeZone::get(name).unwrap())).day(day);
            assert_eq!(found, Some((start, end)), "{zone}");
        }
        assert_eq!(Zone::UTC.day(date!(9999 - 12 - 31)), None);
    }
}
