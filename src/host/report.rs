//! `host sync` of a host that has joined: reports to the server, signed by the host keys, and takes
//! the host certificates that it renews.
//!
//! A failure here never keeps the host from fetching CA keys and revocations.

use std::path::Path;

use prost::Message;
use ssh_key::Certificate;

use super::{
    Error, Settings,
    doctor::faults,
    failed_sync::FailedSync,
    files::{Layout, check_room, read, replace},
    join::{self, Check},
    keys::CaKeys,
    lock::Lock,
    logins::{self, LoginsSync},
    reload,
    reporter::Reporter,
    settings::{Joined, LoginLog},
    sshd::{Effective, Sshd},
    sync::{self, HostSync, SyncOptions, SyncReport},
};
use crate::{
    proto::v1::{HostReport, SyncHostRequest},
    ssh::{host_proof::HostVerb, krl::Krl, printable},
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
        return synced.map(|report| not_joined(report, options));
    };
    if let Err(Error::Unreachable { .. } | Error::Certificate { .. }) = &synced {
        return synced;
    }
    let mut host = HostSync {
        name: joined.name.clone(),
        ..HostSync::default()
    };
    let mut notes = Vec::new();
    let times = (now, at);
    let told = tell(layout, &settings, times, options, (&mut host, &mut notes)).await;
    // What `doctor` could not be told is an error of this sync, once the rest is done.
    let untold = match told {
        Ok(renewed) => {
            host.reported = true;
            host.renewed = renewed;
            FailedSync::forget_at(&layout.failed_report()).err()
        }
        Err(error) => {
            host.keys_replaced = error.is_about_replaced_keys();
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

/// The report of a host that has not joined, with a note if it was to report logins.
fn not_joined(mut report: SyncReport, options: &SyncOptions) -> SyncReport {
    if options.logins.is_some() {
        report.notes.push(logins::to_join());
    }
    report
}

/// Reports the logins, if they are to be, then the host itself. Returns whether it has new
/// certificates.
async fn tell(
    layout: &Layout,
    settings: &Settings,
    times: (UnixSeconds, u64),
    options: &SyncOptions,
    (host, notes): (&mut HostSync, &mut Vec<String>),
) -> Result<bool, Error> {
    let Some(joined) = &settings.joined else {
        return Ok(false);
    };
    let (sshd, deadline) = (options.sshd.as_deref(), options.deadline);
    let reporter = Reporter::new(layout, settings, joined, sshd, deadline).await?;
    let mut until = None;
    if let Some(log) = options.logins.as_ref().or(settings.logins.as_ref()) {
        (host.logins, until) = report_logins(&reporter, log, times, notes).await;
    }
    let unwritable = unwritable(layout);
    notes.extend(unwritable.clone());
    let (renewed, refused) = report(&reporter, times, (until, unwritable), options).await?;
    notes.extend(refused);
    Ok(renewed)
}

async fn reload_now(layout: &Layout, options: &SyncOptions) -> Result<(), Error> {
    let sshd = Sshd::new(options.sshd.as_deref(), &layout.sshd_config())?;
    reload::reload(layout, &sshd).await?;
    reload::done(layout);
    Ok(())
}

/// Reports the logins in the log. A failure is a note, and is kept for `doctor`. Returns what
/// was reported, and the time up to which that was done at any time.
async fn report_logins(
    reporter: &Reporter<'_>,
    log: &LoginLog,
    (now, at): (UnixSeconds, u64),
    notes: &mut Vec<String>,
) -> (Option<LoginsSync>, Option<UnixSeconds>) {
    let failed = reporter.layout.failed_logins();
    let told = match logins::report(reporter, log, (now, at)).await {
        Ok((reported, note)) => {
            notes.extend(note);
            FailedSync::forget_at(&failed).map(|()| reported)
        }
        Err(error) => Err(error),
    };
    match told {
        Ok(reported) => (Some(reported.clone()), Some(reported.until)),
        Err(error) => {
            notes.push(format!("this host could not report logins: {error}"));
            // The error of the report is the one to show, not that of keeping it.
            let _ = FailedSync::save_at(&failed, now, &error);
            let until = logins::until(reporter.layout, now).unwrap_or_default();
            (None, Some(until))
        }
    }
}

/// Reports, and writes renewed certificates. Returns whether there were some.
async fn report(
    reporter: &Reporter<'_>,
    (now, at): (UnixSeconds, u64),
    (logins_until, unwritable): (Option<UnixSeconds>, Option<String>),
    options: &SyncOptions,
) -> Result<(bool, Option<String>), Error> {
    let (layout, joined) = (reporter.layout, reporter.joined);
    let effective = reporter.effective.as_ref();
    let keeps_certificates = unwritable.is_some();
    let found = faults(layout, options.sshd.as_deref(), now).await;
    let found = unwritable.into_iter().chain(found);
    let report = HostReport {
        at,
        host: joined.name.clone(),
        trusted_ca_keys: trusted(effective),
        krl_version: krl_version(effective),
        sshd_version: reporter.sshd.version().await.unwrap_or_default(),
        daypass_version: env!("CARGO_PKG_VERSION").to_owned(),
        faults: shortened(found),
        certificates: certificates(layout, joined)?
            .iter()
            .map(Certificate::serial)
            .collect(),
        logins_until: logins_until.map(UnixSeconds::get),
        keeps_certificates,
    }
    .encode_to_vec();
    let request = SyncHostRequest {
        keys: reporter.prove(HostVerb::Sync, &report).await?,
        report,
    };
    let answer = reporter.server.sync(request).await?;
    if answer.certificates.is_empty() {
        let refused = Some(answer.refused).filter(|it| !it.is_empty());
        let refused = refused.map(|it| {
            format!(
                "no new host certificate: {}",
                printable::excerpt(&it, LONGEST_FAULT)
            )
        });
        return Ok((false, refused));
    }
    let user_keys = sync::trusted(layout)?;
    let check = Check::of(&reporter.trust, &user_keys, now)?;
    let files = check.all(joined, &reporter.keys, &answer.certificates, layout)?;
    let _lock = Lock::wait(layout, options.wait).await?;
    // A set-up may have joined with other host keys in between.
    if Settings::load(layout)?.joined.as_ref() != Some(joined) {
        return Ok((false, None));
    }
    // First: a host that loses power in between reloads its sshd once too often.
    reload::remember(layout)?;
    for (file, text) in files {
        replace(&file, text.as_bytes())?;
    }
    Ok((true, None))
}

/// Why this host cannot write new certificates, if it cannot: it then asks for none.
fn unwritable(layout: &Layout) -> Option<String> {
    let Err(Error::File { path, source }) = check_room(&layout.folder()) else {
        return None;
    };
    Some(format!(
        "no host certificates are renewed: files in {} cannot be written ({source}); make room there, or make it writable",
        path.display()
    ))
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
    let bytes = read(Path::new(file)).ok()??;
    Some(Krl::parse(&bytes).ok()?.version())
}

fn certificates(layout: &Layout, joined: &Joined) -> Result<Vec<Certificate>, Error> {
    let loaded = joined.keys.iter().map(|key| join::load(layout, key));
    let loaded: Result<Vec<Option<Certificate>>, Error> = loaded.collect();
    Ok(loaded?.into_iter().flatten().collect())
}

fn shortened(faults: impl Iterator<Item = String>) -> Vec<String> {
    faults
        .take(MOST_FAULTS)
        .map(|fault| printable::excerpt(&fault, LONGEST_FAULT))
        .collect()
}
