//! Getting in while the issuer is down: registered keys sign a challenge of the server's, one person's or several.
//!
//! What is signed is a [`SignatureRequest`]: an ask, a challenge and the key that the pass will be for. Whoever signs computes the bytes
//! from what they were shown. The pass's own private key never leaves this machine; the sheet can go anywhere.

mod signature_request;
mod signer;

use std::path::Path;

use tonic::Request;

use super::{
    Client, Error,
    cache::Place,
    choose::PassRequest,
    key::{Key, KeyPlace, public_line},
    pass::{Pass, received},
    writable,
};
use crate::proto::v1;

pub use signature_request::{EmergencyAsk, Signature, SignatureRequest};
pub use signer::Signer;

impl Client {
    /// A pass for `pass_request` that lies here already, or one by the registered key of `signer`, kept where `obtain` would.
    ///
    /// # Errors
    /// [`Error::Denied`] where the policy refuses, `QUORUM` where others have to sign too.
    pub async fn obtain_by_key(
        &self,
        pass_request: &PassRequest,
        signer: &Signer,
    ) -> Result<(Place, ssh_key::Certificate), Error> {
        if let Some(found) = self.cached(pass_request)? {
            return Ok(found);
        }
        let (place, pass) = self.fresh_by_key(pass_request, signer, None).await?;
        Ok((place, pass.certificate))
    }

    /// A fresh pass by the registered key of `signer`, at `target` or in the state folder.
    ///
    /// # Errors
    /// As [`Client::obtain_by_key`].
    pub async fn fresh_by_key(
        &self,
        pass_request: &PassRequest,
        signer: &Signer,
        target: Option<&Place>,
    ) -> Result<(Place, Pass), Error> {
        let _lock = self.state.lock().await?;
        let key = Key::fresh()?;
        let asked = EmergencyAsk::of(pass_request)?;
        self.prepared_place(&asked.wire(), target)?;
        let mut signature_request = self.challenged(asked, &key, signer).await?;
        signature_request.sign(signer).await?;
        self.answered(&signature_request, &key, target).await
    }

    /// Begins an emergency that others have to sign too, in a sheet at `file`. The pass's private key stays in the
    /// state folder until [`Client::redeem`].
    ///
    /// # Errors
    /// If the server gives no challenge, or key or sheet cannot be kept; [`Error::Usage`] if `file` is another one.
    pub async fn prepare(
        &self,
        pass_request: &PassRequest,
        signer: &Signer,
        file: &Path,
    ) -> Result<SignatureRequest, Error> {
        let _lock = self.state.lock().await?;
        let key = Key::fresh()?;
        let asked = EmergencyAsk::of(pass_request)?;
        SignatureRequest::check_place(file)?;
        writable::check(&[self.state.path("emergencies/new")])?;
        let mut signature_request = self.challenged(asked, &key, signer).await?;
        signature_request.sign(signer).await?;
        key.keep(&self.state, &signature_request.key_name())?;
        signature_request.write(file)?;
        Ok(signature_request)
    }

    /// The pass that a signed sheet becomes, at `target` or in the state folder.
    ///
    /// # Errors
    /// [`Error::Usage`] where it was prepared elsewhere; as the server answers.
    pub async fn redeem(
        &self,
        signature_request: &SignatureRequest,
        target: Option<&Place>,
    ) -> Result<(Place, Pass), Error> {
        let _lock = self.state.lock().await?;
        let name = signature_request.key_name();
        let text = self.state.read(&name)?.ok_or_else(|| {
            Error::Usage(
                "this emergency was not prepared here, or is over: redeem it where `daypass emergency prepare` ran"
                    .to_owned(),
            )
        })?;
        let key = Key::read(&text, &self.state.path(&name))?;
        let redeemed = self.answered(signature_request, &key, target).await?;
        for name in [format!("{name}.pub"), name] {
            // The pass is there; a key that is left over serves no other one.
            if let Err(error) = self.state.remove(&name) {
                self.say(&format!("note: {error}"));
            }
        }
        Ok(redeemed)
    }

    /// Where the pass for `ask` goes, found writable.
    fn prepared_place(&self, ask: &v1::Ask, target: Option<&Place>) -> Result<Place, Error> {
        let place = match target {
            Some(place) => {
                place.check_named()?;
                place.clone()
            }
            None => Place::of_ask(&self.state, ask),
        };
        place.prepare()?;
        Ok(place)
    }

    /// An unsigned sheet over a fresh challenge.
    async fn challenged(
        &self,
        ask: EmergencyAsk,
        key: &Key,
        signer: &Signer,
    ) -> Result<SignatureRequest, Error> {
        let (server, server_info) = self.connect().await?;
        let request = v1::EmergencyChallengeRequest {};
        let answer = server.passes().emergency_challenge(request).await?;
        let answer = answer.into_inner();
        Ok(SignatureRequest {
            server: server_info.server_name,
            challenge: answer.challenge,
            expires_at: answer.expires_at,
            ask,
            public_key: public_line(&key.public())?.trim_end().to_owned(),
            holder: public_line(&signer.public())?.trim_end().to_owned(),
            signatures: Vec::new(),
        })
    }

    /// The pass for a signed sheet.
    async fn answered(
        &self,
        signature_request: &SignatureRequest,
        key: &Key,
        target: Option<&Place>,
    ) -> Result<(Place, Pass), Error> {
        let ask = signature_request.ask.wire();
        let place = self.prepared_place(&ask, target)?;
        let (server, server_info) = self.connect().await?;
        if signature_request.server != server_info.server_name {
            return Err(Error::Usage(format!(
                "the emergency was prepared at {}, and this is {}: name the right one with --server",
                signature_request.server, server_info.server_name
            )));
        }
        let request = v1::IssueRequest {
            possession: key.sign(&signature_request.possession()?).await?,
            public_key: signature_request.public_key.clone(),
            binding_secret: Vec::new(),
            ask: Some(ask.clone()),
            emergency: Some(signature_request.proof()),
        };
        let answer = server.passes().issue(Request::new(request)).await?;
        let pass = received(&answer.into_inner(), &ask.role, &key.public(), &server_info)?;
        place.keep(key, &KeyPlace::Own, &pass, target.is_some())?;
        Ok((place, pass))
    }
}

#[cfg(test)]
mod tests;
