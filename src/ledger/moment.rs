//! Times as people write them in options: `7d` (so long ago), a day, or an exact time.
//! Pure.

use time::{
    Date, Duration, OffsetDateTime,
    format_description::well_known::{Iso8601, Rfc3339},
};

/// A time of an option.
pub(crate) enum Moment {
    /// An exact time, or a duration before now.
    Exact(OffsetDateTime),
    /// The beginnings of a day and of the next one.
    Day(OffsetDateTime, OffsetDateTime),
}

/// The beginnings of a day and of the next one, in the reader's zone.
pub(crate) type Day = (OffsetDateTime, OffsetDateTime);

impl Moment {
    /// Reads `30d`, `2026-01-05T09:00:00Z` or `2026-01-05`; none if it is neither. `day` knows the
    /// zone in which times are shown.
    pub(crate) fn parse(
        word: &str,
        now: OffsetDateTime,
        day: impl FnOnce(Date) -> Option<Day>,
    ) -> Option<Self> {
        let back = humantime::parse_duration(word).ok();
        let back = back.and_then(|back| now.checked_sub(Duration::try_from(back).ok()?));
        let exact = || OffsetDateTime::parse(word, &Rfc3339).ok();
        if let Some(moment) = back.or_else(exact) {
            return Some(Self::Exact(moment));
        }
        let (start, end) = day(Date::parse(word, &Iso8601::DATE).ok()?)?;
        Some(Self::Day(start, end))
    }

    /// The time, or the beginning of the day.
    pub(crate) fn start(&self) -> OffsetDateTime {
        match self {
            Self::Exact(time) | Self::Day(time, _) => *time,
        }
    }

    /// Beginning and end in Unix seconds: of the day, or of one second. `None` if it is not after
    /// 1970: 0 means no time on the wire.
    pub(crate) fn seconds(self) -> Option<(u64, u64)> {
        let second = |time: OffsetDateTime| u64::try_from(time.unix_timestamp()).ok();
        let (start, end) = match self {
            Self::Exact(time) => second(time).map(|start| (start, start.saturating_add(1)))?,
            Self::Day(start, end) => second(start).zip(second(end))?,
        };
        (start > 0).then_some((start, end))
    }
}

/// A day of UTC.
pub(crate) fn utc_day(date: Date) -> Option<Day> {
    let next = date.next_day()?;
    Some((date.midnight().assume_utc(), next.midnight().assume_utc()))
}
