//! An emergency that collects signatures, in a file that goes from signer to signer.
//!
//! The text for a signer is read from the bytes that they sign, never from the file's other
//! fields.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ssh_key::PublicKey;

use super::signer::Signer;
use crate::{
    client::{Error, carried, choose::PassRequest, clock::now, key_text::public_text},
    identity::proof,
    ledger::emergency::{self, Signed},
    proto::{ask_bytes, v1},
    ssh::{
        key::fingerprint,
        sshsig::{self, Namespace},
    },
    unix_seconds::moment,
};

/// The command that writes a sheet.
const PREPARE: &str = "daypass emergency prepare";

/// An emergency that collects signatures: the content of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignatureRequest {
    /// The name of the server that made the challenge.
    pub server: String,
    /// The server's challenge, good for one pass.
    pub challenge: String,
    /// When the challenge expires, Unix seconds.
    pub expires_at: u64,
    /// The ask.
    pub ask: EmergencyAsk,
    /// The key that the pass will be for, in OpenSSH form.
    pub public_key: String,
    /// The registered key of the person who gets the pass, in OpenSSH form.
    pub holder: String,
    /// The signatures so far; the first is the holder's.
    #[serde(default)]
    pub signatures: Vec<Signature>,
}

/// The ask of a sheet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmergencyAsk {
    /// The role.
    pub role: String,
    /// The host; empty: none.
    #[serde(default)]
    pub host: String,
    /// Values for the role's parameters.
    #[serde(default)]
    pub params: std::collections::BTreeMap<String, String>,
    /// The reason.
    #[serde(default)]
    pub reason: String,
    /// The lifetime in seconds; 0: the role's own.
    #[serde(default)]
    pub ttl_seconds: u64,
    /// Source addresses to narrow to.
    #[serde(default)]
    pub source_addresses: Vec<String>,
}

/// One registered key's signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signature {
    /// The registered key in OpenSSH form.
    pub public_key: String,
    /// An armored SSHSIG.
    pub signature: String,
}

impl EmergencyAsk {
    /// The ask of `pass_request`.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if it names no role.
    pub(super) fn of(pass_request: &PassRequest) -> Result<Self, Error> {
        let role = pass_request.role.clone().ok_or_else(|| {
            Error::Usage(
                "name the role with --role: for a registered key the server cannot list your roles"
                    .to_owned(),
            )
        })?;
        Ok(Self {
            role,
            host: pass_request.host.clone().unwrap_or_default(),
            params: pass_request.params.clone(),
            reason: pass_request.reason.clone().unwrap_or_default(),
            ttl_seconds: pass_request.ttl_seconds.unwrap_or_default(),
            source_addresses: pass_request.source_addresses.clone(),
        })
    }

    /// The ask for the server; it is always an emergency.
    pub(super) fn wire(&self) -> v1::Ask {
        v1::Ask {
            role: self.role.clone(),
            host: self.host.clone(),
            params: self.params.clone().into_iter().collect(),
            reason: self.reason.clone(),
            ttl_seconds: self.ttl_seconds,
            source_addresses: self.source_addresses.clone(),
            emergency: true,
            ..v1::Ask::default()
        }
    }
}

impl SignatureRequest {
    /// Reads a sheet whose challenge has not expired.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if the file is not a sheet, and [`Error::TimedOut`] if its
    /// challenge has expired.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let signature_request: Self = carried::read(path, PREPARE)?;
        let (ends, now) = (signature_request.expires_at, now());
        if ends <= now {
            return Err(Error::TimedOut(format!(
                "its challenge ended at {} by the server's clock, and this machine's clock says {}: if that is right, \
                 prepare the emergency again with: daypass emergency prepare",
                moment(ends),
                moment(now)
            )));
        }
        Ok(signature_request)
    }

    /// Checks that a sheet can be written to `path`. Only an older sheet is replaced.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if another file is there, and [`Error::Unwritable`] if it cannot be
    /// written.
    pub(crate) fn check_place(path: &Path) -> Result<(), Error> {
        carried::check_place::<Self>(path, PREPARE)
    }

    /// Writes the sheet by rename.
    ///
    /// # Errors
    /// Returns [`Error::File`] if it cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        carried::write(path, self)
    }

    /// Adds a signature, or replaces the one by the same key.
    ///
    /// # Errors
    /// Returns the error if the key does not sign.
    pub(crate) async fn sign(&mut self, signer: &Signer) -> Result<(), Error> {
        let public_key = public_text(&signer.public())?;
        let signature = signer.sign(Namespace::Emergency, &self.message()?).await?;
        let signature = Signature {
            public_key,
            signature,
        };
        let mut signed = self.signatures.iter_mut();
        match signed.find(|other| other.public_key == signature.public_key) {
            Some(other) => *other = signature,
            None => self.signatures.push(signature),
        }
        Ok(())
    }

    /// The fingerprints of the keys that have signed, in order.
    pub(crate) fn signers(&self) -> Vec<String> {
        let keys = self.signatures.iter();
        keys.filter_map(|one| PublicKey::from_openssh(&one.public_key).ok())
            .map(|key| fingerprint(&key))
            .collect()
    }

    /// Checks the signatures, the first of which must be the holder's, and reads what they are
    /// over.
    ///
    /// # Errors
    /// Returns [`Error::Untrusted`] if the sheet was changed, a signature is invalid, or the holder
    /// did not sign first.
    pub(crate) fn verify(&self) -> Result<Signed, Error> {
        let wrong = |why: &str| {
            Error::Untrusted(format!(
                "the file {why}: do not sign it, and prepare a new one"
            ))
        };
        let message = self.message()?;
        let mut keys: Vec<PublicKey> = Vec::new();
        for one in &self.signatures {
            let key = verified(one, &message);
            let key = key.ok_or_else(|| wrong("has a signature that is not over its content"))?;
            if keys.iter().any(|other| other.key_data() == key.key_data()) {
                return Err(wrong("has two signatures by the same key"));
            }
            keys.push(key);
        }
        let signed =
            Signed::read(&message).ok_or_else(|| wrong("does not say what is asked for"))?;
        let is_holders = |key: &PublicKey| key.key_data() == signed.holder.key_data();
        if !keys.first().is_some_and(is_holders) {
            return Err(wrong("is not signed first by the person who gets the pass"));
        }
        Ok(signed)
    }

    /// The bytes that every registered key signs. The holder's key is part of them.
    pub(super) fn message(&self) -> Result<Vec<u8>, Error> {
        let wrong =
            |_| Error::Usage("the file has an invalid holder key: prepare a new one".to_owned());
        let holder = PublicKey::from_openssh(&self.holder).map_err(wrong)?;
        let holder = holder.to_bytes().map_err(wrong)?;
        Ok(emergency::message(&holder, &self.possession()?))
    }

    /// The bytes that the pass's own key signs.
    pub(super) fn possession(&self) -> Result<Vec<u8>, Error> {
        let wrong =
            |_| Error::Usage("the file has an invalid public key: prepare a new one".to_owned());
        let key = PublicKey::from_openssh(&self.public_key).map_err(wrong)?;
        let hash: [u8; 32] = Sha256::digest(self.challenge.as_bytes()).into();
        proof::possession_message(&self.server, &hash, &key, &ask_bytes(&self.ask.wire()))
            .map_err(wrong)
    }

    /// The signatures for the server.
    pub(super) fn proof(&self) -> v1::EmergencyProof {
        let signatures = self.signatures.iter();
        v1::EmergencyProof {
            challenge: self.challenge.clone(),
            signatures: signatures
                .map(|one| v1::emergency_proof::Signature {
                    public_key: one.public_key.clone(),
                    signature: one.signature.clone(),
                })
                .collect(),
        }
    }

    /// The name of the pass's private key in the state folder.
    pub(super) fn key_name(&self) -> String {
        let digest = Sha256::digest(self.challenge.as_bytes());
        let mut digest = base16ct::lower::encode_string(&digest);
        digest.truncate(16);
        format!("emergencies/{digest}")
    }
}

/// The key of a signature, if the signature is over `message`.
fn verified(one: &Signature, message: &[u8]) -> Option<PublicKey> {
    let key = PublicKey::from_openssh(&one.public_key).ok()?;
    let signature = sshsig::Signature::from_armored(&one.signature).ok()?;
    signature.verify(&key, Namespace::Emergency, message).ok()?;
    Some(key)
}
