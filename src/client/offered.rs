//! Names that a shell completes: the roles, hosts and requests that the server listed last. No
//! network, and no authority: a name that is gone is refused by the server.
//!
//! The names come from a server, and a shell inserts some of them unquoted. So a name with any
//! other character than [`is_safe`] allows is neither kept nor offered.

use std::{collections::BTreeSet, fs, io::Read, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    Client, Signed,
    cache::HOSTS,
    requested,
    requests::{RequestView, State as RequestState},
    server_info::ServerInfo,
    ssh_config,
    state::State,
    words::check_host,
};
use crate::proto::v1;

/// The list, in the folder of the server.
const FILE: &str = "offered.json";

/// Most roles, and most hosts.
const MOST: usize = 512;

/// Most requests, and most hosts that the user asked about.
const MOST_RECENT: usize = 128;

/// Bytes of a name at most.
const LONGEST: usize = 128;

/// Bytes of the user's own ssh configuration that are read.
const LARGEST_CONFIG: u64 = 256 * 1024;

/// What a server offered last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Offered {
    /// Names of the open roles.
    #[serde(default)]
    roles: Vec<String>,
    /// Hosts that the roles name without a wildcard.
    #[serde(default)]
    hosts: Vec<String>,
    /// Hosts that the user asked about and has a role for, the newest last.
    #[serde(default)]
    asked: Vec<String>,
    /// Requests, as they were listed.
    #[serde(default)]
    requests: Vec<OfferedRequest>,
}

/// A request that can be named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OfferedRequest {
    /// Its number.
    pub(crate) id: u64,
    /// Its role; empty if the name is not safe to print.
    pub(crate) role: String,
    /// What the user may do with it.
    pub(crate) verb: OfferedVerb,
}

/// What a user may do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OfferedVerb {
    /// Approve or deny it.
    Decide,
    /// Close the review.
    Review,
    /// Cancel or redeem it: it is their own.
    Withdraw,
    /// Read it.
    Show,
}

impl Client {
    /// The roles that this server listed last.
    pub(crate) fn offered_roles(&self) -> Vec<String> {
        Offered::load(&self.state).roles
    }

    /// The requests that this server listed last, and those that this machine opened.
    pub(crate) fn offered_requests(&self) -> Vec<OfferedRequest> {
        let mut requests = Offered::load(&self.state).requests;
        for (id, role) in requested::open_requests(&self.state) {
            if requests.iter().all(|known| known.id != id) {
                requests.push(OfferedRequest::own(id, &role));
            }
        }
        requests.sort_by_key(|request| request.id);
        requests
    }

    /// The host names that this machine knows, of this server if the user named it, else of all
    /// servers: listed by a server, in an ssh configuration, or with a pass on disk.
    pub(crate) fn offered_hosts(&self) -> Vec<String> {
        let mut hosts = BTreeSet::new();
        self.collect_hosts(&mut hosts);
        if !self.is_named() {
            for other in self.all_servers().unwrap_or_default() {
                other.collect_hosts(&mut hosts);
            }
        }
        let written = self.state.root().read(ssh_config::FILE).ok().flatten();
        hosts.extend(written.iter().flat_map(|text| ssh_config::patterns(text)));
        if let Ok(path) = ssh_config::users_file() {
            hosts.extend(hosts_of_config(&start_of(&path)));
        }
        hosts.into_iter().filter(|host| is_host(host)).collect()
    }

    fn collect_hosts(&self, hosts: &mut BTreeSet<String>) {
        let offered = Offered::load(&self.state);
        hosts.extend(offered.hosts.into_iter().chain(offered.asked));
        let address = self.address().ok();
        let known = address.and_then(|it| ServerInfo::cached(&self.state, &it).ok().flatten());
        if let Some(known) = known {
            hosts.extend(known.all_patterns().into_iter().chain(known.bastions));
        }
        for folder in fs::read_dir(self.state.path(HOSTS)).into_iter().flatten() {
            let name = folder.map(|it| it.file_name().into_string());
            hosts.extend(name.ok().and_then(Result::ok));
        }
    }
}

impl Signed {
    /// Remembers listed roles; those for `host`, if one was asked about, are only some of them.
    pub(super) fn remember_roles(&self, host: &str, listed: &[v1::Role]) {
        Offered::change(&self.state, |offered| offered.take_roles(host, listed));
    }

    /// Remembers the requests of a list.
    pub(super) fn remember_requests(&self, listed: &[RequestView]) {
        Offered::change(&self.state, |offered| {
            let listed = listed.iter().take(MOST_RECENT);
            offered.requests = listed.map(OfferedRequest::of).collect();
        });
    }

    /// Remembers that a request was decided.
    pub(super) fn remember_decided(&self, id: u64) {
        Offered::change(&self.state, |offered| {
            offered.requests.retain(|request| request.id != id);
        });
    }
}

/// Remembers the names of all open roles.
pub(super) fn remember_names(state: &State, roles: &[String]) {
    Offered::change(state, |offered| offered.roles = safe(roles.iter()));
}

/// Forgets everything, at the end of a login.
///
/// # Errors
/// Returns [`super::Error::File`] if the file cannot be removed.
pub(super) fn forget(state: &State) -> Result<(), super::Error> {
    state.remove(FILE)
}

impl Offered {
    /// Reads the list. A damaged one counts as empty: the next command writes it anew.
    fn load(state: &State) -> Self {
        let text = state.read(FILE).ok().flatten();
        let read: Option<Self> = text.and_then(|text| serde_json::from_str(&text).ok());
        let mut offered = read.unwrap_or_default();
        offered.roles = safe(offered.roles.iter());
        for request in &mut offered.requests {
            *request = OfferedRequest {
                verb: request.verb,
                ..OfferedRequest::own(request.id, &request.role)
            };
        }
        offered
    }

    /// Changes the list on disk. A failure is none of the command that learned the names.
    fn change(state: &State, change: impl FnOnce(&mut Self)) {
        let old = Self::load(state);
        let mut new = old.clone();
        change(&mut new);
        if new == old {
            return;
        }
        if let Ok(text) = serde_json::to_vec(&new) {
            let _ = state.write(FILE, &text);
        }
    }

    fn take_roles(&mut self, host: &str, listed: &[v1::Role]) {
        let names = safe(listed.iter().map(|role| &role.name));
        if host.is_empty() {
            let hosts: BTreeSet<&String> = listed.iter().flat_map(|role| &role.hosts).collect();
            let hosts = hosts.into_iter().filter(|host| is_host(host)).take(MOST);
            self.hosts = hosts.cloned().collect();
            self.roles = names;
            return;
        }
        if !names.is_empty() && is_host(host) {
            self.asked.retain(|known| known != host);
            self.asked.push(host.to_owned());
            let surplus = self.asked.len().saturating_sub(MOST_RECENT);
            self.asked.drain(..surplus);
        }
        for name in names {
            if self.roles.len() < MOST && !self.roles.contains(&name) {
                self.roles.push(name);
            }
        }
    }
}

impl OfferedRequest {
    fn of(view: &RequestView) -> Self {
        let verb = match view.state {
            RequestState::ReviewOpen if view.may_decide => OfferedVerb::Review,
            RequestState::Pending if view.may_decide => OfferedVerb::Decide,
            RequestState::Pending | RequestState::Approved => OfferedVerb::Withdraw,
            RequestState::ReviewOpen
            | RequestState::Reviewed
            | RequestState::Denied
            | RequestState::Cancelled
            | RequestState::Redeemed
            | RequestState::Expired
            | RequestState::Unspecified => OfferedVerb::Show,
        };
        Self {
            verb,
            ..Self::own(view.id, &view.page.ask.role)
        }
    }

    fn own(id: u64, role: &str) -> Self {
        Self {
            id,
            role: Some(role.to_owned())
                .filter(|it| is_safe(it))
                .unwrap_or_default(),
            verb: OfferedVerb::Withdraw,
        }
    }
}

/// Whether a shell can insert `name` as it is, as one word that is no option.
fn is_safe(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:@-".contains(c);
    (1..=LONGEST).contains(&name.len()) && !name.starts_with('-') && name.chars().all(plain)
}

/// Whether a name of a list is a host's, and no pattern.
fn is_host(name: &str) -> bool {
    is_safe(name) && check_host(name).is_ok()
}

fn safe<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let names = names.filter(|name| is_safe(name)).take(MOST);
    names.cloned().collect()
}

/// The start of a text file; empty if it cannot be read.
fn start_of(path: &Path) -> String {
    let mut bytes = Vec::new();
    // A pipe or device would block.
    let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    if let Some(file) = fs::File::open(path).ok().filter(|_| is_file) {
        let _ = file.take(LARGEST_CONFIG).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The names after `Host` in an ssh configuration, patterns too.
fn hosts_of_config(text: &str) -> Vec<String> {
    let blank = |c: char| c.is_ascii_whitespace() || c == '=';
    let lines = text.lines().filter_map(|line| {
        let (keyword, names) = line.trim().split_once(blank)?;
        keyword.eq_ignore_ascii_case("host").then_some(names)
    });
    let names = lines.flat_map(|names| names.split(blank));
    // A name with a blank is in two parts, each with one quote, and is no host.
    let names = names.map(|name| {
        let quoted = name
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'));
        quoted.unwrap_or(name).to_owned()
    });
    names.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn role(name: &str, hosts: &[&str]) -> v1::Role {
        v1::Role {
            name: name.to_owned(),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            ..v1::Role::default()
        }
    }

    /// Names that would be more than one word, or another one, in a shell.
    const HOSTILE: [&str; 13] = [
        "$(id)", "`id`", "it's", "a\"b", "a b", "a\nb", "-rf", "a;b", "a*", "~root", "a\\b",
        "a\x1b[2J", "",
    ];

    #[test]
    fn hostile_names_of_a_role_list_are_never_kept_or_offered() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        let mut listed: Vec<_> = HOSTILE.iter().map(|name| role(name, &HOSTILE)).collect();
        listed.push(role("ops@db:admin", &["web-1", "web-*"]));
        Offered::change(&state, |offered| offered.take_roles("", &listed));
        let expected = Offered {
            roles: vec!["ops@db:admin".to_owned()],
            hosts: vec!["web-1".to_owned()],
            ..Offered::default()
        };
        assert_eq!(Offered::load(&state), expected);
        // Nor from a file that another version, or another program, has written.
        let names: Vec<_> = HOSTILE.iter().map(|&name| name.to_owned()).collect();
        let bad = Offered {
            roles: names.clone(),
            hosts: names,
            ..Offered::default()
        };
        state
            .write(FILE, &serde_json::to_vec(&bad).unwrap())
            .unwrap();
        assert!(Offered::load(&state).roles.is_empty());
        assert!(HOSTILE.iter().all(|name| !is_host(name)));
    }

    #[test]
    fn a_list_for_one_host_adds_and_a_whole_list_replaces() {
        let mut offered = Offered::default();
        offered.take_roles("", &[role("shell", &["web-1"]), role("old", &[])]);
        offered.take_roles("db-7", &[role("dba", &["db-*"])]);
        offered.take_roles("nothing-here", &[]);
        assert_eq!(offered.roles, ["shell", "old", "dba"]);
        assert_eq!(
            (offered.hosts.len(), &*offered.asked),
            (1, &["db-7".to_owned()][..])
        );
        offered.take_roles("", &[role("shell", &[])]);
        assert_eq!(
            (&*offered.roles, offered.hosts.len()),
            (&["shell".to_owned()][..], 0)
        );
    }

    #[test]
    fn a_list_is_bounded_and_a_damaged_one_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        let names: Vec<_> = (0..600)
            .map(|n| format!("{n}{}", "x".repeat(100)))
            .collect();
        let roles: Vec<_> = names.iter().map(|name| role(name, &[name])).collect();
        Offered::change(&state, |offered| offered.take_roles("", &roles));
        for name in names.iter().take(140) {
            Offered::change(&state, |offered| offered.take_roles(name, &roles));
        }
        let offered = Offered::load(&state);
        assert_eq!([offered.roles.len(), offered.hosts.len()], [MOST; 2]);
        assert_eq!(offered.asked.len(), MOST_RECENT);
        assert_eq!(offered.asked.last(), names.get(139));
        state.write(FILE, b"{\"roles\": 7").unwrap();
        assert_eq!(Offered::load(&state), Offered::default());
    }

    #[test]
    fn hosts_of_an_ssh_configuration_are_read_as_ssh_reads_them() {
        let text = "Host web-1 \"db 1\"  db-*\n  HostName x\nhost=alias\n\tHOST = other\n#Host no\nHostname y";
        let names = hosts_of_config(text);
        let hosts: Vec<_> = names.iter().filter(|name| is_host(name)).collect();
        assert_eq!(hosts, ["web-1", "alias", "other"]);
    }

    proptest! {
        #[test]
        fn any_configuration_gives_safe_hosts(text in "(Host|host=|[ -~\n\t])*") {
            for host in hosts_of_config(&text).iter().filter(|it| is_host(it)) {
                prop_assert!(host.chars().all(|c| c.is_ascii_graphic()) && !host.starts_with('-'));
            }
        }
    }
}
