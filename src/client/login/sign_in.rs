//! One login, from the issuer to the session on disk.

use std::time::Duration;

use super::{
    browser::{self, Way},
    claims::Claims,
    commitment::Commitment,
    device, issuers,
    oidc::Tokens,
    pending, refresh,
    refused::{self, Refused},
    request::{Method, PATIENCE, Request, Visit},
    token::{self, Source},
    turn::Turn,
};
use crate::{
    client::{
        Client, Error, agent, cache,
        clock::now,
        connect::Address,
        key::{Key, KeyPlace},
        key_text::public_text,
        offered,
        server_info::{Issuer, ServerInfo},
        session::{Login, Session},
        who_am_i::{self, WhoAmI},
        writable,
    },
    identity::proof,
};

/// A login that was kept, and the server's view of it.
pub(crate) struct SignedIn {
    pub(crate) login: Login,
    /// The server's view; an error if it did not answer. A refused login is not kept.
    pub(crate) seen: Result<WhoAmI, Error>,
}

/// Tokens for a key, and their issuer.
struct Obtained<'a> {
    issuer: &'a Issuer,
    commitment: Commitment,
    tokens: Tokens,
}

/// How a user signs in.
enum How<'a> {
    Browser(Way<'a>),
    Device(Option<&'a Visit>),
    Either,
}

impl Client {
    /// Signs in and replaces the session's login.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the issuer, the user or the server refuses, and
    /// [`Error::TimedOut`] if the user does not act in time.
    pub async fn sign_in(&self, request: &Request) -> Result<Login, Error> {
        Ok(self.sign_in_and_ask(request).await?.login)
    }

    /// Signs in as [`Client::sign_in`], and returns what the server says of the login.
    ///
    /// # Errors
    /// As [`Client::sign_in`].
    pub(crate) async fn sign_in_and_ask(&self, request: &Request) -> Result<SignedIn, Error> {
        // A user who types `login` again gets a sign-in of its own.
        let turn = match (&request.method, Turn::take(&self.state)?) {
            (Method::Token(_), _) => None,
            (_, Ok(turn)) => Some(turn),
            (_, Err(other)) => {
                let other = other.text();
                self.say(&format!("note: {other}; this one does not wait for it"));
                None
            }
        };
        let signed_in = self.sign_in_now(request).await;
        drop(turn);
        signed_in
    }

    /// Signs in unless another command has just done so: unless the session's token is another one
    /// than the one whose hash is `rejected` (none: there was no token).
    ///
    /// # Errors
    /// As [`Client::sign_in`].
    pub async fn sign_in_once(
        &self,
        request: &Request,
        rejected: Option<[u8; 32]>,
    ) -> Result<Login, Error> {
        let _turn = Turn::wait(self).await?;
        match self.login() {
            Ok(login) if rejected != Some(login.token_hash()) => Ok(login),
            Ok(_) | Err(Error::SignIn { .. }) => Ok(self.sign_in_now(request).await?.login),
            Err(error) => Err(error),
        }
    }

    /// Signs in without a lock on the state folder, so that other commands go on meanwhile, and
    /// then keeps the login.
    async fn sign_in_now(&self, request: &Request) -> Result<SignedIn, Error> {
        self.is_still_first()?;
        writable::check(&Session::files(&self.state))?;
        let (server, server_info) = self.connect().await?;
        let address = server.address;
        let Obtained {
            issuer,
            commitment,
            tokens,
        } = self.obtain_tokens(request, &server_info).await?;
        let token = &tokens.id;
        let claims = Claims::read(token)?;
        claims.check(issuer)?;
        let bound = claims.is_bound(issuer, &commitment.text)?;
        let secret: &[u8] = if bound { &*commitment.secret } else { &[] };
        // The server takes no renewed token that is bound to no key: it would be worth as much as
        // the refresh token alone.
        let renewable =
            Some(&tokens).filter(|tokens| tokens.refresh.is_some() && issuer.refresh && bound);
        let mut login = Login {
            server: address.as_str().to_owned(),
            issuer: claims.issuer.clone(),
            subject: claims.subject.clone(),
            label: claims.label.clone(),
            token: token.to_string(),
            binding_secret: Login::encode_secret(secret),
            key: commitment.place.clone(),
            expires: claims.expires,
            original: None,
            ends: renewable.map(|_| ends(issuer, &claims)),
        };
        let refused = Refused {
            issuer,
            claims: &claims,
            now: now(),
            is_fresh: !matches!(request.method, Method::Token(Source::File(_))),
        };
        let seen = self.ask_once(&login, &refused).await?;
        if bound && issuer.refresh && tokens.refresh.is_none() && tokens.redirect.is_some() {
            self.say(&format!(
                "note: the identity provider {} gave no refresh token, so this sign-in is not renewed",
                issuer.name
            ));
        }
        if let Ok(seen) = &seen {
            login.label.clone_from(&seen.label);
        }
        let _lock = self.state.lock(self.settings().say).await?;
        let _renewing = refresh::lock(&self.state, self.settings().say).await?;
        self.is_still_first()?;
        refresh::keep(&self.state, &issuer.url, renewable)?;
        self.keep_key(&mut login, &commitment, request.into_agent)
            .await?;
        self.remember(&address, &login)?;
        if let Ok(seen) = &seen {
            offered::remember_names(&self.state, &seen.roles);
        }
        self.become_default(&address).await?;
        Ok(SignedIn { login, seen })
    }

    /// Asks the server what it makes of the login, over a new connection: the user may have taken
    /// minutes to sign in. The inner error says only that the server did not answer.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the server refuses the token.
    async fn ask_once(
        &self,
        login: &Login,
        refused: &Refused<'_>,
    ) -> Result<Result<WhoAmI, Error>, Error> {
        let server = match self.connect().await {
            Ok((server, _)) => server,
            Err(error) => return Ok(Err(error)),
        };
        match who_am_i::ask(&server, login).await {
            Ok(answer) => Ok(WhoAmI::read(answer, login)),
            Err(status) if refused::is_of_token(&status) => Err(refused.explain(&status)),
            Err(status) => Ok(Err(status.into())),
        }
    }

    /// The commitment of this login: a prepared one, one over the session's key, or a fresh one.
    async fn commit(&self, request: &Request, issuer: &Issuer) -> Result<Commitment, Error> {
        let may_be_prepared =
            matches!(&request.method, Method::Token(Source::File(_))) && request.key.is_none();
        if may_be_prepared && let Some(prepared) = pending::take(&self.state, issuer)? {
            return Ok(prepared);
        }
        let keeps_key = !request.step_up.is_any() && request.key.is_none() && !request.into_agent;
        if keeps_key && let Some(commitment) = self.recommit()? {
            return Ok(commitment);
        }
        Commitment::make(request.key.as_deref()).await
    }

    /// A fresh secret over the session's key; none if there is no session with this server, or its
    /// key is gone.
    fn recommit(&self) -> Result<Option<Commitment>, Error> {
        let login = Session::load(&self.state)?.login;
        let Some(login) = login.filter(|login| self.is_with_server(login)) else {
            return Ok(None);
        };
        let Ok(key) = Key::open(&login.key, &self.state) else {
            return Ok(None);
        };
        Commitment::over(key, login.key).map(Some)
    }

    fn is_with_server(&self, login: &Login) -> bool {
        let address = self.address();
        address.is_ok_and(|address| address.as_str() == login.server)
    }

    async fn obtain_tokens<'a>(
        &self,
        request: &Request,
        server_info: &'a ServerInfo,
    ) -> Result<Obtained<'a>, Error> {
        let how = match &request.method {
            Method::Token(source) => return self.take_token(source, request, server_info).await,
            Method::Device(visit) => How::Device(visit.as_ref()),
            Method::Either => How::Either,
            Method::Paste => How::Browser(Way::Paste),
            Method::Browser(visit) => How::Browser(Way::Visitor(visit)),
            Method::Desktop(visit) => How::Browser(Way::Desktop(visit)),
        };
        let issuer = issuers::choose(server_info, request)?;
        let commitment = self.ready(request, issuer).await?;
        let (text, step_up) = (&commitment.text, &request.step_up);
        let tokens = match how {
            How::Browser(way) => browser::tokens(self, issuer, text, step_up, way).await?,
            How::Device(visit) => device::tokens(self, issuer, step_up, visit).await?,
            How::Either if issuer.device_flow => {
                device::tokens(self, issuer, step_up, None).await?
            }
            How::Either => browser::tokens(self, issuer, text, step_up, Way::Elsewhere).await?,
        };
        Ok(Obtained {
            issuer,
            commitment,
            tokens,
        })
    }

    /// Takes a token that is made elsewhere. Its `iss` chooses the issuer.
    async fn take_token<'a>(
        &self,
        source: &Source,
        request: &Request,
        server_info: &'a ServerInfo,
    ) -> Result<Obtained<'a>, Error> {
        let name = request.issuer.as_deref();
        let issuer_of = |id: &str| issuers::of_token(server_info, &Claims::read(id)?, name);
        if let Source::File(_) = source {
            let id = token::read(source, "").await?;
            let issuer = issuer_of(&id)?;
            let commitment = self.ready(request, issuer).await?;
            return Ok(Obtained {
                issuer,
                commitment,
                tokens: Tokens::of_machine(id),
            });
        }
        let first = issuers::first_for_token(server_info, name)?;
        let commitment = self.ready(request, first).await?;
        let audience = |issuer: &Issuer| proof::bound_audience(&issuer.audience, &commitment.text);
        let mut id = token::read(source, &audience(first)).await?;
        let issuer = issuer_of(&id)?;
        if issuer.audience != first.audience {
            // The command fetches from another issuer than the first: ask for its audience.
            id = token::read(source, &audience(issuer)).await?;
            issuer_of(&id)?;
        }
        Ok(Obtained {
            issuer,
            commitment,
            tokens: Tokens::of_machine(id),
        })
    }

    /// The commitment for this login. Its key has been tried with the agent, if it goes there.
    async fn ready(&self, request: &Request, issuer: &Issuer) -> Result<Commitment, Error> {
        let commitment = self.commit(request, issuer).await?;
        if request.into_agent {
            self.try_agent(&commitment).await?;
        }
        Ok(commitment)
    }

    /// Adds a fresh key to the agent before the user signs in, so that an agent that refuses it is
    /// noticed first. The agent drops it after the time that a login may take.
    async fn try_agent(&self, commitment: &Commitment) -> Result<(), Error> {
        match (&commitment.place, commitment.key.private()) {
            (KeyPlace::Own, Some(private)) => agent::add_key(&self.state, private, PATIENCE).await,
            (KeyPlace::Own | KeyPlace::File(_) | KeyPlace::Agent { .. }, _) => Ok(()),
        }
    }

    /// Keeps a fresh key on disk, or in the agent until the token expires.
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
        let lifetime = Duration::from_secs(login.until().saturating_sub(now()));
        agent::add_key(&self.state, private, lifetime).await?;
        Key::forget(&self.state)?;
        login.key = KeyPlace::Agent {
            public_key: public_text(&commitment.key.public())?,
        };
        Ok(())
    }

    /// Writes the session. Removes the passes of another person: they must not be used for this
    /// one.
    fn remember(&self, address: &Address, login: &Login) -> Result<(), Error> {
        let session = Session::load(&self.state)?;
        if session
            .login
            .as_ref()
            .is_some_and(|old| !old.is_same_person(login))
        {
            cache::clear(&self.state)?;
            offered::forget(&self.state)?;
        }
        pending::forget(&self.state)?;
        let signed_in = Session {
            server: Some(address.as_str().to_owned()),
            urls: match address.to_string() == address.as_str() {
                true => Vec::new(),
                false => address.urls().iter().map(ToString::to_string).collect(),
            },
            default: None,
            ca_file: self.ca_file_to_remember(&session)?,
            login: Some(login.clone()),
        };
        signed_in.save(&self.state)
    }

    /// Makes the server of this client the one for commands that name none.
    async fn become_default(&self, address: &Address) -> Result<(), Error> {
        if self.state.is_root() {
            return Ok(());
        }
        let root = self.state.root();
        let _lock = root.lock(self.settings().say).await?;
        let _renewing = refresh::lock(&root, self.settings().say).await?;
        let first = Session::load(&root)?;
        let session = Session {
            default: Some(address.as_str().to_owned()),
            ..first
        };
        session.save(&root)
    }

    /// Checks that no other command has meanwhile made this folder that of another server.
    fn is_still_first(&self) -> Result<(), Error> {
        let address = self.address()?;
        match Session::load(&self.state)?.server {
            Some(server) if server != address.as_str() => Err(Error::other(format!(
                "another command has just signed in to {server}: run this one again"
            ))),
            Some(_) | None => Ok(()),
        }
    }
}

/// The end of the session, if the token can be renewed: the server counts from the `iat` of the
/// sign-in.
fn ends(issuer: &Issuer, claims: &Claims) -> u64 {
    let begin = claims.issued().unwrap_or_else(now);
    begin.saturating_add(issuer.session_seconds)
}
