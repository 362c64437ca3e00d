//! Who is signed in where: `session.json`. It holds the ID token, so it is 0600 and nothing here is `Debug`.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

use super::{Error, key::KeyPlace, state::State};

const FILE: &str = "session.json";

/// What is remembered between commands.
#[derive(Default, Serialize, Deserialize)]
pub struct Session {
    /// The server that commands use where none is named.
    pub server: Option<String>,
    /// The roots its TLS certificate was checked with, where they were named.
    pub ca_file: Option<PathBuf>,
    /// The login, until `logout`.
    pub login: Option<Login>,
}

/// One login.
#[derive(Clone, Serialize, Deserialize)]
pub struct Login {
    /// The server it is for.
    pub server: String,
    /// The issuer's URL.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
    /// A name for people.
    pub label: String,
    /// The compact ID token.
    pub token: String,
    /// The secret behind the token's key binding, base64; empty where nothing is bound.
    pub binding_secret: String,
    /// Where the key is.
    pub key: KeyPlace,
    /// The token's `exp`, Unix seconds.
    pub expires: u64,
}

impl Session {
    /// Reads it; an empty one where there is none.
    ///
    /// # Errors
    /// Where the file is there and cannot be read or is not ours.
    pub fn load(state: &State) -> Result<Self, Error> {
        let Some(text) = state.read(FILE)? else {
            return Ok(Self::default());
        };
        serde_json::from_str(&text).map_err(|_| {
            Error::other(format!(
                "{} is damaged; remove it and sign in again",
                state.path(FILE).display()
            ))
        })
    }

    /// The files that a sign-in writes.
    pub(super) fn files(state: &State) -> [PathBuf; 4] {
        [FILE, "key", "key.pub", "agent.json"].map(|name| state.path(name))
    }

    /// Writes it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self, state: &State) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::other(format!("failed to write the session: {error}")))?;
        state.write(FILE, &text)
    }

    /// The login for `server`, with life left at `now` (Unix seconds).
    ///
    /// # Errors
    /// [`Error::SignIn`], saying what is missing.
    pub fn login_for(&self, server: &str, now: u64) -> Result<&Login, Error> {
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

impl Login {
    /// SHA-256 of the compact token, as possession proofs cover it.
    pub fn token_hash(&self) -> [u8; 32] {
        Sha256::digest(self.token.as_bytes()).into()
    }

    /// The secret to reveal with an ask.
    ///
    /// # Errors
    /// Where the session is damaged.
    pub fn secret(&self) -> Result<Vec<u8>, Error> {
        STANDARD
            .decode(&self.binding_secret)
            .map_err(|_| Error::sign_in("the session is damaged"))
    }

    /// As it is kept.
    pub(super) fn encode_secret(secret: &[u8]) -> String {
        STANDARD.encode(secret)
    }

    /// Whether both are the same person at the same server, so that passes of one serve the other.
    pub(super) fn is_same_person(&self, other: &Self) -> bool {
        (&self.server, &self.issuer, &self.subject)
            == (&other.server, &other.issuer, &other.subject)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
pub(super) mod tests {
    use super::*;

    pub(in crate::client) fn login() -> Login {
        Login {
            server: "https://daypass.example.com/".into(),
            issuer: "https://id.example.com".into(),
            subject: "alice".into(),
            label: "alice@example.com".into(),
            token: "a.b.c".into(),
            binding_secret: Login::encode_secret(&[7; 32]),
            key: KeyPlace::Own,
            expires: 1000,
        }
    }

    #[test]
    fn a_login_serves_its_own_server_while_it_lives() {
        let session = Session {
            login: Some(login()),
            ..Session::default()
        };
        let cases = [
            ("it lives", "https://daypass.example.com/", 999, true),
            (
                "it has expired",
                "https://daypass.example.com/",
                1000,
                false,
            ),
            ("another server", "https://other.example.com/", 999, false),
        ];
        for (case, server, now, expected) in cases {
            assert_eq!(session.login_for(server, now).is_ok(), expected, "{case}");
        }
        let Err(error) = Session::default().login_for("https://x/", 0) else {
            unreachable!("nobody is signed in");
        };
        assert_eq!(error.exit_code(), 4);
    }

    #[test]
    fn a_session_comes_back_as_it_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        let session = Session {
            server: Some("https://x/".into()),
            ca_file: None,
            login: Some(login()),
        };
        session.save(&state).unwrap();
        let read = Session::load(&state).unwrap().login.unwrap();
        assert!(read.is_same_person(&login()));
        assert_eq!(read.secret().unwrap(), [7; 32]);
        state.write(FILE, b"{").unwrap();
        assert!(Session::load(&state).is_err());
    }
}
