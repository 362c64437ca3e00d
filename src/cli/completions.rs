//! `daypass completions`.

use clap_complete::Shell;

use super::{Failure, output};

/// The scripts that ask `daypass complete`, which knows roles, hosts and requests.
const BASH: &str = include_str!("completions/daypass.bash");
const ZSH: &str = include_str!("completions/daypass.zsh");
const FISH: &str = include_str!("completions/daypass.fish");

/// Print a shell's completion script.
///
/// For bash: daypass completions bash > ~/.local/share/bash-completion/completions/daypass. In
/// bash, zsh and fish it also completes the roles, hosts and requests that this machine was told of
/// last.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell to complete in.
    #[arg(value_enum)]
    shell: Shell,
}

impl Args {
    /// Runs the command, for the completion of `program`.
    ///
    /// # Errors
    /// Returns an error if stdout cannot be written.
    pub(crate) async fn run(self, mut program: clap::Command) -> Result<(), Failure> {
        let script = match self.shell {
            Shell::Bash => BASH.into(),
            Shell::Zsh => ZSH.into(),
            Shell::Fish => FISH.into(),
            // Commands and options only. The enum may get more shells.
            shell => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut program, "daypass", &mut script);
                script
            }
        };
        output::write_bytes(&script)
    }
}
