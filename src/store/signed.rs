//! The checkpoint that was signed last: the file `checkpoint` beside the database. It is on disk
//! before a caller sees it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aws_lc_rs::hmac;
use tokio::sync::Mutex;

use super::{Error, whole_file};
use crate::ledger::{
    checkpoint::{Checkpoint, Signer, Verifier},
    snapshot::{self, Snapshot},
    tree::Frontier,
};

/// The ledger's signing key and the newest checkpoint that it made.
#[derive(Debug)]
pub(super) struct Signed {
    signer: Signer,
    folder: PathBuf,
    last: Mutex<Option<Note>>,
}

#[derive(Clone, Debug)]
struct Note {
    size: u64,
    text: String,
}

impl Signed {
    /// Reads the newest checkpoint. The second value is its content; none if the folder has no
    /// checkpoint yet.
    ///
    /// # Errors
    /// Returns [`Error::Tampered`] if this key did not sign the file.
    pub(super) fn open(folder: &Path, signer: Signer) -> Result<(Self, Option<Checkpoint>), Error> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unavailable(&path, &error)),
        };
        let checkpoint = text
            .as_deref()
            .map(|text| verify(&path, text, &signer.verifier()))
            .transpose()?;
        let last = checkpoint
            .as_ref()
            .zip(text)
            .map(|(checkpoint, text)| Note {
                size: checkpoint.size,
                text,
            });
        let folder = folder.to_owned();
        let last = Mutex::new(last);
        Ok((
            Self {
                signer,
                folder,
                last,
            },
            checkpoint,
        ))
    }

    /// The store's folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The key that verifies checkpoints.
    pub(super) fn verifier(&self) -> Verifier {
        self.signer.verifier()
    }

    /// A checkpoint that covers at least `head` at the time of the call. Signs only a head that is
    /// not signed yet, so callers that waited for each other share one signature and one write.
    /// `head` must be durable.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the file cannot be written. No caller gets the checkpoint
    /// then.
    pub(super) async fn sign(&self, head: impl Fn() -> Frontier) -> Result<String, Error> {
        let wanted = head().size();
        let mut last = self.last.lock().await;
        if let Some(note) = last.as_ref().filter(|note| note.size >= wanted) {
            return Ok(note.text.clone());
        }
        let head = head();
        let text = self.signer.sign(head.size(), head.root());
        self.save(text.clone()).await?;
        *last = Some(Note {
            size: head.size(),
            text: text.clone(),
        });
        Ok(text)
    }

    /// A head that this process knows, as if it were signed.
    pub(super) fn checkpoint_of(&self, head: &Frontier) -> Checkpoint {
        Checkpoint {
            origin: self.verifier().origin().to_owned(),
            size: head.size(),
            root: head.root(),
        }
    }

    /// A checkpoint of a committed head, which is not kept in the file: the party that gets it
    /// remembers it.
    pub(super) fn note(&self, head: &Frontier) -> String {
        self.signer.sign(head.size(), head.root())
    }

    /// The note over the head that a commit will lead to, for the database alone.
    pub(super) fn sign_head(&self, head: &Frontier) -> String {
        self.signer.sign_head(head.size(), head.root())
    }

    /// As [`Signer::secret`].
    pub(super) fn secret(&self, label: &str) -> hmac::Tag {
        self.signer.secret(label)
    }

    /// The bytes of a snapshot, signed.
    ///
    /// # Errors
    /// As [`Snapshot::to_bytes`].
    pub(super) fn sign_snapshot(&self, snapshot: &Snapshot) -> Result<Vec<u8>, snapshot::Error> {
        snapshot.to_bytes(&self.signer)
    }

    async fn save(&self, text: String) -> Result<(), Error> {
        let folder = self.folder.clone();
        let path = folder.join(FILE);
        tokio::task::spawn_blocking(move || whole_file::replace(&folder, FILE, text.as_bytes()))
            .await
            .map_err(io::Error::other)
            .flatten()
            .map_err(|error| unavailable(&path, &error))
    }
}

const FILE: &str = "checkpoint";

fn verify(path: &Path, text: &str, verifier: &Verifier) -> Result<Checkpoint, Error> {
    verifier.verify(text).map_err(|error| {
        Error::Tampered(format!(
            "{} is not a checkpoint by the configured ledger key ({error}). \
             If the key was replaced, put the old one back; else restore the file from a backup",
            path.display()
        ))
    })
}

fn unavailable(path: &Path, error: &io::Error) -> Error {
    Error::Unavailable(format!("{}: {error}", path.display()))
}
