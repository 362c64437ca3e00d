//! `daypass` with the deliberate bugs of `src/deliberate.rs`, for `tests/chaos` alone.

use std::process::ExitCode;

#[path = "../../src/main.rs"]
mod program;

fn main() -> ExitCode {
    program::main()
}
