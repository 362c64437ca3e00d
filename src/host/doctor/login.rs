//! The check of a login name: whether sshd allows logins to it at all.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::{account::Account, scene::Scene};
use crate::{finding::Finding, host::drop_in::glob};

/// Shells that end at once.
const REFUSING_SHELLS: [&str; 3] = ["nologin", "false", "true"];

/// Checks the login name that was asked about, and the lists of login names.
pub(super) fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if Path::new("/etc/nologin").exists() {
        findings.push(Finding::wrong(
            "nologin",
            "/etc/nologin exists: sshd lets only root log in; remove it when the maintenance is over",
        ));
    }
    let Some(user) = scene.user else {
        findings.extend(lists(scene));
        return findings;
    };
    let obstacles = obstacles(scene, user).into_iter();
    findings.extend(obstacles.map(|message| Finding::wrong("login", message)));
    findings.extend(shell_note(scene, user));
    findings
}

/// Reasons why sshd refuses this login with any pass.
pub(super) fn obstacles(scene: &Scene<'_>, user: &str) -> Vec<String> {
    let mut obstacles = Vec::new();
    if user == "root" && scene.effective.value("permitrootlogin") == "no" {
        obstacles.push("permitrootlogin is no: root's passes are refused".to_owned());
    }
    match scene.accounts.find(user) {
        Account::Missing => obstacles.push(format!("there is no account {user} on this host")),
        Account::Unknown => {}
        Account::Known(entry) => {
            if entry.is_locked && scene.effective.value("usepam") == "no" {
                obstacles.push(format!(
                    "the account {user} is locked and usepam is no: its passes are refused; usermod -p '*' {user} unlocks it without a password"
                ));
            }
            if entry.has_expired(scene.now.get()) {
                obstacles.push(format!(
                    "the account {user} has expired: its passes are refused; chage -E -1 {user} ends that"
                ));
            }
            if !is_program(Path::new(&entry.shell)) {
                let shell = &entry.shell;
                obstacles.push(format!(
                    "the shell of {user}, {shell}, is not a program: its passes are refused"
                ));
            }
        }
    }
    obstacles.extend(listed(scene, user));
    obstacles
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

fn shell_note(scene: &Scene<'_>, user: &str) -> Option<Finding> {
    let Account::Known(entry) = scene.accounts.find(user) else {
        return None;
    };
    let name = Path::new(&entry.shell).file_name()?.to_str()?;
    REFUSING_SHELLS.contains(&name).then(|| {
        let shell = &entry.shell;
        Finding::note(
            "login",
            format!("the shell of {user} is {shell}: it logs in, and its commands and shells end at once"),
        )
    })
}

/// The lists of login names and groups, for a reader who asked about no login.
pub(super) fn lists(scene: &Scene<'_>) -> Vec<Finding> {
    let meanings = [
        ("allowusers", "passes for other logins are refused"),
        ("denyusers", "passes for these logins are refused"),
        (
            "allowgroups",
            "passes for logins of other groups are refused",
        ),
        (
            "denygroups",
            "passes for logins of these groups are refused",
        ),
    ];
    let set = meanings.into_iter().filter_map(|(keyword, meaning)| {
        let listed = scene.effective.values(keyword).join(" ");
        let message = format!("{keyword} is {listed}: {meaning}; check one with --user");
        (!listed.is_empty()).then(|| Finding::note(keyword, message))
    });
    set.collect()
}

/// The list that refuses this login, in sshd's order.
fn listed(scene: &Scene<'_>, user: &str) -> Option<String> {
    let patterns = |keyword: &str| scene.effective.values(keyword).to_vec();
    let refuses = |keyword: &str, listed: &[String]| {
        let listed = listed.join(" ");
        Some(format!(
            "{keyword} is {listed}: passes for {user} are refused"
        ))
    };
    let (denied, allowed) = (patterns("denyusers"), patterns("allowusers"));
    let names_user = |pattern: &String| is_user(pattern, user, scene.address);
    if denied.iter().any(names_user) {
        return refuses("denyusers", &denied);
    }
    if !allowed.is_empty() && !allowed.iter().any(names_user) {
        return refuses("allowusers", &allowed);
    }
    let groups = scene.accounts.groups_of(user)?;
    let (denied, allowed) = (patterns("denygroups"), patterns("allowgroups"));
    let names_group = |pattern: &String| {
        let mut groups = groups.iter();
        groups.any(|group| glob(pattern.as_bytes(), group.as_bytes()))
    };
    if denied.iter().any(names_group) {
        return refuses("denygroups", &denied);
    }
    if !allowed.is_empty() && !allowed.iter().any(names_group) {
        return refuses("allowgroups", &allowed);
    }
    None
}

/// Whether `USER` or `USER@ADDRESS` names this login. Without an address to compare with, and for
/// host names, the first part decides.
fn is_user(pattern: &str, user: &str, address: Option<&str>) -> bool {
    let (name, from) = match pattern.rsplit_once('@') {
        Some((name, from)) => (name, Some(from)),
        None => (pattern, None),
    };
    glob(name.as_bytes(), user.as_bytes())
        && match (from, address) {
            (Some(from), Some(address)) => is_from(from, address),
            (None, _) | (_, None) => true,
        }
}

fn is_from(pattern: &str, address: &str) -> bool {
    let network = pattern.parse::<ipnet::IpNet>().ok();
    match (network, address.parse::<std::net::IpAddr>()) {
        (Some(network), Ok(address)) => network.contains(&address),
        _ => glob(pattern.as_bytes(), address.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_named_as_in_allow_users() {
        for (pattern, user, address, expected) in [
            ("deploy", "deploy", None, true),
            ("deploy", "deploy2", None, false),
            ("dep*", "deploy", None, true),
            ("d?ploy", "deploy", None, true),
            ("deploy@10.*", "deploy", None, true),
            ("deploy@10.*", "deploy", Some("10.1.2.3"), true),
            ("deploy@10.*", "deploy", Some("192.0.2.1"), false),
            ("*@10.0.0.0/8", "deploy", Some("10.1.2.3"), true),
            ("*@10.0.0.0/8", "deploy", Some("11.1.2.3"), false),
            ("root@10.*", "deploy", Some("10.1.2.3"), false),
        ] {
            assert_eq!(
                is_user(pattern, user, address),
                expected,
                "{pattern} {user} {address:?}"
            );
        }
    }
}
