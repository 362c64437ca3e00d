//! The check of the files as the server's account sees them. It matters when root runs the check:
//! root can read everything. The account is the state folder's owner.
//!
//! It goes by owner, group and mode alone. Access lists (acl(5)) are not read.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::purpose::Purpose;
use crate::{
    config::{Config, Keeper},
    finding::Finding,
};

/// The server's account.
#[derive(Debug)]
struct Account {
    name: String,
    user: u32,
    groups: BTreeSet<u32>,
}

/// Checks that the owner of the state folder can read every file that the daemon reads for this
/// purpose, and write to the folder.
pub(super) fn check(config: &Config, purpose: Purpose) -> Vec<Finding> {
    const CHECK: &str = "owner";
    let Ok(state) = fs::metadata(&config.state) else {
        // Another check reports it.
        return Vec::new();
    };
    let account = Account::of(state.uid(), state.gid());
    let name = &account.name;
    let mut findings = Vec::new();
    let current = rustix::process::geteuid().as_raw();
    if current != 0 && current != state.uid() {
        findings.push(Finding::wrong(
            CHECK,
            format!(
                "{} belongs to {name}: run this as root or as {name}, as the server does",
                config.state.display()
            ),
        ));
        return findings;
    }
    if current != 0 {
        // That it loaded says more than any mode: access lists, credentials of systemd.
        return findings;
    }
    if purpose != Purpose::Reload && !account.may(&state, 0o3) {
        let shown = config.state.display();
        let message = format!("{name} cannot write to {shown}: run `chmod u+rwx {shown}`");
        findings.push(Finding::wrong(CHECK, message));
    }
    for path in files(config, purpose) {
        findings.extend(
            account
                .obstacle(&path)
                .map(|message| Finding::wrong(CHECK, message)),
        );
    }
    if findings.is_empty() {
        let message = format!("the files can be read by {name}, which owns the state folder");
        findings.push(Finding::good(CHECK, message));
    }
    findings
}

/// The name of the account that owns this folder.
///
/// # Errors
/// Returns the error of looking at the folder.
pub(in crate::daemon) fn account_name(folder: &Path) -> std::io::Result<String> {
    let metadata = fs::metadata(folder)?;
    Ok(Account::of(metadata.uid(), metadata.gid()).name)
}

/// The name of this process's account.
pub(in crate::daemon) fn own_account_name() -> String {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    Account::of(user.as_raw(), group.as_raw()).name
}

/// The files that the daemon reads.
fn files(config: &Config, purpose: Purpose) -> Vec<PathBuf> {
    let mut files = vec![config.origin().to_owned(), config.policy.clone()];
    if purpose != Purpose::Reload {
        files.push(config.ledger_key.clone());
        files.extend(config.next_ledger_key.clone());
        let hosts = config.hosts.iter().flat_map(|hosts| &hosts.keys);
        for key in config.ca_keys.iter().chain(hosts) {
            files.push(key.file.clone());
            files.extend(key.passphrase.clone());
            if let Some(Keeper::Pkcs11 { pin, .. }) = &key.keeper {
                files.extend(pin.clone());
            }
            if let Some(tls) = key.mutual_tls() {
                files.extend([tls.certificate.clone(), tls.key.clone(), tls.roots.clone()]);
            }
        }
    }
    if let Some(tls) = &config.tls {
        files.extend([tls.certificate.clone(), tls.key.clone()]);
    }
    files
}

impl Account {
    /// The account with this number, and its groups by the files of this machine.
    fn of(user: u32, group: u32) -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self::find(user, group, &text("/etc/passwd"), &text("/etc/group"))
    }

    fn find(user: u32, group: u32, passwd: &str, groups: &str) -> Self {
        let number = user.to_string();
        let mut accounts = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let account = accounts.find(|fields| fields.get(2) == Some(&number.as_str()));
        let field = |at: usize| account.as_ref().and_then(|it| it.get(at).copied());
        let name = field(0).map_or_else(|| format!("user {user}"), str::to_owned);
        let lists_us = |fields: &Vec<&str>| {
            let members = fields.get(3).copied().unwrap_or_default();
            members.split(',').any(|member| member == name)
        };
        let listed = groups
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let listed = listed.filter(lists_us);
        let mut groups: BTreeSet<u32> = listed
            .filter_map(|fields| fields.get(2)?.parse().ok())
            .collect();
        groups.insert(field(3).and_then(|it| it.parse().ok()).unwrap_or(group));
        Self { name, user, groups }
    }

    /// Whether the account has these rights (as of `others`, 0 to 7).
    fn may(&self, file: &fs::Metadata, rights: u32) -> bool {
        let mode = file.permissions().mode();
        let granted = if self.user == 0 {
            7
        } else if file.uid() == self.user {
            mode >> 6
        } else if self.groups.contains(&file.gid()) {
            mode >> 3
        } else {
            mode
        };
        granted & rights == rights
    }

    /// Reason why the account cannot read this file, with the line that mends it.
    fn obstacle(&self, path: &Path) -> Option<String> {
        // Another check reports a file that is not there.
        let real = path.canonicalize().ok()?;
        let name = &self.name;
        let folders: Vec<&Path> = real.ancestors().skip(1).collect();
        for folder in folders.into_iter().rev() {
            let metadata = fs::metadata(folder).ok()?;
            if !self.may(&metadata, 0o1) {
                let (shown, path) = (folder.display(), path.display());
                return Some(format!(
                    "{name}, which owns the state folder, cannot enter {shown} to read {path}: run `chmod o+x {shown}`, or \
                     give the folder to {name}"
                ));
            }
        }
        let metadata = fs::metadata(&real).ok()?;
        (!self.may(&metadata, 0o4)).then(|| {
            let shown = path.display();
            format!("{name}, which owns the state folder, cannot read {shown}: run `chown {name}: {shown}`")
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_account_reads_by_its_own_right_its_groups_or_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        fs::write(&file, "").unwrap();
        let (user, group) = {
            let metadata = fs::metadata(&file).unwrap();
            (metadata.uid(), metadata.gid())
        };
        let account = |user: u32, groups: &[u32]| Account {
            name: "x".to_owned(),
            user,
            groups: groups.iter().copied().collect(),
        };
        for (case, who, mode, expected) in [
            ("the owner", account(user.max(1), &[]), 0o400, user != 0),
            ("root", account(0, &[]), 0o000, true),
            ("the group", account(77_777, &[group]), 0o040, true),
            ("another", account(77_777, &[77_777]), 0o440, false),
            (
                "another, if all may",
                account(77_777, &[77_777]),
                0o444,
                true,
            ),
            // The first that fits decides, as in the kernel.
            (
                "the group, if only others may",
                account(77_777, &[group]),
                0o404,
                false,
            ),
        ] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let metadata = fs::metadata(&file).unwrap();
            assert_eq!(who.may(&metadata, 0o4), expected, "{case}");
        }
    }

    #[test]
    fn an_account_has_its_name_and_all_its_groups() {
        let passwd = "root:x:0:0::/:/bin/sh\ndaypass:x:990:980::/:/bin/sh\n";
        let groups = "root:x:0:\ntls:x:50:daypass,other\nother:x:51:other\n";
        let account = Account::find(990, 1, passwd, groups);
        assert_eq!(account.name, "daypass");
        assert_eq!(account.groups, BTreeSet::from([50, 980]));
        let unknown = Account::find(12, 34, passwd, groups);
        assert_eq!(
            (&*unknown.name, unknown.groups),
            ("user 12", BTreeSet::from([34]))
        );
    }
}
