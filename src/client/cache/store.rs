//! Reading and writing the pass at its files.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use ssh_key::Certificate;

use super::{
    files::{HOSTS, LOGIN, PASSES, PassFiles, REQUESTED},
    marks,
};
use crate::client::{
    Error,
    jump_host::JumpHostAddress,
    key::{Key, KeyPlace},
    key_text::private_text,
    pass::Pass,
    state::{State, link_atomically, write_atomically},
};

/// Seconds of life that a pass must have left to be used again. A pass that lives less than ten
/// times this long counts as used up in its last tenth.
const ENOUGH: u64 = 60;

impl PassFiles {
    /// The pass here, if it is valid at `now` (Unix seconds) and for long enough after. A pass
    /// through a bastion also needs a usable jump pass.
    pub(crate) fn valid(&self, now: u64) -> Option<Certificate> {
        let certificate = self.read_certificate()?;
        let is_usable =
            self.has_key() && lives(&certificate, now) && self.has_usable_jump_pass(now);
        is_usable.then_some(certificate)
    }

    /// The bastion that the pass here is used through; none if it needs no bastion.
    pub(crate) fn jump_host(&self) -> Option<JumpHostAddress> {
        JumpHostAddress::read(&self.jump_host_file())
    }

    /// The jump pass here, usable or not.
    pub(crate) fn jump_pass(&self) -> Option<(JumpHostAddress, Certificate)> {
        let certificate = self.jump().read_certificate()?;
        Some((self.jump_host()?, certificate))
    }

    /// Writes a pass and its jump pass; removes an older jump pass if the new pass has none.
    ///
    /// With `copy` the files are at a path of the user's: they are checked again, because another
    /// program may have put a file there since.
    ///
    /// # Errors
    /// Returns [`Error::File`] if a file cannot be written or removed.
    pub(in crate::client) fn keep(
        &self,
        key: &Key,
        place: &KeyPlace,
        pass: &Pass,
        copy: bool,
    ) -> Result<(), Error> {
        if copy {
            self.check_named()?;
        }
        let (jump, address) = (self.jump(), self.jump_host_file());
        match &pass.jump {
            // Before the pass itself: a pass on disk must never lack its jump pass.
            Some(new) => {
                jump.write(key, place, &new.certificate, copy)?;
                new.host.write(&address)?;
            }
            // Another program's file of that name is not ours to remove.
            None if JumpHostAddress::read(&address).is_some() => {
                for old in [
                    &address,
                    &jump.certificate(),
                    &jump.public(),
                    &jump.key().to_owned(),
                ] {
                    remove(old)?;
                }
            }
            None => {}
        }
        self.write(key, place, &pass.certificate, copy)
    }

    /// Writes key and certificate, each file by rename.
    ///
    /// A key of ours is copied, so that the pass outlives the login. A key file of the user's is
    /// linked unless `copy`. Of a key in the agent only the public half is written.
    ///
    /// # Errors
    /// Returns [`Error::File`] if a file cannot be written.
    pub(super) fn write(
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
                private.set_comment(marks::MARK);
                write(self.key(), &private_text(&private)?)?;
            }
            (None, _) => remove(self.key())?,
        }
        write(&self.public(), &marks::public_line(&key.public())?)?;
        write(&self.certificate(), &marks::certificate_line(certificate)?)
    }

    /// Removes the pass here and its jump pass.
    ///
    /// # Errors
    /// Returns [`Error::File`] if a file cannot be removed.
    pub(in crate::client) fn remove(&self) -> Result<(), Error> {
        self.files().iter().try_for_each(|path| remove(path))
    }

    fn read_certificate(&self) -> Option<Certificate> {
        let text = fs::read_to_string(self.certificate()).ok()?;
        Certificate::from_openssh(text.trim()).ok()
    }

    fn has_key(&self) -> bool {
        self.key().exists() || self.public().exists()
    }

    /// True if no bastion is needed, or the jump pass has life left.
    fn has_usable_jump_pass(&self, now: u64) -> bool {
        !self.jump_host_file().exists()
            || self
                .jump_pass()
                .is_some_and(|(_, certificate)| self.jump().has_key() && lives(&certificate, now))
    }
}

/// Every pass in the state folder, usable or not, in the order of their serials.
///
/// # Errors
/// Returns [`Error::File`] if a folder of ours cannot be read.
pub(crate) fn all(state: &State) -> Result<Vec<(PassFiles, Certificate)>, Error> {
    let mut folders = within(&state.path(PASSES))?;
    for host in within(&state.path(HOSTS))? {
        let is_login = |folder: &PathBuf| {
            let name = folder.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(LOGIN))
        };
        // A file that another program put there has no folders, and is no pass.
        let logins = within(&host).unwrap_or_default();
        folders.extend(logins.into_iter().filter(is_login));
        folders.push(host);
    }
    let mut passes = Vec::new();
    for folder in folders {
        let files = PassFiles::within(&folder);
        if let Some(certificate) = files.read_certificate() {
            passes.push((files, certificate));
        }
    }
    passes.sort_by_key(|(_, certificate)| certificate.serial());
    Ok(passes)
}

/// The bastions of the passes in the state folder, each with the files of its jump pass. The newest
/// pass comes first.
///
/// # Errors
/// As [`all`].
pub(in crate::client) fn jump_hosts(
    state: &State,
) -> Result<Vec<(PassFiles, JumpHostAddress)>, Error> {
    let passes = all(state)?.into_iter().rev();
    let with_bastion = passes.filter_map(|(files, _)| Some((files.jump(), files.jump_host()?)));
    Ok(with_bastion.collect())
}

/// The paths in a folder; none if there is no such folder.
fn within(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::file(folder)(error)),
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
    }
}

/// Removes every pass in the state folder, and the list of those that were requested.
///
/// # Errors
/// Returns [`Error::File`] if one cannot be removed.
pub(crate) fn clear(state: &State) -> Result<(), Error> {
    state.remove(REQUESTED)?;
    state.remove(PASSES)?;
    state.remove(HOSTS)
}

/// Whether a certificate is valid at `now` (Unix seconds) and has enough life left to be used.
fn lives(certificate: &Certificate, now: u64) -> bool {
    let (after, before) = (certificate.valid_after(), certificate.valid_before());
    let margin = ENOUGH.min(before.saturating_sub(after) / 10);
    after <= now && now.saturating_add(margin) < before
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{super::fixture::pass, *};

    #[test]
    fn a_pass_is_usable_while_it_has_life_left() {
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
    fn a_pass_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        let files = PassFiles::of_host(&state, "web-1").unwrap();
        let key = Key::fresh().unwrap();
        let (certificate, _) = pass(&key, 1000, 5000);
        assert!(files.valid(2000).is_none());
        files
            .write(&key, &KeyPlace::Own, &certificate, false)
            .unwrap();
        assert_eq!(files.valid(2000).unwrap().serial(), 7);
        assert!(files.valid(9000).is_none());
        assert_eq!(all(&state).unwrap().len(), 1);
        clear(&state).unwrap();
        assert!(files.valid(2000).is_none());
    }

    #[test]
    fn a_key_file_of_the_user_is_linked_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(&folder.path().join("state")).unwrap();
        let mine = folder.path().join("mine");
        let key = Key::fresh().unwrap();
        fs::write(
            &mine,
            private_text(key.private().unwrap()).unwrap().as_bytes(),
        )
        .unwrap();
        assert!(PassFiles::named(&mine).is_err());
        let files = PassFiles::of_host(&state, "web-1").unwrap();
        let (certificate, _) = pass(&key, 0, 5000);
        state.write("hosts/web-1/x", b"").unwrap();
        files
            .write(&key, &KeyPlace::File(mine.clone()), &certificate, false)
            .unwrap();
        assert_eq!(fs::read_link(files.key()).unwrap(), mine);
        files
            .write(&Key::fresh().unwrap(), &KeyPlace::Own, &certificate, false)
            .unwrap();
        assert_eq!(
            fs::read_to_string(&mine).unwrap(),
            *private_text(key.private().unwrap()).unwrap()
        );
    }
}
