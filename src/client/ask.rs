//! One ask of a signed-in user: which role it is for, its proof, and the checked answer.

use super::{
    Error, Signed,
    choose::{PassRequest, choose},
    connect::Repeatable,
    credentials::authorized,
    key::Key,
    key_text::public_text,
    logins::login_name,
    pass::{Known, Received, Wanted, received},
    requests::RequestView,
    server_info::ServerInfo,
};
use crate::{
    identity::proof,
    proto::{
        ask_bytes,
        v1::{self, issue_response},
    },
};

/// The server's answer to an ask.
pub(super) enum Answer {
    Pass(Box<Received>),
    /// The request that was opened, or that was open already.
    Request(Box<RequestView>),
}

impl Signed {
    /// Settles the ask for `pass_request`: the ask of the request to redeem, or the user's words
    /// with the role that fits them.
    ///
    /// # Errors
    /// Returns [`Error::Pending`] if the request is not approved, [`Error::Usage`] if not exactly
    /// one role fits, and [`Error::Denied`] if the pass would not open the login that the user
    /// named.
    pub(super) async fn wanted(&self, pass_request: &PassRequest) -> Result<Wanted, Error> {
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

    /// Asks for the pass and checks the answer. Its files have been prepared.
    ///
    /// The policy may have changed between the list of roles and the answer. So a pass that does
    /// not fit the role is compared once more, with the role as it is listed now.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] with the server's reason, or [`Error::Untrusted`] if the pass or
    /// the request is not what was asked for.
    pub(super) async fn issue(&self, wanted: Wanted, key: &Key) -> Result<Answer, Error> {
        let public = key.public();
        let mut request = self.prove(wanted.ask.clone(), key).await?;
        // A pass whose delivery failed is of no use to anyone without the key. A redeemed request
        // and an emergency, which pages people, are not asked for twice.
        if wanted.ask.request == 0 && !wanted.ask.emergency {
            request.extensions_mut().insert(Repeatable);
        }
        let answer = self.server.passes().issue(request).await?.into_inner();
        if let Some(issue_response::Answer::Request(request)) = answer.answer {
            let view = RequestView::read(request)?.which_is_for(&wanted.ask)?;
            return Ok(Answer::Request(Box::new(view)));
        }
        let pass = |pass| Answer::Pass(Box::new(pass));
        let mut server_info = self.server_info.clone();
        let mut checked = received(&answer, &wanted, &public, &server_info);
        // Another key of the CA may have been activated since the server was asked for them. If it
        // does not answer, the verdict stays.
        if matches!(&checked, Err(Error::Untrusted(_)))
            && let Ok(present) = ServerInfo::ask(&self.server).await
            && present.ca_keys != server_info.ca_keys
        {
            server_info = present;
            checked = received(&answer, &wanted, &public, &server_info);
        }
        let (Known::Role(before), Err(Error::Untrusted(_))) = (&wanted.known, &checked) else {
            return checked.map(pass);
        };
        match self.listed(&wanted.ask.role, &wanted.ask.host).await? {
            Some(role) if role != **before => {
                let known = Known::Role(Box::new(role));
                let wanted = Wanted { known, ..wanted };
                received(&answer, &wanted, &public, &server_info).map(pass)
            }
            Some(_) | None => checked.map(pass),
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
