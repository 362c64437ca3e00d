//! Whether the running sshd has read the configuration that is on disk. At each start and reload
//! sshd writes its `PidFile` anew, so that file's time says when it last read its configuration.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::finding::{Finding, Scene};
use crate::host::sshd_files::ConfigFile;

/// The configuration that sshd reads if it is started without `-f`.
const USUAL: &str = "/etc/ssh/sshd_config";

/// Compares the time of the running sshd's last start or reload with the files' times.
pub(super) fn check(scene: &Scene<'_>, files: &[ConfigFile]) -> Vec<Finding> {
    let pid_file = PathBuf::from(scene.effective.value("pidfile"));
    let Some((pid, loaded)) = running(&pid_file, &scene.layout.sshd_config()) else {
        return vec![Finding::note(
            "running",
            format!(
                "no running sshd has written its number to {}: whether one has read this configuration is unknown; \
                if in doubt, reload it",
                pid_file.display()
            ),
        )];
    };
    let changed = files
        .iter()
        .find(|file| fs::metadata(&file.path).is_ok_and(|it| changed_at(&it) > loaded));
    let mut findings = vec![match changed {
        Some(file) => Finding::wrong(
            "running",
            format!(
                "the running sshd has not read {} since it changed, and goes on with what it had; run `systemctl reload ssh` \
                (on some systems: sshd)",
                file.path.display()
            ),
        ),
        None => Finding::good("running", "the running sshd has read this configuration"),
    }];
    if is_replaced(pid) {
        findings.push(Finding::note(
            "running",
            "the running sshd is another program than the one on disk, which was asked here; `systemctl restart ssh` starts the new one",
        ));
    }
    findings
}

/// The process that wrote the file, and when; none if it has ended or runs with another
/// configuration.
fn running(pid_file: &Path, configuration: &Path) -> Option<(u32, (i64, i64))> {
    let written = fs::metadata(pid_file).ok()?;
    let pid: u32 = fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
    let title = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let title = String::from_utf8_lossy(&title).replace('\0', " ");
    reads(&title, configuration).then(|| (pid, (written.mtime(), written.mtime_nsec())))
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
fn changed_at(file: &Metadata) -> (i64, i64) {
    (file.ctime(), file.ctime_nsec())
}

/// Whether the program of a process is no longer on disk, as after an upgrade.
fn is_replaced(pid: u32) -> bool {
    let program = fs::read_link(format!("/proc/{pid}/exe"));
    program.is_ok_and(|path| path.to_string_lossy().ends_with(" (deleted)"))
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
