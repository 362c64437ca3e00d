//! The checks of sshd's configuration in force.

use std::path::Path;

use super::{account::Account, scene::Scene};
use crate::{
    finding::Finding,
    host::{Error, drop_in},
};

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
            &scene.settings.trusted_file(scene.layout),
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
    findings.extend(super::algorithms::check(scene));
    findings.extend(principals_user(scene));
    findings.extend(tries(scene));
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

/// The user of the principals command: without it sshd runs no command, and refuses every pass.
fn principals_user(scene: &Scene<'_>) -> Option<Finding> {
    const KEYWORD: &str = "authorizedprincipalscommanduser";
    if scene.effective.value("authorizedprincipalscommand") == "none" {
        return None;
    }
    let user = scene.effective.value(KEYWORD);
    (scene.accounts.find(user) == Account::Missing).then(|| {
        Finding::wrong(
            KEYWORD,
            format!("{KEYWORD} is {user}, and there is no such account: every pass is refused; run `daypass host setup` again \
                with --principals-user"),
        )
    })
}

/// sshd counts the keys that a client offers in vain, and ends the connection at this number.
fn tries(scene: &Scene<'_>) -> Option<Finding> {
    const KEYWORD: &str = "maxauthtries";
    let tries: u32 = scene.effective.value(KEYWORD).parse().ok()?;
    match tries {
        0 => Some(Finding::wrong(
            KEYWORD,
            "maxauthtries is 0: every login is refused",
        )),
        1 | 2 => Some(Finding::note(
            KEYWORD,
            format!(
                "maxauthtries is {tries}: a client whose agent offers other keys before the pass is refused; \
                `IdentitiesOnly yes` on the client helps"
            ),
        )),
        _ => None,
    }
}

/// Whether a pass is enough to log in, one of several things needed, or of no use.
fn methods(scene: &Scene<'_>) -> Option<Finding> {
    const KEYWORD: &str = "authenticationmethods";
    let lists = scene.effective.value(KEYWORD);
    let is_enough = |list: &str| list == "any" || list == "none" || list == "publickey";
    if lists.split(' ').any(is_enough) {
        return None;
    }
    let takes_keys = |list: &str| list.split(',').any(|method| method == "publickey");
    Some(match lists.split(' ').any(takes_keys) {
        true => Finding::note(
            KEYWORD,
            format!("{KEYWORD} is {lists:?}: a pass alone does not log in"),
        ),
        false => Finding::wrong(
            KEYWORD,
            format!("{KEYWORD} is {lists:?}, without publickey: every pass is refused"),
        ),
    })
}
