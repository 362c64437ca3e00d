//! What sshd says is in force, against what passes need.

use std::path::Path;

use super::{Finding, Scene};
use crate::host::{Error, drop_in};

/// Whether sshd takes its configuration at all.
pub(super) fn starts(tested: Result<(), Error>) -> Finding {
    match tested {
        Ok(()) => Finding::good("sshd", "sshd takes its configuration (sshd -t)"),
        Err(error) => Finding::wrong("sshd", format!("{error}; it would not start again")),
    }
}

/// Every keyword that decides about passes.
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
            "revoked passes are taken",
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
            "{keyword} is {found:?} and not {ours}: {otherwise}; is {} read, and before what else sets it?",
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
                "{KEYWORD} is {found:?} and not {expected:?}: other principals than this host's are asked for"
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
        _ => Finding::good("pubkeyauthentication", "sshd takes keys and certificates"),
    }
}

/// sshd refuses a certificate whose CA signed it with an algorithm outside the list.
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
            let (algorithm, name) = (key.algorithm(), crate::host::keys::fingerprint(key));
            Finding::wrong(
                "casignaturealgorithms",
                format!("casignaturealgorithms does not list {algorithm}: every pass by the CA key {name} is refused"),
            )
        })
        .collect()
}

/// An RSA key signs under names of its hash; the others under their own.
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
            format!("authorizedprincipalsfile is {file}: principals listed there log in, too"),
        )
    })
}

fn other_keys(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files = scene.effective.value("authorizedkeysfile");
    if files != "none" {
        findings.push(Finding::note(
            "authorizedkeysfile",
            format!("authorizedkeysfile is {files}: keys there log in without a pass, for ever; `AuthorizedKeysFile none` ends that"),
        ));
    }
    if scene.effective.value("authorizedkeyscommand") != "none" {
        findings.push(Finding::note(
            "authorizedkeyscommand",
            "authorizedkeyscommand is set: keys it prints log in without a pass",
        ));
    }
    findings
}

fn forced_command(scene: &Scene<'_>) -> Option<Finding> {
    let command = scene.effective.value("forcecommand");
    (command != "none").then(|| {
        Finding::wrong(
            "forcecommand",
            format!("forcecommand is {command:?}: it runs in place of the command of any pass"),
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
