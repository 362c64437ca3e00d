//! `daypass ledger reconcile`: compares the logins in sshd's logs with the passes of the ledger.

mod lines;
mod printed;

use std::{collections::BTreeSet, io, path::PathBuf};

use jiff::tz::{Offset, TimeZone};

use self::{
    lines::{JOURNAL, Lines, Reading},
    printed::print,
};
use super::source::{now, open};
use crate::{
    cli::{Failure, Global, failure::Code, progress::Progress},
    client::Client,
    ledger::reconcile::Reconciler,
    ssh::{host_name::MAX_LENGTH, sshd_log},
};

/// Options of the comparison.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Logs of sshd (`-`, or none: stdin): what journalctl prints, best as JSON, auth.log, secure,
    /// messages, or what `sshd -E` writes.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The host that lines without a host's name are of.
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    host: Option<String>,
    /// The zone of times in the logs that do not say theirs: an offset such as +02:00, UTC, or a
    /// name such as Europe/Berlin. Without it, that of `TZ`, else of this machine.
    #[arg(long, value_name = "ZONE", value_parser = zone, allow_hyphen_values = true)]
    log_zone: Option<TimeZone>,
    /// These are the logs of every host: a pass that they lack is unused, also if it was asked for
    /// without a host, or by a name that the logs do not have.
    #[arg(long)]
    all_hosts: bool,
    /// The fingerprint of a CA key that is not this server's, and that hosts trust too. Its logins
    /// are counted only. May be repeated.
    #[arg(long, value_name = "SHA256:...", value_parser = fingerprint)]
    other_ca: Vec<String>,
    /// An export of the ledger, instead of the server's.
    #[arg(long, value_name = "EXPORT")]
    ledger: Option<PathBuf>,
    /// The ledger's verifier key, as for `daypass ledger verify`.
    #[arg(long, requires = "ledger")]
    key: Option<String>,
}

fn fingerprint(text: &str) -> Result<String, String> {
    match text.strip_prefix("SHA256:") {
        Some(hash) if hash.len() == 43 => Ok(text.to_owned()),
        Some(_) | None => {
            Err("use the fingerprint that `ssh-keygen -l -f CA.pub` prints (SHA256:...)".to_owned())
        }
    }
}

fn host_name(text: &str) -> Result<String, String> {
    let is_name = (1..=MAX_LENGTH).contains(&text.len())
        && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    match is_name {
        true => Ok(text.to_owned()),
        false => Err("use the name of the host that the log is of, such as web-1".to_owned()),
    }
}

fn zone(text: &str) -> Result<TimeZone, String> {
    let offset = sshd_log::offset(text).map(|it| Offset::from_seconds(it.whole_seconds()));
    if let Some(Ok(offset)) = offset {
        return Ok(TimeZone::fixed(offset));
    }
    TimeZone::get(text).map_err(|_| {
        "use an offset such as +02:00, UTC, or the name of a zone such as Europe/Berlin".to_owned()
    })
}

impl Args {
    /// # Errors
    /// Returns code 1 if a login was found that the ledger lacks or has otherwise, and 2 for a file
    /// that is not a log of sshd.
    pub(super) async fn run(self, global: &Global, client: Client) -> Result<(), Failure> {
        let others: BTreeSet<String> = self.other_ca.iter().cloned().collect();
        let mut reconciler = Reconciler::new(others, self.all_hosts);
        let lines = self.read(&mut reconciler)?;
        if lines.of_sshd == 0 {
            return Err(Failure::new(
                Code::Usage,
                format!("no line of sshd is in these logs; on a host: {JOURNAL}"),
            ));
        }
        if self.log_zone.is_none() && lines.zoneless > 0 {
            global.say(&zone_note(lines.zoneless));
        }
        let (size, reconciler) = self.compared(client, reconciler).await?;
        print(global, &lines, size, reconciler.finish())
    }

    /// Reads the logs into the comparison.
    fn read(&self, reconciler: &mut Reconciler) -> Result<Lines, Failure> {
        let zone = self.log_zone.clone().unwrap_or_else(TimeZone::system);
        let mut reading = Reading {
            host: self.host.as_deref(),
            zone,
            now: now(),
            lines: Lines::default(),
        };
        let stdin = [PathBuf::from("-")];
        let files = match self.files.as_slice() {
            [] => &stdin[..],
            files => files,
        };
        for file in files {
            reading.read(file, reconciler)?;
        }
        Ok(reading.lines)
    }

    /// Takes in the whole ledger, which must verify.
    async fn compared(
        &self,
        client: Client,
        mut reconciler: Reconciler,
    ) -> Result<(u64, Reconciler), Failure> {
        let Some(file) = &self.ledger else {
            let (progress, mut sink) = (Progress::events(), io::sink());
            let mut each = |events: Vec<_>| reconciler.take_all(events);
            let each = Some(&mut each as _);
            let exported = client.verified_export(&mut sink, each, |events| progress.show(events));
            let size = exported.await?.events;
            return Ok((size, reconciler));
        };
        let (mut export, length) = open(file)?;
        let progress = Progress::bytes(length);
        let (show, key) = (progress.shown_by(), self.key.clone());
        let work = move || {
            let mut each = |events: Vec<_>| reconciler.take_all(events);
            let each = Some(&mut each as _);
            let report = client.verify_offline(&mut export, key.as_deref(), each, show)?;
            Ok::<_, Failure>((report.events, reconciler))
        };
        let work = tokio::task::spawn_blocking(work).await;
        drop(progress);
        work.map_err(|error| Failure::from_error(&error))?
    }
}

/// Says in which zone times without one were read.
fn zone_note(lines: u64) -> String {
    let zone = TimeZone::system();
    let name = match zone.is_unknown() {
        true => "UTC",
        false => zone.iana_name().unwrap_or("this machine's zone"),
    };
    format!(
        "note: the times of {lines} lines do not say their zone, and were taken as {name}: if the logs are of \
         another one, add --log-zone ZONE"
    )
}
