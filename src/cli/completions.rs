//! `daypass completions`.

use super::{Failure, output};

/// Print a shell's completion script.
///
/// For bash: daypass completions bash > ~/.local/share/bash-completion/completions/daypass
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell to complete in.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl Args {
    /// Runs the command, for the completion of `program`.
    ///
    /// # Errors
    /// Returns an error if stdout cannot be written.
    pub(crate) async fn run(self, mut program: clap::Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, "daypass", &mut script);
        output::write_bytes(&script)
    }
}
