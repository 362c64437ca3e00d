//! The clock and the randomness of a dev world.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{RngCore, rngs::OsRng};
use time::OffsetDateTime;

/// The time; the one place of this module that reads the clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the issuer of a dev world is an edge: it stamps its tokens with the time"
)]
pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// 128 random bits as text that is safe in URLs and file names.
pub(super) fn random_text() -> String {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
