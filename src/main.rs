//! The `daypass` binary.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = daypass::cli::Cli::parse();
    let _ = cli;
    ExitCode::SUCCESS
}
