//! The signed head of the ledger: a C2SP tlog-checkpoint in a C2SP signed-note, with Ed25519. Pure.
//!
//! Parsing is strict: a note verifies only in the exact form that this key writes. Signatures by
//! other keys (witnesses) may follow.

pub(super) mod beside;
mod digested;

use std::fmt;

use aws_lc_rs::{
    hmac,
    signature::{self, Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::tree::Hash;

/// Largest accepted note, in bytes. Our notes are about 250 bytes.
const NOTE_LIMIT: usize = 64 * 1024;

/// Separates derived secrets from every other use of the key.
const SECRETS: &[u8] = b"daypass-secrets@v1";

/// The signature type of Ed25519 in C2SP signed-note.
const ED25519: u8 = 0x01;

/// Prefix of a signature line: an em dash and a space.
const SIGNATURE_MARK: &str = "\u{2014} ";

/// The head of a ledger: its name, its size and the root over all of its leaves.
///
/// ```
/// use daypass::ledger::checkpoint::Verifier;
///
/// let key = "daypass.example.com/ledger+b494b4ec+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
/// let note = "daypass.example.com/ledger\n\
///             3\n\
///             1Pksj7uJcg6ztVZ3x9fvrd/rENEaGoSguo8aIzN/qpU=\n\
///             \n\
///             \u{2014} daypass.example.com/ledger tJS07DvHdIxQRP7Z3gxiyrsf9XqCRsgH9Y+\
///             2RxPJDBItgN9TkFvn8oPrMsucWEDSOtVKWrVwRcxHGdlrb8QlpzklDAU=\n";
/// let checkpoint = Verifier::parse(key)?.verify(note)?;
/// assert_eq!(checkpoint.size, 3);
///
/// let longer = note.replace("\n3\n", "\n4\n");
/// assert!(Verifier::parse(key)?.verify(&longer).is_err());
/// # Ok::<(), daypass::ledger::checkpoint::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger's name, `<server>/ledger`; also the name of its key.
    pub origin: String,
    /// Number of leaves under the root.
    pub size: u64,
    /// Root hash, `MTH(D[size])` in RFC 6962.
    pub root: Hash,
}

impl Checkpoint {
    /// The note's text: three lines (C2SP tlog-checkpoint, without extension lines).
    fn text(&self) -> String {
        let root = STANDARD.encode(self.root);
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let malformed = |what: &str| Error::Malformed(what.to_owned());
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root), Some(""), None) = (
            lines.next(),
            lines.next(),
            lines.next(),
            lines.next(),
            lines.next(),
        ) else {
            return Err(malformed("it does not have exactly three lines"));
        };
        Ok(Self {
            origin: origin.to_owned(),
            size: decimal(size).ok_or_else(|| malformed("its size is not a number"))?,
            root: base64(root).ok_or_else(|| malformed("its root is not a hash"))?,
        })
    }
}

/// The ledger's signing key.
pub struct Signer {
    pair: Ed25519KeyPair,
    verifier: Verifier,
    secrets: hmac::Key,
}

impl Signer {
    /// Creates the signer. `origin` names the key and each checkpoint; `seed` is the Ed25519
    /// private key.
    ///
    /// # Errors
    /// Returns [`Error::Malformed`] if the origin is empty or contains spaces, control characters
    /// or `+`.
    pub fn new(origin: &str, seed: &[u8; 32]) -> Result<Self, Error> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|_| Error::Malformed("the Ed25519 seed is not a key".to_owned()))?;
        let public = <[u8; 32]>::try_from(pair.public_key().as_ref())
            .map_err(|_| Error::Malformed("the Ed25519 public key is not 32 bytes".to_owned()))?;
        let verifier = Verifier::new(origin, public)?;
        Ok(Self {
            pair,
            verifier,
            secrets: hmac::Key::new(hmac::HMAC_SHA256, seed),
        })
    }

    /// The public half, which verifies this key's checkpoints.
    pub(crate) fn verifier(&self) -> Verifier {
        self.verifier.clone()
    }

    /// Signs the head of this key's ledger. Returns the whole note, which ends in a newline.
    pub fn sign(&self, size: u64, root: Hash) -> String {
        self.note(&self.verifier, size, root)
    }

    /// Signs the head that a commit leads to, for the database only.
    ///
    /// The key has another name there, so a head that was never committed does not verify as a
    /// checkpoint.
    pub(crate) fn sign_head(&self, size: u64, root: Hash) -> String {
        self.note(&self.verifier.of_heads(), size, root)
    }

    /// A secret of 32 bytes that follows from this key and `label` alone (HMAC-SHA256 under the
    /// private key): the same on every server of one ledger.
    pub(crate) fn secret(&self, label: &str) -> hmac::Tag {
        hmac::sign(&self.secrets, &[SECRETS, label.as_bytes()].concat())
    }

    fn note(&self, name: &Verifier, size: u64, root: Hash) -> String {
        let origin = name.name.clone();
        self.signed(name, &Checkpoint { origin, size, root }.text())
    }

    /// The note of this text, which ends in a newline.
    fn signed(&self, name: &Verifier, text: &str) -> String {
        format!("{text}\n{}", self.line(name, text))
    }

    /// The line with the signature on a note's text, with its newline.
    fn line(&self, name: &Verifier, text: &str) -> String {
        let mut signature = name.hash().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        let signature = STANDARD.encode(signature);
        format!("{SIGNATURE_MARK}{} {signature}\n", name.name)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.verifier)
    }
}

/// A verifier key, written `<name>+<hash>+<keydata>` (C2SP signed-note).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Verifier {
    name: String,
    public: [u8; 32],
}

impl Verifier {
    fn new(name: &str, public: [u8; 32]) -> Result<Self, Error> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.contains(bad) {
            return Err(Error::Malformed(format!("{name:?} is not a key name")));
        }
        let name = name.to_owned();
        Ok(Self { name, public })
    }

    /// Parses the form that [`Verifier`]'s `Display` writes.
    ///
    /// # Errors
    /// Returns [`Error::Malformed`] for any other form, another algorithm, or a hash of another
    /// key.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let malformed = || Error::Malformed("not a verifier key (name+hash+key)".to_owned());
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed());
        };
        let [ED25519, public @ ..] = base64::<33>(key).ok_or_else(malformed)? else {
            return Err(Error::Malformed("not an Ed25519 verifier key".to_owned()));
        };
        let verifier = Self::new(name, public)?;
        if hash == base16ct::lower::encode_string(&verifier.hash()) {
            Ok(verifier)
        } else {
            Err(Error::Malformed("the hash is not this key's".to_owned()))
        }
    }

    /// Verifies a note of [`Signer::sign_head`]. A checkpoint does not verify as one.
    ///
    /// # Errors
    /// The same as [`Verifier::verify`].
    pub(crate) fn verify_head(&self, note: &str) -> Result<Checkpoint, Error> {
        self.of_heads().verify(note)
    }

    /// The same key under the name that signs the database's heads.
    fn of_heads(&self) -> Self {
        self.named("#head")
    }

    fn named(&self, suffix: &str) -> Self {
        Self {
            name: format!("{}{suffix}", self.name),
            public: self.public,
        }
    }

    /// The key's name, which is the origin of the checkpoints it signs.
    pub(crate) fn origin(&self) -> &str {
        &self.name
    }

    /// Verifies this key's signature on a note and parses its checkpoint. Ignores signatures by
    /// other keys.
    ///
    /// # Errors
    /// Returns [`Error::Malformed`] for any other form or another origin, and [`Error::Signature`]
    /// if this key's signature is missing or invalid.
    pub fn verify(&self, note: &str) -> Result<Checkpoint, Error> {
        self.checkpoint(self.verified(note)?)
    }

    /// The text of a note with this key's signature, with its last newline.
    fn verified<'a>(&self, note: &'a str) -> Result<&'a str, Error> {
        let malformed = |what: &str| Error::Malformed(what.to_owned());
        if note.len() > NOTE_LIMIT || note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(malformed("it is too long or has control characters"));
        }
        let (text, signatures) = note
            .rsplit_once("\n\n")
            .ok_or_else(|| malformed("it has no signature part"))?;
        let signed = note.get(..=text.len()).unwrap_or_default();
        self.verify_signatures(signed, signatures)?;
        Ok(signed)
    }

    fn checkpoint(&self, text: &str) -> Result<Checkpoint, Error> {
        let checkpoint = Checkpoint::parse(text)?;
        if checkpoint.origin != self.name {
            let reason = "its origin is not the name of its key";
            return Err(Error::Malformed(reason.to_owned()));
        }
        Ok(checkpoint)
    }

    fn verify_signatures(&self, text: &str, signatures: &str) -> Result<(), Error> {
        let lines = signatures
            .strip_suffix('\n')
            .ok_or_else(|| Error::Malformed("its last line has no newline".to_owned()))?;
        let mut verified = false;
        for line in lines.split('\n') {
            let signature = NoteSignature::parse(line)
                .ok_or_else(|| Error::Malformed("a signature line is malformed".to_owned()))?;
            if signature.name == self.name && signature.hash == self.hash() {
                self.verify_bytes(text, &signature.bytes)?;
                verified = true;
            }
        }
        if verified {
            Ok(())
        } else {
            Err(Error::Signature(self.name.clone()))
        }
    }

    fn verify_bytes(&self, text: &str, bytes: &[u8]) -> Result<(), Error> {
        signature::UnparsedPublicKey::new(&signature::ED25519, self.public)
            .verify(text.as_bytes(), bytes)
            .map_err(|_| Error::Signature(self.name.clone()))
    }

    /// Key id in a signature line: the first 4 bytes of `SHA-256(name || 0x0A || 0x01 || key)`.
    pub(super) fn hash(&self) -> [u8; 4] {
        let [a, b, c, d, ..]: [u8; 32] = Sha256::new_with_prefix(&self.name)
            .chain_update([b'\n', ED25519])
            .chain_update(self.public)
            .finalize()
            .into();
        [a, b, c, d]
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend_from_slice(&self.public);
        let key = STANDARD.encode(key);
        write!(
            f,
            "{}+{}+{key}",
            self.name,
            base16ct::lower::encode_string(&self.hash())
        )
    }
}

impl TryFrom<String> for Verifier {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

impl From<Verifier> for String {
    fn from(verifier: Verifier) -> Self {
        verifier.to_string()
    }
}

/// One line of a note's signature block.
struct NoteSignature<'a> {
    name: &'a str,
    hash: [u8; 4],
    bytes: Vec<u8>,
}

impl<'a> NoteSignature<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
        let decoded = STANDARD.decode(encoded).ok()?;
        let (hash, bytes) = decoded.split_first_chunk::<4>()?;
        let valid = !name.is_empty() && !bytes.is_empty();
        valid.then(|| Self {
            name,
            hash: *hash,
            bytes: bytes.to_vec(),
        })
    }
}

/// A decimal number as C2SP writes it: digits only, no leading zero.
fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    (canonical && digits).then(|| text.parse().ok()).flatten()
}

/// Exactly `N` bytes in canonical, padded base64.
fn base64<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// Reason why a note or key is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not in the form of C2SP signed-note and tlog-checkpoint.
    #[error("checkpoint is malformed: {0}")]
    Malformed(String),
    /// The named key has not signed this text.
    #[error("no valid signature by {0}")]
    Signature(String),
}

impl Error {
    /// The fault alone, if what was read is named beside it.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Malformed(why) => why.clone(),
            Self::Signature(_) => self.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
