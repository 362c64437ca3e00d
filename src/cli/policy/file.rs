//! Reads a policy file, for every command about it.

use std::path::Path;

use crate::{
    cli::{Failure, failure::Code},
    policy::Policy,
};

/// Reads and loads a policy file.
pub(super) fn load(path: &Path) -> Result<Policy, Failure> {
    let text = read(path)?;
    Policy::parse(&text, &path.display().to_string()).map_err(|error| Failure::from_error(&error))
}

pub(super) fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::new(
            Code::Failure,
            format!("failed to read {}: {error}", path.display()),
        )
    })
}

/// `1 role`, `2 roles`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
