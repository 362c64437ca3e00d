//! Passes on behalf of a user, in a file that goes from the bastion to the user and back.
//!
//! The bastion writes what it asks for. The user signs that with the key of their own session, and
//! adds the token that the key is bound to. The bastion redeems it with its session. What the user
//! is shown is what the signed bytes are made of.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use ssh_key::PublicKey;

use super::{
    Client, Error,
    cache::PassFiles,
    carried,
    choose::PassRequest,
    credentials::authorized,
    key::Key,
    key_text::public_text,
    pass::{Pass, received},
};
use crate::{
    identity::proof::token_hash,
    ledger::consent::{self, Consent},
    proto::{ask_bytes, v1},
    ssh::sshsig::Namespace,
    unix_seconds::{UnixSeconds, moment},
};

/// The command that writes the file.
const PREPARE: &str = "daypass on-behalf prepare";

/// Life of a consent in seconds, by the server's clock, which takes no more than twice that.
const LIFE: u64 = 5 * 60;

/// What a bastion asks for, and the user's consent once it is signed: the content of the file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BehalfRequest {
    /// The server's name.
    pub server: String,
    /// The issuer of the identity that asks.
    pub issuer: String,
    /// Its subject.
    pub subject: String,
    /// The role.
    pub role: String,
    /// The host.
    pub host: String,
    /// Values for the role's parameters.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// The reason.
    #[serde(default)]
    pub reason: String,
    /// The lifetime in seconds; 0: the role's own.
    #[serde(default)]
    pub ttl_seconds: u64,
    /// The key that the pass will be for, in OpenSSH form.
    pub public_key: String,
    /// The user's consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<SignedConsent>,
}

/// A user's consent, with the token that its key is bound to. The token is of no use without the
/// user's key, but it says who they are.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignedConsent {
    /// The user's display name. The signature does not cover it: nothing depends on it.
    #[serde(rename = "label")]
    pub unverified_label: String,
    /// The user's ID token.
    token: String,
    /// The token of the sign-in, if `token` is a renewed one.
    #[serde(default)]
    original: String,
    /// The secret of the binding, base64.
    binding_secret: String,
    /// The user's key, in OpenSSH form.
    public_key: String,
    /// An armored SSHSIG.
    signature: String,
    /// When the consent is void, Unix seconds.
    pub expires_at: u64,
}

impl BehalfRequest {
    /// Reads the file of a bastion.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if it is not one.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        carried::read(path, PREPARE)
    }

    /// Checks that the file can be written. Only an older one is replaced.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if another file is there, and [`Error::Unwritable`] if it cannot be
    /// written.
    pub(crate) fn check_place(path: &Path) -> Result<(), Error> {
        carried::check_place::<Self>(path, PREPARE)
    }

    /// Writes the file by rename.
    ///
    /// # Errors
    /// Returns [`Error::File`] if it cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        carried::write(path, self)
    }

    /// The key that the pass is for.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if it is not a key.
    pub(crate) fn key(&self) -> Result<PublicKey, Error> {
        PublicKey::from_openssh(&self.public_key).map_err(|_| {
            Error::Usage("the file has an invalid public key: prepare a new one".to_owned())
        })
    }

    fn wire(&self) -> v1::Ask {
        v1::Ask {
            role: self.role.clone(),
            host: self.host.clone(),
            params: self.params.clone().into_iter().collect(),
            reason: self.reason.clone(),
            ttl_seconds: self.ttl_seconds,
            ..v1::Ask::default()
        }
    }

    /// The bytes that the user's key signs.
    fn message(&self, token: &[u8; 32], until: u64) -> Result<Vec<u8>, Error> {
        let key = self.key()?.to_bytes();
        let consent = Consent {
            server: &self.server,
            token,
            ask: &ask_bytes(&self.wire()),
            issuer: &self.issuer,
            subject: &self.subject,
            key: &key.map_err(|error| Error::other(error.to_string()))?,
            until: UnixSeconds(until),
        };
        Ok(consent.message())
    }
}

impl SignedConsent {
    /// The user's key. The server issues no pass unless it has signed the consent.
    fn key(&self) -> Result<PublicKey, Error> {
        PublicKey::from_openssh(&self.public_key).map_err(|_| damaged())
    }
}

impl Client {
    /// What this machine's identity asks for on behalf of a user.
    ///
    /// # Errors
    /// Returns [`Error::SignIn`] if this machine is not signed in by a token that is bound to its
    /// key, and [`Error::Usage`] if the ask names no role or no host.
    pub(crate) async fn prepare_on_behalf(
        &self,
        pass_request: &PassRequest,
    ) -> Result<BehalfRequest, Error> {
        let missing = |what: &str| Error::Usage(format!("name {what}: the pass is for one host"));
        let role = pass_request.role.clone();
        let host = pass_request.host.clone();
        let signed = self.signed_in().await?;
        expect_bound(&signed.login.binding_secret)?;
        let key = Key::open(&signed.login.key, &self.state)?;
        Ok(BehalfRequest {
            server: signed.server_info.server_name.clone(),
            issuer: signed.login.issuer.clone(),
            subject: signed.login.subject.clone(),
            role: role.ok_or_else(|| missing("the role"))?,
            host: host.ok_or_else(|| missing("the host with --host"))?,
            params: pass_request.params.clone(),
            reason: pass_request.reason.clone().unwrap_or_default(),
            ttl_seconds: pass_request.ttl_seconds.unwrap_or_default(),
            public_key: public_text(&key.public())?,
            consent: None,
        })
    }

    /// Signs the consent with the user's own session. The server takes it once, for 5 minutes by
    /// its own clock: this machine's and the bastion's may be wrong.
    ///
    /// # Errors
    /// Returns [`Error::SignIn`] if the user is not signed in with a bound token, and
    /// [`Error::Usage`] if the file is for another server.
    pub(crate) async fn consent(&self, request: &mut BehalfRequest) -> Result<(), Error> {
        let signed = self.signed_in().await?;
        let login = &signed.login;
        expect_server(&request.server, &signed.server_info.server_name)?;
        expect_bound(&login.binding_secret)?;
        let key = Key::open(&login.key, &self.state)?;
        let expires_at = signed.server_time().await?.saturating_add(LIFE);
        let message = request.message(&login.token_hash(), expires_at)?;
        request.consent = Some(SignedConsent {
            unverified_label: login.label.clone(),
            token: login.token.clone(),
            original: login.original.clone().unwrap_or_default(),
            binding_secret: login.binding_secret.clone(),
            public_key: public_text(&key.public())?,
            signature: key.sign_for(Namespace::Consent, &message).await?,
            expires_at,
        });
        Ok(())
    }

    /// Gets the pass that the user has consented to, at `target` or in the state folder.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if the file is not signed, or was prepared by another identity or
    /// with another key; [`Error::TimedOut`] if the consent is void; and the server's refusal.
    pub(crate) async fn redeem_on_behalf(
        &self,
        request: &BehalfRequest,
        target: Option<&PassFiles>,
    ) -> Result<(PassFiles, Pass), Error> {
        let _lock = self.state.lock(self.settings().say).await?;
        let given = request.consent.as_ref().ok_or_else(|| {
            Error::Usage(
                "the user has not signed it: let them run daypass on-behalf sign with this file"
                    .to_owned(),
            )
        })?;
        let signed = self.signed_in().await?;
        let (login, info) = (&signed.login, &signed.server_info);
        expect_server(&request.server, &info.server_name)?;
        let key = Key::open(&login.key, &self.state)?;
        let is_ours = (&login.issuer, &login.subject) == (&request.issuer, &request.subject)
            && request.key()?.key_data() == key.public().key_data();
        if !is_ours {
            return Err(Error::Usage(
                "it was prepared by another sign-in: prepare a new one here".to_owned(),
            ));
        }
        expect_unexpired(given.expires_at, signed.server_time().await?)?;
        let ask = request.wire();
        let files = match target {
            Some(files) => {
                files.check_named()?;
                files.clone()
            }
            None => PassFiles::on_behalf(&self.state, &ask, &given.key()?),
        };
        files.prepare()?;
        let message = redeeming(request, given, login.token_hash(), &key, login.secret()?).await?;
        let server = &signed.server;
        let answer = server
            .passes()
            .issue_for(authorized(login, message)?)
            .await?;
        let answer = answer.into_inner();
        let received = received(&answer, &ask.into(), &key.public(), info)?;
        let pass = self.take(received).await;
        files.keep(&key, &login.key, &pass, target.is_some())?;
        Ok((files, pass))
    }
}

/// The call for a signed file.
async fn redeeming(
    request: &BehalfRequest,
    given: &SignedConsent,
    token: [u8; 32],
    key: &Key,
    secret: Vec<u8>,
) -> Result<v1::IssueForRequest, Error> {
    let users = match given.original.as_str() {
        "" => token_hash(&given.token),
        original => crate::identity::proof::refreshed_hash(&given.token, original),
    };
    let consent = request.message(&users, given.expires_at)?;
    let blob = key.public().to_bytes();
    let blob = blob.map_err(|error| Error::other(error.to_string()))?;
    let message = consent::presentation(&request.server, &token, &blob, &consent);
    Ok(v1::IssueForRequest {
        ask: Some(request.wire()),
        proof: Some(v1::KeyProof {
            public_key: request.public_key.clone(),
            binding_secret: secret,
            signature: key.sign_for(Namespace::OnBehalf, &message).await?,
        }),
        consent: Some(v1::Consent {
            token: given.token.clone(),
            original_token: given.original.clone(),
            proof: Some(v1::KeyProof {
                public_key: given.public_key.clone(),
                binding_secret: STANDARD
                    .decode(&given.binding_secret)
                    .map_err(|_| damaged())?,
                signature: given.signature.clone(),
            }),
            expires_at: given.expires_at,
        }),
    })
}

fn damaged() -> Error {
    Error::Usage("the file is damaged: let the user sign it again".to_owned())
}

fn expect_bound(binding_secret: &str) -> Result<(), Error> {
    match binding_secret {
        "" => Err(Error::sign_in(
            "this sign-in is bound to no key, and a pass on behalf of a user needs one that is (not --device)",
        )),
        _ => Ok(()),
    }
}

/// Refuses a consent that is void by the server's clock.
fn expect_unexpired(expires_at: u64, server: u64) -> Result<(), Error> {
    match server <= expires_at {
        true => Ok(()),
        false => Err(Error::TimedOut(format!(
            "the consent is void since {}, and the server's clock says {}: let the user sign again with: daypass \
             on-behalf sign",
            moment(expires_at),
            moment(server)
        ))),
    }
}

fn expect_server(named: &str, this: &str) -> Result<(), Error> {
    match named == this {
        true => Ok(()),
        false => Err(Error::Usage(format!(
            "the file is for the server {named}, and this is {this}: name the right one with --server"
        ))),
    }
}
