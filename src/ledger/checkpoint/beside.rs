//! Signatures of several keys on one note, and of keys on bytes that are no note. Pure.

use aws_lc_rs::signature;

use super::{NoteSignature, Signer, Verifier, decimal};

impl Signer {
    /// Adds this key's signature to a checkpoint of the same ledger.
    pub(crate) fn sign_too(&self, note: String) -> String {
        self.add(&self.verifier, note)
    }

    /// [`Signer::sign_too`] for a note of [`Signer::sign_head`].
    pub(crate) fn sign_head_too(&self, note: String) -> String {
        self.add(&self.verifier.of_heads(), note)
    }

    fn add(&self, name: &Verifier, note: String) -> String {
        match note.split_once("\n\n") {
            Some((text, _)) => format!("{note}{}", self.line(name, &format!("{text}\n"))),
            None => note,
        }
    }

    /// Signs bytes that are not a note's text: they contain a control character.
    pub(in crate::ledger) fn sign_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(bytes).as_ref().to_vec()
    }
}

impl Verifier {
    /// The hash of this key in the signature lines of a database's heads, as people compare it.
    pub(in crate::ledger) fn head_hash(&self) -> String {
        base16ct::lower::encode_string(&self.of_heads().hash())
    }

    /// Whether this key signed bytes that are not a note's text.
    pub(in crate::ledger) fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        signature::UnparsedPublicKey::new(&signature::ED25519, self.public)
            .verify(bytes, signature)
            .is_ok()
    }
}

/// The size that a note's second line says, before any signature is verified; 0 if it says none.
pub(in crate::ledger) fn unverified_size(note: &str) -> u64 {
    let size = note.split('\n').nth(1);
    size.and_then(decimal).unwrap_or_default()
}

/// The ids of the keys of this name that a note has signature lines of. Nothing is verified.
pub(in crate::ledger) fn unverified_ids(note: &str, name: &str) -> impl Iterator<Item = [u8; 4]> {
    let signatures = note.rsplit_once("\n\n").map_or("", |(_, lines)| lines);
    let lines = signatures.lines().filter_map(NoteSignature::parse);
    lines
        .filter(move |line| line.name == name)
        .map(|line| line.hash)
}

/// The same hashes, as people compare them. At most four, since another program may have written
/// the note.
pub(in crate::ledger) fn unverified_hashes(note: &str) -> Vec<String> {
    let name = note.lines().next().unwrap_or_default();
    let ids = unverified_ids(note, name).take(4);
    ids.map(|id| base16ct::lower::encode_string(&id)).collect()
}
