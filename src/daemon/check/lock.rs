//! The daemon that runs on a state folder.

use std::{fs, path::Path};

/// The process that serves from a folder now. It is not found by the lock itself: to try that could
/// keep a daemon from starting.
pub(super) fn user_of(folder: &Path) -> Option<u32> {
    let process: u32 = fs::read_to_string(folder.join("lock"))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let name = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    name.starts_with("daypass").then_some(process)
}
