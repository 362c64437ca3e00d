//! The sshd that runs. At each start and reload it writes its `PidFile` anew, so that file's time
//! says when it last read its configuration.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use rustix::process::{Pid, Signal, kill_process};

/// The configuration that sshd reads if it is started without `-f`.
const USUAL: &str = "/etc/ssh/sshd_config";

/// A time of the file system: seconds and nanoseconds.
type Time = (i64, i64);

/// A running sshd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunningSshd {
    process: u32,
    loaded: Time,
}

impl RunningSshd {
    /// The process that wrote the file; none if it has ended or runs with another configuration.
    pub(crate) fn find(pid_file: &Path, configuration: &Path) -> Option<Self> {
        let written = fs::metadata(pid_file).ok()?;
        let process: u32 = fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
        let title = fs::read(format!("/proc/{process}/cmdline")).ok()?;
        let title = String::from_utf8_lossy(&title).replace('\0', " ");
        reads(&title, configuration).then(|| Self {
            process,
            loaded: (written.mtime(), written.mtime_nsec()),
        })
    }

    /// Whether a file or folder has changed since sshd read its configuration. A missing one has
    /// not.
    pub(crate) fn missed(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|it| changed_at(&it) > self.loaded)
    }

    /// Asks it to read its configuration and host certificates again.
    ///
    /// # Errors
    /// Returns the operating system's error.
    pub(crate) fn hang_up(&self) -> io::Result<()> {
        let pid = i32::try_from(self.process).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::NotFound)?;
        Ok(kill_process(pid, Signal::HUP)?)
    }

    /// Whether its program is no longer on disk, as after an upgrade.
    pub(crate) fn is_replaced(&self) -> bool {
        let program = fs::read_link(format!("/proc/{}/exe", self.process));
        program.is_ok_and(|path| path.to_string_lossy().ends_with(" (deleted)"))
    }
}

/// Whether a process with this title is an sshd with this configuration. sshd's title has its
/// command line: `sshd: /usr/sbin/sshd -D -f FILE [listener] ...`.
fn reads(title: &str, configuration: &Path) -> bool {
    if !title.contains("sshd") {
        return false;
    }
    let mut words = title.split_whitespace();
    let named = words.find_map(|word| word.strip_prefix("-f").map(str::to_owned));
    let named = match named {
        Some(path) if path.is_empty() => words.next().map(str::to_owned),
        other => other,
    };
    named.as_deref().unwrap_or(USUAL) == configuration.to_string_lossy()
}

/// The time of the last change, also of one that put an older file in place.
fn changed_at(file: &Metadata) -> Time {
    (file.ctime(), file.ctime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_configuration() {
        let usual = Path::new(USUAL);
        let other = Path::new("/srv/sshd_config");
        for (title, configuration, expected) in [
            (
                "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
                usual,
                true,
            ),
            (
                "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
                other,
                false,
            ),
            ("sshd: /usr/sbin/sshd -f /srv/sshd_config [l]", other, true),
            ("sshd: /usr/sbin/sshd -f/srv/sshd_config [l]", other, true),
            ("sshd: /usr/sbin/sshd -f /srv/sshd_config [l]", usual, false),
            ("/usr/bin/postgres -D /x", usual, false),
        ] {
            assert_eq!(reads(title, configuration), expected, "{title}");
        }
    }
}
