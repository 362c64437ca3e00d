//! The checks of sshd's configuration in force.

use std::path::Path;

use super::finding::{Finding, Scene};
use crate::host::{Error, drop_in};

/// Whether sshd accepts its configuration at all.
pub(super) fn starts(tested: Result<(), Error>) -> Finding {
    match tested {
        Ok(()) => Finding::good("sshd", "sshd accepts its configuration (sshd -t)"),
        Err(error) => Finding::wrong("sshd", format!("{error}; it would not start again")),
    }
}

/// sshd's folder in `/run` was missing.
pub(super) fn not_running(folder: &Path) -> Finding {
    Finding::note(
        "sshd-running",
        format!(
            "{} was missing: sshd has stopped, or waits for its first connection; `systemctl status ssh ssh.socket` says which",
            folder.display()
        ),
    )
}

/// Checks every keyword that decides about passes.
pub(super) fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = vec![
        path(
            scene,
            "trustedusercakeys",
            &scene.layout.ca_keys(),
            "every pass is refused",
        ),
        path(
            scene,
            "revokedkeys",
            &scene.layout.krl(),
            "revoked passes are accepted",
        ),
        principals(scene),
        public_keys(scene),
    ];
    findings.extend(ca_algorithms(scene));
    findings.extend(other_principals(scene));
    findings.extend(other_keys(scene));
    findings.extend(forced_command(scene));
    findings.extend(methods(scene));
    findings
}

fn path(scene: &Scene<'_>, keyword: &'static str, ours: &Path, otherwise: &str) -> Finding {
    let (found, ours) = (scene.effective.value(keyword), ours.display().to_string());
    if found == ours {
        return Finding::good(keyword, format!("{keyword} is {ours}"));
    }
    Finding::wrong(
        keyword,
        format!(
            "{keyword} is {found:?} and not {ours}: {otherwise}; check that {} is included, and before any other file that sets it",
            scene.layout.drop_in().display()
        ),
    )
}

fn principals(scene: &Scene<'_>) -> Finding {
    const KEYWORD: &str = "authorizedprincipalscommand";
    let expected = drop_in::principals_command(&scene.settings.groups);
    let expected = expected.unwrap_or_else(|| "none".to_owned());
    let found = scene.effective.value(KEYWORD);
    if found != expected {
        return Finding::wrong(
            KEYWORD,
            format!(
                "{KEYWORD} is {found:?} and not {expected:?}: sshd asks for other principals than those of this host"
            ),
        );
    }
    match scene.settings.groups.as_slice() {
        [] => Finding::good(
            KEYWORD,
            "passes must name the plain login; those for host groups (login@group) are refused",
        ),
        groups => Finding::good(
            KEYWORD,
            format!(
                "passes must name login@group for one of: {}; those with plain logins are refused",
                groups.join(", ")
            ),
        ),
    }
}

fn public_keys(scene: &Scene<'_>) -> Finding {
    match scene.effective.value("pubkeyauthentication") {
        "no" => Finding::wrong(
            "pubkeyauthentication",
            "pubkeyauthentication is no: every pass is refused",
        ),
        _ => Finding::good("pubkeyauthentication", "sshd accepts keys and certificates"),
    }
}

/// Finds CA keys whose algorithm sshd does not accept: it refuses every pass by them.
fn ca_algorithms(scene: &Scene<'_>) -> Vec<Finding> {
    let keys = scene.keys.into_iter().flat_map(|keys| keys.iter());
    let refused = keys.filter(|key| {
        let algorithm = key.algorithm();
        let names = signature_names(algorithm.as_str());
        !names
            .iter()
            .any(|name| scene.effective.lists("casignaturealgorithms", name))
    });
    refused
        .map(|key| {
            let (algorithm, name) = (key.algorithm(), crate::ssh::key::fingerprint(key));
            Finding::wrong(
                "casignaturealgorithms",
                format!("casignaturealgorithms does not list {algorithm}: every pass by the CA key {name} is refused"),
            )
        })
        .collect()
}

/// The names of the signatures by a key. Those of an RSA key are named for their hash.
fn signature_names(algorithm: &str) -> Vec<&str> {
    match algorithm {
        "ssh-rsa" => vec!["rsa-sha2-512", "rsa-sha2-256"],
        other => vec![other],
    }
}

fn other_principals(scene: &Scene<'_>) -> Option<Finding> {
    let file = scene.effective.value("authorizedprincipalsfile");
    (file != "none").then(|| {
        Finding::note(
            "authorizedprincipalsfile",
            format!("authorizedprincipalsfile is {file}: principals listed there can log in too"),
        )
    })
}

fn other_keys(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files = scene.effective.value("authorizedkeysfile");
    if files != "none" {
        findings.push(Finding::note(
            "authorizedkeysfile",
            format!("authorizedkeysfile is {files}: keys there log in without a pass and never expire; `AuthorizedKeysFile none` ends that"),
        ));
    }
    if scene.effective.value("authorizedkeyscommand") != "none" {
        findings.push(Finding::note(
            "authorizedkeyscommand",
            "authorizedkeyscommand is set: the keys that it prints log in without a pass",
        ));
    }
    findings
}

fn forced_command(scene: &Scene<'_>) -> Option<Finding> {
    let command = scene.effective.value("forcecommand");
    (command != "none").then(|| {
        Finding::wrong(
            "forcecommand",
            format!("forcecommand is {command:?}: it runs instead of the command of every pass"),
        )
    })
}

fn methods(scene: &Scene<'_>) -> Option<Finding> {
    let lists = scene.effective.value("authenticationmethods");
    let is_enough = |list: &str| list == "any" || list == "none" || list == "publickey";
    (!lists.split(' ').any(is_enough)).then(|| {
        Finding::note(
            "authenticationmethods",
            format!("authenticationmethods is {lists:?}: a pass alone does not log in"),
        )
    })
}
