//! `daypass host sync`.

use std::time::Duration;

use super::options::{Patience, Place};
use crate::{
    cli::{Failure, Global, output::clean},
    client::now,
    host::sync::{SyncOptions, SyncReport, sync},
    unix_seconds::UnixSeconds,
};

/// Fetch CA keys and revocations; a timer runs this every few minutes.
///
/// Refuses a file that is empty, broken, older, or not signed by a CA key that this host trusts.
/// sshd then goes on with the last good one. sshd needs no reload.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The fingerprint of an administrator's key: go on after the server's ledger was restored from
    /// a backup, if this key accepted it. Ask the administrator for it, not the server.
    #[arg(long, value_name = "SHA256:...")]
    accept_key: Option<String>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    patience: Patience,
}

impl Args {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let layout = self.place.layout()?;
        let options = SyncOptions {
            deadline: self.patience.timeout,
            accept: self.accept_key,
        };
        let report = sync(&layout, UnixSeconds(now()), &options).await?;
        global.print(&report, text)
    }
}

fn spoken(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

fn text(report: &SyncReport) -> String {
    let changed = if report.changed {
        "updated"
    } else {
        "up to date"
    };
    let mut lines = vec![format!(
        "{changed}: {} revoked (version {}, made {} ago), from {}",
        report.revoked,
        report.krl_version,
        spoken(report.synced.seconds_since(report.krl_made_at)),
        clean(&report.server)
    )];
    if let Some(seconds) = report.synced_before {
        lines.push(format!("the sync before was {} ago", spoken(seconds)));
    }
    for key in &report.added_keys {
        lines.push(format!("new CA key, signed by one that was trusted: {key}"));
    }
    for key in &report.removed_keys {
        lines.push(format!("CA key no longer trusted: {key}"));
    }
    lines.extend(
        report
            .notes
            .iter()
            .map(|note| format!("note: {}", clean(note))),
    );
    lines.join("\n")
}
