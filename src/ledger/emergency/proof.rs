//! The message that registered keys sign, and their signatures as an event keeps them. Pure.

use serde::{Deserialize, Serialize};

use crate::{
    ledger::{approval, event::Actor},
    ssh::{sshsig::Namespace, wire},
};

/// Builds the message that registered keys sign, as length-prefixed strings (RFC 4251, 5):
/// namespace, public key blob of the person who gets the pass, possession message.
///
/// It names that person's key, so a signature cannot be used to issue a pass to another person.
pub fn message(holder: &[u8], possession: &[u8]) -> Vec<u8> {
    wire::strings(&[Namespace::Emergency.as_bytes(), holder, possession])
}

/// The proof behind an emergency pass without a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// The server's challenge, used up by this event.
    pub challenge: String,
    /// The message that all signers signed ([`message`]), in base64.
    pub message: String,
    /// The signatures. The first one is by the person who gets the pass.
    pub signatures: Vec<Signature>,
}

/// One registered person's signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    /// The signer.
    pub who: Actor,
    /// The signer's registered key in OpenSSH form.
    pub key: String,
    /// The signer's SSHSIG in base64, on one line.
    pub signature: String,
}

impl Signature {
    /// The registered key's fingerprint (`SHA256:...`); `None` if it does not parse.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        approval::fingerprint(&self.key)
    }
}
