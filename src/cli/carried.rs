//! What the commands about a carried file say of it, and how it becomes a pass.

use std::path::{Path, PathBuf};

use super::{
    output::{clean, one_line},
    quoting::quoted,
};

#[derive(Debug, clap::Args)]
pub(super) struct Redeem {
    /// The signed file.
    pub(super) file: PathBuf,
    /// Write PATH, PATH.pub and PATH-cert.pub, instead of files in the state folder.
    #[arg(long, value_name = "PATH")]
    pub(super) out: Option<PathBuf>,
}

/// The file's name, to be typed again.
pub(super) fn name(file: &Path) -> String {
    clean(&quoted(&file.display().to_string())).into_owned()
}

/// What is in the file, by rows of a name and a value.
pub(super) fn told(what: &str, file: &Path, rows: &[(&str, String)]) -> String {
    let lines = rows
        .iter()
        .map(|(name, value)| format!("  {name:<12}{}", one_line(value)));
    std::iter::once(format!("{what} in {}", name(file)))
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}
