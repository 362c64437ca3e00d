//! Getting in while the issuer is down: registered keys sign a challenge of the server's, one person's or several.
//!
//! What is signed is a [`Sheet`]: an ask, a challenge and the key that the pass will be for. Whoever signs computes the bytes
//! from what they were shown. The pass's own private key never leaves this machine; the sheet can go anywhere.

mod signer;

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ssh_key::{PublicKey, SshSig};
use tonic::Request;

use super::{
    Client, Error,
    cache::Place,
    choose::Wish,
    key::{Key, KeyPlace, public_line},
    now,
    pass::{Pass, received},
    state::write_atomically,
};
use crate::{
    identity::proof,
    ledger::emergency::{self, NAMESPACE},
    proto::{ask_bytes, v1},
};

pub use signer::Signer;

/// The largest file that is read as a sheet.
const LARGEST: u64 = 256 * 1024;

/// An emergency that waits for signatures, as it lies in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sheet {
    /// The name of the server whose challenge it is.
    pub server: String,
    /// Good for one pass.
    pub challenge: String,
    /// Unix seconds: when the challenge ends.
    pub expires_at: u64,
    /// What is asked for.
    pub ask: Asked,
    /// The key that the pass will be for, in OpenSSH form.
    pub public_key: String,
    /// The registered key of whoever is let in, in OpenSSH form.
    pub holder: String,
    /// Who has signed; the first is the one who asks.
    #[serde(default)]
    pub signatures: Vec<Signature>,
}

/// The ask of a sheet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The role.
    pub role: String,
    /// The host; empty for none.
    #[serde(default)]
    pub host: String,
    /// Values for the role's parameters.
    #[serde(default)]
    pub params: std::collections::BTreeMap<String, String>,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Wished lifetime; 0 for the role's own.
    #[serde(default)]
    pub ttl_seconds: u64,
    /// Wished source addresses.
    #[serde(default)]
    pub source_addresses: Vec<String>,
}

/// One registered key's signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The registered key in OpenSSH form.
    pub public_key: String,
    /// An armored SSHSIG.
    pub signature: String,
}

impl Client {
    /// A pass for `wish` that lies here already, or one by the registered key of `signer`, kept where `obtain` would.
    ///
    /// # Errors
    /// [`Error::Denied`] where the policy refuses, `QUORUM` where others have to sign too.
    pub async fn obtain_by_key(
        &self,
        wish: &Wish,
        signer: &Signer,
    ) -> Result<(Place, ssh_key::Certificate), Error> {
        if let Some(found) = self.cached(wish)? {
            return Ok(found);
        }
        let (place, pass) = self.fresh_by_key(wish, signer, None).await?;
        Ok((place, pass.certificate))
    }

    /// A fresh pass by the registered key of `signer`, at `target` or in the state folder.
    ///
    /// # Errors
    /// As [`Client::obtain_by_key`].
    pub async fn fresh_by_key(
        &self,
        wish: &Wish,
        signer: &Signer,
        target: Option<&Place>,
    ) -> Result<(Place, Pass), Error> {
        let _lock = self.state.lock().await?;
        let key = Key::fresh()?;
        let mut sheet = self.challenged(wish, &key, signer).await?;
        sheet.sign(signer).await?;
        self.answered(&sheet, &key, target).await
    }

    /// Begins an emergency that others have to sign too. The pass's private key stays in the state folder until
    /// [`Client::redeem`].
    ///
    /// # Errors
    /// Where the server gives no challenge, or the key cannot be kept.
    pub async fn prepare(&self, wish: &Wish, signer: &Signer) -> Result<Sheet, Error> {
        let _lock = self.state.lock().await?;
        let key = Key::fresh()?;
        let mut sheet = self.challenged(wish, &key, signer).await?;
        sheet.sign(signer).await?;
        key.keep(&self.state, &sheet.key_name())?;
        Ok(sheet)
    }

    /// The pass that a signed sheet becomes, at `target` or in the state folder.
    ///
    /// # Errors
    /// [`Error::Usage`] where it was prepared elsewhere; as the server answers.
    pub async fn redeem(
        &self,
        sheet: &Sheet,
        target: Option<&Place>,
    ) -> Result<(Place, Pass), Error> {
        let _lock = self.state.lock().await?;
        let name = sheet.key_name();
        let text = self.state.read(&name)?.ok_or_else(|| {
            Error::Usage(
                "this emergency was not prepared here, or is over: redeem it where `daypass emergency prepare` ran"
                    .to_owned(),
            )
        })?;
        let key = Key::read(&text, &self.state.path(&name))?;
        let redeemed = self.answered(sheet, &key, target).await?;
        self.state.remove(&name)?;
        self.state.remove(format!("{name}.pub"))?;
        Ok(redeemed)
    }

    /// An unsigned sheet over a fresh challenge.
    async fn challenged(&self, wish: &Wish, key: &Key, signer: &Signer) -> Result<Sheet, Error> {
        let role = wish.role.clone().ok_or_else(|| {
            Error::Usage(
                "name the role: with a registered key nobody can be asked which ones are yours"
                    .to_owned(),
            )
        })?;
        let (server, trust) = self.connect().await?;
        let request = v1::EmergencyChallengeRequest {};
        let answer = server.passes().emergency_challenge(request).await?;
        let answer = answer.into_inner();
        Ok(Sheet {
            server: trust.server_name,
            challenge: answer.challenge,
            expires_at: answer.expires_at,
            ask: Asked {
                role,
                host: wish.host.clone().unwrap_or_default(),
                params: wish.params.clone(),
                reason: wish.reason.clone().unwrap_or_default(),
                ttl_seconds: wish.ttl_seconds.unwrap_or_default(),
                source_addresses: wish.source_addresses.clone(),
            },
            public_key: public_line(&key.public())?.trim_end().to_owned(),
            holder: public_line(&signer.public())?.trim_end().to_owned(),
            signatures: Vec::new(),
        })
    }

    /// The pass for a signed sheet.
    async fn answered(
        &self,
        sheet: &Sheet,
        key: &Key,
        target: Option<&Place>,
    ) -> Result<(Place, Pass), Error> {
        let (server, trust) = self.connect().await?;
        let ask = sheet.ask.wire();
        let request = v1::IssueRequest {
            possession: key.sign(&sheet.possession()?).await?,
            public_key: sheet.public_key.clone(),
            binding_secret: Vec::new(),
            ask: Some(ask.clone()),
            emergency: Some(sheet.proof()),
        };
        let answer = server.passes().issue(Request::new(request)).await?;
        let pass = received(&answer.into_inner(), &ask.role, &key.public(), &trust)?;
        let place = target.cloned();
        let place = place.unwrap_or_else(|| Place::of_ask(&self.state, &ask));
        place.keep(key, &KeyPlace::Own, &pass, target.is_some())?;
        Ok((place, pass))
    }
}

impl Asked {
    /// Always an emergency.
    fn wire(&self) -> v1::Ask {
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

impl Sheet {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is none of ours, [`Error::TimedOut`] where its challenge is over.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let length = std::fs::metadata(path).map_err(Error::file(path))?.len();
        let text = match length <= LARGEST {
            true => std::fs::read_to_string(path).map_err(Error::file(path))?,
            false => String::new(),
        };
        let sheet: Self = serde_json::from_str(&text).map_err(|_| {
            Error::Usage(format!(
                "{} is no file of `daypass emergency prepare`",
                path.display()
            ))
        })?;
        if sheet.expires_at <= now() {
            return Err(Error::TimedOut(
                "its challenge is over: prepare the emergency again".to_owned(),
            ));
        }
        Ok(sheet)
    }

    /// Writes it, at once and whole.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let path = std::path::absolute(path).map_err(Error::file(path))?;
        let text =
            serde_json::to_vec_pretty(self).map_err(|error| Error::other(error.to_string()))?;
        write_atomically(&path, &text, 0o600)
    }

    /// Adds a signature; a second one by the same key takes the first one's place.
    ///
    /// # Errors
    /// Where the key does not sign.
    pub async fn sign(&mut self, signer: &Signer) -> Result<(), Error> {
        let public_key = public_line(&signer.public())?.trim_end().to_owned();
        let signature = signer.sign(NAMESPACE, &self.message()?).await?;
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

    /// Fingerprints of the keys that have signed, in order.
    pub fn signers(&self) -> Vec<String> {
        let keys = self.signatures.iter();
        keys.filter_map(|one| PublicKey::from_openssh(&one.public_key).ok())
            .map(|key| key.fingerprint(ssh_key::HashAlg::Sha256).to_string())
            .collect()
    }

    /// Whether everybody whose signature is here signed what the sheet says.
    ///
    /// # Errors
    /// [`Error::Untrusted`] otherwise: somebody has changed it, or pretends that others signed.
    pub fn verify(&self) -> Result<(), Error> {
        for one in &self.signatures {
            let verified = || {
                let key = PublicKey::from_openssh(&one.public_key).ok()?;
                let signature = SshSig::from_pem(&one.signature).ok()?;
                let message = self.message().ok()?;
                key.verify(NAMESPACE, &message, &signature).ok()
            };
            if verified().is_none() {
                return Err(Error::Untrusted(
                    "the file holds a signature that is not over what it says: do not sign it, and prepare another"
                        .to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// What everybody signs: whom it lets in is part of it.
    fn message(&self) -> Result<Vec<u8>, Error> {
        let wrong = |_| Error::Usage("the sheet's holder is no key".to_owned());
        let holder = PublicKey::from_openssh(&self.holder).map_err(wrong)?;
        let holder = holder.to_bytes().map_err(wrong)?;
        Ok(emergency::message(&holder, &self.possession()?))
    }

    /// Fingerprint of the key that the pass will be for.
    pub fn key(&self) -> String {
        let key = PublicKey::from_openssh(&self.public_key);
        key.map(|key| key.fingerprint(ssh_key::HashAlg::Sha256).to_string())
            .unwrap_or_default()
    }

    /// What the pass's own key signs.
    fn possession(&self) -> Result<Vec<u8>, Error> {
        let wrong = |_| Error::Usage("the sheet's public key is none".to_owned());
        let key = PublicKey::from_openssh(&self.public_key).map_err(wrong)?;
        let hash: [u8; 32] = Sha256::digest(self.challenge.as_bytes()).into();
        proof::possession_message(&self.server, &hash, &key, &ask_bytes(&self.ask.wire()))
            .map_err(wrong)
    }

    fn proof(&self) -> v1::EmergencyProof {
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

    /// Where the pass's private key waits.
    fn key_name(&self) -> String {
        let digest = Sha256::digest(self.challenge.as_bytes());
        let digest: String = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
        format!("emergencies/{digest}")
    }
}

#[cfg(test)]
mod tests;
