//! Getting a pass: from disk if one is usable, else from the server.
//!
//! The order is always the same: settle the ask, make sure that the pass can be kept, ask the
//! server, check the answer, write it. A pass that is issued and cannot be written is lost, so
//! writing is tried before the server is asked.

use std::time::Duration;

use ssh_key::Certificate;

use super::{
    Error, agent,
    cache::PassFiles,
    choose::{PassRequest, choose},
    clock::now,
    context::{Client, Signed},
    credentials::authorized,
    key::Key,
    key_text::public_text,
    logins::{login_name, logins},
    pass::{Known, Pass, Wanted, received},
};
use crate::{
    identity::proof,
    proto::{ask_bytes, v1},
};

impl Client {
    /// Returns a usable pass for `pass_request` from disk, or gets one from the server and writes
    /// it there.
    ///
    /// # Errors
    /// Returns [`Error::SignIn`] if a pass is needed and the user is not signed in.
    pub async fn obtain(
        &self,
        pass_request: &PassRequest,
    ) -> Result<(PassFiles, Certificate), Error> {
        if let Some(found) = self.cached(pass_request)? {
            return Ok(found);
        }
        let _lock = self.state.lock().await?;
        // Another command may have got it while this one waited for the lock.
        if let Some(found) = self.cached(pass_request)? {
            return Ok(found);
        }
        let signed = self.signed_in().await?;
        let key = Key::open(&signed.login.key, &self.state)?;
        let (files, pass) = self.fetch(&signed, pass_request, &key).await?;
        Ok((files, pass.certificate))
    }

    /// The usable pass for `pass_request` that is on disk. No network.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if the host is not a valid host name.
    pub(crate) fn cached(
        &self,
        pass_request: &PassRequest,
    ) -> Result<Option<(PassFiles, Certificate)>, Error> {
        // A redemption always goes to the server: the pass on disk may be of another request.
        if pass_request.request.is_some()
            || (pass_request.role.is_none() && !pass_request.is_plain())
        {
            return Ok(None);
        }
        let (role, user) = (&pass_request.role, pass_request.user.as_deref());
        let own = self.files(pass_request, role.as_deref().unwrap_or_default())?;
        // The host's pass also serves a login that it opens: its role is the one that would be
        // chosen for that login.
        let unnamed = match (&pass_request.host, user) {
            (Some(host), Some(_)) if pass_request.is_plain() => {
                Some(PassFiles::of_host(&self.state, host)?)
            }
            _ => None,
        };
        let opens = |certificate: &Certificate| {
            user.is_none_or(|user| logins(certificate.valid_principals()).contains(&user))
        };
        let mut places = unnamed.into_iter().chain([own]);
        Ok(places.find_map(|files| {
            let certificate = files.valid(now()).filter(opens)?;
            Some((files, certificate))
        }))
    }

    /// Gets a fresh pass for each of `wishes`, in the state folder.
    ///
    /// # Errors
    /// Returns the error of the first that fails; the passes before it stay on disk.
    pub async fn fresh(&self, wishes: &[PassRequest]) -> Result<Vec<(PassFiles, Pass)>, Error> {
        let _lock = self.state.lock().await?;
        let signed = self.signed_in().await?;
        let key = Key::open(&signed.login.key, &self.state)?;
        let mut passes = Vec::new();
        for pass_request in wishes {
            passes.push(self.fetch(&signed, pass_request, &key).await?);
        }
        Ok(passes)
    }

    /// Gets a fresh pass at a path of the user's.
    ///
    /// # Errors
    /// Returns the server's refusal, or [`Error::Usage`] or [`Error::Unwritable`] if the files
    /// cannot be written.
    pub(crate) async fn fresh_at(
        &self,
        pass_request: &PassRequest,
        files: &PassFiles,
    ) -> Result<Pass, Error> {
        let signed = self.signed_in().await?;
        let key = Key::open(&signed.login.key, &self.state)?;
        let wanted = signed.wanted(pass_request).await?;
        files.check_named()?;
        files.prepare()?;
        let pass = signed.issue(wanted, &key).await?;
        files.keep(&key, &signed.login.key, &pass, true)?;
        Ok(pass)
    }

    /// Gets a fresh pass into the ssh-agent, which drops it when it expires. Nothing is written to
    /// disk.
    ///
    /// # Errors
    /// Returns the server's refusal, or the error if the agent does not take the pass.
    pub(crate) async fn fresh_in_agent(&self, pass_request: &PassRequest) -> Result<Pass, Error> {
        let _lock = self.state.lock().await?;
        let signed = self.signed_in().await?;
        let key = Key::open(&signed.login.key, &self.state)?;
        let private = key.private().ok_or_else(|| {
            Error::Usage(
                "the session's key is in the ssh-agent already and cannot be added again: use --out, and name \
                 the certificate with CertificateFile"
                    .to_owned(),
            )
        })?;
        let wanted = signed.wanted(pass_request).await?;
        agent::rehearse(&self.state, private).await?;
        let pass = signed.issue(wanted, &key).await?;
        let jump = pass.jump.iter().map(|jump| &jump.certificate);
        for certificate in jump.chain([&pass.certificate]) {
            let left = certificate.valid_before().saturating_sub(now());
            let lifetime = Duration::from_secs(left);
            agent::add_pass(&self.state, private, certificate, lifetime).await?;
        }
        Ok(pass)
    }

    /// Checks that the pass for `pass_request`, which names its role, can be written to the state
    /// folder.
    ///
    /// # Errors
    /// Returns [`Error::Unwritable`] if it cannot.
    pub(crate) fn prepare_place(&self, pass_request: &PassRequest) -> Result<(), Error> {
        let role = pass_request.role.as_deref().unwrap_or_default();
        self.files(pass_request, role)?.prepare()
    }

    /// Gets a pass from the server and writes it to the state folder, whose lock the caller holds.
    async fn fetch(
        &self,
        signed: &Signed,
        pass_request: &PassRequest,
        key: &Key,
    ) -> Result<(PassFiles, Pass), Error> {
        let wanted = signed.wanted(pass_request).await?;
        let files = self.files(pass_request, &wanted.ask.role)?;
        files.prepare()?;
        let pass = signed.issue(wanted, key).await?;
        files.keep(key, &signed.login.key, &pass, false)?;
        Ok((files, pass))
    }

    /// The files for the pass of `pass_request` in the state folder.
    fn files(&self, pass_request: &PassRequest, role: &str) -> Result<PassFiles, Error> {
        match &pass_request.host {
            Some(host) if pass_request.is_plain() => {
                PassFiles::of_login(&self.state, host, pass_request.user.as_deref())
            }
            Some(_) | None => {
                // A redeemed request's pass is used for the ask that the request was for.
                let ask = v1::Ask {
                    request: 0,
                    ..pass_request.ask(role)
                };
                Ok(PassFiles::of_ask(&self.state, &ask))
            }
        }
    }
}

impl Signed {
    /// Settles the ask for `pass_request`: the ask of the request to redeem, or the user's words
    /// with the role that fits them.
    ///
    /// # Errors
    /// Returns [`Error::Pending`] if the request is not approved, [`Error::Usage`] if not exactly
    /// one role fits, and [`Error::Denied`] if the pass would not open the login that the user
    /// named.
    async fn wanted(&self, pass_request: &PassRequest) -> Result<Wanted, Error> {
        let Some(id) = pass_request.request else {
            return self.wanted_role(pass_request).await;
        };
        let seen = self.request(id).await?;
        if !seen.is_approved()? {
            return Err(Error::Pending { id });
        }
        let ask = seen.redemption(pass_request)?;
        let principals = seen.page.permissions.principals.iter();
        let principals: Vec<String> = principals.cloned().collect();
        login_name(pass_request.user.as_deref(), &principals, None)?;
        Ok(Wanted {
            ask,
            known: Known::Request(Box::new(seen.page)),
            login: pass_request.user.clone(),
        })
    }

    /// Asks for the pass and checks it. Its files have been prepared.
    ///
    /// The policy may have changed between the list of roles and the answer. So a pass that does
    /// not fit the role is compared once more, with the role as it is listed now.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] with the server's reason, or [`Error::Untrusted`] if the pass is
    /// not what was asked for.
    async fn issue(&self, wanted: Wanted, key: &Key) -> Result<Pass, Error> {
        let public = key.public();
        let request = self.prove(wanted.ask.clone(), key).await?;
        let answer = self.server.passes().issue(request).await?.into_inner();
        let checked = received(&answer, &wanted, &public, &self.server_info);
        let (Known::Role(before), Err(Error::Untrusted(_))) = (&wanted.known, &checked) else {
            return checked;
        };
        match self.listed(&wanted.ask.role, &wanted.ask.host).await? {
            Some(role) if role != **before => {
                let known = Known::Role(Box::new(role));
                let wanted = Wanted { known, ..wanted };
                received(&answer, &wanted, &public, &self.server_info)
            }
            Some(_) | None => checked,
        }
    }

    /// The ask for the named role, or for the one that fits.
    async fn wanted_role(&self, pass_request: &PassRequest) -> Result<Wanted, Error> {
        let roles = self.roles(pass_request.host.as_deref()).await?;
        let user = pass_request.user.as_deref();
        let role = match &pass_request.role {
            Some(name) => match roles.iter().find(|role| role.name == *name) {
                Some(role) => role,
                // The server decides, and records what it decides.
                None => return Ok(Wanted::from(pass_request.ask(name))),
            },
            None => choose(&roles, pass_request)?,
        };
        login_name(user, &role.logins, None)?;
        Ok(Wanted {
            ask: pass_request.ask(&role.name),
            known: Known::Role(Box::new(role.clone())),
            login: user.map(str::to_owned),
        })
    }

    /// The named role, if it is listed for this caller on `host` (empty: on any).
    async fn listed(&self, name: &str, host: &str) -> Result<Option<v1::Role>, Error> {
        let roles = self.roles(Some(host)).await?;
        Ok(roles.into_iter().find(|role| role.name == name))
    }

    /// An ask with the proof that the login's key makes it.
    pub(super) async fn prove(
        &self,
        ask: v1::Ask,
        key: &Key,
    ) -> Result<tonic::Request<v1::IssueRequest>, Error> {
        let public = key.public();
        let message = proof::possession_message(
            &self.server_info.server_name,
            &self.login.token_hash(),
            &public,
            &ask_bytes(&ask),
        )
        .map_err(|error| Error::other(format!("failed to encode the key: {error}")))?;
        let request = v1::IssueRequest {
            ask: Some(ask),
            proof: Some(v1::KeyProof {
                public_key: public_text(&public)?,
                binding_secret: self.login.secret()?,
                signature: key.sign(&message).await?,
            }),
            emergency: None,
        };
        authorized(&self.login, request)
    }
}
