//! `daypass host sync`.

use std::{path::PathBuf, time::Duration};

use super::options::{Patience, Place};
use crate::{
    cli::{Failure, Global, output::clean},
    client::{now, now_milliseconds},
    host::{
        report::sync,
        sync::{HostSync, SyncOptions, SyncReport},
    },
    unix_seconds::UnixSeconds,
};

/// Fetch CA keys and revocations; a timer runs this every few minutes.
///
/// Refuses a file that is empty, broken, older, or not signed by a CA key that this host trusts.
/// sshd then goes on with the last good one. sshd needs no reload for them.
///
/// A host that has joined reports to the server, signed by its host keys, and gets new host
/// certificates after two thirds of their lifetime. Only then sshd is reloaded, if it accepts its
/// configuration (sshd -t).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The fingerprint of an administrator's key: go on after the server's ledger was restored from
    /// a backup, if this key accepted it. Ask the administrator for it, not the server.
    #[arg(long, value_name = "SHA256:...")]
    accept_key: Option<String>,
    /// The sshd to ask and to reload. By default the one in /usr/sbin.
    #[arg(long, value_name = "PATH")]
    sshd: Option<PathBuf>,
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
            sshd: self.sshd,
        };
        let report = sync(&layout, UnixSeconds(now()), now_milliseconds(), &options).await?;
        global.print(&report, text)
    }
}

/// What the sync did as a known host.
fn reported(host: &HostSync) -> Vec<String> {
    let mut lines = Vec::new();
    if host.reported {
        lines.push(format!("reported as {}", clean(&host.name)));
    }
    if host.renewed {
        lines.push("renewed: the host certificates".to_owned());
    }
    if host.reloaded {
        lines.push("reloaded: sshd, which reads its host certificates then".to_owned());
    }
    lines
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
    lines.extend(report.host.iter().flat_map(reported));
    lines.extend(
        report
            .notes
            .iter()
            .map(|note| format!("note: {}", clean(note))),
    );
    lines.join("\n")
}
