//! The terminal of the person who reads: its width, and the zone of times.
//!
//! Only text on a terminal is fitted to it. A pipe, JSON and CSV get whole texts and UTC, so that
//! no script depends on the machine.

use std::io::{self, IsTerminal};

use jiff::{Timestamp, tz::TimeZone};
use time::OffsetDateTime;

/// Places of a row on stdout; none if it is no terminal, or one of unknown width.
pub(super) fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

/// A time zone for people.
pub(super) struct Zone(TimeZone);

impl Zone {
    /// The zone of `TZ`, or of the machine; none if stdout is no terminal.
    pub(super) fn of_terminal() -> Option<Self> {
        if !io::stdout().is_terminal() {
            return None;
        }
        let zone = TimeZone::system();
        // An unknown zone is UTC, and so is it named.
        Some(Self(match zone.is_unknown() {
            true => TimeZone::UTC,
            false => zone,
        }))
    }

    /// `2026-11-29 18:30:05 CET`; none beyond the years up to 9999.
    pub(super) fn format(&self, time: OffsetDateTime) -> Option<String> {
        let time = Timestamp::from_second(time.unix_timestamp()).ok()?;
        let time = time.to_zoned(self.0.clone());
        Some(time.strftime("%Y-%m-%d %H:%M:%S %Z").to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use time::macros::datetime;

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
            let zone = Zone(TimeZone::get(zone).unwrap());
            assert_eq!(zone.format(time).unwrap(), expected);
        }
        let zone = Zone(TimeZone::get("Etc/GMT-14").unwrap());
        assert!(zone.format(datetime!(9999-12-31 23:59:59 UTC)).is_none());
    }
}
