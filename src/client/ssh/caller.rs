//! The command line of the ssh that runs `daypass ensure`.
//!
//! `Match exec` cannot say whether the user typed the login, nor that an ssh is only the way to the
//! next host. The command line says both. It is found by `/proc`, so on Linux alone. It only
//! chooses between passes of this user, and what it says is believed only if it fits the host.

use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt, path::Path};

use super::command_line::{CommandLine, Takes};

/// Shells between ssh and this process at most.
const SHELLS: usize = 2;

/// The command line of the ssh to `host` (as the user typed it) that runs this process. None if it
/// is not found.
pub(in crate::client) fn command_line(host: &str) -> Option<CommandLine> {
    let mut pid = rustix::process::getppid()?.as_raw_nonzero().get();
    for _ in 0..=SHELLS {
        let process = format!("/proc/{pid}");
        let words = words(&fs::read(Path::new(&process).join("cmdline")).ok()?);
        let (_, words) = words.split_first()?;
        if words.first().is_some_and(|word| word == "-c") {
            pid = parent(&fs::read_to_string(Path::new(&process).join("stat")).ok()?)?;
            continue;
        }
        let line = CommandLine::parse(words, |_| Takes::Nothing).ok()?;
        let is_ours = line.host.as_ref()?.eq_ignore_ascii_case(host) && line.own.is_empty();
        return is_ours.then_some(line);
    }
    None
}

/// The words of a `cmdline` file, which ends each with a zero byte.
fn words(bytes: &[u8]) -> Vec<OsString> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    let words = bytes.split(|byte| *byte == 0);
    words
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect()
}

/// The parent in a `stat` file. The program's name before it is in parentheses, and may have some.
fn parent(stat: &str) -> Option<i32> {
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_proc_are_read() {
        assert_eq!(words(b"ssh\0-l\0\0web-1\0"), ["ssh", "-l", "", "web-1"]);
        assert_eq!(parent("7 (a) b) S 42 7 7 0 -1"), Some(42));
        assert_eq!(parent("7"), None);
        // The test's own parent is no ssh.
        assert_eq!(command_line("web-1"), None);
    }
}
