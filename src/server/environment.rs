//! The clock and the random bytes of the operating system.

use rand::{RngCore, rngs::OsRng};
use time::OffsetDateTime;

/// Reads the clock: the only place in the server that does.
#[allow(
    clippy::disallowed_methods,
    reason = "the edge: the one place where the server reads the clock"
)]
pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// Draws random bytes from the operating system.
pub(super) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], rand::Error> {
    let mut bytes = [0; LENGTH];
    OsRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}
