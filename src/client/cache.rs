//! Where passes lie on disk, and whether the one that lies there still serves. No network.

mod named;

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use ssh_key::{Certificate, PublicKey};

use super::{
    Error,
    host_config::HOSTS,
    key::{Key, KeyPlace, private_text},
    state::{State, link_atomically, write_atomically},
    writable,
};
use crate::proto::{ask_bytes, v1};

/// A pass with less life left is not used again. Short passes count as used up in their last tenth.
const ENOUGH: u64 = 60;

/// The three files of a pass: `P` (private key), `P.pub`, `P-cert.pub`. Where its way goes through a bastion, the three of
/// the jump pass are beside it, and a small one that says which bastion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    key: PathBuf,
    jump: PathBuf,
}

impl Place {
    /// For plain ssh to `host`. Case does not matter in a host's name, neither to ssh nor to the policy: one folder.
    ///
    /// # Errors
    /// If that is no host name.
    pub fn of_host(state: &State, host: &str) -> Result<Self, Error> {
        check_host(host)?;
        let folder = state.path(HOSTS).join(host.to_ascii_lowercase());
        Ok(Self::within(&folder))
    }

    /// Another file in the folder of the pass.
    pub(super) fn sibling(&self, name: &str) -> PathBuf {
        self.key.with_file_name(name)
    }

    /// For one ask: `passes/ROLE`, with a digest where the ask says more than the role.
    pub fn of_ask(state: &State, ask: &v1::Ask) -> Self {
        let bare = v1::Ask {
            role: ask.role.clone(),
            ..v1::Ask::default()
        };
        let name = if *ask == bare && is_plain(&ask.role) {
            ask.role.clone()
        } else {
            let digest = Sha256::digest(ask_bytes(ask));
            let mut digest = base16ct::lower::encode_string(&digest);
            digest.truncate(16);
            let role: String = ask
                .role
                .chars()
                .filter(|c| is_plain_char(*c))
                .take(64)
                .collect();
            format!("{role}~{digest}")
        };
        Self::within(&state.path("passes").join(name))
    }

    /// In a folder of its own.
    fn within(folder: &Path) -> Self {
        Self {
            key: folder.join("pass"),
            jump: folder.join("jump"),
        }
    }

    /// By the path of the key.
    pub(super) fn at(path: &Path) -> Result<Self, Error> {
        let key = std::path::absolute(path).map_err(Error::file(path))?;
        Ok(Self {
            jump: with(&key, "-jump"),
            key,
        })
    }

    /// Where the jump pass is: `jump` in the state folder, `P-jump` beside a path of the user's.
    pub fn jump(&self) -> Self {
        Self {
            key: self.jump.clone(),
            jump: with(&self.jump, "-jump"),
        }
    }

    /// The file that says which bastion the way goes through.
    pub(super) fn via_file(&self) -> PathBuf {
        with(&self.jump, ".json")
    }

    /// Makes sure that a pass can be written here. Comes before the server is asked for one, which would be lost.
    ///
    /// # Errors
    /// [`Error::Unwritable`] if it cannot.
    pub fn prepare(&self) -> Result<(), Error> {
        writable::check(&self.files())
    }

    /// Every file that a pass may have here.
    fn files(&self) -> [PathBuf; 7] {
        let jump = self.jump();
        [
            self.key.clone(),
            self.public(),
            self.certificate(),
            jump.key.clone(),
            jump.public(),
            jump.certificate(),
            self.via_file(),
        ]
    }

    /// `P`: for `IdentityFile`.
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// `P.pub`.
    pub fn public(&self) -> PathBuf {
        with(&self.key, ".pub")
    }

    /// `P-cert.pub`: for `CertificateFile`.
    pub fn certificate(&self) -> PathBuf {
        with(&self.key, "-cert.pub")
    }

    /// The pass here, where it is good at `now` (Unix seconds) and for long enough after.
    pub fn valid(&self, now: u64) -> Option<Certificate> {
        let text = fs::read_to_string(self.certificate()).ok()?;
        let certificate = Certificate::from_openssh(text.trim()).ok()?;
        let has_key = self.key().exists() || self.public().exists();
        let serves = has_key && lives(&certificate, now) && self.is_open(now);
        serves.then_some(certificate)
    }

    /// Writes a pass. A key of ours is copied, so that a later login leaves this pass usable; a file of the user's
    /// is linked unless `copy`; a key in the agent has only its public half here. Each file is replaced by rename.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn write(
        &self,
        key: &Key,
        place: &KeyPlace,
        certificate: &Certificate,
        copy: bool,
    ) -> Result<(), Error> {
        let write = |path: &Path, text: &str| write_atomically(path, text.as_bytes(), 0o600);
        match (key.private(), place) {
            (Some(_), KeyPlace::File(path)) if !copy => link_atomically(path, self.key())?,
            (Some(private), _) => {
                let mut private = private.clone();
                private.set_comment(named::MARK);
                write(self.key(), &private_text(&private)?)?;
            }
            (None, _) => remove(self.key())?,
        }
        write(&self.public(), &named::public_line(&key.public())?)?;
        write(&self.certificate(), &named::certificate_line(certificate)?)
    }
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.to_owned().into_os_string();
    path.push(suffix);
    path.into()
}

/// Every pass in the state folder, good or not, with its place.
///
/// # Errors
/// Where a folder of ours cannot be read.
pub fn all(state: &State) -> Result<Vec<(Place, Certificate)>, Error> {
    let mut passes = Vec::new();
    for folder in ["passes", HOSTS].map(|name| state.path(name)) {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.map_err(Error::file(&folder))?,
        };
        for entry in entries.flatten() {
            let place = Place::within(&entry.path());
            let text = fs::read_to_string(place.certificate()).unwrap_or_default();
            if let Ok(certificate) = Certificate::from_openssh(text.trim()) {
                passes.push((place, certificate));
            }
        }
    }
    passes.sort_by_key(|(_, certificate)| certificate.serial());
    Ok(passes)
}

/// Removes every pass.
///
/// # Errors
/// Where one stays.
pub fn clear(state: &State) -> Result<(), Error> {
    state.remove("passes")?;
    state.remove(HOSTS)
}

/// Whether a certificate is valid at `now` and has enough life left to be worth using.
pub(super) fn lives(certificate: &Certificate, now: u64) -> bool {
    let (after, before) = (certificate.valid_after(), certificate.valid_before());
    let margin = ENOUGH.min(before.saturating_sub(after) / 10);
    after <= now && now.saturating_add(margin) < before
}

/// A host name or address that may stand in a path and on a command line.
///
/// # Errors
/// [`Error::Usage`] otherwise.
pub fn check_host(host: &str) -> Result<(), Error> {
    let plain = host
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._:-%".contains(c));
    let good =
        plain && (1..=255).contains(&host.len()) && !host.starts_with(['-', '.']) && host != "..";
    if good {
        return Ok(());
    }
    Err(Error::Usage(format!("{host:?} is no host name")))
}

/// Whether the pass's key is this one.
pub(super) fn is_for(certificate: &Certificate, key: &PublicKey) -> bool {
    certificate.public_key() == key.key_data()
}

fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && !text.starts_with('.')
        && text.chars().all(is_plain_char)
}

fn is_plain_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

pub(super) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
pub(super) mod tests {
    use super::*;
    use ssh_key::{Algorithm, PrivateKey, certificate::Builder, rand_core::OsRng};

    /// A pass for `key` by a CA of its own, valid in `after..before`.
    pub(in crate::client) fn pass(key: &Key, after: u64, before: u64) -> (Certificate, PrivateKey) {
        let ca = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        let public = key.public();
        let mut builder =
            Builder::new_with_random_nonce(&mut OsRng, public.key_data().clone(), after, before)
                .unwrap();
        builder.serial(7).unwrap();
        builder.key_id("alice@example.com/shell").unwrap();
        builder.valid_principal("root").unwrap();
        (builder.sign(&ca).unwrap(), ca)
    }

    #[test]
    fn a_pass_serves_while_it_has_life_left() {
        let key = Key::fresh().unwrap();
        let cases = [
            ("in its middle", 1000, 4600, 2000, true),
            ("not yet valid", 1000, 4600, 999, false),
            ("in its last minute", 1000, 4600, 4541, false),
            ("expired", 1000, 4600, 4600, false),
            ("a short one before its last tenth", 1000, 1100, 1080, true),
            ("a short one in its last tenth", 1000, 1100, 1095, false),
        ];
        for (case, after, before, now, expected) in cases {
            assert_eq!(lives(&pass(&key, after, before).0, now), expected, "{case}");
        }
    }

    #[test]
    fn a_pass_is_found_again_where_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        let place = Place::of_host(&state, "web-1").unwrap();
        let key = Key::fresh().unwrap();
        let (certificate, _) = pass(&key, 1000, 5000);
        assert!(place.valid(2000).is_none());
        place
            .write(&key, &KeyPlace::Own, &certificate, false)
            .unwrap();
        assert_eq!(place.valid(2000).unwrap().serial(), 7);
        assert!(place.valid(9000).is_none());
        assert_eq!(all(&state).unwrap().len(), 1);
        clear(&state).unwrap();
        assert!(place.valid(2000).is_none());
    }

    #[test]
    fn a_key_of_the_users_is_linked_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(&folder.path().join("state")).unwrap();
        let mine = folder.path().join("mine");
        let key = Key::fresh().unwrap();
        fs::write(
            &mine,
            private_text(key.private().unwrap()).unwrap().as_bytes(),
        )
        .unwrap();
        assert!(Place::named(&mine).is_err());
        let place = Place::of_host(&state, "web-1").unwrap();
        let (certificate, _) = pass(&key, 0, 5000);
        state.write("hosts/web-1/x", b"").unwrap();
        place
            .write(&key, &KeyPlace::File(mine.clone()), &certificate, false)
            .unwrap();
        assert_eq!(fs::read_link(place.key()).unwrap(), mine);
        place
            .write(&Key::fresh().unwrap(), &KeyPlace::Own, &certificate, false)
            .unwrap();
        assert_eq!(
            fs::read_to_string(&mine).unwrap(),
            *private_text(key.private().unwrap()).unwrap()
        );
    }

    #[test]
    fn hosts_that_would_leave_their_folder_are_refused() {
        for host in [
            "web-1",
            "10.0.0.1",
            "::1",
            "fe80::1%eth0",
            "WEB.example.com",
        ] {
            assert!(check_host(host).is_ok(), "{host}");
        }
        for host in [
            "",
            ".",
            "..",
            "a/b",
            "-oProxyCommand=x",
            "a b",
            "a'b",
            "a\0",
            "a\n",
        ] {
            assert!(check_host(host).is_err(), "{host}");
        }
    }

    #[test]
    fn asks_that_differ_lie_in_different_places() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        let base = v1::Ask {
            role: "logs".into(),
            ..v1::Ask::default()
        };
        let of = |ask: &v1::Ask| Place::of_ask(&state, ask);
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
