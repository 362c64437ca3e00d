//! Getting a pass: from disk if one is usable, else from the server.
//!
//! The order is always the same: settle the ask, make sure that the pass can be kept, ask the
//! server, check the answer, write it. A pass that is issued and cannot be written is lost, so
//! writing is tried before the server is asked.

use std::time::Duration;

use ssh_key::Certificate;

use super::{
    Error, agent,
    ask::Answer,
    cache::PassFiles,
    choose::PassRequest,
    clock::now,
    context::{Client, Signed},
    error::Remedy,
    key::Key,
    logins::logins,
    pass::{Pass, Wanted},
    requested::Found,
};
use crate::proto::v1;

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
        if let Some(found) = self.settled(pass_request)? {
            return Ok(found);
        }
        let _lock = self.state.lock(self.settings().say).await?;
        // Another command may have got it while this one waited for the lock.
        if let Some(found) = self.settled(pass_request)? {
            return Ok(found);
        }
        let cached = self.cached(pass_request)?;
        let (signed, wish, waits) = match (self.asked(pass_request).await, cached) {
            (Ok((_, Found::Pass(files, certificate))), _) => return Ok((files, *certificate)),
            (Ok((signed, Found::Approved(wish))), _) => (signed, wish, None),
            (Ok((_, Found::Waits(_) | Found::Nothing)) | Err(_), Some(cached)) => {
                return Ok(cached);
            }
            (Ok((signed, Found::Waits(id))), None) => (signed, pass_request.clone(), Some(id)),
            (Ok((signed, Found::Nothing)), None) => (signed, pass_request.clone(), None),
            (Err(error), None) => return Err(error),
        };
        let key = Key::open(&signed.login.key, &self.state)?;
        let fetched = self.fetch(&signed, &wish, &key).await;
        let (files, pass) = match waits {
            Some(id) => fetched.map_err(|error| instead(error, id))?,
            None => fetched?,
        };
        Ok((files, pass.certificate))
    }

    /// A connection, and what the user has asked for before and means now.
    async fn asked(&self, pass_request: &PassRequest) -> Result<(Signed, Found), Error> {
        let signed = self.signed_in().await?;
        let found = self.asked_before(&signed, pass_request).await?;
        Ok((signed, found))
    }

    /// The pass on disk, unless the server may have one that the user has asked for since. No
    /// network.
    ///
    /// # Errors
    /// As [`Client::cached`].
    pub(crate) fn settled(
        &self,
        pass_request: &PassRequest,
    ) -> Result<Option<(PassFiles, Certificate)>, Error> {
        if pass_request.request.is_none()
            && !pass_request.emergency
            && self.must_ask(pass_request)?
        {
            return Ok(None);
        }
        self.cached(pass_request)
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
        if pass_request.fresh
            || pass_request.request.is_some()
            || (pass_request.role.is_none() && !pass_request.is_plain())
        {
            return Ok(None);
        }
        if let Some(found) = self.requested_pass(pass_request)? {
            return Ok(Some(found));
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
        let _lock = self.state.lock(self.settings().say).await?;
        let signed = self.signed_in().await?;
        let key = Key::open(&signed.login.key, &self.state)?;
        let mut passes = Vec::new();
        for pass_request in wishes {
            let wish = self.approved_or(&signed, pass_request).await?;
            passes.push(self.fetch(&signed, &wish, &key).await?);
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
        let wish = self.approved_or(&signed, pass_request).await?;
        let wanted = signed.wanted(&wish).await?;
        files.check_named()?;
        files.prepare()?;
        let pass = self.issued(&signed, wanted, &key).await?;
        files.keep(&key, &signed.login.key, &pass, true)?;
        self.forget_request(wish.request.unwrap_or_default())
            .await?;
        Ok(pass)
    }

    /// Gets a fresh pass into the ssh-agent, which drops it when it expires. It is not written to
    /// disk.
    ///
    /// # Errors
    /// Returns the server's refusal, or the error if the agent does not take the pass.
    pub(crate) async fn fresh_in_agent(&self, pass_request: &PassRequest) -> Result<Pass, Error> {
        let _lock = self.state.lock(self.settings().say).await?;
        let signed = self.signed_in().await?;
        let key = Key::open(&signed.login.key, &self.state)?;
        let private = key.private().ok_or_else(|| {
            Error::Usage(
                "the session's key is in the ssh-agent already and cannot be added again: use --out, and name \
                 the certificate with CertificateFile"
                    .to_owned(),
            )
        })?;
        let wish = self.approved_or(&signed, pass_request).await?;
        let wanted = signed.wanted(&wish).await?;
        agent::rehearse(&self.state, private).await?;
        let pass = self.issued(&signed, wanted, &key).await?;
        let jump = pass.jump.iter().map(|jump| &jump.certificate);
        for certificate in jump.chain([&pass.certificate]) {
            let left = certificate.valid_before().saturating_sub(now());
            let lifetime = Duration::from_secs(left);
            agent::add_pass(&self.state, private, certificate, lifetime).await?;
        }
        self.forget_request(wish.request.unwrap_or_default())
            .await?;
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
        let ask = wanted.ask.clone();
        let pass = self.issued(signed, wanted, key).await?;
        files.keep(key, &signed.login.key, &pass, false)?;
        self.remember_pass(&ask, &files, &pass.certificate).await?;
        Ok((files, pass))
    }

    /// The pass for `wanted`. If the answer is a request, remembers it; one that was open already
    /// and is approved by now is redeemed.
    ///
    /// # Errors
    /// As [`Signed::issue`]; returns [`Error::Pending`] if the answer is a request that waits.
    async fn issued(&self, signed: &Signed, wanted: Wanted, key: &Key) -> Result<Pass, Error> {
        let login = wanted.login.clone();
        let view = match signed.issue(wanted, key).await? {
            Answer::Pass(received) => return Ok(self.take(*received).await),
            Answer::Request(view) => view,
        };
        self.remember_request(&view).await?;
        if !view.is_approved()? {
            if view.was_open {
                self.say(&format!("daypass: request {} is open already", view.id));
            }
            return Err(Error::Pending { id: view.id });
        }
        self.say(&format!(
            "daypass: request {} is approved, and redeemed now",
            view.id
        ));
        let wish = PassRequest {
            request: Some(view.id),
            user: login,
            ..PassRequest::default()
        };
        match signed.issue(signed.wanted(&wish).await?, key).await? {
            Answer::Pass(received) => Ok(self.take(*received).await),
            Answer::Request(view) => Err(Error::Pending { id: view.id }),
        }
    }

    /// `pass_request`, or the ask of the approved request that it means.
    async fn approved_or(
        &self,
        signed: &Signed,
        pass_request: &PassRequest,
    ) -> Result<PassRequest, Error> {
        Ok(match self.asked_before(signed, pass_request).await? {
            Found::Approved(wish) => wish,
            Found::Pass(..) | Found::Waits(_) | Found::Nothing => pass_request.clone(),
        })
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

/// The error of a command that a waiting request would serve: what is missing is its approval.
fn instead(error: Error, id: u64) -> Error {
    match error.remedy() {
        Remedy::Access => Error::Pending { id },
        Remedy::SignIn | Remedy::StepUp(_) | Remedy::None => error,
    }
}
