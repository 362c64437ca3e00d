//! Opening hours of a role: weekdays and hours by the wall clock of one time zone.
//!
//! A range that ends before it begins crosses midnight and belongs to the day on which it begins.
//! The wall clock decides: an hour that a clock change skips is never open, and one that it repeats
//! is open twice.

use std::{fmt, sync::LazyLock};

use jiff::{
    Timestamp, ToSpan, Zoned,
    civil::{Date, Time, Weekday},
    tz::{TimeZone, TimeZoneDatabase},
};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use super::file;

/// The time zone database inside the binary: the same on every replica.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Minutes in a day.
const DAY: u16 = 24 * 60;

/// Number of days in which every range opens and closes again.
const HORIZON: i64 = 9;

/// Names of the days, in the order of a week.
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// `hours = { days, from, to, zone }`.
#[derive(Clone, Debug)]
pub(crate) struct Hours {
    /// Open days, Monday first.
    days: [bool; 7],
    /// Opening time, in minutes after midnight.
    from: u16,
    /// Closing time, in minutes after midnight, at most [`DAY`]. If it is below `from`, it is on
    /// the next day.
    to: u16,
    zone: TimeZone,
    /// The author's text.
    written: String,
}

impl Hours {
    /// Parses `hours`. Without `days` every day counts, without `from` and `to` the whole day.
    ///
    /// # Errors
    /// Returns a sentence for the policy's author if a day, time or zone does not exist, or the
    /// hours are always or never open.
    pub(super) fn load(raw: &file::Hours) -> Result<Self, String> {
        let days = raw.days.as_ref().map_or(Ok([true; 7]), days)?;
        let from = raw.from.as_deref().map_or(Ok(0), minutes)?;
        let to = raw.to.as_deref().map_or(Ok(DAY), minutes)?;
        let zone = ZONES.get(&raw.zone).map_err(|_| {
            format!(
                "{:?} is not a time zone; write one of the IANA database such as \"Europe/Berlin\" or \"UTC\"",
                raw.zone
            )
        })?;
        if from == to || from == DAY {
            return Err("`from` and `to` leave no hours; write for example from = \"08:00\", to = \"18:00\"".to_owned());
        }
        if days == [true; 7] && (from, to) == (0, DAY) {
            return Err(
                "`hours` are open all week; name `days`, or `from` and `to`, or remove it"
                    .to_owned(),
            );
        }
        Ok(Self {
            written: written(&days, from, to, &raw.zone),
            days,
            from,
            to,
            zone,
        })
    }

    /// Whether the role is open at `now`.
    pub(crate) fn contains(&self, now: OffsetDateTime) -> bool {
        timestamp(now).is_some_and(|now| self.is_open(now))
    }

    /// The next opening; `None` if it is outside the supported years.
    pub(crate) fn opens(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.next(timestamp(now)?, |open| open)
    }

    /// The next closing; `None` if there is none within `HORIZON` days.
    pub(crate) fn closes(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        self.next(timestamp(now)?, |open| !open)
    }

    /// The earliest moment after `now` that is open (or not). Hours change only at their edges, at
    /// midnight, and at clock changes.
    fn next(&self, now: Timestamp, wanted: impl Fn(bool) -> bool) -> Option<OffsetDateTime> {
        let today = now.to_zoned(self.zone.clone()).date();
        let end = now.checked_add((HORIZON * 24).hours()).ok()?;
        let edges = (-1..=HORIZON).filter_map(|ahead| today.checked_add(ahead.days()).ok());
        let edges = edges.flat_map(|day| [0, self.from, self.to % DAY].map(|at| (day, at)));
        let edges = edges.flat_map(|(day, at)| self.moments(day, at));
        let changes = self.zone.following(now).map(|change| change.timestamp());
        let changes = changes.take_while(|change| *change <= end);
        let candidates = edges.chain(changes).filter(|moment| *moment > now);
        let found = candidates
            .filter(|moment| wanted(self.is_open(*moment)))
            .min()?;
        let found = OffsetDateTime::from_unix_timestamp(found.as_second()).ok()?;
        Some(self.local(found))
    }

    /// The moments at which the zone's clocks show a time: none, one or two.
    fn moments(&self, day: Date, minute: u16) -> Vec<Timestamp> {
        let Some(time) = time_of(minute) else {
            return Vec::new();
        };
        let shown = self.zone.to_ambiguous_timestamp(day.to_datetime(time));
        let moments = [shown.earlier(), shown.later()];
        moments.into_iter().filter_map(Result::ok).collect()
    }

    fn is_open(&self, moment: Timestamp) -> bool {
        let clock: Zoned = moment.to_zoned(self.zone.clone());
        let minute =
            u16::from(clock.hour().unsigned_abs()) * 60 + u16::from(clock.minute().unsigned_abs());
        let today = self.covers(clock.weekday());
        if self.from < self.to {
            return today && (self.from..self.to).contains(&minute);
        }
        today && minute >= self.from || self.covers(clock.weekday().previous()) && minute < self.to
    }

    fn covers(&self, day: Weekday) -> bool {
        let day = usize::from(day.to_monday_zero_offset().unsigned_abs());
        self.days.get(day).copied().unwrap_or(false)
    }

    /// The same moment with the zone's offset, for people.
    fn local(&self, moment: OffsetDateTime) -> OffsetDateTime {
        let offset = timestamp(moment).map(|moment| self.zone.to_offset(moment).seconds());
        let offset = offset.and_then(|seconds| UtcOffset::from_whole_seconds(seconds).ok());
        moment.to_offset(offset.unwrap_or(UtcOffset::UTC))
    }
}

/// The hours as an author writes them: `mon-fri 08:00-18:00 Europe/Berlin`.
impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// A moment in RFC 3339.
pub(super) fn rfc3339(moment: OffsetDateTime) -> String {
    moment.format(&Rfc3339).unwrap_or_default()
}

/// The name of a moment's weekday: `mon`.
pub(super) fn weekday(moment: OffsetDateTime) -> &'static str {
    let day = usize::from(moment.weekday().number_days_from_monday());
    DAYS.get(day).map_or("", |(name, _)| name)
}

fn timestamp(moment: OffsetDateTime) -> Option<Timestamp> {
    Timestamp::from_nanosecond(moment.unix_timestamp_nanos()).ok()
}

fn time_of(minute: u16) -> Option<Time> {
    let (hour, minute) = (
        i8::try_from(minute / 60).ok()?,
        i8::try_from(minute % 60).ok()?,
    );
    Time::new(hour, minute, 0, 0).ok()
}

/// Parses `mon-fri`, `mon,wed`, `fri-mon`, or a list of these.
fn days(raw: &file::Days) -> Result<[bool; 7], String> {
    let parts: Vec<&str> = match raw {
        file::Days::Text(text) => text.split(',').map(str::trim).collect(),
        file::Days::List(list) => list.iter().map(String::as_str).collect(),
    };
    if parts.is_empty() {
        return Err("`days` names no day; write for example \"mon-fri\"".to_owned());
    }
    let mut days = [false; 7];
    for part in parts {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let span = (last + 7 - first) % 7;
        for at in (first..=first + span).map(|day| day % 7) {
            if let Some(day) = days.get_mut(at) {
                *day = true;
            }
        }
    }
    Ok(days)
}

fn day(name: &str) -> Result<usize, String> {
    let name = name.trim();
    DAYS.iter().position(|(known, _)| *known == name).ok_or_else(|| {
        format!("{name:?} is not a day; write mon, tue, wed, thu, fri, sat or sun, ranges such as \"mon-fri\", and commas")
    })
}

/// Parses `HH:MM`, at most `24:00`.
fn minutes(text: &str) -> Result<u16, String> {
    let number = |digits: &str| -> Option<u16> {
        let two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        two.then(|| digits.parse().ok()).flatten()
    };
    let parsed = text.split_once(':');
    let parsed = parsed.and_then(|(hour, minute)| Some((number(hour)?, number(minute)?)));
    match parsed {
        Some((hour, minute)) if minute < 60 && hour * 60 + minute <= DAY => Ok(hour * 60 + minute),
        _ => Err(format!(
            "{text:?} is not a time of day; write HH:MM, from \"00:00\" to \"24:00\""
        )),
    }
}

fn written(days: &[bool; 7], from: u16, to: u16, zone: &str) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut run: Option<(usize, usize)> = None;
    for at in 0..=7 {
        match (days.get(at).copied().unwrap_or(false), run) {
            (true, None) => run = Some((at, at)),
            (true, Some((first, _))) => run = Some((first, at)),
            (false, Some((first, last))) => {
                names.push(range(first, last));
                run = None;
            }
            (false, None) => {}
        }
    }
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    format!("{} {}-{} {zone}", names.join(","), clock(from), clock(to))
}

fn range(first: usize, last: usize) -> String {
    let name = |at: usize| DAYS.get(at).map_or("", |(name, _)| *name);
    match last - first {
        0 => name(first).to_owned(),
        1 => format!("{},{}", name(first), name(last)),
        _ => format!("{}-{}", name(first), name(last)),
    }
}

#[cfg(test)]
mod tests;
