//! A snapshot of the ledger state: the tree's right edge and the judge after some number of events,
//! signed with the ledger key. Pure.
//!
//! A start that has one reads only the later events. It holds nothing that does not follow from the
//! ledger, so a missing or invalid one costs time only.
//!
//! Form: a signed note of size, root and the SHA-256 of the state's bytes, an empty line, then the
//! state in MessagePack. Equal states have equal bytes.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    checkpoint::{self, Signer, Verifier},
    judge::Judge,
    tree::{Frontier, Hash},
};

/// Largest accepted note, in bytes.
const NOTE_LIMIT: usize = 4096;

/// End of the note.
const END: &[u8] = b"\n\n\n";

/// The ledger after some number of events.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Snapshot {
    /// The right edge of the tree.
    pub(crate) head: Frontier,
    /// The judge after its last event.
    pub(crate) judge: Judge,
}

/// What the whole ledger up to a snapshot must lead to: small, unlike the state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StateDigest {
    /// The right edge of the tree.
    pub(crate) head: Frontier,
    /// The digest of the state.
    pub(crate) digest: Hash,
}

/// What the bytes hold beside the note.
#[derive(Serialize)]
struct Written<'a> {
    peaks: &'a [Hash],
    judge: &'a Judge,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    peaks: Vec<Hash>,
    judge: Judge,
}

impl Snapshot {
    /// The whole snapshot, signed.
    ///
    /// # Errors
    /// Returns [`Error::State`] if the state cannot be written in this form.
    pub(crate) fn to_bytes(&self, signer: &Signer) -> Result<Vec<u8>, Error> {
        let state = self.state()?;
        let digest = Sha256::digest(&state).into();
        let note = signer.sign_snapshot(self.head.size(), self.head.root(), digest);
        let note = note.trim_end_matches('\n').as_bytes();
        Ok([note, END, &state].concat())
    }

    /// Reads what [`Snapshot::to_bytes`] wrote, with its digest.
    ///
    /// # Errors
    /// Returns [`Error::Note`] if this key did not sign it in this form, [`Error::Digest`] if the
    /// state is another one, and [`Error::State`] if it does not fit the note.
    pub(crate) fn parse(bytes: &[u8], verifier: &Verifier) -> Result<(Self, StateDigest), Error> {
        let (note, state) = split(bytes).ok_or(Error::Cut)?;
        let (checkpoint, digest) = verifier.verify_snapshot(&note)?;
        if Hash::from(Sha256::digest(state)) != digest {
            return Err(Error::Digest);
        }
        let invalid = |error: &dyn std::fmt::Display| Error::State(error.to_string());
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(state).with_human_readable();
        let Read { peaks, judge } =
            Read::deserialize(&mut deserializer).map_err(|error| invalid(&error))?;
        let head = Frontier::from_peaks(checkpoint.size, peaks)
            .filter(|head| head.root() == checkpoint.root && judge.size() == checkpoint.size)
            .ok_or_else(|| invalid(&"its state is of another size or root than its note"))?;
        let found = StateDigest {
            head: head.clone(),
            digest,
        };
        Ok((Self { head, judge }, found))
    }

    /// The digest of the state: equal for equal ledgers.
    ///
    /// # Errors
    /// The same as [`Snapshot::to_bytes`].
    pub(crate) fn digest(&self) -> Result<Hash, Error> {
        Ok(Sha256::digest(self.state()?).into())
    }

    fn state(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let written = Written {
            peaks: self.head.peaks(),
            judge: &self.judge,
        };
        // Names of fields: members that are left out when empty do not shift the others. Text where
        // a type has one: the other form of an address cannot be read inside a flattened struct.
        let mut serializer = rmp_serde::Serializer::new(&mut bytes)
            .with_struct_map()
            .with_human_readable();
        match written.serialize(&mut serializer) {
            Ok(()) => Ok(bytes),
            Err(error) => Err(Error::State(error.to_string())),
        }
    }
}

/// The note with its last newline, and the state.
fn split(bytes: &[u8]) -> Option<(String, &[u8])> {
    let front = bytes.get(..NOTE_LIMIT.min(bytes.len()))?;
    let at = front.windows(END.len()).position(|three| three == END)?;
    let note = std::str::from_utf8(bytes.get(..=at)?).ok()?;
    Some((note.to_owned(), bytes.get(at + END.len()..)?))
}

/// Reason why a snapshot is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It ends before its state begins.
    #[error("it is cut short")]
    Cut,
    /// The ledger key did not sign it, or it is of another version.
    #[error("{0}")]
    Note(#[from] checkpoint::Error),
    /// The state is not the one that was signed.
    #[error("its state is not the one that was signed")]
    Digest,
    /// The state cannot be written or read in this form.
    #[error("{0}")]
    State(String),
}

#[cfg(test)]
pub(super) mod tests;
