//! Hours by the wall clock, over nights, weekends and clock changes.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn hours(text: &str) -> Result<Hours, String> {
    let raw: file::Hours = toml::from_str(text).map_err(|error| error.to_string())?;
    Hours::load(&raw)
}

fn at(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap()
}

const OFFICE: &str = "days = 'mon-fri'\nfrom = '08:00'\nto = '18:00'\nzone = 'Europe/Berlin'";
const NIGHT: &str = "days = 'fri'\nfrom = '22:00'\nto = '06:00'\nzone = 'Europe/Berlin'";
/// Clocks in Berlin skip 02:00-03:00 on 2026-03-29 and repeat it on 2026-10-25.
const GAP: &str = "from = '02:30'\nto = '04:00'\nzone = 'Europe/Berlin'";
const LOST: &str = "from = '02:10'\nto = '02:50'\nzone = 'Europe/Berlin'";
const TWICE: &str = "from = '02:30'\nto = '02:45'\nzone = 'Europe/Berlin'";
const LATE: &str = "from = '00:00'\nto = '02:30'\nzone = 'Europe/Berlin'";
const WEEKDAYS: &str = "days = ['mon', 'tue-fri']\nzone = 'UTC'";

/// (case, hours, now, opening time (empty: open now), closing time)
#[test]
fn hours_open_and_close_by_the_wall_clock() {
    for (case, text, now, change) in [
        (
            "the first minute",
            OFFICE,
            "2026-01-05T07:00:00Z",
            "closes 2026-01-05T18:00:00+01:00",
        ),
        (
            "a moment before",
            OFFICE,
            "2026-01-05T06:59:59.9Z",
            "opens 2026-01-05T08:00:00+01:00",
        ),
        (
            "the last moment",
            OFFICE,
            "2026-01-05T16:59:59.9Z",
            "closes 2026-01-05T18:00:00+01:00",
        ),
        (
            "the first moment after",
            OFFICE,
            "2026-01-05T17:00:00Z",
            "opens 2026-01-06T08:00:00+01:00",
        ),
        (
            "in summer the clock is another",
            OFFICE,
            "2026-07-06T06:00:00Z",
            "closes 2026-07-06T18:00:00+02:00",
        ),
        (
            "a weekend with a change of clocks",
            OFFICE,
            "2026-03-27T20:00:00Z",
            "opens 2026-03-30T08:00:00+02:00",
        ),
        (
            "monday there, sunday here",
            "days = 'mon'\nfrom = '00:00'\nto = '08:00'\nzone = 'Pacific/Auckland'",
            "2026-01-04T12:00:00Z",
            "closes 2026-01-05T08:00:00+13:00",
        ),
        (
            "the evening of a night",
            NIGHT,
            "2026-01-09T21:30:00Z",
            "closes 2026-01-10T06:00:00+01:00",
        ),
        (
            "its morning, though saturday is not named",
            NIGHT,
            "2026-01-10T04:59:59Z",
            "closes 2026-01-10T06:00:00+01:00",
        ),
        (
            "the next evening",
            NIGHT,
            "2026-01-10T21:30:00Z",
            "opens 2026-01-16T22:00:00+01:00",
        ),
        (
            "friday's own morning",
            NIGHT,
            "2026-01-09T03:00:00Z",
            "opens 2026-01-09T22:00:00+01:00",
        ),
        (
            "a night of the year in which an hour is lost",
            "days='sat'\nfrom='22:00'\nto='06:00'\nzone='Europe/Berlin'",
            "2026-03-28T22:00:00Z",
            "closes 2026-03-29T06:00:00+02:00",
        ),
        (
            "a beginning that the clocks leave out",
            GAP,
            "2026-03-29T00:59:59Z",
            "opens 2026-03-29T03:00:00+02:00",
        ),
        (
            "hours that the clocks leave out",
            LOST,
            "2026-03-29T00:30:00Z",
            "opens 2026-03-30T02:10:00+02:00",
        ),
        (
            "the first of two",
            TWICE,
            "2026-10-25T00:00:00Z",
            "opens 2026-10-25T02:30:00+02:00",
        ),
        (
            "the second of two",
            TWICE,
            "2026-10-25T00:50:00Z",
            "opens 2026-10-25T02:30:00+01:00",
        ),
        (
            "after the second",
            TWICE,
            "2026-10-25T01:50:00Z",
            "opens 2026-10-26T02:30:00+01:00",
        ),
        (
            "open again when the clocks go back",
            LATE,
            "2026-10-25T00:40:00Z",
            "opens 2026-10-25T02:00:00+01:00",
        ),
        (
            "whole days run into one another",
            WEEKDAYS,
            "2026-01-05T12:00:00Z",
            "closes 2026-01-10T00:00:00Z",
        ),
        (
            "to midnight",
            "from = '12:00'\nto = '24:00'\nzone = 'UTC'",
            "2026-01-05T13:00:00Z",
            "closes 2026-01-06T00:00:00Z",
        ),
        (
            "over the year",
            "days = 'sun-mon'\nzone = 'UTC'",
            "2026-12-29T00:00:00Z",
            "opens 2027-01-03T00:00:00Z",
        ),
    ] {
        let (hours, now) = (hours(text).unwrap(), at(now));
        let got = if hours.contains(now) {
            format!("closes {}", rfc3339(hours.closes(now).unwrap()))
        } else {
            format!("opens {}", rfc3339(hours.opens(now).unwrap()))
        };
        assert_eq!(got, change, "{case}");
    }
}

#[test]
fn an_edge_is_an_edge() {
    for text in [OFFICE, NIGHT, GAP, LOST, TWICE, LATE, WEEKDAYS] {
        let hours = hours(text).unwrap();
        for step in 0..2_000 {
            let now = at("2026-03-20T00:07:00Z") + time::Duration::hours(step * 5);
            let open = hours.contains(now);
            let edge = if open {
                hours.closes(now)
            } else {
                hours.opens(now)
            };
            let edge = edge.unwrap();
            assert!(edge > now, "{text} {now}");
            assert_eq!(hours.contains(edge), !open, "{text} {now} {edge}");
            let before = edge - time::Duration::SECOND;
            assert!(
                before < now || hours.contains(before) == open,
                "{text} {now} {edge}"
            );
        }
    }
}

#[test]
fn hours_are_shown_as_an_author_would_write_them() {
    for (text, shown) in [
        (OFFICE, "mon-fri 08:00-18:00 Europe/Berlin"),
        (WEEKDAYS, "mon-fri 00:00-24:00 UTC"),
        (GAP, "mon-sun 02:30-04:00 Europe/Berlin"),
        (
            "days = 'sat-mon, wed'\nzone = 'UTC'",
            "mon,wed,sat,sun 00:00-24:00 UTC",
        ),
    ] {
        assert_eq!(hours(text).unwrap().to_string(), shown);
    }
}

#[test]
fn hours_that_mean_nothing_do_not_load() {
    for (case, text, part) in [
        (
            "an unknown zone",
            "days = 'mon'\nzone = 'Europe/Berlim'",
            "not a time zone",
        ),
        (
            "a path for a zone",
            "days = 'mon'\nzone = '../../etc/passwd'",
            "not a time zone",
        ),
        (
            "an empty zone",
            "days = 'mon'\nzone = ''",
            "not a time zone",
        ),
        ("no zone", "days = 'mon'", "zone"),
        (
            "an unknown day",
            "days = 'mon-fry'\nzone = 'UTC'",
            "not a day",
        ),
        ("an empty list", "days = []\nzone = 'UTC'", "no day"),
        ("an empty text", "days = ''\nzone = 'UTC'", "not a day"),
        (
            "a trailing comma",
            "days = 'mon,'\nzone = 'UTC'",
            "not a day",
        ),
        (
            "three ends",
            "days = 'mon-tue-wed'\nzone = 'UTC'",
            "not a day",
        ),
        ("no time", "from = '8'\nzone = 'UTC'", "not a time of day"),
        (
            "a signed time",
            "from = '+8:00'\nzone = 'UTC'",
            "not a time of day",
        ),
        (
            "minute 60",
            "from = '08:60'\nzone = 'UTC'",
            "not a time of day",
        ),
        (
            "after midnight",
            "to = '24:01'\nzone = 'UTC'",
            "not a time of day",
        ),
        (
            "nothing between",
            "from = '08:00'\nto = '08:00'\nzone = 'UTC'",
            "leave no hours",
        ),
        (
            "from midnight's other name",
            "from = '24:00'\nto = '08:00'\nzone = 'UTC'",
            "leave no hours",
        ),
        ("always", "zone = 'UTC'", "all week"),
        ("an unknown key", "until = '08:00'\nzone = 'UTC'", "until"),
    ] {
        let error = hours(text).unwrap_err();
        assert!(error.contains(part), "{case}: {error}");
    }
}
