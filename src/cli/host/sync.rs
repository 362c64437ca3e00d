//! `daypass host sync`.

use std::path::PathBuf;

use super::options::{Patience, Place, login_log, waiting};
use crate::{
    cli::{Failure, Global, failure::Code, output::clean},
    client::{now, now_milliseconds},
    host::{
        doctor::spoken,
        logins::LoginsSync,
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
/// configuration (sshd -t). With `host setup --logins` it also reports logins, which the server
/// compares with its ledger.
///
/// Exits with 1 if it did all of this but its host keys are not those that joined, which users' ssh
/// refuses.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The fingerprint of an administrator's key: go on after the server's ledger was restored from
    /// a backup, if this key accepted it. Ask the administrator for it, not the server.
    #[arg(long, value_name = "SHA256:...")]
    accept_key: Option<String>,
    /// Report the logins by certificates that sshd logged since the last report, too: from the
    /// systemd journal, or from this log file of sshd. Without it, as `host setup --logins` says.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    logins: Option<Option<PathBuf>>,
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
            wait: waiting(self.patience.timeout),
            accept: self.accept_key,
            sshd: self.sshd,
            logins: self.logins.map(login_log),
        };
        let report = sync(&layout, UnixSeconds(now()), now_milliseconds(), &options).await?;
        global.print(&report, text)?;
        match report.host.is_some_and(|host| host.keys_replaced) {
            // CA keys and revocations are in place, and users' ssh refuses this host: a timer that
            // stays green would hide that. The report is the message.
            true => Err(Failure::new(Code::Failure, "")),
            false => Ok(()),
        }
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
    lines.extend(host.logins.as_ref().map(logins));
    lines
}

fn logins(logins: &LoginsSync) -> String {
    let mut text = match logins.reported {
        0 => "reported: no login by a certificate".to_owned(),
        1 => "reported: 1 login by a certificate".to_owned(),
        more => format!("reported: {more} logins by certificates"),
    };
    if logins.foreign > 0 {
        text.push_str(&format!(
            ", {} of them NOT AS THE LEDGER HAS IT; on a machine of yours: daypass ledger list --event foreign_login",
            logins.foreign
        ));
    }
    if logins.more {
        text.push_str(" (the log has more, for the next sync)");
    }
    text
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
