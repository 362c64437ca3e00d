//! `host sync` of a host that has joined: reports to the server, signed by the host keys, and takes
//! the host certificates that it renews.
//!
//! A failure here never keeps the host from fetching CA keys and revocations.

use std::{fs, path::Path};

use prost::Message;
use sha2::{Digest, Sha256};
use ssh_key::Certificate;

use super::{
    Error, Settings,
    doctor::faults,
    error::InvalidAnswer,
    files::{Layout, lock, read, replace},
    host_keys::HostKey,
    join::{self, Check, prove},
    keys::CaKeys,
    reload,
    server::Server,
    settings::Joined,
    sshd::{Connection, Effective, Sshd},
    sync::{self, FailedSync, HostSync, SyncOptions, SyncReport},
};
use crate::{
    proto::v1::{HostReport, SyncHostRequest},
    ssh::{host_proof::HostVerb, krl::Krl},
    unix_seconds::UnixSeconds,
};

/// Faults in a report at most.
const MOST_FAULTS: usize = 16;
/// Bytes of a fault at most.
const LONGEST_FAULT: usize = 200;

/// [`sync::sync`], then the report of a host that has joined. `at` is the time of the report in
/// Unix milliseconds.
///
/// # Errors
/// As [`sync::sync`]. A report that fails is a note, and is kept for `doctor`.
pub(crate) async fn sync(
    layout: &Layout,
    now: UnixSeconds,
    at: u64,
    options: &SyncOptions,
) -> Result<SyncReport, Error> {
    let synced = sync::sync(layout, now, options).await;
    let settings = Settings::load(layout)?;
    let Some(joined) = settings.joined.clone() else {
        return synced;
    };
    if let Err(Error::Unreachable { .. } | Error::Certificate { .. }) = &synced {
        return synced;
    }
    let mut host = HostSync {
        name: joined.name.clone(),
        ..HostSync::default()
    };
    let mut notes = Vec::new();
    let reported = report(layout, &settings, (now, at), options, &joined).await;
    // What `doctor` could not be told is an error of this sync, once the rest is done.
    let untold = match reported {
        Ok(renewed) => {
            host.reported = true;
            host.renewed = renewed;
            FailedSync::forget_at(&layout.failed_report()).err()
        }
        Err(error) => {
            let kept = FailedSync::save_at(&layout.failed_report(), now, &error);
            notes.push(format!("this host could not report: {error}"));
            // The error of the report is the one to show, not that of keeping it.
            kept.err().map(|_| error)
        }
    };
    if reload::is_due(layout) {
        match reload_now(layout, options).await {
            Ok(()) => host.reloaded = true,
            Err(error) => notes.push(format!(
                "the running sshd still has its old host certificates: {error}"
            )),
        }
    }
    let synced = match untold {
        Some(error) => synced.and(Err(error)),
        None => synced,
    };
    let on_disk = join::on_disk(layout, &joined)?;
    host.certificate_until = on_disk.iter().filter_map(|it| it.until).min();
    synced.map(|mut report| {
        report.host = Some(host);
        report.notes.extend(notes);
        report
    })
}

async fn reload_now(layout: &Layout, options: &SyncOptions) -> Result<(), Error> {
    let sshd = Sshd::new(options.sshd.as_deref(), &layout.sshd_config())?;
    reload::reload(layout, &sshd).await?;
    reload::done(layout);
    Ok(())
}

/// Reports, and writes renewed certificates. Returns whether there were some.
async fn report(
    layout: &Layout,
    settings: &Settings,
    (now, at): (UnixSeconds, u64),
    options: &SyncOptions,
    joined: &Joined,
) -> Result<bool, Error> {
    let sshd = Sshd::new(options.sshd.as_deref(), &layout.sshd_config())?;
    // `faults` says what keeps sshd from reading its configuration.
    let _ = sshd.provide_run_folder().await;
    let effective = sshd.effective(&Connection::unlisted()).await.ok();
    let keys = host_keys(joined, effective.as_ref()).await?;
    let report = HostReport {
        at,
        host: joined.name.clone(),
        trusted_ca_keys: trusted(effective.as_ref()),
        krl_version: krl_version(effective.as_ref()),
        sshd_version: sshd.version().await.unwrap_or_default(),
        daypass_version: env!("CARGO_PKG_VERSION").to_owned(),
        faults: shortened(faults(layout, options.sshd.as_deref(), now).await),
        certificates: certificates(layout, joined)?
            .iter()
            .map(Certificate::serial)
            .collect(),
    }
    .encode_to_vec();
    // Another check reports roots that cannot be used.
    let roots = settings.roots(layout).unwrap_or(None);
    let server = Server::new(settings, roots.as_deref(), options.deadline)?;
    let trust = server.trust().await?;
    let digest = Sha256::digest(&report).into();
    let answer = server
        .sync(SyncHostRequest {
            report,
            keys: prove(&keys, &trust.server_name, (HostVerb::Sync, &digest)).await?,
        })
        .await?;
    if answer.certificates.is_empty() {
        return Ok(false);
    }
    let user_keys = sync::trusted(layout)?;
    let check = Check::of(&trust, &user_keys, now)?;
    let files = check.all(joined, &keys, &answer.certificates, layout)?;
    let _lock = lock(layout).await?;
    // First: a host that loses power in between reloads its sshd once too often.
    reload::remember(layout)?;
    for (file, text) in files {
        replace(&file, text.as_bytes())?;
    }
    Ok(true)
}

/// The host keys that joined, each still the same.
async fn host_keys(joined: &Joined, effective: Option<&Effective>) -> Result<Vec<HostKey>, Error> {
    let mut keys = Vec::new();
    for known in &joined.keys {
        let key = HostKey::at(&known.file, effective).await?;
        let key = key.filter(|key| key.joined().fingerprint == known.fingerprint);
        keys.push(key.ok_or_else(|| InvalidAnswer::HostKeyReplaced {
            key: known.file.clone(),
            name: joined.name.clone(),
        })?);
    }
    Ok(keys)
}

/// The user CA keys that sshd trusts.
fn trusted(effective: Option<&Effective>) -> Vec<String> {
    let file = effective.map(|effective| effective.value("trustedusercakeys"));
    let text = file.and_then(|file| read(Path::new(file)).ok()?);
    let keys = text.and_then(|text| CaKeys::parse(&text).ok());
    keys.map(|keys| keys.fingerprints().into_iter().collect())
        .unwrap_or_default()
}

/// The version of the revocation list that sshd reads.
fn krl_version(effective: Option<&Effective>) -> Option<u64> {
    let file = effective?.value("revokedkeys");
    let bytes = fs::read(file).ok()?;
    Some(Krl::parse(&bytes).ok()?.version())
}

fn certificates(layout: &Layout, joined: &Joined) -> Result<Vec<Certificate>, Error> {
    let loaded = joined.keys.iter().map(|key| join::load(layout, key));
    let loaded: Result<Vec<Option<Certificate>>, Error> = loaded.collect();
    Ok(loaded?.into_iter().flatten().collect())
}

fn shortened(faults: Vec<String>) -> Vec<String> {
    let faults = faults.into_iter().take(MOST_FAULTS);
    faults.map(|fault| line(&fault)).collect()
}

/// The text as one line of printable characters, not too long for a report.
fn line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if line.len() + c.len_utf8() > LONGEST_FAULT {
            break;
        }
        line.push(c);
    }
    line
}
