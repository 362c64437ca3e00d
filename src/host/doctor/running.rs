//! Whether the running sshd has read the configuration that is on disk.

use std::path::PathBuf;

use super::scene::Scene;
use crate::{
    finding::Finding,
    host::{running_sshd::RunningSshd, sshd_files::ConfigFile},
};

/// Compares the time of the running sshd's last start or reload with the files' times.
pub(super) fn check(scene: &Scene<'_>, files: &[ConfigFile]) -> Vec<Finding> {
    let pid_file = PathBuf::from(scene.effective.value("pidfile"));
    let Some(sshd) = RunningSshd::find(&pid_file, &scene.layout.sshd_config()) else {
        return vec![Finding::note(
            "running",
            format!(
                "no running sshd has written its number to {}: whether one has read this configuration is unknown; \
                if in doubt, reload it",
                pid_file.display()
            ),
        )];
    };
    let changed = files.iter().find(|file| sshd.missed(&file.path));
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
    if sshd.is_replaced() {
        findings.push(Finding::note(
            "running",
            "the running sshd is another program than the one on disk, which was asked here; `systemctl restart ssh` starts the new one",
        ));
    }
    findings
}
