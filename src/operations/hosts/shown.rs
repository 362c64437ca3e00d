//! The keys that a host shows, and the check that it holds them.

use base64::{Engine, engine::general_purpose::STANDARD};
use ssh_key::PublicKey;

use crate::{
    identity::Identity,
    ledger::event::HostKey,
    operations::error::Error,
    ssh::{
        host_proof::{self, HostProof, HostVerb},
        sshsig::{Namespace, Signature},
    },
};

/// The keys of a call, each with its signature. None is verified yet.
#[derive(Clone, Debug)]
pub(crate) struct ShownKeys {
    keys: Vec<PublicKey>,
    signatures: Vec<Signature>,
}

impl ShownKeys {
    /// The keys and signatures, in the order of the call.
    pub(crate) fn new(shown: Vec<(PublicKey, Signature)>) -> Self {
        let (keys, signatures) = shown.into_iter().unzip();
        Self { keys, signatures }
    }

    /// The keys.
    pub(super) fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The keys in OpenSSH form.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if one cannot be written.
    pub(super) fn texts(&self) -> Result<Vec<String>, Error> {
        let texts = self.keys.iter().map(PublicKey::to_openssh);
        let texts: Result<_, _> = texts.collect();
        texts.map_err(|error| Error::Invalid(error.to_string()))
    }

    /// Verifies that each key signed the call, and returns the proofs as the ledger keeps them.
    ///
    /// # Errors
    /// Returns [`Error::HostProof`] if one did not.
    pub(super) fn prove(
        &self,
        server: &str,
        verb: HostVerb,
        digest: &[u8; 32],
    ) -> Result<Vec<HostKey>, Error> {
        let proof = HostProof {
            server,
            verb,
            digest,
            keys: &self.keys,
        };
        let malformed = |error: ssh_key::Error| Error::Invalid(error.to_string());
        let message = proof.message().map_err(malformed)?;
        let mut proven = Vec::with_capacity(self.keys.len());
        for (key, signature) in self.keys.iter().zip(&self.signatures) {
            host_proof::verify(key, &message, signature).map_err(Error::HostProof)?;
            proven.push(HostKey {
                key: key.to_openssh().map_err(malformed)?,
                signature: STANDARD.encode(signature.to_blob().map_err(Error::HostProof)?),
            });
        }
        Ok(proven)
    }

    /// Checks that the identity's token is bound to the first key, which signed the join.
    ///
    /// # Errors
    /// Returns [`Error::Possession`] if it is bound to another key.
    pub(super) fn expect_bound(
        &self,
        server: &str,
        identity: &Identity,
        secret: &[u8],
    ) -> Result<(), Error> {
        let none = || Error::Invalid("there is no key".to_owned());
        let (key, signature) = self
            .keys
            .iter()
            .zip(&self.signatures)
            .next()
            .ok_or_else(none)?;
        let proof = HostProof {
            server,
            verb: HostVerb::Join,
            digest: identity.token_hash(),
            keys: &self.keys,
        };
        let malformed = |error: ssh_key::Error| Error::Invalid(error.to_string());
        let message = proof.message().map_err(malformed)?;
        let armored = signature.to_armored().map_err(Error::HostProof)?;
        let identity = identity.clone();
        let (key, namespace) = (key.clone(), Namespace::Host);
        identity
            .prove_possession_for(namespace, key, secret, &message, &armored)
            .map_err(Error::Possession)?;
        Ok(())
    }
}
