//! `daypass host remove`.

use std::{fmt::Write as _, path::PathBuf};

use super::options::{Place, USUAL, waiting};
use crate::{
    cli::{Failure, Global, output::clean},
    host::remove::{RemoveReport, Step, remove},
};

/// Take back what `host setup` wrote: this host then accepts no passes.
///
/// Run it twice. The first run takes our lines out of sshd's configuration, and asks sshd whether
/// it accepts the rest (sshd -t). Lines of yours stay. The second run, after sshd's reload, deletes
/// the CA keys, the revocation list and the host certificates, which the running sshd reads until
/// then.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The sshd to ask. By default the one in /usr/sbin.
    #[arg(long, value_name = "PATH")]
    sshd: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

impl Args {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let layout = self.place.layout()?;
        let report = remove(&layout, self.sshd.as_deref(), waiting(USUAL)).await?;
        global.print(&report, text)
    }
}

fn text(report: &RemoveReport) -> String {
    let mut text = String::new();
    for path in &report.files {
        let done = match (report.step, report.kept.is_empty()) {
            (Step::Configuration, false) => "changed",
            (Step::Configuration | Step::Files | Step::Nothing, _) => "removed",
        };
        let _ = writeln!(text, "{done}  {}", path.display());
    }
    for line in &report.kept {
        let _ = writeln!(text, "kept     {}", clean(line));
    }
    text.push_str(match report.step {
        Step::Configuration => {
            "\nsshd accepts the rest. What is left to do:\n  \
             systemctl disable --now daypass-sync.timer    fetch no more revocations\n  \
             systemctl reload ssh                          (on some systems: sshd) puts it in force\n  \
             daypass host remove                           again: deletes the files that sshd read until then\n\
             Keep this session open until a login without a pass has worked."
        }
        Step::Files => "\nThis host has nothing of Daypass any more.",
        Step::Nothing => "There is nothing to remove.",
    });
    text
}
