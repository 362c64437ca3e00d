//! A point in time as certificates, events and the wire count it: whole seconds since 1970 (UTC).
//!
//! The one place that converts between such a number and [`OffsetDateTime`]. Pure: it does not read
//! the clock and knows no other module of ours.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Whole seconds since 1970-01-01T00:00:00Z. In JSON it is the bare number.
///
/// OpenSSH's certificates hold 64 unsigned bits (PROTOCOL.certkeys, `valid after`), so a value may
/// lie after the year 9999, which a calendar does not reach.
///
/// ```
/// use daypass::unix_seconds::UnixSeconds;
/// use time::macros::datetime;
///
/// let time = UnixSeconds::from(datetime!(2026-11-22 15:31:51.9 UTC));
/// assert_eq!(time, UnixSeconds(1_795_361_511));
/// assert_eq!(time.to_utc(), Some(datetime!(2026-11-22 15:31:51 UTC)));
/// assert_eq!(UnixSeconds(u64::MAX).to_utc(), None);
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// The bare number, as certificates and the wire hold it.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    /// The time `later` after this one; the last one that 64 bits hold, if that is past it.
    pub(crate) const fn saturating_add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later.as_secs()))
    }

    /// The time `earlier` before this one; not before 1970.
    pub(crate) const fn saturating_sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(earlier.as_secs()))
    }

    /// Whole seconds from `earlier` to this time; 0 if `earlier` is later.
    pub(crate) const fn seconds_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The same second as a date; none after the year 9999.
    pub fn to_utc(self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp(i64::try_from(self.0).ok()?).ok()
    }

    /// RFC 3339 in UTC; none after the year 9999.
    pub(crate) fn rfc3339(self) -> Option<String> {
        self.to_utc()?.format(&Rfc3339).ok()
    }
}

/// Unix seconds as text for people, in UTC.
pub(crate) fn moment(seconds: u64) -> String {
    let format =
        time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    UnixSeconds(seconds)
        .to_utc()
        .and_then(|time| time.format(format).ok())
        .unwrap_or_else(|| "the end of time".to_owned())
}

/// The bare number.
impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Drops the fraction of a second. A time before 1970 becomes 0.
impl From<OffsetDateTime> for UnixSeconds {
    fn from(time: OffsetDateTime) -> Self {
        Self(u64::try_from(time.unix_timestamp()).unwrap_or(0))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn conversions_agree_at_the_bounds() {
        for (case, time, seconds) in [
            ("before 1970", datetime!(1969-12-31 23:59:59 UTC), 0),
            ("1970", datetime!(1970-01-01 0:00 UTC), 0),
            ("a fraction", datetime!(1970-01-01 0:00:01.999 UTC), 1),
            ("another zone", datetime!(1970-01-01 1:00:07 +1), 7),
            (
                "the last second",
                datetime!(9999-12-31 23:59:59 UTC),
                253_402_300_799,
            ),
        ] {
            assert_eq!(UnixSeconds::from(time), UnixSeconds(seconds), "{case}");
        }
        for (seconds, time) in [
            (0, Some(datetime!(1970-01-01 0:00 UTC))),
            (253_402_300_799, Some(datetime!(9999-12-31 23:59:59 UTC))),
            (253_402_300_800, None),
            (i64::MAX.unsigned_abs() + 1, None),
            (u64::MAX, None),
        ] {
            assert_eq!(UnixSeconds(seconds).to_utc(), time, "{seconds}");
        }
    }

    #[test]
    fn sums_and_differences_stay_within_their_bounds() {
        let (first, last) = (UnixSeconds(0), UnixSeconds(u64::MAX));
        let hour = Duration::from_secs(3600);
        assert_eq!(first.saturating_add(hour), UnixSeconds(3600));
        assert_eq!(last.saturating_add(hour), last);
        assert_eq!(first.saturating_sub(hour), first);
        assert_eq!(UnixSeconds(3600).seconds_since(first), 3600);
        assert_eq!(first.seconds_since(last), 0);
    }

    #[test]
    fn json_holds_the_bare_number() {
        let json = serde_json::to_string(&UnixSeconds(7)).unwrap();
        assert_eq!(json, "7");
        assert_eq!(
            serde_json::from_str::<UnixSeconds>(&json).unwrap(),
            UnixSeconds(7)
        );
    }
}
