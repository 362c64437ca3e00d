//! `login --print-audience`: the key exists before the token does, so that a token made elsewhere can commit to it.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    super::{
        Client, Error,
        key::{Key, KeyPlace},
        server_info::{Binding, Issuer},
        session::Login,
        state::State,
    },
    Commitment,
};
use crate::identity::proof;
use ssh_key::PrivateKey;
use std::path::Path;

const FILE: &str = "pending.json";
const KEY: &str = "pending-key";

#[derive(Serialize, Deserialize)]
struct PendingLogin {
    issuer: String,
    key: KeyPlace,
    secret: String,
}

/// What a token must carry to be taken from this state folder.
#[derive(Clone, Debug, Serialize)]
pub struct Prepared {
    /// The audience to ask for.
    pub audience: String,
    /// The nonce to ask for, where the issuer binds by nonce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The key it will be bound to.
    pub public_key: String,
}

impl Client {
    /// Makes a key and says what a token for it must carry; `login --token-file` then uses that key.
    ///
    /// # Errors
    /// Where the server does not answer, or it is not clear which issuer is meant.
    pub async fn prepare_login(
        &self,
        key: Option<&Path>,
        issuer: Option<&str>,
    ) -> Result<Prepared, Error> {
        let _lock = self.state.lock().await?;
        let (_, server_info) = self.connect().await?;
        let mut fitting = server_info.issuers.iter().filter(|candidate| match issuer {
            Some(name) => candidate.name == name,
            None => candidate.binding == Binding::Audience || server_info.issuers.len() == 1,
        });
        let (Some(issuer), None) = (fitting.next(), fitting.next()) else {
            let names: Vec<&str> = server_info
                .issuers
                .iter()
                .map(|i| i.name.as_str())
                .collect();
            return Err(Error::Usage(format!(
                "choose with --issuer NAME from: {}",
                names.join(", ")
            )));
        };
        let commitment = Commitment::make(key).await?;
        keep(&self.state, issuer, &commitment)?;
        prepared(issuer, &commitment)
    }
}

/// The login that was prepared for `issuer`, where there is one.
pub(super) fn take(state: &State, issuer: &Issuer) -> Result<Option<Commitment>, Error> {
    let Some(text) = state.read(FILE)? else {
        return Ok(None);
    };
    let pending: Option<PendingLogin> = serde_json::from_str(&text).ok();
    let Some(pending) = pending.filter(|pending| pending.issuer == issuer.url) else {
        return Ok(None);
    };
    let key = match pending.key {
        KeyPlace::Own => own(state)?,
        ref place => Key::open(place, state)?,
    };
    let secret = decode(&pending.secret)?;
    Commitment::of(key, pending.key, secret).map(Some)
}

/// Forgets a prepared login.
///
/// # Errors
/// Where a file of it stays.
pub(in super::super) fn forget(state: &State) -> Result<(), Error> {
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
        issuer: issuer.url.clone(),
        key: commitment.place.clone(),
        secret: Login::encode_secret(&*commitment.secret),
    };
    let text = serde_json::to_vec(&pending).map_err(|error| Error::other(error.to_string()))?;
    state.write(FILE, &text)
}

fn prepared(issuer: &Issuer, commitment: &Commitment) -> Result<Prepared, Error> {
    let public_key = super::super::key::public_line(&commitment.key.public())?;
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
        public_key: public_key.trim_end().to_owned(),
    })
}

fn own(state: &State) -> Result<Key, Error> {
    let text = state.read(KEY)?.unwrap_or_default();
    PrivateKey::from_openssh(text)
        .map(|key| Key::Held(Box::new(key)))
        .map_err(|_| Error::sign_in("the prepared login's key is gone"))
}

fn decode(secret: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let bytes = Zeroizing::new(STANDARD.decode(secret).unwrap_or_default());
    <[u8; 32]>::try_from(bytes.as_slice())
        .map(Zeroizing::new)
        .map_err(|_| Error::sign_in("the prepared login is damaged"))
}
