//! Documents of the CA for hosts, about itself and its passes: SSHSIG signatures (PROTOCOL.sshsig)
//! by the active key.
//!
//! A statement cannot be taken for a certificate: what is signed begins with `SSHSIG`, a
//! certificate with its own length.

pub use super::to_sign::HostDocument;
use super::{
    error::Error,
    key::Key,
    keys::{Ca, KeyState},
    to_sign::ToSign,
};
use crate::ssh::sshsig::{self, Signature};

impl Ca {
    /// The SSHSIG blob (without armor) of the active key over `content`.
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::Away`], [`Error::Refused`] and [`Error::Signature`] if the key
    /// fails, refuses or answers with another key's signature.
    pub(crate) async fn sign_document(
        &self,
        statement: HostDocument,
        content: &[u8],
    ) -> Result<Vec<u8>, Error> {
        document_by(&self.active, statement, content).await
    }

    /// The SSHSIG blobs over a list of CA keys by each key that retires and signs still, and
    /// whether one that does not may do so later. One that is lost or does not answer is left out:
    /// the active key's signature is the one that counts for every host but those that are behind.
    pub(crate) async fn sign_keys_by_retired(&self, content: &[u8]) -> (Vec<Vec<u8>>, bool) {
        let (mut signatures, mut may_sign_later) = (Vec::new(), false);
        let others = self.others.iter();
        for (key, _) in others.filter(|(_, state)| *state == KeyState::Retired) {
            match document_by(key, HostDocument::CaKeys, content).await {
                Ok(signature) => signatures.push(signature),
                Err(error) => {
                    may_sign_later |= !key.is_absent();
                    tracing::warn!(
                        %error,
                        "a retiring CA key does not sign the list of CA keys: hosts that trust no other key cannot fetch it"
                    );
                }
            }
        }
        (signatures, may_sign_later)
    }
}

async fn document_by(key: &Key, statement: HostDocument, content: &[u8]) -> Result<Vec<u8>, Error> {
    let namespace = statement.namespace();
    let message = sshsig::signed_data(namespace, content).map_err(|_| Error::Key)?;
    let to_sign = ToSign::Document {
        kind: statement,
        content,
        message: &message,
    };
    let signature = key.sign(to_sign).await?;
    let framed = Signature::frame(key.public(), namespace, signature);
    framed
        .and_then(|signature| signature.to_blob())
        .map_err(|_| Error::Signature)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use ssh_key::{Algorithm, EcdsaCurve};

    use super::*;

    #[tokio::test]
    async fn a_statement_is_of_one_kind_over_one_content_by_the_active_key() {
        let curve = EcdsaCurve::NistP256;
        for algorithm in [Algorithm::Ed25519, Algorithm::Ecdsa { curve }] {
            let ca = Ca::new(vec![(Key::sample(algorithm), KeyState::Active)]).unwrap();
            let blob = ca
                .sign_document(HostDocument::Krl, b"content")
                .await
                .unwrap();
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

    #[tokio::test]
    async fn a_key_that_answers_with_anothers_signature_states_nothing() {
        let broken =
            Key::sample(Algorithm::Ed25519).answering_with(Key::sample(Algorithm::Ed25519));
        let ca = Ca::new(vec![(broken, KeyState::Active)]).unwrap();
        let stated = ca.sign_document(HostDocument::CaKeys, b"content").await;
        assert!(matches!(stated, Err(Error::Signature)));
    }
}
