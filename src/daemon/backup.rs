//! Backup and restore of a server: its ledger, and beside it configuration, policy and, if the
//! operator says so, the private keys.

mod account;
mod claim;
mod embedded;
mod files;
mod manifest;
mod report;
mod restoring;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{
    check::account_name,
    error::Error,
    parts::{self, summarize},
    state,
};
use crate::{
    config::{CaKey, Config},
    ledger::{handover, keyring::Keyring},
    modes,
    store::{self, Copied},
};
pub(super) use account::expect_owner;
use claim::Claim;
use files::{LARGEST_FILE, digest, hex, read, sha256, write};
pub(super) use files::{failed, refused};
use manifest::{Manifest, SIGNATURE, Stored};
pub(crate) use report::BackupReport;
pub(crate) use restoring::{RestoreOptions, restore};

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
    if let Some(address) = &config.postgres {
        return Err(refused(format!(
            "the ledger of this server is in the {address}: back it up with PostgreSQL's own means, best with a base \
             backup and the archived log (pg_basebackup, archive_command), which lose nothing. Keep the configuration, \
             the policy and the keys with it: {}",
            names(config)
        )));
    }
    store::expect_here(&config.state)?;
    expect_owner(&config.state)?;
    let summary = summarize(config)?;
    let keys = parts::keyring(config)?;
    let claim = Claim::take(folder)?;
    let made = async {
        let copied = store::back_up(&config.state, folder, parts::keyring(config)?).await?;
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
            ledger: key_of(&keys, &copied),
            ca_key: summary.ca_key,
            size: copied.size,
            root: base16ct::lower::encode_string(&copied.root),
            database: digest(&folder.join("ledger.db"))?,
            checkpoint: digest(&folder.join("checkpoint"))?,
            has_keys: with_keys,
            configuration: config.origin().to_owned(),
            files,
            account: Some(account_name(&config.state).map_err(failed(&config.state))?),
        };
        let list = manifest.to_bytes()?;
        let note = signature(&keys, &copied, &list)?;
        write(&folder.join(SIGNATURE), note.as_bytes())?;
        claim.finish(&list)?;
        Ok(BackupReport {
            folder: folder.to_owned(),
            server: manifest.server,
            size: manifest.size,
            has_keys: with_keys,
            written: Vec::new(),
            is_signed: true,
        })
    };
    let made: Result<BackupReport, Error> = made.await;
    if made.is_err() {
        claim.abandon();
    }
    made
}

/// The verifier key of the ledger in a copy.
fn key_of(keys: &Keyring, copied: &Copied) -> String {
    let key = keys.verifiers().key;
    handover::key_at(&copied.handovers, copied.size, &key).to_string()
}

/// The signature on the list of a backup.
fn signature(keys: &Keyring, copied: &Copied, list: &[u8]) -> Result<String, Error> {
    let head = (copied.size, copied.root);
    let note = keys.sign_backup(&copied.handovers, head, sha256(list));
    note.map_err(|lacking| refused(lacking.to_string()))
}

/// Marks the ledger in the configuration's state folder as an older copy that was put back by hand.
///
/// # Errors
/// Returns [`Error::Backup`] if the user is the wrong one, and the store's error if a daemon runs
/// or the ledger is not the one that was signed.
pub(crate) async fn mark_by_hand(configuration: &Path) -> Result<BackupReport, Error> {
    let config = Config::load(configuration)?;
    expect_owner(&config.state)?;
    modes::expect_own_folder(&config.state).map_err(Error::state(&config.state))?;
    state::expect_one_owner(&config.state)?;
    let checkpoint = config.state.join("checkpoint");
    if config.postgres.is_none() && checkpoint.symlink_metadata().is_err() {
        return Err(refused(format!(
            "{} is missing, and no server starts without it: put back ledger.db and checkpoint from one and the same copy",
            checkpoint.display()
        )));
    }
    let keys = parts::keyring(&config)?;
    let copied = match &config.postgres {
        Some(address) => store::mark_shared_by_hand(&config.state, address, keys).await?,
        None => {
            store::expect_here(&config.state)?;
            let marked = store::mark_by_hand(&config.state, keys).await;
            marked.map_err(|error| unfit(&config.state, error))?
        }
    };
    Ok(BackupReport {
        folder: config.state,
        server: config.name,
        size: copied.size,
        has_keys: false,
        written: Vec::new(),
        is_signed: true,
    })
}

/// The files beside the ledger, for a sentence.
fn names(config: &Config) -> String {
    let files = files_of(config).into_iter();
    let files: Vec<String> = files.map(|(path, _)| path.display().to_string()).collect();
    files.join(", ")
}

/// Paths of the files beside the ledger, and whether each is secret.
fn files_of(config: &Config) -> Vec<(PathBuf, bool)> {
    let mut files = vec![
        (config.origin().to_owned(), false),
        (config.policy.clone(), false),
        (config.ledger_key.clone(), true),
    ];
    files.extend(
        config
            .next_ledger_key
            .iter()
            .map(|next| (next.clone(), true)),
    );
    let hosts = config.hosts.iter().flat_map(|hosts| &hosts.keys);
    let keys = config.ca_keys.iter().chain(hosts);
    // Of a key that another program keeps, there is only the public half.
    files.extend(
        keys.clone()
            .map(|key| (key.file.clone(), key.keeper.is_none())),
    );
    for tls in keys.filter_map(CaKey::mutual_tls) {
        let of_signer = [
            (tls.certificate.clone(), false),
            (tls.roots.clone(), false),
            (tls.key.clone(), true),
        ];
        // Several keys may be behind one signer.
        for file in of_signer {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    if let Some(tls) = &config.tls {
        files.push((tls.certificate.clone(), false));
        files.push((tls.key.clone(), true));
    }
    files.extend(config.named_files());
    files
}

/// Copies one file into the backup.
fn keep(folder: &Path, at: usize, path: &Path, is_secret: bool) -> Result<Stored, Error> {
    let path = std::path::absolute(path).map_err(failed(path))?;
    let bytes = zeroize::Zeroizing::new(read(&path, LARGEST_FILE)?);
    let base = path.file_name().unwrap_or_default().to_string_lossy();
    let name = format!("file-{at}-{}", manifest::plain(&base));
    write(&folder.join(&name), &bytes)?;
    let metadata = fs::metadata(&path).map_err(failed(&path))?;
    Ok(Stored {
        sha256: hex(&bytes),
        mode: Some(metadata.permissions().mode() & manifest::MODE),
        name,
        path,
        is_secret,
    })
}

/// The error of files that do not fit each other, with what to put back.
fn unfit(state: &Path, error: store::Error) -> Error {
    if !matches!(error, store::Error::Tampered { .. }) {
        return error.into();
    }
    let (problem, state) = (Error::from(error).to_string(), state.display());
    refused(format!(
        "{problem}. Nothing was changed. Put back ledger.db and checkpoint of {state} from one and the same copy, with its \
         ledger.db-wal if it has one, and run this again"
    ))
}
