//! `daypass ensure`.

use super::{Failure, Global};

/// (what this command does)
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    /// Runs the command.
    pub async fn run(self, _global: &Global) -> Result<(), Failure> {
        todo!()
    }
}
