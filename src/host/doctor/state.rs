//! The checks of the files that sshd reads (whole, fresh, writable by root alone), and of clock and
//! CA keys against the server's.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use super::scene::Scene;
use crate::{
    finding::Finding,
    host::{
        Error,
        failed_sync::FailedSync,
        files::{Layout, read},
        keys::CaKeys,
        recovery::Remembered,
        server::Answer,
        sync::LastSync,
    },
    ssh::krl::Krl,
    unix_seconds::UnixSeconds,
};

/// Seconds that the clocks may differ. Passes are backdated by 60 s; half of that is for the
/// network.
const CLOCK: u64 = 30;

/// Checks the files; returns the revocation list if it is valid.
///
/// # Errors
/// Returns [`Error::File`] if a file cannot be read.
pub(super) fn check(
    scene: &Scene<'_>,
    oldest: Duration,
) -> Result<(Option<Krl>, Vec<Finding>), Error> {
    let (krl, finding) = revocations(scene)?;
    let mut findings = vec![finding, freshness(scene, oldest)?];
    findings.extend(failure(scene)?);
    findings.extend(roots(scene));
    findings.extend(administrators(scene)?);
    let layout = scene.layout;
    for path in [
        layout.ssh_folder(),
        layout.folder(),
        layout.ca_keys(),
        layout.krl(),
        layout.settings(),
        layout.drop_in(),
    ] {
        findings.extend(permissions(&path));
    }
    Ok((krl, findings))
}

/// Seconds since the last sync; none: never.
///
/// # Errors
/// Returns [`Error::File`] if the file cannot be read.
pub(super) fn age(layout: &Layout, now: UnixSeconds) -> Result<Option<u64>, Error> {
    let last = LastSync::load(layout)?;
    Ok(last.map(|last| now.seconds_since(last.synced)))
}

fn revocations(scene: &Scene<'_>) -> Result<(Option<Krl>, Finding), Error> {
    let path = scene.layout.krl();
    let shown = path.display();
    let wrong = |why: String| {
        Finding::wrong(
            "revocations",
            format!("{shown} {why}; run `daypass host sync`"),
        )
    };
    let bytes = match read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let cause = cause.unwrap_or_else(|| error.to_string());
            let why = format!("cannot be read ({cause}): sshd may refuse every key");
            return Ok((None, wrong(why)));
        }
    };
    let Some(bytes) = bytes else {
        return Ok((None, wrong("is missing: sshd refuses every key".to_owned())));
    };
    if bytes.is_empty() {
        return Ok((
            None,
            wrong("is empty: revoked passes are accepted".to_owned()),
        ));
    }
    match Krl::parse(&bytes) {
        Err(error) => Ok((
            None,
            wrong(format!("is broken ({error}): sshd may refuse every key")),
        )),
        Ok(krl) => {
            let (count, version) = (krl.len(), krl.version());
            let made = spoken(scene.now.seconds_since(krl.made_at()));
            let passes = if count == 1 { "pass is" } else { "passes are" };
            let message = format!("{count} {passes} revoked (version {version}, made {made} ago)");
            Ok((Some(krl), Finding::good("revocations", message)))
        }
    }
}

fn freshness(scene: &Scene<'_>, oldest: Duration) -> Result<Finding, Error> {
    let again =
        "look at `systemctl status daypass-sync.timer daypass-sync`, or run `daypass host sync`";
    Ok(match age(scene.layout, scene.now)? {
        None => Finding::wrong(
            "sync",
            format!("revocations were never fetched: revoked passes are accepted; {again}"),
        ),
        Some(age) if age > oldest.as_secs() => Finding::wrong(
            "sync",
            format!(
                "revocations are {} old: passes revoked since are accepted; {again}",
                spoken(age)
            ),
        ),
        Some(age) => Finding::good(
            "sync",
            format!("revocations were fetched {} ago", spoken(age)),
        ),
    })
}

/// Finds that the last sync failed: revocations are then no longer fetched, fresh as the last ones
/// may be.
fn failure(scene: &Scene<'_>) -> Result<Option<Finding>, Error> {
    let failed = FailedSync::load(scene.layout)?;
    Ok(failed.map(|failed| {
        let ago = spoken(scene.now.seconds_since(failed.tried));
        Finding::wrong(
            "sync",
            format!(
                "the last sync failed, {ago} ago: {}; when that is mended, run `daypass host sync`",
                failed.error
            ),
        )
    }))
}

/// Says whether this host can go on by itself after the server's ledger was restored.
fn administrators(scene: &Scene<'_>) -> Result<Option<Finding>, Error> {
    let known = match Remembered::load(scene.layout) {
        Err(Error::Usage(why)) => return Ok(Some(Finding::wrong("administrators", why))),
        known => known?,
    };
    Ok(known.map(|known| match known.administrators.len() {
        0 => Finding::note(
            "administrators",
            "the server names no administrator's key: after a restore of its ledger, this host needs `daypass host sync \
             --accept-key`; see `daypass help server`",
        ),
        1 => Finding::good(
            "administrators",
            "1 administrator's key is known, for a restore of the server's ledger",
        ),
        count => Finding::good(
            "administrators",
            format!("{count} keys of administrators are known, for a restore of the server's ledger"),
        ),
    }))
}

/// Finds a file of TLS roots that `setup` wrote and `sync` cannot use.
fn roots(scene: &Scene<'_>) -> Option<Finding> {
    let error = scene.settings.roots(scene.layout).err()?;
    Some(Finding::wrong("tls-roots", error.to_string()))
}

/// A length of time: `13 days 23h`, below a day to the second.
pub(crate) fn spoken(seconds: u64) -> String {
    const DAY: u64 = 86_400;
    let rest = match seconds {
        ..DAY => seconds,
        _ => seconds % DAY / 3600 * 3600,
    };
    let rest = humantime::format_duration(Duration::from_secs(rest)).to_string();
    match (seconds / DAY, rest.as_str()) {
        (0, _) => rest,
        (1, "0s") => "1 day".to_owned(),
        (1, _) => format!("1 day {rest}"),
        (days, "0s") => format!("{days} days"),
        (days, _) => format!("{days} days {rest}"),
    }
}

/// Finds a file that other users can write: they could turn it into a login as root.
fn permissions(path: &Path) -> Option<Finding> {
    // Another check reports a missing file.
    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o022 != 0).then(|| {
        let shown = path.display();
        Finding::wrong(
            "permissions",
            format!("other users can write to {shown}: chmod go-w {shown}"),
        )
    })
}

/// Compares clock and CA keys with the server's answer.
pub(super) fn compare(scene: &Scene<'_>, answer: &Answer) -> Vec<Finding> {
    let mut findings = vec![clock(scene.now, answer.date)];
    let (Some(ours), Ok(theirs)) = (scene.keys, CaKeys::parse(&answer.body)) else {
        return findings;
    };
    let (ours, theirs) = (ours.fingerprints(), theirs.fingerprints());
    for key in theirs.difference(&ours) {
        findings.push(Finding::wrong("ca-keys", format!("the server has the CA key {key}, and this host does not trust it: its passes are refused; run `daypass host sync`")));
    }
    for key in ours.difference(&theirs) {
        findings.push(Finding::note("ca-keys", format!("this host trusts the CA key {key}, which the server no longer has; `daypass host sync` drops it")));
    }
    if ours == theirs {
        findings.push(Finding::good(
            "ca-keys",
            "the CA keys are those of the server",
        ));
    }
    findings
}

fn clock(now: UnixSeconds, server: Option<i64>) -> Finding {
    let server = server
        .and_then(|date| u64::try_from(date).ok())
        .map(UnixSeconds);
    let Some(server) = server else {
        return Finding::note("clock", "the server does not say what time it is");
    };
    let apart = now.get().abs_diff(server.get());
    if apart <= CLOCK {
        return Finding::good("clock", "the clock agrees with the server's");
    }
    let (direction, meaning) = match now > server {
        true => ("ahead of", "passes seem to expire early"),
        false => (
            "behind",
            "fresh passes seem not yet valid, and expired ones are accepted",
        ),
    };
    Finding::wrong(
        "clock",
        format!(
            "the clock is {} {direction} the server's: {meaning}",
            spoken(apart)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Level;

    #[test]
    fn a_length_of_days_has_no_seconds() {
        for (seconds, expected) in [
            (0, "0s"),
            (69, "1m 9s"),
            (86_399, "23h 59m 59s"),
            (86_400, "1 day"),
            (90_061, "1 day 1h"),
            (1_209_599, "13 days 23h"),
            (1_209_600, "14 days"),
        ] {
            assert_eq!(spoken(seconds), expected);
        }
    }

    #[test]
    fn a_clock_that_is_off_is_wrong_in_either_direction() {
        for (now, server, expected) in [
            (1000, Some(1000), Level::Good),
            (1000, Some(1030), Level::Good),
            (1000, Some(1031), Level::Wrong),
            (1000, Some(969), Level::Wrong),
            (1000, None, Level::Note),
        ] {
            assert_eq!(
                clock(UnixSeconds(now), server).level,
                expected,
                "{server:?}"
            );
        }
    }
}
