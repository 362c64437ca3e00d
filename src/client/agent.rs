//! The user's ssh-agent: sign with its keys, add passes until they expire, and remove what Daypass
//! added.

use std::{future::Future, time::Duration};

use serde::{Deserialize, Serialize};
use ssh_agent_lib::{
    agent::Session,
    client::Client,
    error::AgentError,
    proto::{
        AddIdentity, AddIdentityConstrained, KeyConstraint, PrivateCredential, PrivateKeyData,
        PublicCredential, RemoveIdentity, SignRequest, signature::RSA_SHA2_512,
    },
};
use ssh_key::{
    Algorithm, Certificate, PrivateKey, PublicKey, Signature,
    certificate::Builder,
    private::{EcdsaKeypair, KeypairData},
    rand_core::OsRng,
};
use tokio::net::UnixStream;

use super::{Error, key_text::public_text, state::State, writable};

/// Time for an answer that needs no user.
const PROMPT: Duration = Duration::from_secs(10);
/// Time for the touch of a hardware key, or a confirmation.
const TOUCH: Duration = Duration::from_secs(90);
/// The list of what Daypass added to the agent, so that `logout` removes it.
const FILE: &str = "agent.json";

/// The content of `agent.json`: public keys and certificates in OpenSSH form.
#[derive(Default, Serialize, Deserialize)]
struct Ours {
    keys: Vec<String>,
    certificates: Vec<String>,
}

/// Whether the agent can sign with `key`.
///
/// # Errors
/// Returns the error if there is no agent, or it does not answer.
pub(crate) async fn holds(key: &PublicKey) -> Result<bool, Error> {
    let mut agent = connect().await?;
    let identities = within(PROMPT, "list its keys", agent.request_identities()).await?;
    Ok(identities.iter().any(|identity| {
        matches!(&identity.credential, PublicCredential::Key(data) if data == key.key_data())
    }))
}

/// Signs `data` with a key in the agent.
///
/// # Errors
/// Returns the error if there is no agent, it lacks the key, or the user does not touch or confirm
/// in time.
pub(crate) async fn sign(key: &PublicKey, data: Vec<u8>) -> Result<Signature, Error> {
    let mut agent = connect().await?;
    let flags = if key.algorithm().is_rsa() {
        RSA_SHA2_512
    } else {
        0
    };
    let request = SignRequest {
        credential: PublicCredential::Key(key.key_data().clone()),
        data,
        flags,
    };
    within(
        TOUCH,
        "sign (is the key in it, and was it touched?)",
        agent.sign(request),
    )
    .await
}

/// Adds a key that the agent drops after `lifetime`.
///
/// # Errors
/// Returns the error if the agent does not take it.
pub(crate) async fn add_key(
    state: &State,
    key: &PrivateKey,
    lifetime: Duration,
) -> Result<(), Error> {
    let credential = PrivateCredential::Key {
        privkey: key.key_data().clone(),
        comment: "daypass".to_owned(),
    };
    add(credential, lifetime).await?;
    let line = public_text(key.public_key())?;
    remember(state, |ours| {
        if !ours.keys.contains(&line) {
            ours.keys.push(line);
        }
    })
}

/// Adds a pass and its key, which the agent drops after `lifetime`.
///
/// # Errors
/// Returns the error if the agent does not take it, or the key's type cannot be added.
pub(crate) async fn add_pass(
    state: &State,
    key: &PrivateKey,
    certificate: &Certificate,
    lifetime: Duration,
) -> Result<(), Error> {
    let credential = PrivateCredential::Cert {
        algorithm: certificate.algorithm(),
        certificate: Box::new(certificate.clone()),
        privkey: private_half(key)?,
        comment: format!("daypass {}", certificate.key_id()),
    };
    add(credential, lifetime).await?;
    let line = certificate
        .to_openssh()
        .map_err(|error| Error::other(error.to_string()))?;
    remember(state, |ours| ours.certificates.push(line))
}

/// Checks that the agent takes a pass with this key: adds a certificate that no server accepts, and
/// removes it at once. Call it before the server is asked: a pass that the agent does not take is
/// lost.
///
/// # Errors
/// As [`add_pass`].
pub(crate) async fn rehearse(state: &State, key: &PrivateKey) -> Result<(), Error> {
    private_half(key)?;
    writable::check(&[state.path(FILE)])?;
    let failed =
        |error: ssh_key::Error| Error::other(format!("failed to make a certificate: {error}"));
    let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(failed)?;
    let public = key.public_key().key_data().clone();
    let mut builder = Builder::new_with_random_nonce(&mut OsRng, public, 1, 2).map_err(failed)?;
    builder.valid_principal("daypass-test").map_err(failed)?;
    let certificate = builder.sign(&key).map_err(failed)?;
    let credential = PrivateCredential::Cert {
        algorithm: certificate.algorithm(),
        certificate: Box::new(certificate.clone()),
        privkey: private_half(&key)?,
        comment: "daypass tries the agent".to_owned(),
    };
    add(credential, PROMPT).await?;
    let credential = PublicCredential::Cert(Box::new(certificate));
    let removed = RemoveIdentity { credential };
    let mut agent = connect().await?;
    within(PROMPT, "remove a key", agent.remove_identity(removed)).await
}

/// Removes what Daypass added. It is no error if the agent has dropped it already, or if there is
/// no agent.
///
/// # Errors
/// Returns [`Error::File`] if the list of it cannot be read or removed.
pub(crate) async fn remove_ours(state: &State) -> Result<(), Error> {
    let ours = read(state)?;
    if let Ok(mut agent) = connect().await {
        for credential in credentials(&ours) {
            let removed = agent.remove_identity(RemoveIdentity { credential });
            let _ = tokio::time::timeout(PROMPT, removed).await;
        }
    }
    state.remove(FILE)
}

fn credentials(ours: &Ours) -> Vec<PublicCredential> {
    let keys = ours
        .keys
        .iter()
        .filter_map(|line| PublicKey::from_openssh(line).ok())
        .map(|key| PublicCredential::Key(key.key_data().clone()));
    let certificates = ours
        .certificates
        .iter()
        .filter_map(|line| Certificate::from_openssh(line).ok())
        .map(|certificate| PublicCredential::Cert(Box::new(certificate)));
    keys.chain(certificates).collect()
}

async fn connect() -> Result<Client<UnixStream>, Error> {
    let path = std::env::var_os("SSH_AUTH_SOCK")
        .filter(|path| !path.is_empty())
        .ok_or_else(|| {
            Error::Usage("there is no ssh-agent (SSH_AUTH_SOCK is not set); start one with: eval \"$(ssh-agent)\"".to_owned())
        })?;
    let stream = UnixStream::connect(&path)
        .await
        .map_err(|error| Error::other(format!("failed to reach the ssh-agent: {error}")))?;
    Ok(Client::new(stream))
}

async fn add(credential: PrivateCredential, lifetime: Duration) -> Result<(), Error> {
    let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).max(1);
    let identity = AddIdentityConstrained {
        identity: AddIdentity { credential },
        constraints: vec![KeyConstraint::Lifetime(seconds)],
    };
    let mut agent = connect().await?;
    within(
        PROMPT,
        "take the key",
        agent.add_identity_constrained(identity),
    )
    .await
}

/// The private key as the agent protocol encodes it beside a certificate (draft-miller-ssh-agent
/// section 3.2).
fn private_half(key: &PrivateKey) -> Result<PrivateKeyData, Error> {
    use ssh_agent_lib::proto::EcdsaPrivateKey;
    let ecdsa = match key.key_data() {
        KeypairData::Ed25519(pair) => return Ok(PrivateKeyData::Ed25519(pair.clone())),
        KeypairData::Ecdsa(EcdsaKeypair::NistP256 { private, .. }) => {
            EcdsaPrivateKey::NistP256(private.clone())
        }
        KeypairData::Ecdsa(EcdsaKeypair::NistP384 { private, .. }) => {
            EcdsaPrivateKey::NistP384(private.clone())
        }
        KeypairData::Ecdsa(EcdsaKeypair::NistP521 { private, .. }) => {
            EcdsaPrivateKey::NistP521(private.clone())
        }
        _ => {
            return Err(Error::Usage(
                "a key of this type cannot be added to the ssh-agent: use --out".to_owned(),
            ));
        }
    };
    Ok(PrivateKeyData::Ecdsa(ecdsa))
}

async fn within<T>(
    limit: Duration,
    what: &str,
    answer: impl Future<Output = Result<T, AgentError>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Error::other(format!(
            "the ssh-agent did not {what}: {error}"
        ))),
        Err(_) => Err(Error::TimedOut(format!(
            "the ssh-agent did not {what} within {} s",
            limit.as_secs()
        ))),
    }
}

fn read(state: &State) -> Result<Ours, Error> {
    let text = state.read(FILE)?.unwrap_or_default();
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

fn remember(state: &State, change: impl FnOnce(&mut Ours)) -> Result<(), Error> {
    let mut ours = read(state)?;
    change(&mut ours);
    let text = serde_json::to_vec(&ours).map_err(|error| Error::other(error.to_string()))?;
    state.write(FILE, &text)
}
