//! The two things that the server takes from the machine itself: the time and random bytes.

use rand::{RngCore, rngs::OsRng};
use time::OffsetDateTime;

/// The server's one look at the clock.
#[allow(
    clippy::disallowed_methods,
    reason = "the edge: the one place where the server reads the clock"
)]
pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// Bytes from the operating system.
pub(super) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], rand::Error> {
    let mut bytes = [0; LENGTH];
    OsRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}
