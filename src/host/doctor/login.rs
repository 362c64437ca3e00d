//! The check of the account behind a login name: whether sshd allows logins to it.

use std::path::Path;

use super::finding::{Finding, Scene};
use crate::host::files::read;

/// Checks the login name that was asked about.
pub(super) fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let Some(user) = scene.user else {
        return Vec::new();
    };
    let mut findings = obstacles(scene, user)
        .into_iter()
        .map(|message| Finding::wrong("login", message))
        .collect::<Vec<_>>();
    for keyword in ["allowusers", "denyusers", "allowgroups", "denygroups"] {
        let listed = scene.effective.values(keyword);
        if !listed.is_empty() {
            let listed = listed.join(" ");
            findings.push(Finding::note(
                keyword,
                format!("{keyword} is {listed}: check that it allows {user}"),
            ));
        }
    }
    findings
}

/// Reasons why sshd refuses this login with any pass.
pub(super) fn obstacles(scene: &Scene<'_>, user: &str) -> Vec<String> {
    let mut obstacles = Vec::new();
    if user == "root" && scene.effective.value("permitrootlogin") == "no" {
        obstacles.push("permitrootlogin is no: root's passes are refused".to_owned());
    }
    let account = Account::of(user);
    if account == Account::Missing {
        obstacles.push(format!("there is no account {user} on this host"));
    }
    if account == Account::Locked && scene.effective.value("usepam") == "no" {
        obstacles.push(format!(
            "the account {user} is locked and usepam is no: its passes are refused; usermod -p '*' {user} unlocks it without a password"
        ));
    }
    obstacles
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Account {
    Open,
    Locked,
    Missing,
    /// Not in the files, or they cannot be read: a directory service may have the account.
    Unknown,
}

impl Account {
    fn of(user: &str) -> Self {
        let text = |path: &str| {
            let bytes = read(Path::new(path)).ok().flatten();
            bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let names = text("/etc/nsswitch.conf").unwrap_or_default();
        Self::find(
            user,
            text("/etc/passwd").as_deref(),
            text("/etc/shadow").as_deref(),
            &names,
        )
    }

    /// For sshd on Linux, an account is locked if its password field begins with `!`.
    fn find(user: &str, passwd: Option<&str>, shadow: Option<&str>, names: &str) -> Self {
        let line = |text: Option<&str>| {
            let mut lines = text?.lines().filter_map(|line| line.split_once(':'));
            lines
                .find(|(name, _)| *name == user)
                .map(|(_, rest)| rest.to_owned())
        };
        let Some(_) = line(passwd) else {
            return match passwd.is_some() && only_files(names) {
                true => Self::Missing,
                false => Self::Unknown,
            };
        };
        match line(shadow) {
            Some(password) if password.starts_with('!') => Self::Locked,
            Some(_) => Self::Open,
            None => Self::Unknown,
        }
    }
}

/// Whether accounts come from /etc/passwd alone.
fn only_files(names: &str) -> bool {
    let line = names
        .lines()
        .find_map(|line| line.trim().strip_prefix("passwd:"));
    line.is_some_and(|sources| {
        let mut sources = sources.split_whitespace();
        sources.all(|source| ["files", "systemd", "compat"].contains(&source))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_as_sshd_reads_them() {
        let passwd = "root:x:0:0::/root:/bin/sh\ndeploy:x:1000:1000::/:/bin/sh\n";
        let shadow = "root:*:1::::::\ndeploy:!:1::::::\n";
        let files = "passwd: files systemd\n";
        for (case, user, passwd, shadow, names, expected) in [
            (
                "no password",
                "root",
                Some(passwd),
                Some(shadow),
                files,
                Account::Open,
            ),
            (
                "locked",
                "deploy",
                Some(passwd),
                Some(shadow),
                files,
                Account::Locked,
            ),
            (
                "missing",
                "web",
                Some(passwd),
                Some(shadow),
                files,
                Account::Missing,
            ),
            (
                "a prefix of a name",
                "dep",
                Some(passwd),
                Some(shadow),
                files,
                Account::Missing,
            ),
            (
                "perhaps in a directory service",
                "web",
                Some(passwd),
                Some(shadow),
                "passwd: files sss",
                Account::Unknown,
            ),
            (
                "shadow cannot be read",
                "deploy",
                Some(passwd),
                None,
                files,
                Account::Unknown,
            ),
        ] {
            assert_eq!(
                Account::find(user, passwd, shadow, names),
                expected,
                "{case}"
            );
        }
    }
}
