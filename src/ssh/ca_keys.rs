//! The version line of a list of CA keys (`/ca.pub`, sshd's `TrustedUserCAKeys`). Pure.
//!
//! The line is a comment to sshd. It is signed with the keys, so that no host goes back to a list
//! that was good once.

/// The line before its number.
const PREFIX: &str = "# daypass CA keys, version ";

/// Returns the line for `version`, with its newline.
///
/// ```
/// use daypass::ssh::ca_keys::{version_line, version_of};
///
/// assert_eq!(version_line(17), "# daypass CA keys, version 17\n");
/// assert_eq!(version_of(&version_line(17)), 17);
/// assert_eq!(version_of("ssh-ed25519 AAAA...\n"), 0);
/// ```
pub fn version_line(version: u64) -> String {
    format!("{PREFIX}{version}\n")
}

/// Returns the highest version that a line of `text` says; 0 if none says one.
pub fn version_of(text: &str) -> u64 {
    let versions = text.lines().filter_map(|line| line.strip_prefix(PREFIX));
    let versions = versions.filter_map(|version| version.parse().ok());
    versions.max().unwrap_or(0)
}
