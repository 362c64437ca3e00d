//! The session: who is signed in to which server, kept in `session.json`.
//!
//! It holds the ID token, so the file is 0600 and no type here is `Debug`.

use std::{fs, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Error,
    connect::Address,
    key::KeyPlace,
    state::{SERVERS, State},
};
use crate::identity::proof;

const FILE: &str = "session.json";

/// The content of `session.json`.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Session {
    /// The server's name: the first URL that was ever named.
    pub server: Option<String>,
    /// The URLs at which the server is reached, if it has others than its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// The server for commands that name none. In the first server's session only; none: the first
    /// server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The PEM file of roots for the server's TLS; none: the operating system's.
    pub ca_file: Option<PathBuf>,
    /// The login, until `logout`.
    pub login: Option<Login>,
}

/// One login.
#[derive(Clone, Serialize, Deserialize)]
pub struct Login {
    /// The server that the login is for.
    pub server: String,
    /// The issuer's URL.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
    /// A name to show: the verified e-mail address, else the subject.
    pub label: String,
    /// The compact ID token.
    pub token: String,
    /// The secret of the token's key binding, base64; empty if the token is not bound.
    pub binding_secret: String,
    /// The location of the login's key.
    pub key: KeyPlace,
    /// The token's `exp`, Unix seconds.
    pub expires: u64,
    /// The ID token of the sign-in, if `token` is a renewed one. It binds the session to the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    /// The end of the session, Unix seconds, if the token can be renewed until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<u64>,
}

impl Session {
    /// Reads the session; an empty one if there is no file.
    ///
    /// # Errors
    /// Returns the error if the file cannot be read, or its content is damaged.
    pub(crate) fn load(state: &State) -> Result<Self, Error> {
        let Some(text) = state.read(FILE)? else {
            return Ok(Self::default());
        };
        serde_json::from_str(&text).map_err(|_| {
            Error::other(format!(
                "{} is damaged; remove it, then sign in again with: daypass login",
                state.path(FILE).display()
            ))
        })
    }

    /// The server's address; none if there was no login, or the file holds an invalid one.
    pub(crate) fn address(&self) -> Option<Address> {
        let name = Address::parse(self.server.as_ref()?).ok()?;
        Some(match Address::parse(&self.urls.join(",")) {
            Ok(urls) => urls.known_as(&name),
            Err(_) => name,
        })
    }

    /// The server for commands that name none.
    pub(super) fn usual(&self) -> Option<&String> {
        self.default.as_ref().or(self.server.as_ref())
    }

    /// The files that a sign-in writes.
    pub(super) fn files(state: &State) -> [PathBuf; 4] {
        [FILE, "key", "key.pub", "agent.json"].map(|name| state.path(name))
    }

    /// Writes the session.
    ///
    /// # Errors
    /// Returns [`Error::File`] if it cannot be written.
    pub(crate) fn save(&self, state: &State) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::other(format!("failed to write the session: {error}")))?;
        state.write(FILE, &text)
    }

    /// The login for `server` that has not expired at `now` (Unix seconds).
    ///
    /// # Errors
    /// Returns [`Error::SignIn`] with what is missing.
    pub(crate) fn login_for(&self, server: &str, now: u64) -> Result<&Login, Error> {
        let login = self
            .login
            .as_ref()
            .ok_or_else(|| Error::sign_in("you are not signed in"))?;
        if login.server != server {
            return Err(Error::SignIn {
                reason: None,
                message: format!(
                    "you are signed in to {}, not to {server}; sign in with: daypass login --server {server}",
                    login.server
                ),
            });
        }
        if login.expires <= now {
            return Err(Error::sign_in("your sign-in has expired"));
        }
        Ok(login)
    }
}

/// The folder for the sessions and passes of `server`; of the last login's server if none is named.
///
/// # Errors
/// Returns the error if the session cannot be read.
pub(super) fn folder(root: &State, server: Option<&str>) -> Result<State, Error> {
    // An invalid address is refused when it is used.
    let Ok(Some(address)) = address(root, server) else {
        Session::load(root)?;
        return Ok(root.clone());
    };
    Ok(match Session::load(root)?.address() {
        Some(first) if first != address => root.of_server(&address.folder()),
        Some(_) | None => root.clone(),
    })
}

/// The address of the server that `server` names, by any of its URLs; of the last login's server if
/// none is named. None if there was no login either.
///
/// # Errors
/// Returns the error if the address is invalid, or the session cannot be read.
pub(super) fn address(root: &State, server: Option<&str>) -> Result<Option<Address>, Error> {
    let first = Session::load(root)?;
    let Some(text) = server.or(first.usual().map(String::as_str)) else {
        return Ok(None);
    };
    let named = Address::parse(text)?;
    let known: Vec<Address> = std::iter::once(first)
        .chain(others(root))
        .filter_map(|session| session.address())
        .collect();
    let mut same = known.iter().filter(|it| **it == named);
    let found = same
        .next()
        .or_else(|| known.iter().find(|it| it.overlaps(&named)));
    Ok(Some(match (found, server) {
        // The URLs that the user names are those that are tried.
        (Some(known), Some(_)) => named.known_as(known),
        (Some(known), None) => known.clone(),
        (None, _) => named,
    }))
}

/// The sessions at other servers than the first. One that cannot be read is reported when it is
/// used.
pub(super) fn others(root: &State) -> Vec<Session> {
    let mut names: Vec<_> = fs::read_dir(root.path(SERVERS))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    let sessions = names
        .iter()
        .filter_map(|name| Session::load(&root.of_server(name)).ok());
    sessions.collect()
}

impl Login {
    /// SHA-256 of the compact token, or of a renewed one with the original, as possession proofs
    /// cover it.
    pub fn token_hash(&self) -> [u8; 32] {
        match &self.original {
            None => Sha256::digest(self.token.as_bytes()).into(),
            Some(original) => proof::refreshed_hash(&self.token, original),
        }
    }

    /// The time until which the user need not sign in again, Unix seconds.
    pub(crate) fn until(&self) -> u64 {
        self.ends.unwrap_or(self.expires).max(self.expires)
    }

    /// The secret to reveal with an ask.
    ///
    /// # Errors
    /// Returns [`Error::SignIn`] if the session is damaged.
    pub(crate) fn secret(&self) -> Result<Vec<u8>, Error> {
        STANDARD
            .decode(&self.binding_secret)
            .map_err(|_| Error::sign_in("the session is damaged"))
    }

    /// The secret as the session keeps it.
    pub(super) fn encode_secret(secret: &[u8]) -> String {
        STANDARD.encode(secret)
    }

    /// Whether both logins are of the same person at the same server, so that they share passes.
    pub(super) fn is_same_person(&self, other: &Self) -> bool {
        (&self.server, &self.issuer, &self.subject)
            == (&other.server, &other.issuer, &other.subject)
    }
}

#[cfg(test)]
impl Login {
    /// A login of alice, which expires at 1000.
    pub(super) fn sample() -> Self {
        Self {
            server: "https://daypass.example.com/".into(),
            issuer: "https://id.example.com".into(),
            subject: "alice".into(),
            label: "alice@example.com".into(),
            token: "a.b.c".into(),
            binding_secret: Self::encode_secret(&[7; 32]),
            key: KeyPlace::Own,
            expires: 1000,
            original: None,
            ends: None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_for_its_own_server_until_it_expires() {
        let session = Session {
            login: Some(Login::sample()),
            ..Session::default()
        };
        let cases = [
            ("unexpired", "https://daypass.example.com/", 999, true),
            ("expired", "https://daypass.example.com/", 1000, false),
            ("another server", "https://other.example.com/", 999, false),
        ];
        for (case, server, now, expected) in cases {
            assert_eq!(session.login_for(server, now).is_ok(), expected, "{case}");
        }
        let Err(error) = Session::default().login_for("https://x/", 0) else {
            unreachable!("there is no login");
        };
        assert_eq!(error.exit_code(), 4);
    }

    #[test]
    fn a_session_comes_back_as_it_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        let session = Session {
            default: None,
            server: Some("https://x/".into()),
            urls: Vec::new(),
            ca_file: None,
            login: Some(Login::sample()),
        };
        session.save(&state).unwrap();
        let read = Session::load(&state).unwrap().login.unwrap();
        assert!(read.is_same_person(&Login::sample()));
        assert_eq!(read.secret().unwrap(), [7; 32]);
        state.write(FILE, b"{").unwrap();
        assert!(Session::load(&state).is_err());
    }
}
