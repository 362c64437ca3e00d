//! Several servers: each has its own session, passes and CA file.
//!
//! A command is for the server that the user names; else for the one that names the host, or for
//! the one of the last login. The files of the first server are those of the state folder itself,
//! so that one server needs no folder more.

use std::fs;

use super::{
    Client, Error, Settings,
    server_info::ServerInfo,
    session::{self, Session},
    state::{SERVERS, State},
};
use crate::ssh::pattern;

impl Client {
    /// This client for the server that passes for `host` come from: of the servers that name a
    /// matching pattern, the one of the last login, else the one with a login. Stays with its own
    /// server if the user named one, or if no server names the host. No network.
    ///
    /// # Errors
    /// Returns the error if a session cannot be read.
    pub(crate) fn for_host(self, host: &str) -> Result<Self, Error> {
        if self.is_named() || self.names(host)? {
            return Ok(self);
        }
        let mut found = None;
        for client in self.all_servers()? {
            if !client.names(host)? {
                continue;
            }
            if client.is_signed_in() {
                return Ok(client);
            }
            found = found.or(Some(client));
        }
        Ok(found.unwrap_or(self))
    }

    /// One client for each server that was signed in to, the first server first.
    ///
    /// # Errors
    /// Returns the error if a session or the folder cannot be read.
    pub(crate) fn all_servers(&self) -> Result<Vec<Self>, Error> {
        let root = self.state.root();
        let first = Session::load(&root)?.address();
        let mut others: Vec<_> = folders(&root)?
            .iter()
            .map(|name| Session::load(&root.of_server(name)))
            .collect::<Result<Vec<_>, _>>()?
            .iter()
            .filter_map(Session::address)
            .collect();
        others.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        let clients = first.into_iter().chain(others).map(|address| {
            Self::new(Settings {
                server: Some(address.to_string()),
                ..self.settings().clone()
            })
        });
        clients.collect()
    }

    /// Whether commands that name no server are for this one.
    ///
    /// # Errors
    /// Returns the error if a session cannot be read.
    pub(crate) fn is_default(&self) -> Result<bool, Error> {
        let usual = session::address(&self.state.root(), None)?;
        Ok(usual == Some(self.address()?))
    }

    /// Whether any server named a pattern that `host` matches, when it was last asked. No network.
    ///
    /// # Errors
    /// Returns the error if a session or the folder cannot be read.
    pub(crate) fn is_host_of_a_server(&self, host: &str) -> Result<bool, Error> {
        if self.names(host)? {
            return Ok(true);
        }
        for client in self.all_servers()? {
            if client.names(host)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether this server named `host` as a bastion, when it was last asked. No network.
    ///
    /// # Errors
    /// Returns the error if a file of the state folder cannot be read.
    pub(super) fn is_bastion(&self, host: &str) -> Result<bool, Error> {
        let Ok(address) = self.address() else {
            return Ok(false);
        };
        let known = ServerInfo::cached(&self.state, &address)?;
        let bastions = known.map(|known| known.bastions).unwrap_or_default();
        Ok(bastions.iter().any(|it| it.eq_ignore_ascii_case(host)))
    }

    /// Whether the server named a pattern that `host` matches, when it was last asked.
    fn names(&self, host: &str) -> Result<bool, Error> {
        let Ok(address) = self.address() else {
            return Ok(false);
        };
        let known = ServerInfo::cached(&self.state, &address)?;
        let patterns = known.map(|known| known.all_patterns()).unwrap_or_default();
        Ok(patterns
            .iter()
            .any(|pattern| pattern::matches(pattern, host)))
    }
}

/// The names of the servers' folders.
fn folders(root: &State) -> Result<Vec<String>, Error> {
    let path = root.path(SERVERS);
    let entries = match fs::read_dir(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::file(&path))?,
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    Ok(names.filter_map(|name| name.into_string().ok()).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const FIRST: &str = "https://ca.example.com:8443/";
    const SECOND: &str = "https://ca.example.net/";

    fn info(patterns: &[&str]) -> String {
        let patterns: Vec<String> = patterns.iter().map(|it| (*it).to_owned()).collect();
        serde_json::json!({
            "server_name": "ca", "issuers": [], "ca_keys": [], "ledger_verifier_key": "",
            "host_patterns": patterns
        })
        .to_string()
    }

    /// Two servers, the second one of the last login.
    fn two() -> (tempfile::TempDir, Settings) {
        let folder = tempfile::tempdir().unwrap();
        let root = State::new(folder.path()).unwrap();
        let first = Session {
            server: Some(FIRST.to_owned()),
            default: Some(SECOND.to_owned()),
            ..Session::default()
        };
        first.save(&root).unwrap();
        let second = root.of_server("ca.example.net_443");
        let session = Session {
            server: Some(SECOND.to_owned()),
            ..Session::default()
        };
        session.save(&second).unwrap();
        for (name, patterns) in [
            ("ca.example.com_8443", ["web-*", "both"]),
            ("ca.example.net_443", ["db-*", "both"]),
        ] {
            let file = format!("{SERVERS}/{name}/trust.json");
            root.write(file, info(&patterns).as_bytes()).unwrap();
        }
        let settings = Settings {
            server: None,
            state_dir: Some(folder.path().to_owned()),
            ca_file: None,
            say: |_| {},
        };
        (folder, settings)
    }

    #[test]
    fn a_command_is_for_the_server_that_names_the_host() {
        let (_folder, settings) = two();
        for (named, host, expected) in [
            (None, "web-1", FIRST),
            (None, "WEB-1", FIRST),
            (None, "db-1", SECOND),
            (None, "both", SECOND),
            (None, "unknown", SECOND),
            (Some(SECOND), "web-1", SECOND),
            (Some("https://ca.example.com:8443"), "db-1", FIRST),
        ] {
            let settings = Settings {
                server: named.map(str::to_owned),
                ..settings.clone()
            };
            let client = Client::new(settings).unwrap().for_host(host).unwrap();
            assert_eq!(client.address().unwrap().as_str(), expected, "{host}");
            let is_root = client.state.is_root();
            assert_eq!(is_root, expected == FIRST, "{host}: its own folder");
        }
    }

    #[test]
    fn every_server_is_listed_and_the_last_logins_is_the_default() {
        let (_folder, settings) = two();
        let client = Client::new(settings).unwrap();
        let all = client.all_servers().unwrap();
        let listed = all.iter().map(|client| {
            let address = client.address().unwrap().as_str().to_owned();
            (address, client.is_default().unwrap())
        });
        let listed: Vec<_> = listed.collect();
        assert_eq!(
            listed,
            [(FIRST.to_owned(), false), (SECOND.to_owned(), true)]
        );
    }
}
