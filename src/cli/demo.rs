//! `daypass demo`.

use super::{Failure, Global, dev::temporary_folder, failure::Code, output::write_line};
use crate::dev::{World, tour};

/// Show what Daypass does in a few seconds, with real commands.
///
/// The commands run in a world of their own, and each result is checked. Needs no setup and leaves
/// nothing behind. Exits with 0 only if every step did what it said.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if the world does not start, or a step did not do what it said.
    pub(crate) async fn run(self, _global: &Global) -> Result<(), Failure> {
        write_line(
            "Daypass: SSH access that lasts as long as the job.\n\n\
             Everything below really happens, on this machine only. An identity provider, the server and a host\n\
             are started in a temporary folder, and end with the demo.",
        )?;
        let folder = temporary_folder()?;
        let world = World::start(folder.path()).await?;
        let mut printed = Ok(());
        let verdict = tour::walk(&world, |lines| {
            if printed.is_ok() {
                printed = write_line(lines);
            }
        })
        .await?;
        world.stop().await?;
        printed?;
        let steps = verdict.steps;
        if verdict.broken > 0 {
            let message = format!(
                "{} of {steps} steps did not do what they said",
                verdict.broken
            );
            return Err(Failure::new(Code::Failure, message));
        }
        write_line(&format!("\nAll {steps} steps did what they said."))
    }
}
