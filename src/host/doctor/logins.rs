//! The checks of a host that reports logins: whether sshd logs what tells one certificate from
//! another, and whether the reports work.

use super::{scene::Scene, state::spoken};
use crate::{
    finding::Finding,
    host::{Error, failed_sync::FailedSync, logins},
};

const CHECK: &str = "host-logins";

/// Levels at which sshd logs no accepted login. It prints `QUIET` as `SILENT`.
const TOO_QUIET: [&str; 4] = ["QUIET", "SILENT", "FATAL", "ERROR"];

/// Checks a host that reports logins.
///
/// # Errors
/// Returns the error if a file cannot be read.
pub(super) fn check(scene: &Scene<'_>) -> Result<Vec<Finding>, Error> {
    let failed = FailedSync::load_at(&scene.layout.failed_logins())?;
    if scene.settings.logins.is_none() && failed.is_none() {
        return Ok(Vec::new());
    }
    let mut findings = Vec::new();
    let level = scene.effective.value("loglevel");
    if TOO_QUIET.contains(&level.to_ascii_uppercase().as_str()) {
        findings.push(Finding::wrong(
            "loglevel",
            format!("loglevel is {level}: sshd logs no logins, and none are reported; set `LogLevel INFO`"),
        ));
    }
    let hash = scene.effective.value("fingerprinthash");
    if !["none", "sha256"].contains(&hash.to_ascii_lowercase().as_str()) {
        findings.push(Finding::wrong(
            "fingerprinthash",
            format!("fingerprinthash is {hash}: no login can be compared with the ledger; set `FingerprintHash sha256`"),
        ));
    }
    if let Some(list) = list_of_two(scene.effective.value("authenticationmethods")) {
        findings.push(Finding::wrong(
            "authenticationmethods",
            format!("authenticationmethods has {list}: sshd names no certificate of such a login, and none is reported"),
        ));
    }
    if let Some(failed) = failed {
        let ago = spoken(scene.now.seconds_since(failed.tried));
        let error = failed.error;
        findings.push(Finding::wrong(
            CHECK,
            format!("the last report of logins failed, {ago} ago: {error}"),
        ));
    }
    match logins::gap(scene.layout, scene.now) {
        Ok(gap) => findings.extend(gap.map(|gap| Finding::wrong(CHECK, gap))),
        Err(error) => findings.push(Finding::wrong(CHECK, error.to_string())),
    }
    if let Some(until) = logins::until(scene.layout, scene.now).filter(|_| findings.is_empty()) {
        let ago = spoken(scene.now.seconds_since(until));
        findings.push(Finding::good(
            CHECK,
            format!("the logins until {ago} ago were reported"),
        ));
    }
    Ok(findings)
}

/// A list of methods in which another one is needed after a key. sshd then logs the key as
/// `Partial publickey`, and the last method alone as accepted (`auth_log` in `auth.c`).
fn list_of_two(lists: &str) -> Option<&str> {
    let mut lists = lists.split_ascii_whitespace();
    let is_key = |method: &str| method.starts_with("publickey");
    lists.find(|list| {
        let ends = list.rsplit_once(',');
        ends.is_some_and(|(first, last)| first.split(',').any(is_key) && !is_key(last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_method_after_a_key_is_found() {
        for (lists, found) in [
            ("any", None),
            ("publickey", None),
            ("password,publickey", None),
            ("password,keyboard-interactive", None),
            ("publickey,password", Some("publickey,password")),
            (
                "publickey publickey,keyboard-interactive:pam",
                Some("publickey,keyboard-interactive:pam"),
            ),
        ] {
            assert_eq!(list_of_two(lists), found, "{lists}");
        }
    }
}
