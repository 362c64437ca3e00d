//! `webhooks.json`: mode 0600, replaced atomically. Holds indices, times and failures; no URL, no
//! secret, no event.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::mailbox::Mailbox;
use crate::modes::{self, IfThere};

pub(super) const NAME: &str = "webhooks.json";

#[derive(Deserialize)]
struct Document {
    webhooks: BTreeMap<String, Mailbox>,
}

#[derive(Serialize)]
struct Borrowed<'a> {
    webhooks: &'a BTreeMap<String, Mailbox>,
}

/// Reads the file. Returns no mailboxes if there is none, or if it cannot be parsed; it is renamed
/// then.
pub(super) fn read(path: &Path) -> io::Result<BTreeMap<String, Mailbox>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        read => read?,
    };
    match serde_json::from_slice::<Document>(&bytes) {
        Ok(document) => Ok(document.webhooks),
        Err(error) => {
            let aside = path.with_extension("json.broken");
            tracing::error!(
                %error,
                file = %aside.display(),
                "webhooks.json makes no sense and was put aside: what waited in it is not delivered"
            );
            fs::rename(path, aside)?;
            Ok(BTreeMap::new())
        }
    }
}

pub(super) fn bytes(webhooks: &BTreeMap<String, Mailbox>) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&Borrowed { webhooks })?)
}

/// Replaces the file atomically: after a crash there is the old file or the new one, whole.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("json.new");
    let mut file = modes::create_own(&aside, IfThere::Empty)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
