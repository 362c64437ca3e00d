//! The list of what a backup holds, `manifest.json`.

use std::{collections::BTreeSet, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::daemon::Error;

/// Its name in the folder.
pub(super) const FILE: &str = "manifest.json";
/// The name of its signature by the ledger's key: a note of [`Signer::sign_backup`].
///
/// [`Signer::sign_backup`]: crate::ledger::checkpoint::Signer::sign_backup
pub(super) const SIGNATURE: &str = "manifest.sig";
/// Its bytes at most.
pub(super) const LARGEST: u64 = 256 * 1024;
/// The form of a backup.
pub(super) const FORMAT: &str = "daypass-backup@v1";

/// The bits of a file's mode that a copy keeps: no other user may write to what a server reads.
pub(super) const MODE: u32 = 0o644;

/// Files beside the ledger at most.
const MOST_FILES: usize = 256;

/// The content of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: String,
    /// The server's name.
    pub(super) server: String,
    /// The ledger's verifier key.
    pub(super) ledger: String,
    /// Fingerprint of the active CA key.
    pub(super) ca_key: String,
    /// The number of events.
    pub(super) size: u64,
    /// The root over them, in hex.
    pub(super) root: String,
    /// SHA-256 of `ledger.db` in hex.
    pub(super) database: String,
    /// SHA-256 of `checkpoint` in hex.
    pub(super) checkpoint: String,
    /// Whether the private keys are among the files.
    pub(super) has_keys: bool,
    /// The path of the configuration file.
    pub(super) configuration: PathBuf,
    pub(super) files: Vec<Stored>,
    /// The account that the server ran as. Versions before the signature do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<String>,
}

/// One file beside the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    /// Its name in the backup.
    pub(super) name: String,
    /// Its path on the server.
    pub(super) path: PathBuf,
    /// Whether it is a private key.
    pub(super) is_secret: bool,
    /// Its SHA-256 in hex.
    pub(super) sha256: String,
    /// Its mode on the server. Versions before the signature do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<u32>,
}

/// Reason why bytes are not a manifest.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidManifest {
    #[error("is not the list of a backup ({0})")]
    Json(#[from] serde_json::Error),
    #[error("is of another form than {FORMAT}: use the daypass that made it")]
    Format,
    #[error("names a file outside the backup, or a path that is not absolute")]
    Name,
    #[error("names the same file or path twice")]
    Twice,
    #[error("has a SHA-256 that is not 64 hexadecimal digits")]
    Digest,
    #[error("lists too many files")]
    TooMany,
}

impl Manifest {
    /// Parses a manifest. No name in it leads out of the backup's folder, and each is there once.
    ///
    /// # Errors
    /// Returns the fault.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        let manifest: Self = serde_json::from_slice(bytes)?;
        manifest.lint()?;
        Ok(manifest)
    }

    fn lint(&self) -> Result<(), InvalidManifest> {
        let files = &self.files;
        if self.format != FORMAT {
            return Err(InvalidManifest::Format);
        }
        if files.len() > MOST_FILES {
            return Err(InvalidManifest::TooMany);
        }
        if !files.iter().all(Stored::is_inside) || !self.configuration.is_absolute() {
            return Err(InvalidManifest::Name);
        }
        let names: BTreeSet<_> = files.iter().map(|file| &file.name).collect();
        let paths: BTreeSet<_> = files.iter().map(|file| &file.path).collect();
        if names.len() < files.len() || paths.len() < files.len() {
            return Err(InvalidManifest::Twice);
        }
        let ledger = [&self.root, &self.database, &self.checkpoint];
        let mut digests = files.iter().map(|file| &file.sha256).chain(ledger);
        match digests.all(|digest| is_sha256(digest)) {
            true => Ok(()),
            false => Err(InvalidManifest::Digest),
        }
    }

    /// Encodes the manifest.
    ///
    /// # Errors
    /// Returns [`Error::Backup`] if a path is not text.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec_pretty(self).map_err(|error| Error::Backup(error.to_string()))
    }
}

impl Stored {
    /// The mode with which it is put back. A private key is for its owner alone, and the list
    /// cannot say otherwise.
    pub(super) fn restored_mode(&self) -> u32 {
        match (self.is_secret, self.mode) {
            (false, Some(mode)) => mode & MODE | 0o600,
            (true, _) | (_, None) => 0o600,
        }
    }

    /// Whether its name is a file's in the backup, other than those of the ledger.
    fn is_inside(&self) -> bool {
        let is_plain = self.name.starts_with("file-") && plain(&self.name) == self.name;
        is_plain && self.path.is_absolute()
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && base16ct::lower::decode_vec(text).is_ok()
}

/// A name as a backup has it: letters, digits, `.`, `_` and `-`, and no dot first.
pub(super) fn plain(name: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || ".-_".contains(*c);
    let plain: String = name.chars().filter(is_plain).take(100).collect();
    plain.trim_start_matches('.').to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT.to_owned(),
            server: "daypass.example.com".to_owned(),
            ledger: "key".to_owned(),
            ca_key: "SHA256:x".to_owned(),
            size: 7,
            root: DIGEST.to_owned(),
            database: DIGEST.to_owned(),
            checkpoint: DIGEST.to_owned(),
            has_keys: true,
            configuration: "/etc/daypass/daypass.toml".into(),
            files: vec![Stored {
                name: "file-0-daypass.toml".to_owned(),
                path: "/etc/daypass/daypass.toml".into(),
                is_secret: false,
                sha256: DIGEST.to_owned(),
                mode: Some(0o644),
            }],
            account: Some("daypass".to_owned()),
        }
    }

    type Change = fn(&mut Manifest);

    #[test]
    fn a_name_that_leads_elsewhere_or_comes_twice_and_a_bad_digest_are_refused() {
        let cases: [(&str, Change, bool); 12] = [
            ("the usual", |_| {}, true),
            ("another form", |it| it.format = "x".to_owned(), false),
            (
                "a folder above",
                |it| it.files[0].name = "../x".to_owned(),
                false,
            ),
            (
                "a hidden file",
                |it| it.files[0].name = ".x".to_owned(),
                false,
            ),
            ("a relative path", |it| it.files[0].path = "x".into(), false),
            (
                "a relative configuration",
                |it| it.configuration = "x".into(),
                false,
            ),
            ("no name", |it| it.files[0].name = String::new(), false),
            (
                "the ledger's name",
                |it| it.files[0].name = "ledger.db".to_owned(),
                false,
            ),
            (
                "a name twice",
                |it| {
                    let path = "/etc/daypass/other".into();
                    let again = it.files[0].clone();
                    it.files.push(Stored { path, ..again });
                },
                false,
            ),
            (
                "a path twice",
                |it| {
                    let name = "file-1-other".to_owned();
                    let again = it.files[0].clone();
                    it.files.push(Stored { name, ..again });
                },
                false,
            ),
            ("a short digest", |it| it.root = "00".to_owned(), false),
            (
                "upper case in a digest",
                |it| it.files[0].sha256 = DIGEST.to_uppercase(),
                false,
            ),
        ];
        for (case, change, expected) in cases {
            let mut manifest = manifest();
            change(&mut manifest);
            let bytes = manifest.to_bytes().unwrap();
            assert_eq!(Manifest::parse(&bytes).is_ok(), expected, "{case}");
        }
    }

    #[test]
    fn a_file_is_put_back_for_its_owner_to_write_and_a_key_for_its_owner_alone() {
        for (is_secret, mode, expected) in [
            (false, Some(0o644), 0o644),
            (false, Some(0o640), 0o640),
            (false, Some(0o400), 0o600),
            (false, Some(0o7777), 0o644),
            (false, None, 0o600),
            (true, Some(0o644), 0o600),
            (true, None, 0o600),
        ] {
            let stored = Stored {
                is_secret,
                mode,
                ..manifest().files[0].clone()
            };
            assert_eq!(stored.restored_mode(), expected, "{is_secret} {mode:?}");
        }
    }

    #[test]
    fn a_list_of_an_earlier_version_is_read() {
        let mut earlier = manifest();
        earlier.account = None;
        earlier.files[0].mode = None;
        let text = String::from_utf8(earlier.to_bytes().unwrap()).unwrap();
        assert!(
            !text.contains("account") && !text.contains("mode"),
            "{text}"
        );
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), earlier);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Manifest::parse(&bytes);
        }

        #[test]
        fn a_cut_manifest_is_refused(at in 0usize..500) {
            let bytes = manifest().to_bytes().unwrap();
            let cut = &bytes[..at.min(bytes.len() - 1)];
            prop_assert!(Manifest::parse(cut).is_err());
        }

        #[test]
        fn any_name_stays_in_the_folder(name in ".{0,200}", path in ".{0,50}") {
            let mut manifest = manifest();
            manifest.files[0].name = name;
            manifest.files[0].path = path.into();
            if let Ok(parsed) = Manifest::parse(&manifest.to_bytes().unwrap()) {
                let name = &parsed.files[0].name;
                prop_assert!(!name.contains('/') && !name.starts_with('.'));
                prop_assert!(parsed.files[0].path.is_absolute());
            }
        }
    }
}
