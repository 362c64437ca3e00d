//! Documents of the CA for hosts, about itself and its passes: SSHSIG signatures (PROTOCOL.sshsig)
//! by the active key.
//!
//! A statement cannot be taken for a certificate: what is signed begins with `SSHSIG`, a
//! certificate with its own length.

use super::{error::Error, key, keys::Ca};
use crate::ssh::sshsig::{self, Namespace, Signature};

/// The kinds of statement. A signature for one says nothing of another.
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

impl Ca {
    /// The SSHSIG blob (without armor) of the active key over `content`.
    ///
    /// # Errors
    /// [`Error::Key`] and [`Error::Signature`] if the key fails or answers with another key's
    /// signature.
    pub(crate) fn sign_document(
        &self,
        statement: HostDocument,
        content: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let namespace = statement.namespace();
        let message = sshsig::signed_data(namespace, content).map_err(|_| Error::Key)?;
        let signature = self.active.sign(&message).ok_or(Error::Key)?;
        if !key::is_signed_by(self.active(), &message, &signature) {
            return Err(Error::Signature);
        }
        let framed = Signature::frame(self.active(), namespace, signature);
        framed
            .and_then(|signature| signature.to_blob())
            .map_err(|_| Error::Signature)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use ssh_key::{Algorithm, EcdsaCurve};

    use super::*;
    use crate::ca::{KeyState, key::Key};

    #[test]
    fn a_statement_is_of_one_kind_over_one_content_by_the_active_key() {
        let curve = EcdsaCurve::NistP256;
        for algorithm in [Algorithm::Ed25519, Algorithm::Ecdsa { curve }] {
            let ca = Ca::new(vec![(Key::sample(algorithm), KeyState::Active)]).unwrap();
            let blob = ca.sign_document(HostDocument::Krl, b"content").unwrap();
            let signature = Signature::from_blob(&blob).unwrap();
            let verifies = |statement: HostDocument, content: &[u8]| {
                let verified = signature.verify(ca.active(), statement.namespace(), content);
                verified.is_ok()
            };
            assert!(verifies(HostDocument::Krl, b"content"));
            assert!(!verifies(HostDocument::Krl, b"other content"));
            assert!(!verifies(HostDocument::CaKeys, b"content"));
        }
    }

    #[test]
    fn a_key_that_answers_with_anothers_signature_states_nothing() {
        let broken =
            Key::sample(Algorithm::Ed25519).answering_with(Key::sample(Algorithm::Ed25519));
        let ca = Ca::new(vec![(broken, KeyState::Active)]).unwrap();
        let stated = ca.sign_document(HostDocument::CaKeys, b"content");
        assert!(matches!(stated, Err(Error::Signature)));
    }
}
