//! Signing in: a key, a commitment to it, an ID token that carries the commitment.
//!
//! The token is looked at here only to show who it is for and to say early what the server would refuse; nobody is
//! proven by that. The server verifies it.

mod browser;
mod callback;
mod claims;
mod device;
mod oidc;
pub mod pending;
pub(super) mod step_up;
mod token;

use std::{future::Future, path::PathBuf, pin::Pin, time::Duration};

use rand::{RngCore, rngs::OsRng};
use zeroize::Zeroizing;

use super::{
    Client, Error, agent, cache,
    connect::Address,
    key::{Key, KeyPlace},
    now,
    server_info::{Binding, Issuer, ServerInfo},
    session::{Login, Session},
    writable,
};
use crate::identity::proof;
use claims::Claims;
pub use step_up::StepUp;
pub use token::Source;

/// How long a person may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// What somebody with a browser does with a URL; an error ends the login.
pub type Visit =
    Box<dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Where the ID token comes from.
pub enum Method {
    /// A browser on this machine, which comes back to a loopback port.
    Browser(Visit),
    /// A code where the issuer takes codes, else a browser whose user gets here by themselves (no display, or over SSH).
    Either(Visit),
    /// A browser anywhere, and a code. Who visits the page by themselves is for tests and demos.
    Device(Option<Visit>),
    /// A file or a command.
    Token(Source),
}

/// A wish to sign in.
pub struct Request {
    /// Where the token comes from.
    pub method: Method,
    /// `login --key`; none: a fresh key.
    pub key: Option<PathBuf>,
    /// `login --issuer`; none: the only one that fits.
    pub issuer: Option<String>,
    /// Put the fresh key into the ssh-agent instead of on disk.
    pub into_agent: bool,
    /// Only an issuer on this machine will do (`--as`).
    pub loopback_only: bool,
    /// How new and how strong it must be. One that says anything keeps the key of the session: what waits for that key
    /// (an approved request) still finds it.
    pub step_up: StepUp,
}

/// The key and the secret that one login commits to.
pub(super) struct Commitment {
    key: Key,
    place: KeyPlace,
    secret: Zeroizing<[u8; 32]>,
    text: String,
}

impl Client {
    /// Signs in, whoever was signed in before.
    ///
    /// # Errors
    /// [`Error::Denied`] where issuer or person refuse, [`Error::TimedOut`] where nobody acts.
    pub async fn sign_in(&self, request: &Request) -> Result<Login, Error> {
        let _lock = self.state.lock().await?;
        self.sign_in_alone(request).await
    }

    /// Signs in unless somebody, perhaps a command that ran beside this one, has done so since the token with the hash
    /// `seen` (none: since there was none) was found wanting.
    ///
    /// # Errors
    /// As [`Client::sign_in`].
    pub async fn sign_in_once(
        &self,
        request: &Request,
        seen: Option<[u8; 32]>,
    ) -> Result<Login, Error> {
        let _lock = self.state.lock().await?;
        match self.login() {
            Ok(login) if seen != Some(login.token_hash()) => Ok(login),
            Ok(_) | Err(Error::SignIn { .. }) => self.sign_in_alone(request).await,
            Err(error) => Err(error),
        }
    }

    async fn sign_in_alone(&self, request: &Request) -> Result<Login, Error> {
        writable::check(&Session::files(&self.state))?;
        let (server, server_info) = self.connect().await?;
        let issuer = self.issuer(&server_info, request)?;
        let commitment = self.commit(request, issuer).await?;
        if request.into_agent {
            self.offer(&commitment).await?;
        }
        let token = self.token(request, issuer, &commitment).await?;
        let claims = Claims::read(&token)?;
        if claims.issuer != issuer.url {
            return Err(Error::Usage(format!(
                "the token is of {}, and the server takes {} there",
                claims.issuer, issuer.url
            )));
        }
        if claims.expires <= now() {
            return Err(Error::sign_in("the token has expired already"));
        }
        let bound = claims.is_bound(issuer, &commitment.text)?;
        let secret: &[u8] = if bound { &*commitment.secret } else { &[] };
        let mut login = Login {
            server: server.address.as_str().to_owned(),
            issuer: claims.issuer,
            subject: claims.subject,
            label: claims.label,
            token: token.to_string(),
            binding_secret: Login::encode_secret(secret),
            key: commitment.place.clone(),
            expires: claims.expires,
        };
        self.keep_key(&mut login, &commitment, request.into_agent)
            .await?;
        self.remember(&server.address, &login)?;
        Ok(login)
    }

    /// The issuer that was named, or the only one that fits how the token comes.
    fn issuer<'a>(
        &self,
        server_info: &'a ServerInfo,
        request: &Request,
    ) -> Result<&'a Issuer, Error> {
        let fits = |issuer: &&Issuer| match &request.method {
            Method::Browser(_) | Method::Either(_) => issuer.interactive,
            Method::Device(_) => issuer.interactive && issuer.device_flow,
            Method::Token(_) => true,
        };
        let issuer = match &request.issuer {
            Some(name) => server_info
                .issuers
                .iter()
                .find(|issuer| issuer.name == *name),
            None => only(server_info.issuers.iter().filter(fits)),
        };
        let issuer = issuer.ok_or_else(|| no_issuer(server_info, request))?;
        if !fits(&issuer) {
            return Err(Error::Usage(format!(
                "the server does not let people sign in that way at {}",
                issuer.name
            )));
        }
        let loopback = oidc::is_loopback(&issuer.url);
        if request.loopback_only && !loopback {
            return Err(Error::Usage(format!(
                "--as works in a dev world only, and {} is not on this machine",
                issuer.url
            )));
        }
        Ok(issuer)
    }

    async fn commit(&self, request: &Request, issuer: &Issuer) -> Result<Commitment, Error> {
        let may_be_prepared =
            matches!(&request.method, Method::Token(Source::File(_))) && request.key.is_none();
        if may_be_prepared && let Some(prepared) = pending::take(&self.state, issuer)? {
            return Ok(prepared);
        }
        let keeps = !request.step_up.is_any() && request.key.is_none() && !request.into_agent;
        if keeps && let Some(commitment) = self.recommit()? {
            return Ok(commitment);
        }
        Commitment::make(request.key.as_deref()).await
    }

    /// A fresh secret over the session's key, where both are still there.
    fn recommit(&self) -> Result<Option<Commitment>, Error> {
        let login = Session::load(&self.state)?.login;
        let Some(login) = login.filter(|login| self.is_for(login)) else {
            return Ok(None);
        };
        let Ok(key) = Key::open(&login.key, &self.state) else {
            return Ok(None);
        };
        Commitment::of(key, login.key, fresh_secret()).map(Some)
    }

    fn is_for(&self, login: &Login) -> bool {
        let address = self.address();
        address.is_ok_and(|address| address.as_str() == login.server)
    }

    async fn token(
        &self,
        request: &Request,
        issuer: &Issuer,
        commitment: &Commitment,
    ) -> Result<Zeroizing<String>, Error> {
        let step_up = &request.step_up;
        match &request.method {
            Method::Browser(visit) => {
                browser::token(self, issuer, &commitment.text, step_up, visit).await
            }
            Method::Either(_) if issuer.device_flow => {
                device::token(self, issuer, step_up, None).await
            }
            Method::Either(visit) => {
                browser::token(self, issuer, &commitment.text, step_up, visit).await
            }
            Method::Device(visit) => device::token(self, issuer, step_up, visit.as_ref()).await,
            Method::Token(source) => {
                token::read(
                    source,
                    &proof::bound_audience(&issuer.audience, &commitment.text),
                )
                .await
            }
        }
    }

    /// Puts a key that the agent shall keep into it before anyone signs in, for as long as that may take.
    async fn offer(&self, commitment: &Commitment) -> Result<(), Error> {
        match (&commitment.place, commitment.key.private()) {
            (KeyPlace::Own, Some(private)) => agent::add_key(&self.state, private, PATIENCE).await,
            (KeyPlace::Own | KeyPlace::File(_) | KeyPlace::Agent { .. }, _) => Ok(()),
        }
    }

    async fn keep_key(
        &self,
        login: &mut Login,
        commitment: &Commitment,
        into_agent: bool,
    ) -> Result<(), Error> {
        if login.key != KeyPlace::Own {
            return Ok(());
        }
        let (true, Some(private)) = (into_agent, commitment.key.private()) else {
            return commitment.key.keep(&self.state, "key");
        };
        let lifetime = Duration::from_secs(login.expires.saturating_sub(now()));
        agent::add_key(&self.state, private, lifetime).await?;
        Key::forget(&self.state)?;
        let public_key = super::key::public_line(&commitment.key.public())?;
        login.key = KeyPlace::Agent {
            public_key: public_key.trim_end().to_owned(),
        };
        Ok(())
    }

    /// Passes of the same person stay good; those of another must not be used for this one.
    fn remember(&self, address: &Address, login: &Login) -> Result<(), Error> {
        let session = Session::load(&self.state)?;
        if session
            .login
            .as_ref()
            .is_some_and(|old| !old.is_same_person(login))
        {
            cache::clear(&self.state)?;
        }
        pending::forget(&self.state)?;
        Session {
            server: Some(address.as_str().to_owned()),
            ca_file: self.ca_file(&session)?,
            login: Some(login.clone()),
        }
        .save(&self.state)
    }
}

impl Commitment {
    /// A fresh secret over a fresh key, or over the one at `path`.
    async fn make(path: Option<&std::path::Path>) -> Result<Self, Error> {
        let (key, place) = match path {
            Some(path) => Key::choose(path).await?,
            None => (Key::fresh()?, KeyPlace::Own),
        };
        Self::of(key, place, fresh_secret())
    }

    fn of(key: Key, place: KeyPlace, secret: Zeroizing<[u8; 32]>) -> Result<Self, Error> {
        let text = proof::commitment(&key.public(), &*secret)
            .map_err(|error| Error::other(format!("failed to commit to the key: {error}")))?;
        Ok(Self {
            key,
            place,
            secret,
            text,
        })
    }
}

fn only<'a>(mut issuers: impl Iterator<Item = &'a Issuer>) -> Option<&'a Issuer> {
    issuers.next().filter(|_| issuers.next().is_none())
}

fn no_issuer(server_info: &ServerInfo, request: &Request) -> Error {
    let names: Vec<&str> = server_info
        .issuers
        .iter()
        .map(|i| i.name.as_str())
        .collect();
    let what = match (&request.issuer, &request.method) {
        (Some(name), _) => format!("the server has no issuer {name:?}"),
        (None, Method::Device(_)) => "no issuer, or more than one, takes device codes".to_owned(),
        (None, _) => "it is not clear which issuer is meant".to_owned(),
    };
    Error::Usage(format!(
        "{what}; choose with --issuer NAME from: {}",
        names.join(", ")
    ))
}

fn fresh_secret() -> Zeroizing<[u8; 32]> {
    let mut secret = Zeroizing::new([0; 32]);
    #[allow(
        clippy::disallowed_methods,
        reason = "the client is an edge: randomness enters here"
    )]
    OsRng.fill_bytes(&mut *secret);
    secret
}

/// Whether `issuer` can be signed in at with a browser at all.
fn check_interactive_binding(issuer: &Issuer) -> Result<(), Error> {
    if issuer.binding == Binding::Audience {
        return Err(Error::Usage(format!(
            "{} is for machines: use --token-file or --token-command",
            issuer.name
        )));
    }
    Ok(())
}
