//! Files of the store's folder that are replaced whole.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use crate::modes::{self, IfThere};

/// Writes a new file, then renames it: after a crash there is the old file or the new one, whole.
pub(super) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let aside = folder.join(format!("{name}.new"));
    let mut file = modes::create_own(&aside, IfThere::Empty)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside, folder.join(name))?;
    File::open(folder)?.sync_all()
}
