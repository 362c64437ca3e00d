//! `daypass migrate`.

use std::path::PathBuf;

use super::{Failure, Global, output::clean, progress::Progress};
use crate::{
    config::Config,
    daemon::{self, MoveReport},
};

/// Move a server's ledger from its state folder into a PostgreSQL database for several servers.
///
/// First stop the server, and add `[store]` with an empty database to its configuration. Then run
/// this as the server's own account, such as: runuser -u daypass -- daypass migrate. Every event is
/// verified. If a step fails, the ledger is where it was. Name and keys stay, so clients and hosts
/// go on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/daypass/daypass.toml")]
    config: PathBuf,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns the reason why the ledger is not moved.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let config = Config::load(&std::path::absolute(&self.config)?)?;
        let progress = Progress::events();
        let report = daemon::migrate(&config, &|events| progress.show(events)).await;
        drop(progress);
        let report = report?;
        global.print(&report, text)
    }
}

fn text(report: &MoveReport) -> String {
    let folder = report.folder.display().to_string();
    format!(
        "Moved {size} entries of {server} to the {database}.\n\
         The old file is kept as {folder}/ledger.db.moved. No server starts over it.\n\n\
         Next:\n  1. Start the server.\n  \
         2. Back up the database from now on with PostgreSQL's own means: daypass help server",
        size = report.size,
        server = clean(&report.server),
        database = clean(&report.database),
        folder = clean(&folder),
    )
}
