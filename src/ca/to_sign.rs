//! What a CA key is asked to sign: a pass or a host certificate that the ledger has recorded, or a
//! document for hosts.
//!
//! A key in a file, an agent or a token signs the message alone. `daypass signer` wants to know
//! what the message is, and demands the record behind it.

use crate::ssh::sshsig::Namespace;

/// The kinds of document. A signature for one says nothing of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostDocument {
    /// The list of revoked passes, `GET /krl`.
    Krl,
    /// The CA's public keys, `GET /ca.pub`.
    CaKeys,
    /// Administrators' keys and restored ledgers, `GET /recovery`.
    Recovery,
}

impl HostDocument {
    /// The namespace of its signature.
    pub fn namespace(self) -> Namespace {
        match self {
            Self::Krl => Namespace::Krl,
            Self::CaKeys => Namespace::CaKeys,
            Self::Recovery => Namespace::Recovery,
        }
    }
}

/// One message for a key.
#[derive(Clone, Copy, Debug)]
pub enum ToSign<'a> {
    /// A pass.
    Pass {
        /// Its serial: the index of its event in the ledger.
        serial: u64,
        /// The to-be-signed bytes, which are the message.
        bytes: &'a [u8],
    },
    /// A host certificate.
    HostCertificate {
        /// Its serial: the index of its event in the ledger.
        serial: u64,
        /// The to-be-signed bytes, which are the message.
        bytes: &'a [u8],
    },
    /// A document.
    Document {
        /// Its kind.
        kind: HostDocument,
        /// Its content.
        content: &'a [u8],
        /// The message: SSHSIG's framing of the content's hash.
        message: &'a [u8],
    },
}

impl<'a> ToSign<'a> {
    /// The message to sign.
    pub fn message(self) -> &'a [u8] {
        match self {
            Self::Pass { bytes, .. } | Self::HostCertificate { bytes, .. } => bytes,
            Self::Document { message, .. } => message,
        }
    }
}

#[cfg(test)]
impl<'a> From<&'a [u8]> for ToSign<'a> {
    /// Some pass's bytes.
    fn from(bytes: &'a [u8]) -> Self {
        Self::Pass { serial: 1, bytes }
    }
}
