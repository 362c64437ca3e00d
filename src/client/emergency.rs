//! Emergency access while the issuer is down: one or several registered keys sign a challenge of
//! the server's.
//!
//! They sign a [`SignatureRequest`]: an ask, a challenge and the key that the pass will be for.
//! Each signer computes the signed bytes from what they were shown. The pass's private key stays on
//! this machine; the sheet holds no secret.

mod signature_request;
mod signer;

use std::path::Path;

use tonic::Request;

use super::{
    Client, Error,
    cache::PassFiles,
    choose::PassRequest,
    key::{Key, KeyPlace},
    key_text::public_text,
    pass::{Pass, received},
    writable,
};
use crate::proto::v1;

pub(crate) use signature_request::{EmergencyAsk, SignatureRequest};
pub(crate) use signer::Signer;

impl Client {
    /// Returns a usable pass for `pass_request` from disk, or gets one with the registered key of
    /// `signer`.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy refuses; its reason is `QUORUM` if other keys must
    /// sign too.
    pub(crate) async fn obtain_by_key(
        &self,
        pass_request: &PassRequest,
        signer: &Signer,
    ) -> Result<(PassFiles, ssh_key::Certificate), Error> {
        if let Some(found) = self.cached(pass_request)? {
            return Ok(found);
        }
        let (files, pass) = self.fresh_by_key(pass_request, signer, None).await?;
        Ok((files, pass.certificate))
    }

    /// Gets a fresh pass with the registered key of `signer`, at `target` or in the state folder.
    ///
    /// # Errors
    /// As [`Client::obtain_by_key`].
    pub(crate) async fn fresh_by_key(
        &self,
        pass_request: &PassRequest,
        signer: &Signer,
        target: Option<&PassFiles>,
    ) -> Result<(PassFiles, Pass), Error> {
        let _lock = self.state.lock(self.settings().say).await?;
        let key = Key::fresh()?;
        let asked = EmergencyAsk::of(pass_request)?;
        self.prepared_files(&asked.wire(), target)?;
        let mut signature_request = self.new_sheet(asked, &key, signer).await?;
        signature_request.sign(signer).await?;
        self.submit(&signature_request, &key, target).await
    }

    /// Begins an emergency that other keys must sign too: writes a sheet to `file`, and the pass's
    /// private key to the state folder until [`Client::redeem`].
    ///
    /// # Errors
    /// Returns the error if the server sends no challenge, and [`Error::Usage`] if `file` exists
    /// and is not a sheet.
    pub(crate) async fn prepare(
        &self,
        pass_request: &PassRequest,
        signer: &Signer,
        file: &Path,
    ) -> Result<SignatureRequest, Error> {
        let _lock = self.state.lock(self.settings().say).await?;
        let key = Key::fresh()?;
        let asked = EmergencyAsk::of(pass_request)?;
        SignatureRequest::check_place(file)?;
        writable::check(&[self.state.path("emergencies/new")])?;
        let mut signature_request = self.new_sheet(asked, &key, signer).await?;
        signature_request.sign(signer).await?;
        key.keep(&self.state, &signature_request.key_name())?;
        signature_request.write(file)?;
        Ok(signature_request)
    }

    /// Gets the pass for a signed sheet, at `target` or in the state folder.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if the sheet was prepared on another machine, and the server's
    /// refusal.
    pub(crate) async fn redeem(
        &self,
        signature_request: &SignatureRequest,
        target: Option<&PassFiles>,
    ) -> Result<(PassFiles, Pass), Error> {
        let _lock = self.state.lock(self.settings().say).await?;
        let name = signature_request.key_name();
        let text = self.state.read(&name)?.ok_or_else(|| {
            Error::Usage(
                "this emergency was not prepared here, or was redeemed already: redeem it on the machine that ran daypass \
                 emergency prepare"
                    .to_owned(),
            )
        })?;
        let key = Key::read(&text, &self.state.path(&name))?;
        let redeemed = self.submit(signature_request, &key, target).await?;
        for name in [format!("{name}.pub"), name] {
            // No error: the pass is there, and the key cannot be used for another one.
            if let Err(error) = self.state.remove(&name) {
                self.say(&format!("note: {error}"));
            }
        }
        Ok(redeemed)
    }

    /// The files for the pass of `ask`, checked to be writable.
    fn prepared_files(
        &self,
        ask: &v1::Ask,
        target: Option<&PassFiles>,
    ) -> Result<PassFiles, Error> {
        let files = match target {
            Some(files) => {
                files.check_named()?;
                files.clone()
            }
            None => PassFiles::of_ask(&self.state, ask),
        };
        files.prepare()?;
        Ok(files)
    }

    /// Makes an unsigned sheet over a fresh challenge.
    async fn new_sheet(
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
            public_key: public_text(&key.public())?,
            holder: public_text(&signer.public())?,
            signatures: Vec::new(),
        })
    }

    /// Sends a signed sheet; checks and writes the pass.
    async fn submit(
        &self,
        signature_request: &SignatureRequest,
        key: &Key,
        target: Option<&PassFiles>,
    ) -> Result<(PassFiles, Pass), Error> {
        let ask = signature_request.ask.wire();
        let files = self.prepared_files(&ask, target)?;
        let (server, server_info) = self.connect().await?;
        if signature_request.server != server_info.server_name {
            return Err(Error::Usage(format!(
                "the emergency was prepared for the server {}, and this is {}: name the right one with --server",
                signature_request.server, server_info.server_name
            )));
        }
        let request = v1::IssueRequest {
            proof: Some(v1::KeyProof {
                public_key: signature_request.public_key.clone(),
                binding_secret: Vec::new(),
                signature: key.sign(&signature_request.possession()?).await?,
            }),
            ask: Some(ask.clone()),
            emergency: Some(signature_request.proof()),
        };
        let answer = server.passes().issue(Request::new(request)).await?;
        let received = received(
            &answer.into_inner(),
            &ask.clone().into(),
            &key.public(),
            &server_info,
        )?;
        let pass = self.take(received).await;
        files.keep(key, &KeyPlace::Own, &pass, target.is_some())?;
        if target.is_none() {
            self.remember_pass(&ask, &files, &pass.certificate).await?;
        }
        Ok((files, pass))
    }
}

#[cfg(test)]
mod tests;
