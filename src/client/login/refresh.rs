//! Renewal of the ID token by a refresh token (OpenID Connect Core section 12), so that a working
//! day needs one sign-in.
//!
//! The original ID token stays: its nonce binds the key, and its age bounds the session. Refresh
//! tokens may rotate, so one command at a time uses them, and the new one is written before
//! anything else, even before the answer is checked. They are kept in a 0600 file, never shown, and
//! revoked by `logout`. What the provider is asked is in [`super::renewal`].

use std::time::Duration;

use zeroize::Zeroizing;

use super::{
    claims::Claims,
    oidc::Tokens,
    renewal::{self, Kept, Provider},
};
use crate::client::{
    Client, Error,
    clock::now,
    server_info::{Issuer, ServerInfo},
    session::{Login, Session},
    state::{Lock, State},
};

const FILE: &str = "refresh.json";

/// The lock on the login and its refresh token. Commands that also lock the state folder take this
/// one second.
const LOCK: &str = "refresh.lock";

/// Seconds before its end at which a token is renewed, so that it does not end on its way.
const MARGIN: u64 = 30;

/// Time for the revocation of a token at `logout`.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until no other command changes the login.
///
/// # Errors
/// As [`State::lock`].
pub(super) async fn lock(state: &State, say: impl Fn(&str)) -> Result<Lock, Error> {
    state.lock_on(LOCK, say).await
}

/// Keeps the refresh token of a new login, or removes an older one.
///
/// # Errors
/// Returns [`Error::File`] if the file cannot be written.
pub(super) fn keep(state: &State, issuer: &str, tokens: Option<&Tokens>) -> Result<(), Error> {
    let of_login = tokens.and_then(|tokens| {
        Some(Kept {
            issuer: issuer.to_owned(),
            token: tokens.refresh.as_ref()?.to_string(),
            redirect: tokens.redirect.clone(),
        })
    });
    match of_login {
        Some(kept) => write(state, &kept),
        None => state.remove(FILE),
    }
}

fn write(state: &State, kept: &Kept) -> Result<(), Error> {
    let text = serde_json::to_vec(kept).map(Zeroizing::new);
    let text = text.map_err(|error| Error::other(error.to_string()))?;
    state.write(FILE, &text)
}

/// The refresh token of logins at `issuer`.
fn kept(state: &State, issuer: &str) -> Result<Option<Kept>, Error> {
    let text = state.read(FILE)?.map(Zeroizing::new);
    let kept: Option<Kept> = text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(kept.filter(|kept| kept.issuer == issuer))
}

impl Client {
    /// The login, renewed if its token has expired, or is about to, and the provider gave a refresh
    /// token.
    ///
    /// # Errors
    /// Returns [`Error::SignIn`] if the user must sign in, and [`Error::Unreachable`] if the
    /// provider is down.
    pub(crate) async fn current_login(&self) -> Result<Login, Error> {
        if self.is_fresh()? || !self.is_renewable()? {
            return self.login();
        }
        let _lock = lock(&self.state, self.settings().say).await?;
        // Another command may have renewed it while this one waited.
        if self.is_fresh()? || !self.is_renewable()? {
            return self.login();
        }
        match (self.renew().await, self.login()) {
            (Ok(login), _) | (Err(_), Ok(login)) => Ok(login),
            (Err(error), Err(_)) => Err(error),
        }
    }

    /// Whether the user is signed in: the token has not expired, or can be renewed. No network.
    pub(crate) fn is_signed_in(&self) -> bool {
        self.login().is_ok() || self.is_renewable().unwrap_or(false)
    }

    fn is_fresh(&self) -> Result<bool, Error> {
        match self.login() {
            Ok(login) => Ok(login.expires > now().saturating_add(MARGIN)),
            Err(Error::SignIn { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn is_renewable(&self) -> Result<bool, Error> {
        let Some(login) = self.renewable_login()? else {
            return Ok(false);
        };
        Ok(kept(&self.state, &login.issuer)?.is_some())
    }

    /// The login for this server whose session is not over.
    fn renewable_login(&self) -> Result<Option<Login>, Error> {
        let Some(login) = Session::load(&self.state)?.login else {
            return Ok(None);
        };
        let address = self.address()?;
        let is_open = login.ends.is_some_and(|end| end > now());
        Ok(Some(login).filter(|login| login.server == address.as_str() && is_open))
    }

    /// Gets a new ID token. The caller has the lock.
    async fn renew(&self) -> Result<Login, Error> {
        let over = || Error::sign_in("your sign-in has expired");
        let login = self.renewable_login()?.ok_or_else(over)?;
        let kept = kept(&self.state, &login.issuer)?.ok_or_else(over)?;
        let issuer = self.issuer_of(&login).await?;
        if !issuer.refresh {
            return Err(over());
        }
        let provider = Provider::discover(&issuer).await?;
        let token = match provider.renew(&kept).await? {
            Ok(answer) => {
                // A token that rotated is spent: only the new one works, even if this answer fails.
                if let Some(token) = answer.refresh_token() {
                    let token = token.to_string();
                    write(&self.state, &Kept { token, ..kept })?;
                }
                provider.id_token(&answer)
            }
            Err(refusal) => Err(refusal),
        };
        if let Err(Error::SignIn { .. }) = &token {
            self.end_renewal()?;
        }
        let token = token?;
        let claims = Claims::read(&token)?;
        if (&claims.issuer, &claims.subject) != (&login.issuer, &login.subject) {
            return Err(Error::Untrusted(format!(
                "its issuer {} renewed the sign-in of another person",
                issuer.name
            )));
        }
        let renewed = Login {
            original: Some(login.original.unwrap_or(login.token)),
            token: token.to_string(),
            expires: claims.expires,
            ..login
        };
        let session = Session::load(&self.state)?;
        let session = Session {
            login: Some(renewed.clone()),
            ..session
        };
        session.save(&self.state)?;
        Ok(renewed)
    }

    /// Removes a refresh token that the provider no longer takes. The caller has the lock.
    fn end_renewal(&self) -> Result<(), Error> {
        self.state.remove(FILE)?;
        let mut session = Session::load(&self.state)?;
        if let Some(login) = &mut session.login {
            login.ends = None;
        }
        session.save(&self.state)
    }

    /// The settings of the login's issuer: those that are remembered, else the server's.
    async fn issuer_of(&self, login: &Login) -> Result<Issuer, Error> {
        let known = ServerInfo::cached(&self.state, &self.address()?)?;
        let server_info = match known {
            Some(known) => known,
            None => self.connect().await?.1,
        };
        let mut issuers = server_info.issuers.into_iter();
        let issuer = issuers.find(|issuer| issuer.url == login.issuer);
        issuer.ok_or_else(|| Error::sign_in("the server no longer knows your identity provider"))
    }

    /// Revokes the refresh token at its provider (RFC 7009), if there are both, and removes it.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the file cannot be removed. A provider that does not answer is
    /// only said.
    pub(super) async fn forget_refresh_token(&self, login: Option<&Login>) -> Result<(), Error> {
        let token = match login {
            Some(login) => kept(&self.state, &login.issuer)?,
            None => None,
        };
        self.state.remove(FILE)?;
        let (Some(token), Some(login)) = (token, login) else {
            return Ok(());
        };
        let revoked = async {
            let issuer = self.issuer_of(login).await?;
            renewal::revoke(&issuer, &token.token).await
        };
        match tokio::time::timeout(PATIENCE, revoked).await {
            Ok(Ok(())) => (),
            Ok(Err(_)) | Err(_) => self.say(
                "note: the refresh token is gone from this machine, but the provider did not confirm that it is revoked",
            ),
        }
        Ok(())
    }
}
