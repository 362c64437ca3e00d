//! The clock and the random bytes of the operating system.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{RngCore, rngs::OsRng};
use time::OffsetDateTime;

/// Reads the clock: the only place in this module that does.
#[allow(
    clippy::disallowed_methods,
    reason = "the edge: the one place where the page reads the clock"
)]
pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// 32 random bytes in base64url: 43 characters.
///
/// # Errors
/// Returns the operating system's error.
pub(super) fn random_text() -> Result<String, rand::Error> {
    let mut bytes = [0; 32];
    OsRng.try_fill_bytes(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
