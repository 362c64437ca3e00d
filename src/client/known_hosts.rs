//! Known hosts: our own known_hosts file, by which ssh accepts the host certificates that the
//! servers' CAs sign, and the list of hosts that have one.
//!
//! The user's own files are never written. Ours is a *global* file for ssh: it reads it, and never
//! adds a line to it. A line of the user's with a plain key counts as before.
//!
//! A host without its certificate looks to ssh as any new host: it would ask, or accept the key
//! without asking (`StrictHostKeyChecking accept-new`). So for a host of which the server has said
//! that it has one, ssh is told to accept no unknown key.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use super::{
    Client, Error,
    clock::now,
    revoked_hosts,
    server_info::ServerInfo,
    ssh::{alias::settings, command_line::CommandLine},
    state::{Lock, State},
    words::{check_host, included, is_pattern, quote},
};
use crate::ssh::host_name;

/// The file, in the state folder.
pub(super) const FILE: &str = "known_hosts";

/// The first line of [`FILE`].
const FIRST_LINE: &str =
    "# Written by daypass: the CAs of your hosts, as your servers publish them.";

/// The hosts that have a certificate, and until when, in the state folder.
const CERTIFIED: &str = "certified-hosts.json";

/// The ssh configuration for [`CERTIFIED`].
const STRICT: &str = "strict_hosts";

/// Hosts in [`CERTIFIED`] at most.
const MOST: usize = 4096;

/// The files that ssh reads for all users, unless it was built for another folder.
const SYSTEM: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

impl Client {
    /// Writes what the servers of this user published last. Removes the file if they publish
    /// nothing. No network.
    ///
    /// # Errors
    /// Returns [`Error::File`] if a file cannot be read or written.
    pub(super) fn renew_known_hosts(&self) -> Result<(), Error> {
        let mut lines = BTreeSet::new();
        let addresses = self.all_servers()?.into_iter().map(|it| it.address());
        for address in addresses.chain([self.address()]) {
            if let Some(known) = ServerInfo::cached(&self.state, &address?)? {
                lines.extend(authorities(&known));
            }
        }
        let root = self.state.root();
        if lines.is_empty() {
            return root.remove(FILE);
        }
        let mut text = format!("{FIRST_LINE}\n");
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
        match root.read(FILE)?.as_deref() == Some(&*text) {
            true => Ok(()),
            false => root.write(FILE, text.as_bytes()),
        }
    }

    /// Remembers what the server says of a host: until when it has a certificate; 0 if it has none.
    ///
    /// # Errors
    /// Returns [`Error::File`] if a file cannot be read or written.
    pub(super) async fn remember_certified(
        &self,
        host: &str,
        until: u64,
        now: u64,
    ) -> Result<(), Error> {
        let root = self.state.root();
        let turn = root.lock_on_hosts(self.settings().say).await?;
        let mut hosts = certified(&root)?;
        let before = hosts.clone();
        hosts.retain(|_, until| *until > now);
        let host = host.to_ascii_lowercase();
        let has_room = hosts.len() < MOST || hosts.contains_key(&host);
        match until > now && check_host(&host).is_ok() && has_room {
            true => hosts.insert(host, until),
            false => hosts.remove(&host),
        };
        if hosts == before {
            return Ok(());
        }
        let json = serde_json::to_vec(&hosts).map_err(|error| Error::other(error.to_string()))?;
        root.write(CERTIFIED, &json)?;
        self.write_strict(&turn)
    }

    /// Writes the ssh configuration for certified hosts and revoked certificates, if it differs.
    ///
    /// # Errors
    /// Returns [`Error::File`] if a file cannot be read or written.
    pub(super) fn write_strict(&self, _turn: &Lock) -> Result<(), Error> {
        let root = self.state.root();
        match self.strict_change()? {
            Some(text) => root.write(STRICT, text.as_bytes()),
            None => Ok(()),
        }
    }

    /// What [`STRICT`] should say, if it says something else.
    ///
    /// # Errors
    /// Returns [`Error::File`] if a file cannot be read.
    pub(super) fn strict_change(&self) -> Result<Option<String>, Error> {
        let root = self.state.root();
        let hosts = certified(&root)?;
        let revoked = revoked_hosts::file(root.folder());
        let revoked = revoked.as_deref().map(plain_quote).transpose()?;
        let text = strict(hosts.keys().map(String::as_str), revoked.as_deref());
        Ok(match root.read(STRICT)? {
            Some(before) if before == text => None,
            None if hosts.is_empty() && revoked.is_none() => None,
            Some(_) | None => Some(text),
        })
    }

    /// Whether the server has said that this host has a certificate, valid at `now`.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the file cannot be read.
    pub(crate) fn is_certified(&self, host: &str, now: u64) -> Result<bool, Error> {
        let hosts = certified(&self.state.root())?;
        let until = hosts.get(&host.to_ascii_lowercase());
        Ok(until.is_some_and(|until| *until > now))
    }

    /// Whether a server of this user has known hosts. No network.
    pub(crate) fn knows_hosts(&self) -> bool {
        self.state.root().path(FILE).is_file()
    }

    /// Asks the server again, and returns whether it publishes other host CA keys than before: a
    /// pass on disk is used without asking it.
    pub(crate) async fn learns_known_hosts(&self) -> bool {
        let known = || self.state.root().read(FILE).ok().flatten();
        let before = known();
        self.connect().await.is_ok() && known() != before
    }

    /// The settings that make the ssh of this command line accept host certificates.
    ///
    /// # Errors
    /// Returns [`Error::File`] if a file cannot be read.
    pub(crate) fn known_hosts_options(
        &self,
        line: &CommandLine,
        environment: (&str, &OsStr),
    ) -> Result<Vec<String>, Error> {
        if !self.knows_hosts() {
            return Ok(Vec::new());
        }
        match settings(&line.words(), environment) {
            Some(settings) => self.known_hosts_settings(&settings, now()),
            // ssh itself will say what is wrong.
            None => Ok(Vec::new()),
        }
    }

    /// The settings that make an ssh accept host certificates, beside `settings`: those that it has
    /// in force, as `ssh -G` prints them. Empty if there is nothing to add.
    ///
    /// # Errors
    /// Returns [`Error::File`] if a file cannot be read.
    fn known_hosts_settings(&self, settings: &str, now: u64) -> Result<Vec<String>, Error> {
        let mut more = Vec::new();
        let file = self.state.root().path(FILE);
        if file.is_file() {
            more.extend(with_file(settings, &file));
        }
        more.extend(revoked(settings, self.state.root().folder()));
        let name = value(settings, "hostkeyalias").or_else(|| value(settings, "hostname"));
        let asks = value(settings, "stricthostkeychecking") == Some("ask");
        if let Some(name) = name.filter(|_| asks)
            && self.is_certified(name, now)?
        {
            more.push("StrictHostKeyChecking=yes".to_owned());
        }
        Ok(more)
    }
}

/// Our file for an ssh that has these settings in force, beside those that it reads already. None
/// if it reads ours, or reads none, or if a path cannot be told from two.
pub(super) fn with_file(settings: &str, file: &Path) -> Option<String> {
    const NAME: &str = "globalknownhostsfile";
    let listed = value(settings, NAME)?;
    let ours = file.to_str()?;
    let words: Vec<&str> = listed.split(' ').collect();
    let is_path = |word: &&str| word.starts_with(['/', '~']);
    if listed.ends_with(ours) || !words.iter().all(is_path) {
        return None;
    }
    let ours = plain_quote(file).ok()?;
    Some(format!("GlobalKnownHostsFile={listed} {ours}"))
}

/// The setting by which an ssh that has these in force refuses the host certificates that were
/// revoked. None if there are none, or the user has named a file of their own, or the path has a
/// `%`, which some versions of ssh expand.
pub(super) fn revoked(settings: &str, root: &Path) -> Option<String> {
    let file = revoked_hosts::file(root)?;
    let own = value(settings, "revokedhostkeys").filter(|own| *own != "none");
    let file = quote(&file).ok()?;
    let is_plain = own.is_none() && !file.contains('%');
    is_plain.then(|| format!("RevokedHostKeys={file}"))
}

/// The known_hosts file of the state folder that `path` lies in, if it is one of ours.
pub(super) fn above(path: &Path) -> Option<PathBuf> {
    let files = path.ancestors().skip(1).map(|folder| folder.join(FILE));
    { files }.find(|file| {
        let text = std::fs::read_to_string(file);
        text.is_ok_and(|text| text.starts_with(FIRST_LINE))
    })
}

/// The first value of a setting, in what `ssh -G` prints.
fn value<'a>(settings: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = settings.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
}

/// The lines of an ssh configuration that name our files.
///
/// # Errors
/// Returns [`Error::Usage`] if a path cannot be written into an ssh configuration.
pub(super) fn lines(state: &State) -> Result<String, Error> {
    let ours = plain_quote(&state.path(FILE))?;
    let strict = included(&state.path(STRICT), state.folder())?;
    let system = SYSTEM.join(" ");
    Ok(format!(
        "\x20   GlobalKnownHostsFile {system} {ours}\n\x20   Include {strict}\n"
    ))
}

/// The path in quotes. ssh expands no `%` in this setting.
fn plain_quote(path: &Path) -> Result<String, Error> {
    Ok(quote(path)?.replace("%%", "%"))
}

/// A host of these names is known: ssh refuses a key that no certificate and no line proves. It
/// refuses certificates in the file `revoked`, too.
fn strict<'a>(names: impl Iterator<Item = &'a str>, revoked: Option<&str>) -> String {
    let mut text = "# Written by daypass: hosts that have a certificate.\n".to_owned();
    // Within the `Match final` that includes this file: a line of the user's own counts.
    if let Some(file) = revoked {
        let _ = writeln!(text, "RevokedHostKeys {file}");
    }
    for name in names {
        let _ = writeln!(
            text,
            "Match final host \"{name}\"\n    StrictHostKeyChecking yes"
        );
    }
    text
}

fn certified(root: &State) -> Result<BTreeMap<String, u64>, Error> {
    let text = root.read(CERTIFIED)?;
    Ok(text
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}

/// The lines of known_hosts for one server. A host on a port other than 22 is `[host]:port` there.
/// A pattern that any name matches is left out: a server says nothing of all hosts in the world.
fn authorities(server: &ServerInfo) -> Vec<String> {
    let names = server.known_host_names.iter();
    let names = names.filter(|name| is_pattern(name) && host_name::is_of_some_names(name));
    let names: Vec<String> = names.map(|name| format!("{name},[{name}]:*")).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let names = names.join(",");
    let keys = server.host_ca_keys.iter();
    keys.map(|key| format!("@cert-authority {names} {key}"))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIILvoiXWxhwDJCTLPsbfAlOaJOlzUoJi6CxjXXq7Zzwt";

    fn server(names: &[&str]) -> ServerInfo {
        let json = serde_json::json!({
            "server_name": "ca", "issuers": [], "ca_keys": [], "ledger_verifier_key": "",
            "host_patterns": [], "host_ca_keys": [KEY], "known_host_names": names
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_line_names_each_pattern_with_and_without_a_port_and_never_every_host() {
        let lines = authorities(&server(&["web-*", "*.internal"]));
        let names = "web-*,[web-*]:*,*.internal,[*.internal]:*";
        assert_eq!(lines, [format!("@cert-authority {names} {KEY}")]);
        for names in [
            &["*"][..],
            &["*.*"],
            &["?*"],
            &[""],
            &["a b"],
            &["a,!b"],
            &["a\n@cert-authority *"],
            &[],
        ] {
            assert!(authorities(&server(names)).is_empty(), "{names:?}");
        }
    }

    #[test]
    fn our_file_is_read_beside_those_that_ssh_reads_already() {
        let ours = Path::new("/home/a b/50%/known_hosts");
        for (listed, expected) in [
            (
                "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2",
                Some(
                    "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2 \"/home/a b/50%/known_hosts\"",
                ),
            ),
            (
                "/company/known",
                Some("/company/known \"/home/a b/50%/known_hosts\""),
            ),
            ("~/known", Some("~/known \"/home/a b/50%/known_hosts\"")),
            ("/etc/ssh/ssh_known_hosts /home/a b/50%/known_hosts", None),
            ("/a folder/known", None),
            ("none", None),
        ] {
            let settings = format!("hostname web-1\nglobalknownhostsfile {listed}\nport 22\n");
            let expected = expected.map(|it| format!("GlobalKnownHostsFile={it}"));
            assert_eq!(with_file(&settings, ours), expected, "{listed}");
        }
        assert_eq!(with_file("hostname web-1\n", ours), None);
    }

    fn client(folder: &Path) -> Client {
        Client::new(super::super::Settings {
            server: None,
            state_dir: Some(folder.to_owned()),
            ca_file: None,
            say: |_| {},
        })
        .unwrap()
    }

    /// Each command read the list, and wrote it with its own host alone.
    #[tokio::test(flavor = "multi_thread")]
    async fn commands_at_the_same_time_lose_no_certified_host() {
        let folder = tempfile::tempdir().unwrap();
        let mut commands = tokio::task::JoinSet::new();
        for number in 0..32 {
            let client = client(folder.path());
            commands.spawn(async move {
                let host = format!("web-{number}");
                client.remember_certified(&host, 2000, 1000).await.unwrap();
            });
        }
        commands.join_all().await;
        let client = client(folder.path());
        for number in 0..32 {
            let host = format!("web-{number}");
            assert!(client.is_certified(&host, 1000).unwrap(), "{host}");
        }
        let strict = client.state.read(STRICT).unwrap().unwrap();
        assert_eq!(strict.matches("Match final host").count(), 32, "{strict}");
    }

    #[tokio::test]
    async fn only_a_certified_host_by_the_name_that_ssh_compares_is_strict_and_no_choice_of_the_users_changes()
     {
        let folder = tempfile::tempdir().unwrap();
        let client = client(folder.path());
        client
            .remember_certified("WEB-1", 2000, 1000)
            .await
            .unwrap();
        client
            .remember_certified("web-2", 1500, 1000)
            .await
            .unwrap();
        client.remember_certified("web-3", 0, 1000).await.unwrap();
        client
            .remember_certified("we\"b", 2000, 1000)
            .await
            .unwrap();
        let strict = client.state.read(STRICT).unwrap().unwrap();
        assert_eq!(strict.matches("Match final host").count(), 2, "{strict}");
        for (settings, expected) in [
            ("hostname web-1\nstricthostkeychecking ask\n", true),
            ("hostname WEB-1\nstricthostkeychecking ask\n", true),
            (
                "hostname 192.0.2.1\nhostkeyalias web-1\nstricthostkeychecking ask\n",
                true,
            ),
            (
                "hostname web-1\nhostkeyalias other\nstricthostkeychecking ask\n",
                false,
            ),
            ("hostname web-1\nstricthostkeychecking accept-new\n", false),
            ("hostname web-1\nstricthostkeychecking false\n", false),
            ("hostname web-2\nstricthostkeychecking ask\n", false),
            ("hostname web-3\nstricthostkeychecking ask\n", false),
        ] {
            let more = client.known_hosts_settings(settings, 1700).unwrap();
            assert_eq!(!more.is_empty(), expected, "{settings}");
        }
        client.remember_certified("web-1", 0, 1700).await.unwrap();
        let strict = client.state.read(STRICT).unwrap().unwrap();
        assert!(!strict.contains("Match"), "{strict}");
    }
}
