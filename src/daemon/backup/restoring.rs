//! `daypass restore`. All that can be refused is refused before the first file is written, and what
//! was written is removed if a later step fails.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    account::expect_account,
    embedded::expect_embedded,
    files::{LARGEST_FILE, damaged, digest, failed, hex, read, refused, sha256, write_whole},
    manifest::{FILE, LARGEST, Manifest, SIGNATURE, Stored},
    report::BackupReport,
};
use crate::{
    config::{Config, Surroundings, Unread},
    daemon::{Error, parts, state},
    ledger::keyring::Keyring,
    store,
};

/// Bytes of a signature at most. Ours have about 350.
const LARGEST_SIGNATURE: u64 = 4096;

/// The operator's choices.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RestoreOptions<'a> {
    /// The configuration to use; none: the one that was backed up.
    pub configuration: Option<&'a Path>,
    /// Whether a copy without a signature is accepted.
    pub unsigned: bool,
}

/// A file of the copy that is missing on this machine, with its content.
type Missing<'a> = (&'a Stored, Zeroizing<Vec<u8>>);

/// Puts a copy back: the files that are missing, then the ledger into the configuration's empty
/// state folder.
///
/// # Errors
/// Returns [`Error::Backup`] if the copy is damaged, altered or another server's, if its keys are
/// others, or if the user is the wrong one, and the error of the file that failed. Nothing that
/// existed is changed.
pub(crate) async fn restore(
    folder: &Path,
    options: RestoreOptions<'_>,
) -> Result<BackupReport, Error> {
    super::claim::expect_complete(folder)?;
    let path = folder.join(FILE);
    let list = read(&path, LARGEST)?;
    let manifest = Manifest::parse(&list);
    let manifest = manifest.map_err(|error| refused(format!("{} {error}", path.display())))?;
    let (config, missing) = match options.configuration {
        // What its sections name may be missing yet: a start says so.
        Some(path) => (Config::load_for_reload(path)?, Vec::new()),
        None => from_copy(folder, &manifest)?,
    };
    expect_embedded(&config)?;
    let keys = keyring(&config, &missing)?;
    let is_signed = check_signature(folder, &list, &manifest, &keys)?;
    if !is_signed && !options.unsigned {
        return Err(unsigned(folder));
    }
    expect_account(&config.state, manifest.account.as_deref())?;
    expect_whole(folder, &manifest)?;
    let mut written = Vec::new();
    let done = put_back(folder, &manifest, &config, (missing, &mut written)).await;
    if done.is_err() {
        for path in &written {
            let _ = fs::remove_file(path);
        }
    }
    Ok(BackupReport {
        size: done?,
        folder: config.state,
        server: manifest.server,
        has_keys: manifest.has_keys,
        written,
        is_signed,
    })
}

/// The configuration of the copy, and the files that are missing here. The copy's files are whole.
fn from_copy<'a>(
    folder: &Path,
    manifest: &'a Manifest,
) -> Result<(Config, Vec<Missing<'a>>), Error> {
    let mut missing = Vec::new();
    let mut text = None;
    for stored in &manifest.files {
        let kept = folder.join(&stored.name);
        let bytes = Zeroizing::new(read(&kept, LARGEST_FILE)?);
        if hex(&bytes) != stored.sha256 {
            return Err(damaged(&kept));
        }
        if stored.path == manifest.configuration {
            text = Some(String::from_utf8_lossy(&bytes).into_owned());
        }
        if stored.path.symlink_metadata().is_err() {
            missing.push((stored, bytes));
        }
    }
    let origin = &manifest.configuration;
    if origin.symlink_metadata().is_ok() {
        return Ok((Config::load_for_reload(origin)?, missing));
    }
    let text = text.ok_or_else(|| {
        let list = folder.join(FILE);
        refused(format!("{} lists no configuration", list.display()))
    })?;
    let around = Surroundings {
        unread: Some(Unread::default()),
        ..Surroundings::of_process(origin.parent().unwrap_or(Path::new("/")))
    };
    let config = Config::parse(&text, &origin.display().to_string(), &around)?;
    Ok((config, missing))
}

/// The ledger's keys, which may be among the files that are still missing.
fn keyring(config: &Config, missing: &[Missing<'_>]) -> Result<Keyring, Error> {
    let text = |file: &Path| {
        let found = missing.iter().find(|(stored, _)| stored.path == file);
        found.map(|(_, bytes)| Zeroizing::new(String::from_utf8_lossy(bytes).into_owned()))
    };
    parts::keyring_from(config, |file| match text(file) {
        Some(text) => Ok(text),
        None => parts::ledger_key_text(file),
    })
}

/// Whether the copy has a signature.
///
/// # Errors
/// Returns [`Error::Backup`] if it is not over this list and by this server's ledger key.
fn check_signature(
    folder: &Path,
    list: &[u8],
    manifest: &Manifest,
    keys: &Keyring,
) -> Result<bool, Error> {
    let path = folder.join(SIGNATURE);
    if path.symlink_metadata().is_err() {
        return Ok(false);
    }
    let note = read(&path, LARGEST_SIGNATURE)?;
    let verifiers = keys.verifiers();
    let signed = verifiers.verify_backup(&String::from_utf8_lossy(&note));
    if signed.is_ok_and(|(_, digest)| digest == sha256(list)) {
        return Ok(true);
    }
    let (list, ours) = (folder.join(FILE), verifiers.key.to_string());
    let list = list.display();
    Err(refused(match verifiers.names(&manifest.ledger) {
        true => format!(
            "{list} is not the list that was signed when the backup was made (it or {} was changed): use another copy",
            path.display()
        ),
        false => format!(
            "{list} is not signed by this server's ledger key {ours}. It says that it is of the ledger {}: use the configuration \
             and the keys of the same server; if they are, the list was changed: use another copy. {BEFORE}",
            manifest.ledger
        ),
    }))
}

fn unsigned(folder: &Path) -> Error {
    refused(format!(
        "{} is missing: the backup was made by an earlier version, or its signature was removed and what it holds may have \
         been changed. If it is an earlier version's, and no other person could write to it, run this again with --unsigned",
        folder.join(SIGNATURE).display()
    ))
}

/// Refuses a file that is not the listed one, also if it is not put back.
fn expect_whole(folder: &Path, manifest: &Manifest) -> Result<(), Error> {
    let ledger = [
        ("ledger.db", &manifest.database),
        ("checkpoint", &manifest.checkpoint),
    ];
    let files = manifest.files.iter().map(|it| (&*it.name, &it.sha256));
    for (name, expected) in ledger.into_iter().chain(files) {
        let path = folder.join(name);
        if digest(&path)? != *expected {
            return Err(damaged(&path));
        }
    }
    Ok(())
}

/// Writes what is missing, and then the ledger. Adds the files to `written` as they are there.
/// Returns the number of events.
async fn put_back(
    folder: &Path,
    manifest: &Manifest,
    config: &Config,
    (missing, written): (Vec<Missing<'_>>, &mut Vec<PathBuf>),
) -> Result<u64, Error> {
    for (stored, bytes) in missing {
        if let Some(parent) = stored.path.parent() {
            let mut builder = fs::DirBuilder::new();
            let made = builder.recursive(true).mode(0o700).create(parent);
            made.map_err(failed(parent))?;
        }
        write_whole(&stored.path, &bytes, stored.restored_mode())?;
        written.push(stored.path.clone());
    }
    expect_same_server(config, manifest)?;
    state::folder(&config.state).map_err(Error::state(&config.state))?;
    let keys = parts::keyring(config)?;
    Ok(store::restore(folder, &config.state, keys).await?.size)
}

/// What to do about a copy from before a handover of the ledger's key.
const BEFORE: &str = "If the backup is from before the ledger was handed over to another key, name the old key as [ledger] \
     `key` and the new one as `next_key`, and hand it over again afterwards (`daypass help ledger-key`)";

fn expect_same_server(config: &Config, manifest: &Manifest) -> Result<(), Error> {
    let summary = parts::summarize(config)?;
    if !parts::keyring(config)?.verifiers().names(&manifest.ledger) {
        return Err(refused(format!(
            "the ledger key of {} is {}, and that of the backup is {}: use the configuration and the keys of the same \
             server. {BEFORE}",
            config.origin().display(),
            summary.ledger,
            manifest.ledger
        )));
    }
    if config.name != manifest.server {
        return Err(refused(format!(
            "the server of {} is {}, and that of the backup is {}: use the configuration and the keys of the same server",
            config.origin().display(),
            config.name,
            manifest.server
        )));
    }
    // Administrators may have rotated the CA's keys since. The ledger's key proves which server's
    // copy it is, and the ledger says which CA key signs.
    if !summary.ca_keys.contains(&manifest.ca_key) {
        tracing::warn!(
            "the active CA key of the backup, {}, is not in {}: if the server lacks the key that signs by the restored \
             ledger, activate another one (`daypass help server`: The active key is lost)",
            manifest.ca_key,
            config.origin().display()
        );
    }
    Ok(())
}
