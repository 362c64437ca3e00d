//! Hosts, logins and paths that are safe on the command line and in the configuration of `ssh`.
//!
//! `ssh` and the shells behind it expand `%`, quotes and more. Text that could add an option, a
//! word or a line is refused here, never escaped cleverly. Pure.

use std::path::Path;

use super::Error;

/// The longest host name (RFC 1035 section 2.3.4).
const LONGEST_HOST: usize = 255;

/// Checks that `host` is a host name or address that may stand in a path and on a command line.
///
/// # Errors
/// Returns [`Error::Usage`] if it may not.
pub(crate) fn check_host(host: &str) -> Result<(), Error> {
    let has_plain_chars = host
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._:-%".contains(c));
    let is_valid = has_plain_chars
        && (1..=LONGEST_HOST).contains(&host.len())
        && !host.starts_with(['-', '.']);
    if is_valid {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "invalid host name {host:?}: use a name or an address such as web-1 or 192.0.2.1"
    )))
}

/// Whether a pattern of host names can stand in an ssh configuration, and in known_hosts.
pub(super) fn is_pattern(pattern: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "*?._:-".contains(c);
    !pattern.is_empty() && !pattern.starts_with('-') && pattern.chars().all(plain)
}

/// Whether `text` is a login name for a command line and for an ssh configuration.
pub(super) fn is_login(text: &str) -> bool {
    let mut chars = text.chars();
    let may_begin = |c: char| c.is_ascii_alphanumeric() || c == '_';
    chars.next().is_some_and(may_begin)
        && chars.all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c))
}

/// Whether `user` is one word for a command line, and for the shells behind it.
///
/// Wider than [`is_login`]: the user typed it, so `a@b` is allowed.
pub(super) fn is_user_word(user: &str) -> bool {
    !user.is_empty()
        && !user.starts_with('-')
        && user
            .chars()
            .all(|c| c.is_ascii_graphic() && !"'\"`$\\;&<>|(){}".contains(c))
}

/// A path as an `ssh_config` argument: in double quotes, with `%` doubled because ssh expands it.
///
/// # Errors
/// Returns [`Error::Usage`] if the path has a quote, a backslash, a `$` or a control character, or
/// is not UTF-8.
pub(crate) fn quote(path: &Path) -> Result<String, Error> {
    let invalid = || {
        Error::Usage(format!(
            "the path {path:?} cannot be written into an ssh configuration: choose another folder with \
             DAYPASS_STATE_DIR"
        ))
    };
    let text = path.to_str().ok_or_else(invalid)?;
    if text.contains(['"', '\'', '\\', '$']) || text.chars().any(char::is_control) {
        return Err(invalid());
    }
    Ok(format!("\"{}\"", text.replace('%', "%%")))
}

/// A path in the state folder, for `Include`, in quotes.
///
/// # Errors
/// Returns [`Error::Usage`] if the folder's path has a wildcard or a `%`.
pub(super) fn included(path: &Path, folder: &Path) -> Result<String, Error> {
    if folder.to_string_lossy().contains(['%', '*', '?', '[', ']']) {
        return Err(Error::Usage(format!(
            "the path {folder:?} cannot be written into an `Include` of ssh: choose another folder with \
             DAYPASS_STATE_DIR"
        )));
    }
    quote(path)
}

/// A path as one word of the shell command in an ssh option such as `ProxyCommand`.
///
/// # Errors
/// As [`quote`].
pub(super) fn shell_word(path: &Path) -> Result<String, Error> {
    Ok(format!("'{}'", quote(path)?.trim_matches('"')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_would_leave_their_folder_are_refused() {
        for host in [
            "web-1",
            "10.0.0.1",
            "::1",
            "fe80::1%eth0",
            "WEB.example.com",
        ] {
            assert!(check_host(host).is_ok(), "{host}");
        }
        for host in [
            "",
            ".",
            "..",
            "a/b",
            "-oProxyCommand=x",
            "a b",
            "a'b",
            "a\0",
            "a\n",
        ] {
            assert!(check_host(host).is_err(), "{host}");
        }
    }
}
