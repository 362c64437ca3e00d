//! Fetches CA keys and revocations. Fails closed: an answer that is unsigned, broken or older is
//! refused, and sshd keeps the last good files.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Error, Settings, also_trust,
    error::InvalidAnswer,
    failed_sync::FailedSync,
    files::{Layout, put, read, to_json},
    keys::CaKeys,
    lock::{Lock, Wait},
    logins::LoginsSync,
    recovery::{self, Before, Remembered},
    server::{Answer, Server},
    settings::LoginLog,
};
use crate::{
    ssh::{krl::Krl, sshsig::Namespace},
    unix_seconds::UnixSeconds,
};

/// The result of one sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SyncReport {
    /// The CA's address.
    pub server: String,
    /// Whether a file was replaced.
    pub changed: bool,
    /// The revocation list's version.
    pub krl_version: u64,
    /// Number of revoked passes.
    pub revoked: usize,
    /// Fingerprints of the CA keys that are trusted since this sync.
    pub added_keys: Vec<String>,
    /// Fingerprints of the CA keys that are no longer trusted.
    pub removed_keys: Vec<String>,
    /// The time of this sync.
    pub synced: UnixSeconds,
    /// When the server made the revocation list.
    pub krl_made_at: UnixSeconds,
    /// Seconds since the sync before this one; none: this is the first.
    pub synced_before: Option<u64>,
    /// Faults that this sync could do without, and what helps.
    pub notes: Vec<String>,
    /// The report and the certificates of a host that has joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostSync>,
}

/// What a sync did for a host that has joined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct HostSync {
    /// Its name at the server.
    pub name: String,
    /// Whether the server took its report.
    pub reported: bool,
    /// Whether it has new host certificates.
    pub renewed: bool,
    /// Whether the running sshd was reloaded.
    pub reloaded: bool,
    /// The first second at which a host certificate is no longer valid.
    pub certificate_until: Option<UnixSeconds>,
    /// Whether its host keys are other ones than those that joined: users' ssh refuses it until an
    /// administrator lets it join again.
    pub keys_replaced: bool,
    /// The logins that the server took; none: they are not reported, or that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logins: Option<LoginsSync>,
}

/// The last successful sync: the content of `sync.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastSync {
    /// Its time.
    pub synced: UnixSeconds,
    /// The revocation list's version.
    pub krl_version: u64,
}

impl LastSync {
    /// Reads it; none if there was no sync yet, or the file is damaged.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the file cannot be read.
    pub(crate) fn load(layout: &Layout) -> Result<Option<Self>, Error> {
        let bytes = read(&layout.last_sync())?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}

/// The options of one sync.
#[derive(Clone, Debug)]
pub(crate) struct SyncOptions {
    /// The deadline for each request.
    pub deadline: Duration,
    /// The wait for another command on this host.
    pub wait: Wait,
    /// Fingerprint of an administrator's key whose statement about a restored ledger counts here,
    /// known or not.
    pub accept: Option<String>,
    /// The path of sshd; none: the system's.
    pub sshd: Option<PathBuf>,
    /// The log whose logins are reported; none: that of the settings, if they name one.
    pub logins: Option<LoginLog>,
}

/// Fetches CA keys, revocations and administrators' keys, checks them, then replaces the files that
/// differ. A failure is kept for `doctor`.
///
/// # Errors
/// Returns the error of the step that failed. Each file on disk is then the old one or already the
/// new good one.
pub(crate) async fn sync(
    layout: &Layout,
    now: UnixSeconds,
    options: &SyncOptions,
) -> Result<SyncReport, Error> {
    let settings = Settings::load(layout)?;
    match fetch(layout, &settings, now, options).await {
        Ok(report) => FailedSync::forget_at(&layout.failed_sync()).map(|()| report),
        Err(error) => {
            // The error of the sync is the one to show, not that of keeping it.
            let _ = FailedSync::save_at(&layout.failed_sync(), now, &error);
            Err(error)
        }
    }
}

async fn fetch(
    layout: &Layout,
    settings: &Settings,
    now: UnixSeconds,
    options: &SyncOptions,
) -> Result<SyncReport, Error> {
    let (roots, unusable) = match settings.roots(layout) {
        Ok(roots) => (roots, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let server = Server::new(settings, roots.as_deref(), options.deadline)?;
    let held = read(&layout.krl())?.filter(|bytes| Krl::parse(bytes).is_ok());
    let unverified_keys = server
        .ca_keys()
        .await
        .map_err(|error| match (error, &unusable) {
            // The missing file is the cause, and has the command that helps.
            (Error::Certificate { server, cause }, Some(file)) => Error::Certificate {
                server,
                cause: format!("{file}\n{cause}"),
            },
            (error, _) => error,
        })?;
    let unverified_krl = server.krl(held.as_deref()).await?;
    let answers = Answers {
        keys: unverified_keys,
        krl: unverified_krl,
        recovery: server.recovery().await?,
    };
    let _lock = Lock::wait(layout, options.wait).await?;
    // A set-up may have changed them in between.
    let settings = Settings::load(layout)?;
    let mut report = take(layout, &settings, &answers, (now, options))?;
    report.server = server.address();
    report.notes.extend(unusable);
    Ok(report)
}

/// The server's answers, unverified.
struct Answers {
    keys: Answer,
    krl: Answer,
    recovery: Option<Answer>,
}

/// Checks all answers, then replaces the files that differ.
fn take(
    layout: &Layout,
    settings: &Settings,
    answers: &Answers,
    (now, options): (UnixSeconds, &SyncOptions),
) -> Result<SyncReport, Error> {
    let trusted = trusted(layout)?;
    let keys = check_keys(&trusted, &answers.keys)?;
    // A revocation list signed by a new key counts: a trusted key has signed that key.
    let krl = check_krl(&keys, &answers.krl)?;
    let recovery = recovery::check(&keys, answers.recovery.as_ref())?;
    let kept = kept_version(layout)?;
    let before = before(layout, options, (kept, trusted.version), now)?;
    let (remembered, acceptance) = recovery::go_on(&before, recovery.as_ref(), krl.version())?;
    if krl.version() < kept {
        let sent = krl.version();
        return Err(InvalidAnswer::Older { sent, kept }.into());
    }
    // Revocations first: a pass by a new key must not be accepted before its revocation is known.
    let mut changed = put(&layout.krl(), &answers.krl.body)?;
    changed |= put(&layout.ca_keys(), keys.to_text()?.as_bytes())?;
    if let Some(others) = also_trust::others(settings, layout)? {
        let both = also_trust::text(&keys, &others)?;
        changed |= put(&layout.both_ca_keys(), both.as_bytes())?;
    }
    let last_before = LastSync::load(layout)?;
    if let Some(remembered) = &remembered {
        put(&layout.recovery(), &to_json(remembered)?)?;
    }
    let last = LastSync {
        synced: now,
        krl_version: krl.version(),
    };
    put(&layout.last_sync(), &to_json(&last)?)?;
    let mut report = report(&krl, (&trusted, &keys), last_before, now);
    report.changed = changed;
    report
        .notes
        .extend(acceptance.as_ref().map(recovery::spoken));
    Ok(report)
}

/// What this host knows, from its files. `versions` are those of the revocation list and of the CA
/// keys.
fn before<'a>(
    layout: &Layout,
    options: &'a SyncOptions,
    versions: (u64, u64),
    now: UnixSeconds,
) -> Result<Before<'a>, Error> {
    let remembered = Remembered::load(layout)?;
    let (krl, keys) = versions;
    // The version of a revocation list is the size after its last change; that of the keys is the
    // index of an event, and 0 if the list has none.
    let keys = if keys == 0 { 0 } else { keys.saturating_add(1) };
    let size = remembered.as_ref().map_or(0, Remembered::size);
    Ok(Before {
        size: krl.max(keys).max(size),
        remembered,
        accept: options.accept.as_deref(),
        now,
    })
}

/// The CA keys that this host trusts, from disk.
///
/// # Errors
/// Returns [`Error::Usage`] if the file is missing or broken: then no answer can be checked, and
/// `setup` must run again.
pub(crate) fn trusted(layout: &Layout) -> Result<CaKeys, Error> {
    let path = layout.ca_keys();
    let again = |why: String| {
        let path = path.display();
        Error::Usage(format!(
            "{path} {why}; run again: daypass host setup --server https://HOST:PORT --ca-fingerprint SHA256:..."
        ))
    };
    let bytes = read(&path)?.ok_or_else(|| again("is missing".to_owned()))?;
    CaKeys::parse(&bytes).map_err(|error| again(format!("is broken ({error})")))
}

/// Checks the keys in an answer: a trusted key must have signed them, and an older list must not
/// replace a newer one.
pub(super) fn check_keys(trusted: &CaKeys, answer: &Answer) -> Result<CaKeys, InvalidAnswer> {
    let keys = CaKeys::parse(&answer.body)?;
    trusted.verify(
        "/ca.pub",
        Namespace::CaKeys,
        &answer.body,
        &answer.signatures,
    )?;
    not_older(trusted, keys)
}

/// Refuses an older list with other keys than those that are trusted.
pub(super) fn not_older(trusted: &CaKeys, mut keys: CaKeys) -> Result<CaKeys, InvalidAnswer> {
    let (sent, kept) = (keys.version, trusted.version);
    if sent < kept && keys.fingerprints() != trusted.fingerprints() {
        return Err(InvalidAnswer::OlderKeys { sent, kept });
    }
    keys.version = sent.max(kept);
    Ok(keys)
}

/// Checks the revocation list in an answer: one of `keys` must have signed it, and it must not be
/// empty or broken.
fn check_krl(keys: &CaKeys, answer: &Answer) -> Result<Krl, InvalidAnswer> {
    // The file on disk, still current; its signature was checked when it was fetched.
    if answer.is_kept {
        return Ok(Krl::parse(&answer.body)?);
    }
    // Before the signature: an empty list is the worst to accept, and this error names the fault.
    if answer.body.is_empty() {
        return Err(InvalidAnswer::Empty);
    }
    keys.verify("/krl", Namespace::Krl, &answer.body, &answer.signatures)?;
    Ok(Krl::parse(&answer.body)?)
}

/// The version of the list on disk. With a missing or broken file sshd refuses every key, so any
/// good list may replace it.
fn kept_version(layout: &Layout) -> Result<u64, Error> {
    let on_disk = read(&layout.krl())?.and_then(|bytes| Krl::parse(&bytes).ok());
    let last = LastSync::load(layout)?.map_or(0, |last| last.krl_version);
    Ok(on_disk.map_or(0, |krl| krl.version()).max(last))
}

fn report(
    krl: &Krl,
    (before, after): (&CaKeys, &CaKeys),
    last: Option<LastSync>,
    now: UnixSeconds,
) -> SyncReport {
    let (before, after) = (before.fingerprints(), after.fingerprints());
    SyncReport {
        server: String::new(),
        changed: false,
        host: None,
        notes: Vec::new(),
        krl_version: krl.version(),
        revoked: krl.len(),
        added_keys: after.difference(&before).cloned().collect(),
        removed_keys: before.difference(&after).cloned().collect(),
        synced: now,
        krl_made_at: krl.made_at(),
        synced_before: last.map(|last| now.seconds_since(last.synced)),
    }
}
