//! Bounds of the texts of a search, which client, page and server check alike.

use crate::ssh::printable::is_active;

/// Most bytes of a person's name: more than any subject or e-mail address has.
pub(crate) const WHO_BYTES: usize = 512;

/// Most bytes of a role.
pub(crate) const ROLE_BYTES: usize = 128;

/// Most bytes of a host.
pub(crate) const HOST_BYTES: usize = 253;

/// Most bytes of a reason or comment.
pub(crate) const REASON_BYTES: usize = 1024;

/// The reason why this is not one line of printable text of at most `most` bytes: the rest of a
/// sentence about it.
pub(crate) fn problem(text: &str, most: usize) -> Option<String> {
    if text.len() > most {
        return Some(format!("is longer than {most} bytes"));
    }
    let is_active = text.chars().any(is_active);
    is_active.then(|| "holds control characters".to_owned())
}
