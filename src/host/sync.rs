//! Fetching CA keys and revocations. Fails closed: what is not better than what is on disk is not taken, and sshd goes on
//! with the last good one.

use std::{path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Error, Settings,
    error::InvalidAnswer,
    files::{Layout, lock, read, replace},
    keys::CaKeys,
    server::{Answer, Server},
};
use crate::ssh::{krl::Krl, sshsig::Namespace};

/// What one sync did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// Whom it asked.
    pub server: String,
    /// Whether a file was replaced.
    pub changed: bool,
    /// The revocation list's version.
    pub krl_version: u64,
    /// How many passes it lists.
    pub revoked: usize,
    /// Fingerprints of CA keys that are trusted now and were not before.
    pub added_keys: Vec<String>,
    /// Fingerprints of CA keys that are no longer trusted.
    pub removed_keys: Vec<String>,
    /// Unix seconds.
    pub synced: u64,
    /// When the server made the revocation list, Unix seconds.
    pub krl_made_at: u64,
    /// Seconds since the sync before this one; none: this is the first.
    pub synced_before: Option<u64>,
}

/// When the last sync succeeded: `sync.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSync {
    /// Unix seconds.
    pub synced: u64,
    /// The revocation list's version.
    pub krl_version: u64,
}

impl LastSync {
    /// None where there was no sync yet, or nobody can tell.
    ///
    /// # Errors
    /// Where the file is there and cannot be read.
    pub fn load(layout: &Layout) -> Result<Option<Self>, Error> {
        let bytes = read(&layout.last_sync())?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}

/// Fetches both, checks both, then replaces what is new. `now` is Unix seconds, `deadline` for each of two requests.
///
/// # Errors
/// Where a step fails; each file on disk is then as it was or already the newer good one.
pub async fn sync(layout: &Layout, now: u64, deadline: Duration) -> Result<SyncReport, Error> {
    let settings = Settings::load(layout)?;
    let roots = settings.roots(layout)?;
    let server = Server::new(&settings.server, roots.as_deref(), deadline)?;
    let held = read(&layout.krl())?.filter(|bytes| Krl::parse(bytes).is_ok());
    let unverified_keys = server.ca_keys().await?;
    let unverified_krl = server.krl(held.as_deref()).await?;

    let _lock = lock(layout).await?;
    let trusted = trusted(layout)?;
    let keys = check_keys(&trusted, &unverified_keys)?;
    // A list by a key that only just came counts: that key was vouched for.
    let krl = check_krl(&keys, &unverified_krl)?;
    let kept = kept_version(layout)?;
    if krl.version() < kept {
        let sent = krl.version();
        return Err(InvalidAnswer::Older { sent, kept }.into());
    }
    // The list first: passes by a new key must not count before their revocations do.
    let mut changed = put(&layout.krl(), &unverified_krl.body)?;
    changed |= put(&layout.ca_keys(), keys.to_text()?.as_bytes())?;
    let before = LastSync::load(layout)?;
    let last = LastSync {
        synced: now,
        krl_version: krl.version(),
    };
    put(&layout.last_sync(), &to_json(&last)?)?;
    Ok(report(
        server.address(),
        changed,
        &krl,
        (&trusted, &keys),
        before,
        now,
    ))
}

/// The keys that are on disk.
///
/// # Errors
/// Where there are none: then nothing can be checked, and `setup` must run again.
pub fn trusted(layout: &Layout) -> Result<CaKeys, Error> {
    let path = layout.ca_keys();
    let again = |why: String| {
        let path = path.display();
        Error::Usage(format!("{path} {why}; run `daypass host setup` again"))
    };
    let bytes = read(&path)?.ok_or_else(|| again("is gone".to_owned()))?;
    CaKeys::parse(&bytes).map_err(|error| again(format!("is broken ({error})")))
}

/// New keys come only from a key that is trusted already, and never from a list that another has replaced.
fn check_keys(trusted: &CaKeys, answer: &Answer) -> Result<CaKeys, InvalidAnswer> {
    let mut keys = CaKeys::parse(&answer.body)?;
    trusted.verify(
        "/ca.pub",
        Namespace::CaKeys,
        &answer.body,
        answer.signature.as_deref(),
    )?;
    let (sent, kept) = (keys.version, trusted.version);
    if sent < kept && keys.fingerprints() != trusted.fingerprints() {
        return Err(InvalidAnswer::OlderKeys { sent, kept });
    }
    keys.version = sent.max(kept);
    Ok(keys)
}

fn check_krl(keys: &CaKeys, answer: &Answer) -> Result<Krl, InvalidAnswer> {
    // Its signature was checked when it came.
    if answer.is_kept {
        return Ok(Krl::parse(&answer.body)?);
    }
    // Said first, for it is the one that would be worst to take.
    if answer.body.is_empty() {
        return Err(InvalidAnswer::Empty);
    }
    keys.verify(
        "/krl",
        Namespace::Krl,
        &answer.body,
        answer.signature.as_deref(),
    )?;
    Ok(Krl::parse(&answer.body)?)
}

/// The version on disk. A file that is gone or broken locks everybody out, so anything good may replace it.
fn kept_version(layout: &Layout) -> Result<u64, Error> {
    let on_disk = read(&layout.krl())?.and_then(|bytes| Krl::parse(&bytes).ok());
    let last = LastSync::load(layout)?.map_or(0, |last| last.krl_version);
    Ok(on_disk.map_or(0, |krl| krl.version()).max(last))
}

fn put(path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    if read(path)?.as_deref() == Some(bytes) {
        return Ok(false);
    }
    replace(path, bytes)?;
    Ok(true)
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    let mut json = serde_json::to_vec(value)
        .map_err(|error| Error::Usage(format!("failed to write JSON: {error}")))?;
    json.push(b'\n');
    Ok(json)
}

fn report(
    server: &str,
    changed: bool,
    krl: &Krl,
    (before, after): (&CaKeys, &CaKeys),
    last: Option<LastSync>,
    now: u64,
) -> SyncReport {
    let (before, after) = (before.fingerprints(), after.fingerprints());
    SyncReport {
        server: server.to_owned(),
        changed,
        krl_version: krl.version(),
        revoked: krl.len(),
        added_keys: after.difference(&before).cloned().collect(),
        removed_keys: before.difference(&after).cloned().collect(),
        synced: now,
        krl_made_at: krl.made_at(),
        synced_before: last.map(|last| now.saturating_sub(last.synced)),
    }
}
