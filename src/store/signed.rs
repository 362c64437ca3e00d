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
    LedgerState,
    checkpoint::{Checkpoint, Verifier},
    handover::{self, Handover},
    keyring::{Keyring, Lacking, SignedHead, Unfit, Verifiers},
    snapshot::{self, Snapshot},
    state::{Rejection, Rule},
    tree::Frontier,
};

/// The ledger's signing keys and the newest checkpoint that they made.
///
/// Which of them signs follows from the handovers in the ledger, so each call gets them.
#[derive(Debug)]
pub(super) struct Signed {
    keys: Keyring,
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
    /// Returns [`Error::Tampered`] if none of the keys signed the file.
    pub(super) fn open(folder: &Path, keys: Keyring) -> Result<(Self, Option<SignedHead>), Error> {
        let (last, checkpoint) = checkpoint(folder, &keys.verifiers())?
            .map(|(text, head)| {
                let size = head.size;
                (Note { size, text }, head)
            })
            .unzip();
        let folder = folder.to_owned();
        let last = Mutex::new(last);
        Ok((Self { keys, folder, last }, checkpoint))
    }

    /// The store's folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The keys that verify heads of the database.
    pub(super) fn verifiers(&self) -> Verifiers {
        self.keys.verifiers()
    }

    /// The key of the ledger after these handovers.
    pub(super) fn verifier(&self, handovers: &[Handover]) -> Verifier {
        handover::key_at(handovers, u64::MAX, &self.keys.verifiers().key).clone()
    }

    /// Checks that the ledger's key is configured, and that each head is signed by the key of its
    /// size.
    ///
    /// # Errors
    /// Returns [`Error::Lacking`] if the ledger was handed over to a key that this server does
    /// not have, and [`Error::Tampered`] if another key signed a head.
    pub(super) fn expect_keys(
        &self,
        state: &LedgerState,
        heads: &[Option<&SignedHead>],
    ) -> Result<(), Error> {
        let fits = self.verifiers().expect(state.handovers(), heads);
        fits.map_err(|unfit| match unfit {
            Unfit::Lacking(lacking) => lacks(&lacking),
            Unfit::Head(what) => Error::Tampered(what),
        })
    }

    /// Whether a next key is configured that is not the ledger's yet.
    pub(super) fn expects_handover(&self, handovers: &[Handover]) -> bool {
        let next = self.verifiers().next;
        next.is_some_and(|next| next != self.verifier(handovers))
    }

    /// The handover of a ledger of `size` events to the key that the order names.
    ///
    /// # Errors
    /// Returns the rejection if that key is not configured here, or cannot be the next one.
    pub(super) fn hand_over(
        &self,
        state: &LedgerState,
        size: u64,
        new: &Verifier,
    ) -> Result<Handover, Rejection> {
        let refuse = |why: String| Rejection::new(Rule::LedgerKey, why);
        let signed = self.keys.hand_over(state.handovers(), size, new);
        let signed = signed.map_err(|Lacking(key)| {
            refuse(format!(
                "this server does not have the key {key}: put its file into [ledger] `next_key` on every server of this \
                 ledger, restart them, and give the same order again"
            ))
        })?;
        signed.map_err(|fault| refuse(fault.to_string()))
    }

    /// A checkpoint that covers at least `head` at the time of the call. Signs only a head that is
    /// not signed yet, so callers that waited for each other share one signature and one write.
    /// `head` must be durable. It returns the handovers of the ledger too, at least up to that
    /// head.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the file cannot be written. No caller gets the checkpoint
    /// then.
    pub(super) async fn sign(
        &self,
        head: impl Fn() -> (Frontier, Vec<Handover>),
    ) -> Result<String, Error> {
        let wanted = head().0.size();
        let mut last = self.last.lock().await;
        if let Some(note) = last.as_ref().filter(|note| note.size >= wanted) {
            return Ok(note.text.clone());
        }
        let (head, handovers) = head();
        let text = self.note(&head, &handovers)?;
        self.save(text.clone()).await?;
        *last = Some(Note {
            size: head.size(),
            text: text.clone(),
        });
        Ok(text)
    }

    /// A head that this process knows, as if it were signed.
    pub(super) fn checkpoint_of(&self, head: &Frontier) -> SignedHead {
        SignedHead {
            checkpoint: Checkpoint {
                origin: self.verifiers().origin().to_owned(),
                size: head.size(),
                root: head.root(),
            },
            by: Vec::new(),
        }
    }

    /// A checkpoint of a committed head, which is not kept in the file: the party that gets it
    /// remembers it.
    ///
    /// # Errors
    /// Returns [`Error::Lacking`] if the ledger's key is not configured.
    pub(super) fn note(&self, head: &Frontier, handovers: &[Handover]) -> Result<String, Error> {
        let note = self.keys.sign(handovers, head.size(), head.root());
        note.map_err(|lacking| lacks(&lacking))
    }

    /// The note over the head that a commit will lead to, for the database alone.
    ///
    /// # Errors
    /// As [`Signed::note`].
    pub(super) fn sign_head(&self, head: &Frontier, state: &LedgerState) -> Result<String, Error> {
        let handovers = state.handovers();
        let note = self.keys.sign_head(handovers, head.size(), head.root());
        note.map_err(|lacking| lacks(&lacking))
    }

    /// As [`Keyring::secret`].
    pub(super) fn secret(&self, label: &str) -> hmac::Tag {
        self.keys.secret(label)
    }

    /// The bytes of a snapshot, signed.
    ///
    /// # Errors
    /// As [`Keyring::sign_snapshot`].
    pub(super) fn sign_snapshot(&self, snapshot: &Snapshot) -> Result<Vec<u8>, snapshot::Error> {
        self.keys.sign_snapshot(snapshot)
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

/// The newest checkpoint of a folder, with its text; none if the folder has none yet.
///
/// # Errors
/// As [`Signed::open`].
pub(super) fn checkpoint(
    folder: &Path,
    verifiers: &Verifiers,
) -> Result<Option<(String, SignedHead)>, Error> {
    let path = folder.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unavailable(&path, &error)),
    };
    let head = verify(&path, &text, verifiers)?;
    Ok(Some((text, head)))
}

fn lacks(lacking: &Lacking) -> Error {
    Error::Lacking(lacking.to_string())
}

fn verify(path: &Path, text: &str, verifiers: &Verifiers) -> Result<SignedHead, Error> {
    verifiers.verify(text).map_err(|error| {
        Error::Tampered(format!(
            "{} is not a checkpoint by the configured ledger key ({error}). \
             If the key was replaced, put the old one back and hand the ledger over first (`daypass help ledger-key`); else \
             restore the file from a backup",
            path.display()
        ))
    })
}

fn unavailable(path: &Path, error: &io::Error) -> Error {
    Error::Unavailable(format!("{}: {error}", path.display()))
}
