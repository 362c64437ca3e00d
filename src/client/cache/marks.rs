//! Files at a path of the user's that Daypass may replace: only those with its mark in their
//! comment.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use ssh_key::{Certificate, PrivateKey, PublicKey};

use super::files::PassFiles;
use crate::client::{Error, jump_host::JumpHostAddress, key_text};

/// The comment in every key and certificate file that Daypass writes for a pass.
pub(super) const MARK: &str = "daypass-pass";

/// Bytes of a file with a mark at most; keys and certificates are far smaller.
const LARGEST: u64 = 64 * 1024;

impl PassFiles {
    /// At a path that the user named.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if a file there was not made by Daypass.
    pub(crate) fn named(path: &Path) -> Result<Self, Error> {
        let files = Self::at(path)?;
        files.check_named()?;
        Ok(files)
    }

    /// Checks that every file that is here already was made by Daypass.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] with the first file that was not; it is never replaced.
    pub(in crate::client) fn check_named(&self) -> Result<(), Error> {
        let (files, jump_host) = (self.files(), self.jump_host_file());
        let has_mark = |path: &PathBuf| {
            if *path == jump_host {
                JumpHostAddress::read(path).is_some()
            } else {
                is_marked(path)
            }
        };
        let is_free = |path: &PathBuf| is_missing(path) || (is_regular(path) && has_mark(path));
        match files.iter().find(|path| !is_free(path)) {
            None => Ok(()),
            Some(path) => Err(Error::Usage(format!(
                "{} exists and was not made by Daypass, which does not replace it: choose another name for --out, \
                 or move it away",
                path.display()
            ))),
        }
    }
}

/// A public key as a line of a `.pub` file, with the mark.
pub(super) fn public_line(key: &PublicKey) -> Result<String, Error> {
    let key = PublicKey::new(key.key_data().clone(), MARK);
    key_text::public_line(&key)
}

/// A certificate as a line of a `-cert.pub` file, with the mark in place of its comment.
pub(super) fn certificate_line(certificate: &Certificate) -> Result<String, Error> {
    let line = certificate
        .to_openssh()
        .map_err(|error| Error::other(format!("failed to encode the pass: {error}")))?;
    let words: Vec<&str> = line.split(' ').take(2).chain([MARK]).collect();
    Ok(words.join(" ") + "\n")
}

fn is_missing(path: &Path) -> bool {
    let is_missing = |kind| matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory);
    fs::symlink_metadata(path).is_err_and(|error| is_missing(error.kind()))
}

/// Whether a regular file is at `path`. A symbolic link is the user's: Daypass makes none at a
/// named path.
fn is_regular(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

fn is_marked(path: &Path) -> bool {
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = File::open(path).and_then(|file| file.take(LARGEST).read_to_string(&mut text));
    if read.is_err() {
        return false;
    }
    let text = text.trim();
    PrivateKey::from_openssh(text).is_ok_and(|key| key.comment() == MARK)
        || PublicKey::from_openssh(text).is_ok_and(|key| key.comment() == MARK)
        || Certificate::from_openssh(text).is_ok_and(|pass| pass.comment() == MARK)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::client::{
        cache::fixture::pass,
        key::{Key, KeyPlace},
        key_text::{private_text, public_line},
    };

    #[test]
    fn only_files_with_the_mark_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join("ours");
        let key = Key::fresh().unwrap();
        let (certificate, _) = pass(&key, 0, 5000);
        let files = PassFiles::named(&ours).unwrap();
        let write = || files.write(&key, &KeyPlace::Own, &certificate, true);
        write().unwrap();
        PassFiles::named(&ours).unwrap();

        let private = private_text(key.private().unwrap()).unwrap();
        let public = public_line(&key.public()).unwrap();
        let foreign = certificate.to_openssh().unwrap();
        for (name, text) in [
            ("", private.as_str()),
            ("", ""),
            (".pub", &public),
            ("-cert.pub", &foreign),
            ("-jump", &private),
            ("-jump.pub", "x"),
            ("-jump-cert.pub", &foreign),
            ("-jump.json", "{}"),
        ] {
            write().unwrap();
            let path = folder.path().join(format!("ours{name}"));
            fs::write(&path, text).unwrap();
            let refused = PassFiles::named(&ours).unwrap_err().to_string();
            let expected = format!("{} exists and was not made", path.display());
            assert!(refused.starts_with(&expected), "{name}: {refused}");
            fs::remove_file(&path).unwrap();
            symlink("nothing", &path).unwrap();
            assert!(
                PassFiles::named(&ours).is_err(),
                "{name}: a link to nothing"
            );
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            assert!(PassFiles::named(&ours).is_err(), "{name}: a folder");
            fs::remove_dir(&path).unwrap();
            PassFiles::named(&ours).unwrap();
        }
    }
}
