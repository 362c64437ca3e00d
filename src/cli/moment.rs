//! Times as people write them in options: `7d` (so long ago), a day, or an exact time.

use time::{
    Date, Duration, OffsetDateTime,
    format_description::well_known::{Iso8601, Rfc3339},
};

/// A time of an option.
pub(super) enum Moment {
    /// An exact time, or a duration before now.
    Exact(OffsetDateTime),
    /// The beginning of a day in UTC.
    Day(OffsetDateTime),
}

impl Moment {
    /// Reads `30d`, `2026-01-05T09:00:00Z` or `2026-01-05`; none if it is neither.
    pub(super) fn parse(word: &str, now: OffsetDateTime) -> Option<Self> {
        let back = humantime::parse_duration(word).ok();
        let back = back.and_then(|back| now.checked_sub(Duration::try_from(back).ok()?));
        let exact = || OffsetDateTime::parse(word, &Rfc3339).ok();
        if let Some(moment) = back.or_else(exact) {
            return Some(Self::Exact(moment));
        }
        let day = Date::parse(word, &Iso8601::DATE).ok()?;
        Some(Self::Day(day.midnight().assume_utc()))
    }
}
