//! The client's only look at the clock.

use time::OffsetDateTime;

use crate::unix_seconds::UnixSeconds;

/// The time now, in Unix seconds; 0 if the clock stands before 1970.
#[allow(
    clippy::disallowed_methods,
    reason = "the client is an edge: time enters here"
)]
pub(crate) fn now() -> u64 {
    UnixSeconds::from(OffsetDateTime::now_utc()).get()
}

/// The same in Unix milliseconds.
#[allow(
    clippy::disallowed_methods,
    reason = "the client is an edge: time enters here"
)]
pub(crate) fn now_milliseconds() -> u64 {
    let milliseconds = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    u64::try_from(milliseconds).unwrap_or(0)
}
