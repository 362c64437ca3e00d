//! The files sshd reads: whole, fresh, and nobody else's to change. And the server's clock and keys beside ours.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use super::{Finding, Scene};
use crate::{
    host::{
        Error,
        files::{Layout, read},
        keys::CaKeys,
        server::Answer,
        sync::LastSync,
    },
    ssh::krl::Krl,
};

/// Passes are backdated by a minute; half of it is left for the way.
const CLOCK: u64 = 30;

/// The list, where it is good, and what was found.
pub(super) fn check(
    scene: &Scene<'_>,
    oldest: Duration,
) -> Result<(Option<Krl>, Vec<Finding>), Error> {
    let (krl, finding) = revocations(scene)?;
    let mut findings = vec![finding, freshness(scene, oldest)?];
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

/// Seconds since the last sync.
pub(super) fn age(layout: &Layout, now: u64) -> Result<Option<u64>, Error> {
    let last = LastSync::load(layout)?;
    Ok(last.map(|last| now.saturating_sub(last.synced)))
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
    let Some(bytes) = read(&path)? else {
        return Ok((None, wrong("is gone: sshd refuses everybody".to_owned())));
    };
    if bytes.is_empty() {
        return Ok((None, wrong("is empty: revoked passes are taken".to_owned())));
    }
    match Krl::parse(&bytes) {
        Err(error) => Ok((
            None,
            wrong(format!("is broken ({error}): sshd may refuse everybody")),
        )),
        Ok(krl) => {
            let (count, version) = (krl.len(), krl.version());
            let made = spoken(scene.now.saturating_sub(krl.made_at()));
            let message =
                format!("{count} passes are revoked (version {version}, made {made} ago)");
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
            format!("revocations were never fetched: whoever is revoked is taken; {again}"),
        ),
        Some(age) if age > oldest.as_secs() => Finding::wrong(
            "sync",
            format!(
                "revocations are {} old: who was revoked since is taken; {again}",
                spoken(age)
            ),
        ),
        Some(age) => Finding::good(
            "sync",
            format!("revocations were fetched {} ago", spoken(age)),
        ),
    })
}

fn spoken(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

/// What others may write, others can turn into a login as root.
fn permissions(path: &Path) -> Option<Finding> {
    // What is missing has been said elsewhere.
    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o022 != 0).then(|| {
        let shown = path.display();
        Finding::wrong(
            "permissions",
            format!("others can write to {shown}: chmod go-w {shown}"),
        )
    })
}

/// The server's clock and keys.
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
        findings.push(Finding::good("ca-keys", "the CA keys are the server's"));
    }
    findings
}

fn clock(now: u64, server: Option<i64>) -> Finding {
    let server = server.and_then(|date| u64::try_from(date).ok());
    let Some(server) = server else {
        return Finding::note("clock", "the server does not say what time it is");
    };
    let apart = now.abs_diff(server);
    if apart <= CLOCK {
        return Finding::good("clock", "the clock is the server's");
    }
    let (direction, meaning) = match now > server {
        true => ("ahead of", "passes seem expired early"),
        false => (
            "behind",
            "fresh passes seem not yet valid, and expired ones are taken",
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
    use crate::host::doctor::Level;

    #[test]
    fn a_clock_that_is_off_is_wrong_in_either_direction() {
        for (now, server, expected) in [
            (1000, Some(1000), Level::Good),
            (1000, Some(1030), Level::Good),
            (1000, Some(1031), Level::Wrong),
            (1000, Some(969), Level::Wrong),
            (1000, None, Level::Note),
        ] {
            assert_eq!(clock(now, server).level, expected, "{server:?}");
        }
    }
}
