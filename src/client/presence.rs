//! The security key that shows an approver's presence (`approval.presence` of the policy).

use std::path::Path;

use ssh_key::{Algorithm, PublicKey};

use super::{Error, agent, emergency::Signer, key::Key};
use crate::ssh::{
    key::fingerprint,
    presence::{self, Kind},
};

/// Opens a registered security key: the one at `path`, or the first in the ssh-agent. `lines` are
/// the caller's registered keys, as the server lists them.
///
/// # Errors
/// Returns [`Error::Usage`] if there is none, or the one at `path` is not registered.
pub(crate) async fn signer(
    lines: &[String],
    path: Option<&Path>,
    may_ask: bool,
) -> Result<Signer, Error> {
    if lines.is_empty() {
        return Err(Error::Usage(
            "this role is approved with a passkey or security key, and none of yours is registered: make one at /web/passkey \
             on the page, or with ssh-keygen -t ed25519-sk, and give its public line to an administrator"
                .to_owned(),
        ));
    }
    let registered: Vec<PublicKey> = lines
        .iter()
        .filter_map(|line| presence::parse(line))
        .filter(|(_, kind, _)| *kind == Kind::SecurityKey)
        .map(|(key, ..)| key)
        .collect();
    let Some(path) = path else {
        return in_agent(registered).await;
    };
    let signer = Signer::open(path, may_ask).await?;
    let public = signer.public();
    match registered
        .iter()
        .any(|key| key.key_data() == public.key_data())
    {
        true => Ok(signer),
        false => Err(Error::Usage(format!(
            "{} ({}) is not a security key that is registered for you: name one that is with --security-key, or approve on \
             the page",
            path.display(),
            fingerprint(&public)
        ))),
    }
}

/// The first of these keys that the agent holds.
async fn in_agent(registered: Vec<PublicKey>) -> Result<Signer, Error> {
    for key in registered {
        // ssh-key 0.6 encodes SSHSIGs of this type in a way that no verifier reads: ssh-keygen
        // signs with them, by their file.
        let is_usable = key.algorithm() != Algorithm::SkEcdsaSha2NistP256;
        // Without an agent there is no key in it.
        if is_usable && agent::holds(&key).await.unwrap_or_default() {
            return Ok(Signer::Key(Key::Agent(Box::new(key))));
        }
    }
    Err(Error::Usage(
        "this role is approved with a passkey or security key under your hand: name the file of a registered security key \
         with --security-key, or approve on the page with a passkey"
            .to_owned(),
    ))
}
