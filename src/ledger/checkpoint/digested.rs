//! Notes with a digest as an extension line (C2SP tlog-checkpoint): of a snapshot of the ledger
//! state, and of the list of a backup. Pure.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Checkpoint, Error, Signer, Verifier, base64};
use crate::ledger::tree::Hash;

impl Signer {
    /// Signs a snapshot of the ledger state after `size` events: its root, and the digest of the
    /// state's bytes as an extension line (C2SP tlog-checkpoint).
    ///
    /// The key has another name there, so a snapshot does not verify as a checkpoint.
    pub(crate) fn sign_snapshot(&self, size: u64, root: Hash, digest: Hash) -> String {
        self.note_with(&self.verifier.of_snapshots(), size, root, digest)
    }

    /// Signs the list of a backup of the ledger of this size: its root, and the digest of the
    /// list's bytes as an extension line (C2SP tlog-checkpoint).
    ///
    /// The key has another name there, so the list of a backup does not verify as a checkpoint nor
    /// as a snapshot.
    pub(crate) fn sign_backup(&self, size: u64, root: Hash, digest: Hash) -> String {
        self.note_with(&self.verifier.of_backups(), size, root, digest)
    }

    fn note_with(&self, name: &Verifier, size: u64, root: Hash, digest: Hash) -> String {
        let origin = name.name.clone();
        let text = Checkpoint { origin, size, root }.text();
        self.signed(name, &format!("{text}{}\n", STANDARD.encode(digest)))
    }
}

impl Verifier {
    /// Verifies a note of [`Signer::sign_snapshot`]. Returns the digest of the state too.
    ///
    /// # Errors
    /// The same as [`Verifier::verify`].
    pub(crate) fn verify_snapshot(&self, note: &str) -> Result<(Checkpoint, Hash), Error> {
        self.of_snapshots().verified_with(note)
    }

    /// Verifies a note of [`Signer::sign_backup`]. Returns the digest of the list too.
    ///
    /// # Errors
    /// The same as [`Verifier::verify`].
    pub(crate) fn verify_backup(&self, note: &str) -> Result<(Checkpoint, Hash), Error> {
        self.of_backups().verified_with(note)
    }

    /// The checkpoint and the digest of a note that this name has signed.
    fn verified_with(&self, note: &str) -> Result<(Checkpoint, Hash), Error> {
        let text = self.verified(note)?;
        let lines = text.strip_suffix('\n').unwrap_or(text);
        let cut = lines.rfind('\n').map_or(0, |end| end + 1);
        let (checkpoint, digest) = lines.split_at(cut);
        let digest = base64(digest)
            .ok_or_else(|| Error::Malformed("its fourth line is not a hash".to_owned()))?;
        Ok((self.checkpoint(checkpoint)?, digest))
    }

    /// The same key under the name that signs snapshots of this form. The number changes with the
    /// form of the state.
    fn of_snapshots(&self) -> Self {
        self.named("#snapshot-8")
    }

    /// The same key under the name that signs the lists of backups.
    fn of_backups(&self) -> Self {
        self.named("#backup")
    }
}
