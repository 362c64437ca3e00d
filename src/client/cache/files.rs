//! The paths of a pass's files. Reads and writes none of them.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use ssh_key::{HashAlg, PublicKey};

use crate::{
    client::{
        Error,
        state::State,
        words::{check_host, is_login},
        writable,
    },
    proto::{ask_bytes, v1},
};

/// The folder with one folder per host.
pub(in crate::client) const HOSTS: &str = "hosts";

/// Begins the name of a folder for one login, in the folder of its host.
pub(in crate::client) const LOGIN: &str = "login-";

/// The list of what was asked for by requests and as emergencies.
pub(in crate::client) const REQUESTED: &str = "requested.json";

/// The folder with one folder per ask.
pub(super) const PASSES: &str = "passes";

/// The paths of a pass's three files: `P` (private key), `P.pub` and `P-cert.pub`.
///
/// A pass that is used through a bastion has the three files of its jump pass beside it, and a file
/// with the bastion's address.
///
/// Its methods: paths here, the mark of Daypass' own files in `cache/marks.rs`, reading and writing
/// a pass in `cache/store.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassFiles {
    key: PathBuf,
    jump: PathBuf,
}

impl PassFiles {
    /// For plain ssh to `host`. Letter case does not matter in a host name, neither to ssh nor to
    /// the policy, so all spellings share one folder.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if `host` is not a valid host name.
    pub(crate) fn of_host(state: &State, host: &str) -> Result<Self, Error> {
        check_host(host)?;
        let folder = state.path(HOSTS).join(host.to_ascii_lowercase());
        Ok(Self::within(&folder))
    }

    /// For plain ssh to `host` with the login that the user named: `hosts/HOST/login-LOGIN`. If
    /// they named none, as [`PassFiles::of_host`]. A login that cannot be a folder's name is given
    /// by its digest.
    ///
    /// # Errors
    /// As [`PassFiles::of_host`].
    pub(in crate::client) fn of_login(
        state: &State,
        host: &str,
        login: Option<&str>,
    ) -> Result<Self, Error> {
        let of_host = Self::of_host(state, host)?;
        let Some(login) = login else {
            return Ok(of_host);
        };
        let name = if is_login(login) && login.len() <= LONGEST_ROLE {
            login.to_owned()
        } else {
            format!("~{}", digest(login.as_bytes()))
        };
        Ok(Self::within(&of_host.sibling(&format!("{LOGIN}{name}"))))
    }

    /// For one ask: `passes/ROLE`, or `passes/ROLE~DIGEST` if the ask says more than the role.
    pub(crate) fn of_ask(state: &State, ask: &v1::Ask) -> Self {
        let bare = v1::Ask {
            role: ask.role.clone(),
            ..v1::Ask::default()
        };
        let name = if *ask == bare && is_plain(&ask.role) {
            ask.role.clone()
        } else {
            of_any_ask(ask)
        };
        Self::within(&state.path(PASSES).join(name))
    }

    /// For one ask on behalf of the user with this key: beside the passes of this machine's own,
    /// and apart for each key. A display name is no name for the folder: two users can share one.
    pub(in crate::client) fn on_behalf(state: &State, ask: &v1::Ask, user: &PublicKey) -> Self {
        // Whole: a user can make keys until a part of the digest is another user's.
        let user = base16ct::lower::encode_string(user.fingerprint(HashAlg::Sha256).as_bytes());
        let name = format!("{}~{user}", of_any_ask(ask));
        Self::within(&state.path(PASSES).join(name))
    }

    /// In a folder of its own.
    pub(in crate::client) fn within(folder: &Path) -> Self {
        Self {
            key: folder.join("pass"),
            jump: folder.join("jump"),
        }
    }

    /// By the path of the private key.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the path is relative and the current folder cannot be determined.
    pub(in crate::client) fn at(path: &Path) -> Result<Self, Error> {
        let key = std::path::absolute(path).map_err(Error::file(path))?;
        Ok(Self {
            jump: with_suffix(&key, "-jump"),
            key,
        })
    }

    /// The files of the jump pass: `jump` in the state folder, `P-jump` beside a path of the
    /// user's.
    pub(crate) fn jump(&self) -> Self {
        Self {
            key: self.jump.clone(),
            jump: with_suffix(&self.jump, "-jump"),
        }
    }

    /// The file with the bastion's address.
    pub(in crate::client) fn jump_host_file(&self) -> PathBuf {
        with_suffix(&self.jump, ".json")
    }

    /// Another file in the folder of the pass.
    pub(in crate::client) fn sibling(&self, name: &str) -> PathBuf {
        self.key.with_file_name(name)
    }

    /// Checks that a pass can be written here. Call it before the server is asked: a pass that
    /// cannot be written is lost.
    ///
    /// # Errors
    /// Returns [`Error::Unwritable`] if it cannot.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        writable::check(&self.files())
    }

    /// Every file that a pass may have here.
    pub(super) fn files(&self) -> [PathBuf; 7] {
        let jump = self.jump();
        [
            self.key.clone(),
            self.public(),
            self.certificate(),
            jump.key.clone(),
            jump.public(),
            jump.certificate(),
            self.jump_host_file(),
        ]
    }

    /// `P`: for `IdentityFile`.
    pub(crate) fn key(&self) -> &Path {
        &self.key
    }

    /// `P.pub`.
    pub(crate) fn public(&self) -> PathBuf {
        with_suffix(&self.key, ".pub")
    }

    /// `P-cert.pub`: for `CertificateFile`.
    pub(crate) fn certificate(&self) -> PathBuf {
        with_suffix(&self.key, "-cert.pub")
    }
}

/// A folder's name for one ask, even one that says no more than the role.
fn of_any_ask(ask: &v1::Ask) -> String {
    let role = ask.role.chars().filter(|c| is_plain_char(*c));
    let role: String = role.take(LONGEST_ROLE).collect();
    format!("{role}~{}", digest(&ask_bytes(ask)))
}

/// Characters of a role in a folder's name at most; file systems allow 255 bytes.
const LONGEST_ROLE: usize = 64;

/// The start of a digest, for a folder's name.
fn digest(bytes: &[u8]) -> String {
    let mut digest = base16ct::lower::encode_string(&Sha256::digest(bytes));
    digest.truncate(16);
    digest
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.to_owned().into_os_string();
    path.push(suffix);
    path.into()
}

/// Whether a role's name can be a folder's name as it is.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST_ROLE
        && !text.starts_with('.')
        && text.chars().all(is_plain_char)
}

fn is_plain_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ssh_key::{Algorithm, PrivateKey, rand_core::OsRng};

    use super::*;

    #[test]
    fn each_login_of_a_host_has_its_folder_inside_the_hosts() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        let of = |login: &str| PassFiles::of_login(&state, "WEB-1", Some(login)).unwrap();
        assert!(of("ops").key().ends_with("hosts/web-1/login-ops/pass"));
        let host = state.path("hosts/web-1");
        for login in ["../../x", "a/b", "..", "a@b", "*", &"a".repeat(300)] {
            let key = of(login).key().to_owned();
            let parent = key.parent().unwrap();
            assert_eq!(parent.parent(), Some(&*host), "{login}");
            assert!(parent.file_name().unwrap().len() < 100, "{login}");
        }
        assert_ne!(of("a@b"), of("a@c"));
    }

    #[test]
    fn each_users_key_has_a_folder_of_its_own_for_one_ask() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        let ask = v1::Ask {
            role: "r".repeat(300),
            ..v1::Ask::default()
        };
        let key = || {
            let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
            key.public_key().clone()
        };
        let (alice, mallory) = (key(), key());
        let of = |key: &PublicKey| PassFiles::on_behalf(&state, &ask, key);
        assert_ne!(of(&alice), of(&mallory));
        assert_ne!(of(&alice), PassFiles::of_ask(&state, &ask));
        // The comment is the user's to choose.
        assert_eq!(
            of(&PublicKey::new(alice.key_data().clone(), "x")),
            of(&alice)
        );
        let name = of(&alice)
            .key()
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .len();
        assert!(name <= 255, "{name}");
    }

    #[test]
    fn asks_that_differ_have_different_files() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        let base = v1::Ask {
            role: "logs".into(),
            ..v1::Ask::default()
        };
        let of = |ask: &v1::Ask| PassFiles::of_ask(&state, ask);
        assert!(of(&base).key().ends_with("passes/logs/pass"));
        let with_host = v1::Ask {
            host: "web-1".into(),
            ..base.clone()
        };
        assert_ne!(of(&with_host), of(&base));
        let hostile = v1::Ask {
            role: "../../x".into(),
            ..base
        };
        assert!(of(&hostile).key().starts_with(state.path("passes")));
        assert!(!of(&hostile).key().display().to_string().contains(".."));
    }
}
