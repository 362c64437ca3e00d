//! Backup and restore of a server: its ledger, and beside it configuration, policy and, if the
//! operator says so, the private keys.

mod claim;
mod files;
mod manifest;

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    error::Error,
    parts::{self, summarize},
    state,
};
use crate::{config::Config, store};
use claim::Claim;
use files::{damaged, digest, failed, hex, read, refused, write, write_whole};
use manifest::{FILE, LARGEST, Manifest, Stored};

/// Bytes of one file beside the ledger at most.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// The result of a backup or a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BackupReport {
    /// The folder of the copy.
    pub folder: PathBuf,
    /// The server's name.
    pub server: String,
    /// The number of events in the copy.
    pub size: u64,
    /// Whether it has the private keys.
    pub has_keys: bool,
    /// Files that the restore wrote beside the ledger.
    pub written: Vec<PathBuf>,
}

/// Copies the ledger of a server, which may run, and its files into `folder`, which is empty or
/// missing.
///
/// # Errors
/// Returns [`Error::Backup`] with what to do if the folder or the user is the wrong one, and the
/// error of the file that failed. What was written is removed then.
pub(crate) async fn back_up(
    config: &Config,
    folder: &Path,
    with_keys: bool,
) -> Result<BackupReport, Error> {
    expect_owner(&config.state)?;
    let summary = summarize(config)?;
    let signer = parts::signer(config)?;
    let claim = Claim::take(folder)?;
    let made = async {
        let copied = store::back_up(&config.state, folder, signer).await?;
        let mut files = Vec::new();
        for (at, (path, is_secret)) in files_of(config).into_iter().enumerate() {
            if is_secret && !with_keys {
                continue;
            }
            files.push(keep(folder, at, &path, is_secret)?);
        }
        let manifest = Manifest {
            format: manifest::FORMAT.to_owned(),
            server: config.name.clone(),
            ledger: summary.ledger,
            ca_key: summary.ca_key,
            size: copied.size,
            root: base16ct::lower::encode_string(&copied.root),
            database: digest(&folder.join("ledger.db"))?,
            checkpoint: digest(&folder.join("checkpoint"))?,
            has_keys: with_keys,
            configuration: config.origin().to_owned(),
            files,
        };
        claim.finish(&manifest.to_bytes()?)?;
        Ok(BackupReport {
            folder: folder.to_owned(),
            server: manifest.server,
            size: manifest.size,
            has_keys: with_keys,
            written: Vec::new(),
        })
    };
    let made: Result<BackupReport, Error> = made.await;
    if made.is_err() {
        claim.abandon();
    }
    made
}

/// Puts a copy back: the files that are missing, then the ledger into the configuration's empty
/// state folder. `configuration` is the file to use; none: the one that was backed up.
///
/// # Errors
/// Returns [`Error::Backup`] if the copy is damaged or another server's, or its keys are others,
/// and the error of the file that failed. Nothing that existed is changed.
pub(crate) async fn restore(
    folder: &Path,
    configuration: Option<&Path>,
) -> Result<BackupReport, Error> {
    claim::expect_complete(folder)?;
    let manifest = Manifest::parse(&read(&folder.join(FILE), LARGEST)?)
        .map_err(|error| refused(format!("{} {error}", folder.join(FILE).display())))?;
    for (name, expected) in [
        ("ledger.db", &manifest.database),
        ("checkpoint", &manifest.checkpoint),
    ] {
        let path = folder.join(name);
        if digest(&path)? != *expected {
            return Err(damaged(&path));
        }
    }
    let mut written = Vec::new();
    let configuration = match configuration {
        Some(path) => path.to_owned(),
        None => {
            written = put_back(folder, &manifest)?;
            manifest.configuration.clone()
        }
    };
    let config = Config::load(&configuration)?;
    let summary = summarize(&config)?;
    for (what, ours, theirs) in [
        ("server", &config.name, &manifest.server),
        ("ledger key", &summary.ledger, &manifest.ledger),
        ("CA key", &summary.ca_key, &manifest.ca_key),
    ] {
        if ours != theirs {
            return Err(refused(format!(
                "the {what} of {} is {ours}, and that of the backup is {theirs}: use the configuration and the keys of the \
                 same server",
                configuration.display()
            )));
        }
    }
    state::folder(&config.state).map_err(Error::state(&config.state))?;
    expect_owner(&config.state)?;
    let signer = parts::signer(&config)?;
    let copied = store::restore(folder, &config.state, signer).await?;
    Ok(BackupReport {
        folder: config.state,
        server: manifest.server,
        size: copied.size,
        has_keys: manifest.has_keys,
        written,
    })
}

/// Marks the ledger in the configuration's state folder as an older copy that was put back by hand.
///
/// # Errors
/// Returns [`Error::Backup`] if the user is the wrong one, and the store's error if a daemon runs
/// or the ledger is not the one that was signed.
pub(crate) async fn mark_by_hand(configuration: &Path) -> Result<BackupReport, Error> {
    let config = Config::load(configuration)?;
    expect_owner(&config.state)?;
    let signer = parts::signer(&config)?;
    let copied = store::mark_by_hand(&config.state, signer).await?;
    Ok(BackupReport {
        folder: config.state,
        server: config.name,
        size: copied.size,
        has_keys: false,
        written: Vec::new(),
    })
}

/// Paths of the files beside the ledger, and whether each is secret.
fn files_of(config: &Config) -> Vec<(PathBuf, bool)> {
    let mut files = vec![
        (config.origin().to_owned(), false),
        (config.policy.clone(), false),
        (config.ledger_key.clone(), true),
    ];
    files.extend(config.ca_keys.iter().map(|key| (key.file.clone(), true)));
    if let Some(tls) = &config.tls {
        files.push((tls.certificate.clone(), false));
        files.push((tls.key.clone(), true));
    }
    files
}

/// Copies one file into the backup.
fn keep(folder: &Path, at: usize, path: &Path, is_secret: bool) -> Result<Stored, Error> {
    let path = std::path::absolute(path).map_err(failed(path))?;
    let bytes = zeroize::Zeroizing::new(read(&path, LARGEST_FILE)?);
    let base = path.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("file-{at}-{}", manifest::plain(&base));
    write(&folder.join(&name), &bytes)?;
    Ok(Stored {
        sha256: hex(&bytes),
        name,
        path,
        is_secret,
    })
}

/// Writes the files that are missing; those that exist stay as they are. Refuses all if one in the
/// copy is damaged.
fn put_back(folder: &Path, manifest: &Manifest) -> Result<Vec<PathBuf>, Error> {
    let mut missing = Vec::new();
    for stored in &manifest.files {
        let kept = folder.join(&stored.name);
        let bytes = zeroize::Zeroizing::new(read(&kept, LARGEST_FILE)?);
        if hex(&bytes) != stored.sha256 {
            return Err(damaged(&kept));
        }
        if stored.path.symlink_metadata().is_err() {
            missing.push((stored, bytes));
        }
    }
    let mut written = Vec::new();
    for (stored, bytes) in missing {
        if let Some(parent) = stored.path.parent() {
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent);
            made.map_err(failed(parent))?;
        }
        write_whole(&stored.path, &bytes)?;
        written.push(stored.path.clone());
    }
    Ok(written)
}

/// Refuses another user than the state folder's owner: the files that SQLite makes beside the
/// ledger would be in the daemon's way.
fn expect_owner(state: &Path) -> Result<(), Error> {
    let owner = fs::metadata(state).map_err(failed(state))?.uid();
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(refused(format!(
        "{} belongs to the user with id {owner}: run this command as that user, such as: runuser -u daypass -- daypass ...",
        state.display()
    )))
}
