//! Getting a pass: prove the key, ask, and look hard at what comes back before it is used.

use ssh_key::{Certificate, Fingerprint, PublicKey, certificate::CertType};

use super::{
    Client, Error, Signed,
    cache::{self, Place},
    choose::{PassRequest, choose},
    connect::authorized,
    jump::{self, Jump},
    key::Key,
    now,
    server_info::ServerInfo,
};
use crate::{
    identity::proof,
    proto::{ask_bytes, v1},
};

/// A pass that has been checked.
#[derive(Debug)]
pub struct Pass {
    /// The certificate.
    pub certificate: Certificate,
    /// Its role.
    pub role: String,
    /// The exact force-command; none where the role sets none.
    pub command: Option<String>,
    /// The jump pass, where its way goes through a bastion.
    pub jump: Option<Jump>,
}

impl Client {
    /// A pass for `pass_request` from disk, or else from the server; then it is on disk. Whoever waited for the lock looks again.
    ///
    /// # Errors
    /// [`Error::SignIn`] where nobody is signed in and no pass is left.
    pub async fn obtain(&self, pass_request: &PassRequest) -> Result<(Place, Certificate), Error> {
        if let Some(found) = self.cached(pass_request)? {
            return Ok(found);
        }
        let _lock = self.state.lock().await?;
        if let Some(found) = self.cached(pass_request)? {
            return Ok(found);
        }
        let signed = self.signed_in().await?;
        let key = Key::open(&signed.login.key, &self.state)?;
        let ask = signed.ask(pass_request).await?;
        let place = self.place(pass_request, &ask.role)?;
        place.prepare()?;
        let pass = signed.issue(ask, &key).await?;
        place.keep(&key, &signed.login.key, &pass, false)?;
        Ok((place, pass.certificate))
    }

    /// A pass for `pass_request` that is on disk already; no network.
    ///
    /// # Errors
    /// Where the host is no host name.
    pub fn cached(
        &self,
        pass_request: &PassRequest,
    ) -> Result<Option<(Place, Certificate)>, Error> {
        // A redemption is asked of the server: what lies here may be of another request.
        if pass_request.request.is_some()
            || (pass_request.role.is_none() && !pass_request.is_plain())
        {
            return Ok(None);
        }
        let place = self.place(
            pass_request,
            pass_request.role.as_deref().unwrap_or_default(),
        )?;
        let found = place.valid(now()).filter(|certificate| {
            let logins = super::choose::logins(certificate.valid_principals());
            pass_request
                .user
                .as_deref()
                .is_none_or(|user| logins.contains(&user))
        });
        Ok(found.map(|certificate| (place, certificate)))
    }

    /// A fresh pass for every wish, in the state folder.
    ///
    /// # Errors
    /// Where one is refused; those before it stay.
    pub async fn fresh(&self, wishes: &[PassRequest]) -> Result<Vec<(Place, Pass)>, Error> {
        let _lock = self.state.lock().await?;
        let signed = self.signed_in().await?;
        let key = Key::open(&signed.login.key, &self.state)?;
        let mut passes = Vec::new();
        for pass_request in wishes {
            let ask = signed.ask(pass_request).await?;
            let place = self.place(pass_request, &ask.role)?;
            place.prepare()?;
            let pass = signed.issue(ask, &key).await?;
            place.keep(&key, &signed.login.key, &pass, false)?;
            passes.push((place, pass));
        }
        Ok(passes)
    }

    /// A fresh pass at a place of the user's.
    ///
    /// # Errors
    /// Where it is refused, or cannot be written.
    pub async fn fresh_at(&self, pass_request: &PassRequest, place: &Place) -> Result<Pass, Error> {
        let signed = self.signed_in().await?;
        let key = Key::open(&signed.login.key, &self.state)?;
        let ask = signed.ask(pass_request).await?;
        place.check_named()?;
        place.prepare()?;
        let pass = signed.issue(ask, &key).await?;
        place.keep(&key, &signed.login.key, &pass, true)?;
        Ok(pass)
    }

    /// A fresh pass in the ssh-agent, for as long as it lives; nothing of it on disk.
    ///
    /// # Errors
    /// Where it is refused, or the agent does not take it.
    pub async fn fresh_in_agent(&self, pass_request: &PassRequest) -> Result<Pass, Error> {
        let _lock = self.state.lock().await?;
        let signed = self.signed_in().await?;
        let key = Key::open(&signed.login.key, &self.state)?;
        let private = key.private().ok_or_else(|| {
            Error::Usage(
                "the session's key lives in the agent already and cannot be added again: use --out, and name the certificate with CertificateFile"
                    .to_owned(),
            )
        })?;
        let ask = signed.ask(pass_request).await?;
        super::agent::rehearse(&self.state, private).await?;
        let pass = signed.issue(ask, &key).await?;
        let jump = pass.jump.iter().map(|jump| &jump.certificate);
        for certificate in jump.chain([&pass.certificate]) {
            let left = certificate.valid_before().saturating_sub(now());
            let lifetime = std::time::Duration::from_secs(left);
            super::agent::add_pass(&self.state, private, certificate, lifetime).await?;
        }
        Ok(pass)
    }

    /// Makes sure that the pass for `pass_request`, which names its role, can be written down when it comes.
    ///
    /// # Errors
    /// [`Error::Unwritable`] if it cannot.
    pub fn prepare_place(&self, pass_request: &PassRequest) -> Result<(), Error> {
        let role = pass_request.role.as_deref().unwrap_or_default();
        self.place(pass_request, role)?.prepare()
    }

    fn place(&self, pass_request: &PassRequest, role: &str) -> Result<Place, Error> {
        match &pass_request.host {
            Some(host) if pass_request.is_plain() => Place::of_host(&self.state, host),
            // The pass of a redeemed request serves the ask that it was for.
            _ => {
                let ask = v1::Ask {
                    request: 0,
                    ..pass_request.ask(role)
                };
                Ok(Place::of_ask(&self.state, &ask))
            }
        }
    }
}

impl Signed {
    /// The ask that `pass_request` comes to: that of the request which it redeems, or with a role picked if none was named.
    /// The server decides nothing yet.
    ///
    /// # Errors
    /// [`Error::Pending`] if the request is not approved; [`Error::Usage`] if no role, or more than one, fits.
    pub async fn ask(&self, pass_request: &PassRequest) -> Result<v1::Ask, Error> {
        let Some(id) = pass_request.request else {
            return Ok(pass_request.ask(&self.role(pass_request).await?));
        };
        let seen = self.request(id).await?;
        if !seen.is_approved()? {
            return Err(Error::Pending { id });
        }
        seen.redemption(pass_request)
    }

    /// Asks for the pass and checks it. The place that it will be written to has been prepared.
    ///
    /// # Errors
    /// [`Error::Denied`] with the server's reason; [`Error::Untrusted`] where the answer is not what was asked for.
    pub async fn issue(&self, ask: v1::Ask, key: &Key) -> Result<Pass, Error> {
        let role = ask.role.clone();
        let public = key.public();
        let request = self.prove(ask, key).await?;
        let answer = self.server.passes().issue(request).await?.into_inner();
        received(&answer, &role, &public, &self.server_info)
    }

    /// The role that was named, or the one that fits.
    async fn role(&self, pass_request: &PassRequest) -> Result<String, Error> {
        if let Some(role) = &pass_request.role {
            return Ok(role.clone());
        }
        let roles = self.roles(pass_request.host.as_deref()).await?;
        Ok(choose(&roles, pass_request)?.name.clone())
    }

    /// An ask with the proof that the login's key asks it.
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
            public_key: super::key::public_line(&public)?.trim_end().to_owned(),
            binding_secret: self.login.secret()?,
            possession: key.sign(&message).await?,
            emergency: None,
        };
        authorized(&self.login.token, request)
    }
}

/// The pass in an answer, checked.
///
/// # Errors
/// [`Error::Pending`] where it is a request instead; [`Error::Untrusted`] where it is not what was asked for.
pub(super) fn received(
    answer: &v1::IssueResponse,
    role: &str,
    key: &PublicKey,
    server_info: &ServerInfo,
) -> Result<Pass, Error> {
    if let Some(request) = &answer.pending {
        return Err(Error::Pending { id: request.id });
    }
    let (trusted, now) = (server_info.ca_fingerprints(), now());
    let certificate = check(answer, role, key, &trusted, now).map_err(Error::Untrusted)?;
    let jump = answer.jump.as_ref().map(|jump| {
        jump::check(jump, &certificate, role, key, &trusted, now).map_err(Error::Untrusted)
    });
    Ok(Pass {
        jump: jump.transpose()?,
        certificate,
        role: role.to_owned(),
        command: Some(answer.force_command.clone()).filter(|command| !command.is_empty()),
    })
}

/// How far the server's clock may be behind ours before its fresh pass is refused.
const SKEW: u64 = 60;

/// The certificate in an answer, where it is a user certificate for our key by a CA key we trust, valid now, and says
/// what the answer says.
pub(super) fn check(
    answer: &v1::IssueResponse,
    role: &str,
    key: &PublicKey,
    trusted: &[Fingerprint],
    now: u64,
) -> Result<Certificate, String> {
    let certificate = Certificate::from_openssh(&answer.certificate)
        .map_err(|error| format!("the certificate does not parse: {error}"))?;
    // The start may lie ahead of a clock that is behind; the end may not lie behind it.
    let at = now.max(certificate.valid_after().min(now.saturating_add(SKEW)));
    certificate.validate_at(at, trusted).map_err(|_| {
        "the certificate is not valid now, or not signed by a CA key of this server (is this machine's clock right?)".to_owned()
    })?;
    let options = certificate.critical_options();
    let same_command =
        options.get("force-command").map_or("", String::as_str) == answer.force_command;
    let known = ["force-command", "source-address", "verify-required"];
    let checks = [
        (cache::is_for(&certificate, key), "it is for another key"),
        (
            certificate.cert_type() == CertType::User,
            "it is no user certificate",
        ),
        (answer.role == role, "it is for another role"),
        (
            certificate.serial() == answer.serial && answer.serial != 0,
            "its serial is not the one named",
        ),
        (
            certificate.key_id() == answer.key_id,
            "its key id is not the one named",
        ),
        (
            !certificate.valid_principals().is_empty(),
            "it names no principal",
        ),
        (
            certificate.valid_principals() == answer.principals,
            "its principals are not those named",
        ),
        (same_command, "its force-command is not the one named"),
        (
            options.keys().all(|name| known.contains(&name.as_str())),
            "it has an unknown critical option",
        ),
        (
            certificate.valid_after() == answer.valid_after
                && certificate.valid_before() == answer.valid_before,
            "its validity is not the one named",
        ),
    ];
    match checks.iter().find(|(good, _)| !good) {
        Some((_, fault)) => Err(format!("the pass is wrong: {fault}")),
        None => Ok(certificate),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::client::cache::tests::pass;
    use ssh_key::HashAlg;

    fn answer(certificate: &Certificate) -> v1::IssueResponse {
        v1::IssueResponse {
            pending: None,
            certificate: certificate.to_openssh().unwrap(),
            serial: 7,
            key_id: "alice@example.com/shell".into(),
            role: "shell".into(),
            principals: vec!["root".into()],
            valid_after: 1000,
            valid_before: 5000,
            ..Default::default()
        }
    }

    type Change = fn(&mut v1::IssueResponse);

    #[test]
    fn an_answer_that_is_not_what_was_asked_for_is_refused() {
        let key = Key::fresh().unwrap();
        let (certificate, ca) = pass(&key, 1000, 5000);
        let trusted = [ca.fingerprint(HashAlg::Sha256)];
        let base = answer(&certificate);
        check(&base, "shell", &key.public(), &trusted, 2000).unwrap();
        check(&base, "shell", &key.public(), &trusted, 950).unwrap();

        let differences: [(&str, Change); 8] = [
            ("garbage", |answer| answer.certificate = "x".into()),
            ("another serial", |answer| answer.serial = 8),
            ("another key id", |answer| {
                answer.key_id = "bob/shell".into()
            }),
            ("another role", |answer| answer.role = "logs".into()),
            ("another principal", |answer| {
                answer.principals = vec!["bob".into()]
            }),
            ("a command that is not in it", |answer| {
                answer.force_command = "x".into()
            }),
            ("another end", |answer| answer.valid_before = 6000),
            ("another start", |answer| answer.valid_after = 1),
        ];
        for (case, change) in differences {
            let mut answer = base.clone();
            change(&mut answer);
            assert!(
                check(&answer, "shell", &key.public(), &trusted, 2000).is_err(),
                "{case}"
            );
        }

        let other = Key::fresh().unwrap().public();
        assert!(check(&base, "shell", &other, &trusted, 2000).is_err());
        assert!(check(&base, "shell", &key.public(), &[], 2000).is_err());
        assert!(check(&base, "shell", &key.public(), &trusted, 5000).is_err());
        assert!(check(&base, "shell", &key.public(), &trusted, 900).is_err());
    }
}
