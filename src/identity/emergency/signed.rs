//! The people whose registered keys signed an emergency, and what they signed. Pure.

use serde_json::{Map, Value};
use ssh_key::PublicKey;

/// A person whose keys are registered for emergencies, as the policy file names them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Registered {
    /// The person's issuer: `(issuer, subject)` is the identity, the same as by a token.
    pub issuer: String,
    /// The `sub` claim that a token of theirs would have.
    pub subject: String,
    /// A name for people to read.
    pub label: String,
    /// The claims that the policy's conditions see.
    pub claims: Map<String, Value>,
}

/// The proof of an emergency identity.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Emergency {
    pub(super) challenge: String,
    pub(super) message: Vec<u8>,
    pub(super) signers: Vec<Signer>,
}

impl Emergency {
    /// The challenge's text.
    pub(crate) fn challenge(&self) -> &str {
        &self.challenge
    }

    /// The message that all of them signed.
    pub(crate) fn message(&self) -> &[u8] {
        &self.message
    }

    /// The people who signed, each once. The first is the identity itself.
    pub(crate) fn signers(&self) -> &[Signer] {
        &self.signers
    }
}

/// One registered person who signed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Signer {
    /// The person.
    pub person: Registered,
    /// The registered key.
    pub key: PublicKey,
    /// The person's armored SSHSIG.
    pub signature: String,
}

impl Signer {
    pub(super) fn is_same_person(&self, other: &Self) -> bool {
        let (one, other) = (&self.person, &other.person);
        (&one.issuer, &one.subject) == (&other.issuer, &other.subject)
    }
}
