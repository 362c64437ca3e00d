//! `login --print-audience`: makes the key before the token, so that a token made elsewhere can
//! commit to it.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use ssh_key::PrivateKey;
use zeroize::Zeroizing;

use super::{commitment::Commitment, issuers};
use crate::{
    client::{
        Client, Error,
        key::{Key, KeyPlace},
        key_text::public_text,
        server_info::{Binding, Issuer},
        session::Login,
        state::State,
    },
    identity::proof,
};

const FILE: &str = "pending.json";
const KEY: &str = "pending-key";

/// The prepared login, as `pending.json` keeps it.
#[derive(Serialize, Deserialize)]
struct PendingLogin {
    /// The audience that its token was to be asked for. Issuers that bind alike share it.
    audience: String,
    binding: Binding,
    key: KeyPlace,
    /// The commitment's secret, base64.
    secret: String,
}

/// The claims that a token for the prepared key must carry.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Prepared {
    /// The audience to ask for.
    pub audience: String,
    /// The nonce to ask for, if the issuer binds by nonce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The key that the token will be bound to.
    pub public_key: String,
}

impl Client {
    /// Makes a key, and returns the claims that a token for it must carry. `login --token-file`
    /// then uses that key.
    ///
    /// # Errors
    /// Returns [`Error::Unreachable`] if the server does not answer, and [`Error::Usage`] if it is
    /// not clear which issuer is meant.
    pub(crate) async fn prepare_login(
        &self,
        key: Option<&Path>,
        issuer: Option<&str>,
    ) -> Result<Prepared, Error> {
        let _lock = self.state.lock(self.settings().say).await?;
        let (_, server_info) = self.connect().await?;
        let issuer = issuers::choose_for_token(&server_info, issuer)?;
        let commitment = Commitment::make(key).await?;
        keep(&self.state, issuer, &commitment)?;
        prepared(issuer, &commitment)
    }
}

/// The login that was prepared for `issuer`; none if there is none.
///
/// # Errors
/// Returns [`Error::SignIn`] if its key is gone or its secret is damaged.
pub(super) fn take(state: &State, issuer: &Issuer) -> Result<Option<Commitment>, Error> {
    let Some(text) = state.read(FILE)? else {
        return Ok(None);
    };
    let pending: Option<PendingLogin> = serde_json::from_str(&text).ok();
    let Some(pending) =
        pending.filter(|it| it.audience == issuer.audience && it.binding == issuer.binding)
    else {
        return Ok(None);
    };
    let key = match pending.key {
        KeyPlace::Own => own(state)?,
        ref place => Key::open(place, state)?,
    };
    let secret = decode(&pending.secret)?;
    Commitment::with_secret(key, pending.key, secret).map(Some)
}

/// Removes a prepared login.
///
/// # Errors
/// Returns [`Error::File`] if a file cannot be removed.
pub(super) fn forget(state: &State) -> Result<(), Error> {
    for name in [FILE, KEY, "pending-key.pub"] {
        state.remove(name)?;
    }
    Ok(())
}

fn keep(state: &State, issuer: &Issuer, commitment: &Commitment) -> Result<(), Error> {
    forget(state)?;
    if commitment.place == KeyPlace::Own {
        commitment.key.keep(state, KEY)?;
    }
    let pending = PendingLogin {
        audience: issuer.audience.clone(),
        binding: issuer.binding,
        key: commitment.place.clone(),
        secret: Login::encode_secret(&*commitment.secret),
    };
    let text = serde_json::to_vec(&pending).map_err(|error| Error::other(error.to_string()))?;
    state.write(FILE, &text)
}

fn prepared(issuer: &Issuer, commitment: &Commitment) -> Result<Prepared, Error> {
    let (audience, nonce) = match issuer.binding {
        Binding::Audience => (
            proof::bound_audience(&issuer.audience, &commitment.text),
            None,
        ),
        Binding::Nonce => (issuer.audience.clone(), Some(commitment.text.clone())),
        Binding::None => (issuer.audience.clone(), None),
    };
    Ok(Prepared {
        audience,
        nonce,
        public_key: public_text(&commitment.key.public())?,
    })
}

fn own(state: &State) -> Result<Key, Error> {
    let text = state.read(KEY)?.unwrap_or_default();
    PrivateKey::from_openssh(text)
        .map(|key| Key::Held(Box::new(key)))
        .map_err(|_| Error::sign_in("the prepared login's key is gone"))
}

fn decode(secret: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
    let bytes = Zeroizing::new(STANDARD.decode(secret).unwrap_or_default());
    <[u8; 32]>::try_from(bytes.as_slice())
        .map(Zeroizing::new)
        .map_err(|_| Error::sign_in("the prepared login is damaged"))
}
