//! For how long a join code is taken. Pure.

use std::time::Duration;

use crate::unix_seconds::UnixSeconds;

/// The longest validity of a join code.
pub(crate) const LONGEST_INVITATION: Duration = Duration::from_secs(7 * 24 * 3600);

/// Checks the end of a join code that is made now.
///
/// # Errors
/// Returns a sentence for the administrator.
pub(crate) fn expect_invitation(
    now: UnixSeconds,
    expires_at: UnixSeconds,
) -> Result<(), &'static str> {
    let latest = now.saturating_add(LONGEST_INVITATION);
    match expires_at > now && expires_at <= latest {
        true => Ok(()),
        false => Err("a join code is valid for at least a second and at most 7 days"),
    }
}
