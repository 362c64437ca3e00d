//! The account behind a login name, read from the files as sshd reads it. An account that is not in
//! them may come from a directory service: then the answer is unknown.

use std::path::Path;

use crate::host::files::read;

/// Seconds of a day; `/etc/shadow` counts in days.
const DAY: u64 = 86_400;

/// The machine's account files. An absent text could not be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    passwd: Option<String>,
    shadow: Option<String>,
    group: Option<String>,
    /// Whether accounts come from `/etc/passwd` alone.
    has_only_users_of_files: bool,
    /// Whether groups come from `/etc/group` alone.
    has_only_groups_of_files: bool,
}

/// What the files say about a login name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// An account of the files.
    Known(Entry),
    /// There is no such account.
    Missing,
    /// Not in the files, or they cannot be read: a directory service may have the account.
    Unknown,
}

/// An account of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Whether its password is locked; false if `/etc/shadow` cannot be read.
    pub(super) is_locked: bool,
    /// The day it ends, in days since 1970; none: never, or unknown.
    expires: Option<u64>,
    /// Its shell; sshd takes an empty one for `/bin/sh`.
    pub(super) shell: String,
    group: String,
}

impl Entry {
    /// Whether the account has ended.
    pub(super) fn has_expired(&self, now: u64) -> bool {
        // As sshd's auth_shadow_acctexpired: the last day itself still counts.
        self.expires.is_some_and(|day| now / DAY > day)
    }
}

impl Accounts {
    /// Reads the files of this machine.
    pub(super) fn load() -> Self {
        let text = |path: &str| {
            let bytes = read(Path::new(path)).ok().flatten();
            bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let names = text("/etc/nsswitch.conf").unwrap_or_default();
        Self {
            passwd: text("/etc/passwd"),
            shadow: text("/etc/shadow"),
            group: text("/etc/group"),
            has_only_users_of_files: only_files(&names, "passwd:"),
            has_only_groups_of_files: only_files(&names, "group:"),
        }
    }

    /// The account of a login name.
    pub(super) fn find(&self, user: &str) -> Account {
        let Some(fields) = line(self.passwd.as_deref(), user) else {
            return match self.passwd.is_some() && self.has_only_users_of_files {
                true => Account::Missing,
                false => Account::Unknown,
            };
        };
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        let shadow = line(self.shadow.as_deref(), user);
        let secret = |at: usize| shadow.as_ref().and_then(|it| it.get(at).copied());
        Account::Known(Entry {
            // For sshd on Linux, an account is locked if its password field begins with `!`.
            is_locked: secret(1).is_some_and(|password| password.starts_with('!')),
            expires: secret(7).and_then(|day| day.parse().ok()),
            shell: match field(6) {
                "" => "/bin/sh".to_owned(),
                shell => shell.to_owned(),
            },
            group: field(3).to_owned(),
        })
    }

    /// The names of an account's groups; none if they are not known for certain.
    pub(super) fn groups_of(&self, user: &str) -> Option<Vec<String>> {
        let Account::Known(entry) = self.find(user) else {
            return None;
        };
        let text = self
            .group
            .as_deref()
            .filter(|_| self.has_only_groups_of_files)?;
        let is_member = |fields: &Vec<&str>| {
            let members = fields.get(3).copied().unwrap_or_default();
            fields.get(2) == Some(&entry.group.as_str())
                || members.split(',').any(|member| member == user)
        };
        let groups = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let names = groups.filter(is_member);
        Some(
            names
                .filter_map(|it| Some((*it.first()?).to_owned()))
                .collect(),
        )
    }

    /// An account that is in this group; none if the files name none.
    pub(super) fn member_of(&self, group: &str) -> Option<String> {
        let fields = line(self.group.as_deref(), group)?;
        let members = fields.get(3).copied().unwrap_or_default();
        if let Some(member) = members.split(',').find(|member| !member.is_empty()) {
            return Some(member.to_owned());
        }
        let id = fields.get(2)?;
        let mut accounts = self.passwd.as_deref()?.lines().map(|line| line.split(':'));
        accounts.find_map(|mut fields| {
            let name = fields.next()?;
            (fields.nth(2) == Some(id)).then(|| name.to_owned())
        })
    }
}

/// The fields of the line that begins with `name`.
fn line<'a>(text: Option<&'a str>, name: &str) -> Option<Vec<&'a str>> {
    let mut lines = text?
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.first() == Some(&name))
}

/// Whether `/etc/nsswitch.conf` names no source but the files.
fn only_files(names: &str, database: &str) -> bool {
    let line = names
        .lines()
        .find_map(|line| line.trim().strip_prefix(database));
    line.is_some_and(|sources| {
        let mut sources = sources.split_whitespace();
        sources.all(|source| ["files", "systemd", "compat"].contains(&source))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: Some(
                "root:x:0:0::/root:/bin/sh\ndeploy:x:1000:1000::/:\nold:x:1001:1000::/:/bin/x\n"
                    .to_owned(),
            ),
            shadow: Some("root:*:1::::::\ndeploy:!:1::::::\nold:*:1:0:99999:7::100:\n".to_owned()),
            group: Some("root:x:0:\nweb:x:50:deploy,root\ndeploy:x:1000:\n".to_owned()),
            has_only_users_of_files: true,
            has_only_groups_of_files: true,
        }
    }

    #[test]
    fn accounts_are_read_as_sshd_reads_them() {
        let all = accounts();
        let locked = |user: &str| match all.find(user) {
            Account::Known(entry) => entry.is_locked,
            other => panic!("{user}: {other:?}"),
        };
        assert!(!locked("root"), "no password");
        assert!(locked("deploy"), "locked");
        assert_eq!(all.find("dep"), Account::Missing, "a prefix of a name");
        let directory = Accounts {
            has_only_users_of_files: false,
            ..accounts()
        };
        assert_eq!(directory.find("web"), Account::Unknown);
        let unreadable = Accounts {
            shadow: None,
            ..accounts()
        };
        let Account::Known(entry) = unreadable.find("deploy") else {
            panic!("deploy is in passwd");
        };
        assert!(!entry.is_locked);
        assert_eq!(entry.shell, "/bin/sh", "an empty shell");
    }

    #[test]
    fn an_account_ends_after_its_last_day() {
        let Account::Known(old) = accounts().find("old") else {
            panic!("old is in passwd");
        };
        for (now, expected) in [(99 * DAY, false), (100 * DAY + 5, false), (101 * DAY, true)] {
            assert_eq!(old.has_expired(now), expected, "{now}");
        }
    }

    #[test]
    fn groups_are_the_own_one_and_those_that_list_the_account() {
        let all = accounts();
        assert_eq!(all.groups_of("deploy").unwrap(), ["web", "deploy"]);
        assert_eq!(all.groups_of("other"), None);
        assert_eq!(all.member_of("web").unwrap(), "deploy");
        assert_eq!(all.member_of("deploy").unwrap(), "deploy");
        assert_eq!(all.member_of("other"), None);
        let directory = Accounts {
            has_only_groups_of_files: false,
            ..accounts()
        };
        assert_eq!(directory.groups_of("deploy"), None);
    }
}
