//! What the CA says of itself and its passes to hosts: SSHSIG signatures (PROTOCOL.sshsig) by the active key.
//!
//! A statement cannot be taken for a certificate: what is signed begins with `SSHSIG`, a certificate with its own length.

use ssh_encoding::Encode;
use ssh_key::{HashAlg, SshSig};

use super::{Ca, Error, key};

/// The kinds of statement. A signature for one says nothing of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostDocument {
    /// The list of revoked passes, `GET /krl`.
    Krl,
    /// The CA's public keys, `GET /ca.pub`.
    CaKeys,
}

impl HostDocument {
    /// The SSHSIG namespace.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Krl => "daypass-krl@v1",
            Self::CaKeys => "daypass-ca@v1",
        }
    }
}

impl Ca {
    /// The SSHSIG blob (without armor) of the active key over `content`.
    ///
    /// # Errors
    /// [`Error::Key`] and [`Error::Signature`] where the key fails or answers with another key's signature.
    pub fn sign_document(&self, statement: HostDocument, content: &[u8]) -> Result<Vec<u8>, Error> {
        let (namespace, hash) = (statement.namespace(), HashAlg::Sha512);
        let message = SshSig::signed_data(namespace, hash, content).map_err(|_| Error::Key)?;
        let signature = self.active.sign(&message)?;
        if !key::is_signed_by(self.active(), &message, &signature) {
            return Err(Error::Signature);
        }
        let key = self.active().key_data().clone();
        let signed = SshSig::new(key, namespace, hash, signature).map_err(|_| Error::Signature)?;
        let mut blob = Vec::new();
        signed.encode(&mut blob).map_err(|_| Error::Signature)?;
        Ok(blob)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use ssh_encoding::Decode;
    use ssh_key::{Algorithm, EcdsaCurve};

    use super::*;
    use crate::ca::{KeyState, key::Key};

    #[test]
    fn a_statement_is_of_one_kind_over_one_content_by_the_active_key() {
        let curve = EcdsaCurve::NistP256;
        for algorithm in [Algorithm::Ed25519, Algorithm::Ecdsa { curve }] {
            let ca = Ca::new(vec![(Key::sample(algorithm), KeyState::Active)]).unwrap();
            let blob = ca.sign_document(HostDocument::Krl, b"content").unwrap();
            let signature = SshSig::decode(&mut &blob[..]).unwrap();
            let verifies = |statement: HostDocument, content: &[u8]| {
                let verified = ca
                    .active()
                    .verify(statement.namespace(), content, &signature);
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
