//! The ledger's signing keys: the one in the configuration, and the next one if there is one. Pure.
//!
//! The key of the ledger's size signs its heads. A key that the ledger was handed over from signs
//! checkpoints beside it while it is configured, for those who have not followed yet.

use aws_lc_rs::hmac;

use super::{
    checkpoint::{Checkpoint, Error, Signer, Verifier, beside},
    handover::{Fault, Handover, key_at},
    snapshot::{self, Snapshot},
    tree::Hash,
};

/// The keys that can sign.
#[derive(Debug)]
pub struct Keyring {
    key: Signer,
    next: Option<Signer>,
}

impl From<Signer> for Keyring {
    fn from(key: Signer) -> Self {
        Self { key, next: None }
    }
}

/// The key of the ledger is not among the configured ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the ledger was handed over to the key {0}, which this server does not have: put its file into [ledger] `next_key`, or \
     into `key` if the old one is not needed any more, and restart"
)]
pub(crate) struct Lacking(pub(crate) String);

impl Keyring {
    /// The present key, and the next one.
    ///
    /// # Errors
    /// Returns [`Fault::SameKey`] if they are one key.
    pub fn new(key: Signer, next: Option<Signer>) -> Result<Self, Fault> {
        let is_same = |next: &Signer| next.verifier() == key.verifier();
        match next.as_ref().is_some_and(is_same) {
            true => Err(Fault::SameKey(key.verifier().to_string())),
            false => Ok(Self { key, next }),
        }
    }

    /// The public halves.
    pub(crate) fn verifiers(&self) -> Verifiers {
        Verifiers {
            key: self.key.verifier(),
            next: self.next.as_ref().map(Signer::verifier),
        }
    }

    /// The key of a ledger of this size, and those that sign checkpoints beside it.
    fn signers(
        &self,
        handovers: &[Handover],
        size: u64,
    ) -> Result<(&Signer, Vec<&Signer>), Lacking> {
        let first = self.key.verifier();
        let wanted = key_at(handovers, size, &first);
        let all = || std::iter::once(&self.key).chain(&self.next);
        let is_wanted = |it: &&Signer| it.verifier() == *wanted;
        let signer = all()
            .find(is_wanted)
            .ok_or_else(|| Lacking(wanted.to_string()))?;
        let has_left = |it: &&Signer| {
            let key = it.verifier();
            handovers.iter().any(|it| it.size < size && it.old == key)
        };
        Ok((signer, all().filter(has_left).collect()))
    }

    /// A checkpoint, signed by the key of its size, and by configured keys that it replaced.
    ///
    /// # Errors
    /// Returns [`Lacking`] if the key of its size is not configured.
    pub(crate) fn sign(
        &self,
        handovers: &[Handover],
        size: u64,
        root: Hash,
    ) -> Result<String, Lacking> {
        let (signer, others) = self.signers(handovers, size)?;
        let note = signer.sign(size, root);
        Ok(others
            .into_iter()
            .fold(note, |note, other| other.sign_too(note)))
    }

    /// The head that a commit leads to, for the database alone. It is signed by the same keys, so
    /// that a server that lacks the new key can tell why it cannot go on.
    ///
    /// # Errors
    /// As [`Keyring::sign`].
    pub(crate) fn sign_head(
        &self,
        handovers: &[Handover],
        size: u64,
        root: Hash,
    ) -> Result<String, Lacking> {
        let (signer, others) = self.signers(handovers, size)?;
        let note = signer.sign_head(size, root);
        Ok(others
            .into_iter()
            .fold(note, |note, other| other.sign_head_too(note)))
    }

    /// A snapshot of the state, by the key of its size.
    ///
    /// # Errors
    /// As [`Snapshot::to_bytes`], and if that key is not configured.
    pub(crate) fn sign_snapshot(&self, snapshot: &Snapshot) -> Result<Vec<u8>, snapshot::Error> {
        let state = snapshot.judge.state();
        let (signer, _) = self
            .signers(state.handovers(), snapshot.head.size())
            .map_err(|error| snapshot::Error::State(error.to_string()))?;
        snapshot.to_bytes(signer)
    }

    /// The list of a backup of a ledger of this size.
    ///
    /// # Errors
    /// As [`Keyring::sign`].
    pub(crate) fn sign_backup(
        &self,
        handovers: &[Handover],
        (size, root): (u64, Hash),
        digest: Hash,
    ) -> Result<String, Lacking> {
        let (signer, _) = self.signers(handovers, size)?;
        Ok(signer.sign_backup(size, root, digest))
    }

    /// Signs the handover of a ledger of `size` events from its present key to `new`.
    ///
    /// # Errors
    /// Returns [`Lacking`] if one of them is not configured; `None` inside if the keys do not fit.
    pub(crate) fn hand_over(
        &self,
        handovers: &[Handover],
        size: u64,
        new: &Verifier,
    ) -> Result<Result<Handover, Fault>, Lacking> {
        let (old, _) = self.signers(handovers, size)?;
        let all = || std::iter::once(&self.key).chain(&self.next);
        let is_new = |it: &&Signer| it.verifier() == *new;
        let new = all().find(is_new).ok_or_else(|| Lacking(new.to_string()))?;
        Ok(Handover::sign(old, new, size))
    }

    /// As [`Signer::secret`], of the key in the configuration: the same on every server of one
    /// ledger, before and after a handover.
    pub(crate) fn secret(&self, label: &str) -> hmac::Tag {
        self.key.secret(label)
    }
}

/// The public halves of a [`Keyring`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verifiers {
    /// The key of the configuration.
    pub(crate) key: Verifier,
    /// The next one.
    pub(crate) next: Option<Verifier>,
}

/// A head of the ledger, with the configured keys that signed it. Whether the key of its size is
/// one of them is known when the events are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedHead {
    /// The head.
    pub(crate) checkpoint: Checkpoint,
    /// Empty for a head that this process has made itself.
    pub(crate) by: Vec<Verifier>,
}

impl std::ops::Deref for SignedHead {
    type Target = Checkpoint;

    fn deref(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

impl Verifiers {
    /// The ledger's name.
    pub(crate) fn origin(&self) -> &str {
        self.key.origin()
    }

    /// Whether this text is one of the keys.
    pub(crate) fn names(&self, text: &str) -> bool {
        self.newest_first().any(|key| key.to_string() == text)
    }

    /// The hashes of the keys in the signature lines of heads, for people.
    pub(crate) fn head_hashes(&self) -> Vec<String> {
        self.newest_first().map(Verifier::head_hash).collect()
    }

    /// Those of the keys that signed a note, by any name. Nothing is verified.
    pub(crate) fn unverified_hashes(note: &str) -> Vec<String> {
        beside::unverified_hashes(note)
    }

    fn newest_first(&self) -> impl Iterator<Item = &Verifier> {
        self.next.iter().chain([&self.key])
    }

    /// What a note says, and the keys that signed it: at least one.
    fn verify_with<T>(
        &self,
        verify: impl Fn(&Verifier) -> Result<T, Error>,
    ) -> Result<(T, Vec<Verifier>), Error> {
        let mut last = Error::Signature(self.key.origin().to_owned());
        let (mut said, mut by) = (None, Vec::new());
        for key in self.newest_first() {
            match verify(key) {
                Ok(value) => {
                    said = Some(value);
                    by.push(key.clone());
                }
                Err(error) => last = error,
            }
        }
        said.map(|said| (said, by)).ok_or(last)
    }

    /// Verifies a checkpoint by one of the keys.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub(crate) fn verify(&self, note: &str) -> Result<SignedHead, Error> {
        let (checkpoint, by) = self.verify_with(|key| key.verify(note))?;
        Ok(SignedHead { checkpoint, by })
    }

    /// Verifies a head of the database by one of the keys.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub(crate) fn verify_head(&self, note: &str) -> Result<SignedHead, Error> {
        let (checkpoint, by) = self.verify_with(|key| key.verify_head(note))?;
        Ok(SignedHead { checkpoint, by })
    }

    /// Verifies the list of a backup by one of the keys.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub(crate) fn verify_backup(&self, note: &str) -> Result<(Checkpoint, Hash), Error> {
        Ok(self.verify_with(|key| key.verify_backup(note))?.0)
    }

    /// Reads a snapshot that the key of its size has signed.
    ///
    /// # Errors
    /// As [`Snapshot::parse`].
    pub(crate) fn snapshot(
        &self,
        bytes: &[u8],
    ) -> Result<(Snapshot, snapshot::StateDigest), snapshot::Error> {
        let mut last = snapshot::Error::Cut;
        for key in self.newest_first() {
            match Snapshot::parse(bytes, key) {
                Ok(found) => {
                    let state = found.0.judge.state();
                    let by = std::slice::from_ref(key);
                    match self.expect_key(state.handovers(), found.0.head.size(), by) {
                        Ok(()) => return Ok(found),
                        Err(why) => last = snapshot::Error::State(why),
                    }
                }
                // What another key signed says nothing about this one's.
                Err(error @ snapshot::Error::Note(_)) if self.key != *key => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Checks that the key of a ledger of this size is among those that signed.
    ///
    /// # Errors
    /// Returns the sentence that says which key is not.
    fn expect_key(&self, handovers: &[Handover], size: u64, by: &[Verifier]) -> Result<(), String> {
        let wanted = key_at(handovers, size, &self.key);
        match by.contains(wanted) {
            true => Ok(()),
            false => Err(format!(
                "the head of {size} events is not signed by {wanted}, the key of that size"
            )),
        }
    }

    /// Checks what the events that lead to these heads say about the keys.
    ///
    /// # Errors
    /// Returns [`Unfit::Lacking`] if the ledger was handed over to a key that is not configured,
    /// and [`Unfit::Head`] if the key of its size did not sign a head.
    pub(crate) fn expect(
        &self,
        handovers: &[Handover],
        heads: &[Option<&SignedHead>],
    ) -> Result<(), Unfit> {
        let newest = key_at(handovers, u64::MAX, &self.key);
        if !self.newest_first().any(|key| key == newest) {
            return Err(Lacking(newest.to_string()).into());
        }
        for head in heads.iter().copied().flatten() {
            if !head.by.is_empty() {
                let fits = self.expect_key(handovers, head.size, &head.by);
                fits.map_err(Unfit::Head)?;
            }
        }
        Ok(())
    }
}

/// Reason why a ledger does not fit the configured keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// Its key is not configured.
    #[error(transparent)]
    Lacking(#[from] Lacking),
    /// A head is signed by another key than that of its size.
    #[error("{0}")]
    Head(String),
}
