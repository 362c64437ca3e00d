//! Reports accepted logins by certificates to the server, which compares them with the ledger.
//!
//! The place up to which the log was read is written each time the server took some logins. So each
//! is reported at least once, and the server records none twice.

mod journal;
mod log_file;
mod part;
mod place;

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use prost::Message;
use serde::Serialize;

use self::{
    part::Part,
    place::{At, Gap, Place},
};
use super::{
    Error, also_trust,
    files::{Changes, Layout},
    reporter::Reporter,
    settings::LoginLog,
};
use crate::{
    proto::v1::{Login, LoginCertificate, LoginReport, ReportLoginsRequest},
    ssh::{
        host_proof::HostVerb,
        principal::MAX_GROUPS,
        printable::line,
        sshd_log::{self, Accepted, CertificateLogin, Stamp, UnreadableLogin},
    },
    unix_seconds::UnixSeconds,
};

/// The most logins of one report, and the most bytes of them: the server takes 40 KiB.
const PER_REPORT: (usize, usize) = (100, 32 * 1024);

/// The most bytes of each text of a login. A key id has at most 256, and sshd doubles its
/// backslashes; a longer one is of no pass, also when it is cut.
const LONGEST_TEXT: usize = 600;

/// The logins of one sync.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct LoginsSync {
    /// Logins by certificates that were reported.
    pub reported: usize,
    /// Those that the ledger does not explain.
    pub foreign: u32,
    /// The time up to which the log was read.
    pub until: UnixSeconds,
    /// Whether more of the log waits for the next sync.
    pub more: bool,
}

/// The words for a host that has not joined.
pub(super) fn to_join() -> String {
    "logins are reported by hosts that have joined. Ask an administrator for a join code: daypass admin hosts add NAME \
     --group GROUP; then run here: daypass host setup --join CODE --logins"
        .to_owned()
}

/// Checks that reports of the logins in `log`, if there are to be some, can name all groups.
///
/// # Errors
/// Returns [`Error::Usage`] if there are more than [`MAX_GROUPS`].
pub(super) fn check_groups(groups: &[String], log: Option<&LoginLog>) -> Result<(), Error> {
    let many = groups.len();
    if log.is_none() || many <= MAX_GROUPS {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "a host of {many} host groups cannot report logins, one of {MAX_GROUPS} can: name fewer by --group, or set it up \
         with --no-logins"
    )))
}

/// The time up to which logins were reported; none: never.
pub(super) fn until(layout: &Layout, now: UnixSeconds) -> Option<UnixSeconds> {
    let until = Place::load(layout).ok()??.until;
    Some(until.min(now))
}

/// The lines that were gone before they were read, if that was within the last day: a sentence.
pub(super) fn gap(layout: &Layout, now: UnixSeconds) -> Result<Option<String>, Error> {
    let place = Place::load(layout)?;
    let gap = place.and_then(|place| place.gap);
    Ok(gap.filter(|gap| gap.is_recent(now)).map(|gap| gap.spoken()))
}

/// Removes the place, for a host that no longer reports logins.
///
/// # Errors
/// Returns [`Error::File`] if a file cannot be removed.
pub(super) fn end(changes: &mut Changes, layout: &Layout) -> Result<(), Error> {
    changes.remove(&layout.logins())?;
    changes.remove(&layout.failed_logins())?;
    Ok(())
}

/// Writes the place at which logins begin to be reported, unless that has begun.
///
/// # Errors
/// As [`begin`].
pub(super) fn start(
    changes: &mut Changes,
    layout: &Layout,
    log: &LoginLog,
    now: UnixSeconds,
) -> Result<(), Error> {
    let path = layout.logins();
    let place = begin(layout, log, now)?;
    changes.file(&path, &place.to_bytes(&path)?)?;
    Ok(())
}

/// Begins to report the logins of this log: from now on, or from the place in another log on.
///
/// # Errors
/// Returns [`Error::File`] if the log cannot be read.
fn begin(layout: &Layout, log: &LoginLog, now: UnixSeconds) -> Result<Place, Error> {
    let known = Place::load(layout)?.map(|place| place.not_after(now));
    match known {
        Some(place) if place.log == *log => Ok(place),
        // From the same moment on: in a file, its older lines are left out.
        Some(place) => Ok(Place {
            log: log.clone(),
            at: At::Since(place.until),
            ..place
        }),
        None => Ok(Place {
            log: log.clone(),
            until: now,
            at: match log {
                LoginLog::Journal => At::Since(now),
                LoginLog::File(path) => log_file::end(path)?,
            },
            gap: None,
        }),
    }
}

/// Reports the logins since the last report. Returns a note, if lines were gone before.
///
/// The place is kept after each part that the server took, so that a long log gets on at each sync.
///
/// # Errors
/// Returns the error if the log cannot be read, or the server does not take the logins. The next
/// sync then begins behind the last ones that it took.
pub(super) async fn report(
    reporter: &Reporter<'_>,
    log: &LoginLog,
    (now, at): (UnixSeconds, u64),
) -> Result<(LoginsSync, Option<String>), Error> {
    let layout = reporter.layout;
    let before = Place::load(layout)?.and_then(|place| place.gap);
    let mut place = begin(layout, log, now)?;
    let part = match log {
        LoginLog::Journal => journal::read(&place).await?,
        LoginLog::File(path) => log_file::read(path, &place).await?,
    };
    let others = also_trust::others(reporter.settings, layout)?;
    let others = others.map(|keys| keys.fingerprints()).unwrap_or_default();
    let (logins, ends) = logins(&part, &place, log, (&others, now));
    if part.is_gap {
        place.gap = Some(Gap {
            noticed: now,
            since: place.until,
        });
    }
    let note = (place.gap != before).then(|| place.gap.as_ref().map(Gap::spoken));
    let mut synced = LoginsSync::default();
    for few in reports(&logins) {
        match send(reporter, few, at).await {
            Ok(foreign) => synced.foreign = synced.foreign.saturating_add(foreign),
            // The next sync goes on.
            Err(Error::Declined(declined)) if declined.is_for_now() && synced.reported > 0 => {
                synced.more = true;
                break;
            }
            Err(error) => return Err(error),
        }
        synced.reported += few.len();
        if let Some(end) = ends.get(synced.reported - 1) {
            place.at = end.clone();
            place.save(layout)?;
        }
    }
    if !synced.more {
        place.at = part.at;
        if !part.has_more {
            place.until = now;
        }
        place.save(layout)?;
    }
    synced.until = place.until;
    synced.more |= part.has_more;
    Ok((synced, note.flatten()))
}

/// The logins that are reported, each with the place after it.
fn logins(
    part: &Part,
    place: &Place,
    log: &LoginLog,
    (others, now): (&BTreeSet<String>, UnixSeconds),
) -> (Vec<Login>, Vec<At>) {
    let zone = TimeZone::system();
    // The journal leaves older entries out itself.
    let since = match (&place.at, log) {
        (At::Since(since), LoginLog::File(_)) => since.get(),
        _ => 0,
    };
    let lines = part.lines.iter();
    let logins = lines.filter_map(|line| {
        let login = login(&line.bytes, others, (now, &zone))?;
        let is_new = login.logged_at.is_none_or(|at| at >= since);
        is_new.then(|| (login, line.end.clone()))
    });
    logins.unzip()
}

/// Reports a few logins. Returns how many the ledger does not explain.
async fn send(reporter: &Reporter<'_>, few: &[Login], at: u64) -> Result<u32, Error> {
    let report = LoginReport {
        at,
        host: reporter.joined.name.clone(),
        groups: reporter.settings.groups.clone(),
        logins: few.to_vec(),
    }
    .encode_to_vec();
    let request = ReportLoginsRequest {
        keys: reporter.prove(HostVerb::Logins, &report).await?,
        report,
    };
    Ok(reporter.server.report_logins(request).await?.foreign)
}

/// The login of a line by a certificate of no other CA.
fn login(
    bytes: &[u8],
    others: &BTreeSet<String>,
    (now, zone): (UnixSeconds, &TimeZone),
) -> Option<Login> {
    let now = now.to_utc()?;
    let seconds = |stamp: Option<Stamp>| {
        let at = stamp?.moment(now, zone)?;
        Some(UnixSeconds::from(at).get())
    };
    match sshd_log::read(bytes)? {
        Accepted::ByCertificate(login) if others.contains(&login.ca) => None,
        Accepted::ByCertificate(login) => Some(whole(seconds(login.time), login)),
        Accepted::Unreadable(UnreadableLogin { time, client }) => {
            let (login, from, port) = client.unwrap_or_default();
            Some(Login {
                logged_at: seconds(time),
                login: text(&login),
                from: text(&from),
                port: port.into(),
                certificate: None,
            })
        }
        Accepted::Otherwise => None,
    }
}

fn whole(logged_at: Option<u64>, login: CertificateLogin) -> Login {
    Login {
        logged_at,
        login: text(&login.login),
        from: text(&login.from),
        port: login.port.into(),
        certificate: Some(LoginCertificate {
            serial: login.serial,
            key_id: text(&login.key_id),
            key: text(&login.key),
            ca: text(&login.ca),
        }),
    }
}

fn text(logged: &str) -> String {
    line(logged, LONGEST_TEXT)
}

/// The logins in parts that the server takes.
fn reports(mut logins: &[Login]) -> Vec<&[Login]> {
    let (most, bytes) = PER_REPORT;
    let mut reports = Vec::new();
    while !logins.is_empty() {
        let mut size = 0;
        let fits = |login: &&Login| {
            size += login.encoded_len() + 4;
            size <= bytes
        };
        let count = logins.iter().take(most).take_while(fits).count().max(1);
        let (few, rest) = logins.split_at(count);
        reports.push(few);
        logins = rest;
    }
    reports
}

#[cfg(test)]
mod tests;
