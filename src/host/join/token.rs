//! Joining with a machine's own ID token, such as that of a cloud or of Kubernetes.
//!
//! The token's audience names the host's first key, so a stolen token joins no other machine. The
//! token is shown once and never written to disk: afterwards the host keys speak for the host.

use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};
use ssh_key::PublicKey;
use zeroize::Zeroizing;

use crate::{
    host::{Error, error::Declined, host_keys::HostKey},
    identity::proof,
    proto::v1::{Binding, GetTrustResponse, Host, JoinHostRequest, get_trust_response::Issuer},
    ssh::{
        host_name::{MAX_LENGTH, is_host_name},
        key::fingerprint,
        wire,
    },
};

/// Separates the secrets of hosts from every other use of SHA-256.
const DOMAIN: &[u8] = b"daypass-host-token@v1";

/// An ID token of this machine, and the name by which it wants to join.
#[derive(Clone)]
pub(crate) struct MachineToken {
    /// The name.
    pub(super) name: String,
    /// The compact token. Nothing about it is verified here: the server does that.
    pub(super) token: Zeroizing<String>,
}

impl fmt::Debug for MachineToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("MachineToken");
        shown.field("name", &self.name).finish_non_exhaustive()
    }
}

impl MachineToken {
    /// A token, and a name in any case.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if there is no token, or the name is no host name.
    pub(crate) fn new(name: &str, token: Zeroizing<String>) -> Result<Self, Error> {
        if token.is_empty() {
            let empty = "there is no token in the file of --join-token-file: it is empty";
            return Err(Error::Usage(empty.to_owned()));
        }
        let name = name.to_ascii_lowercase();
        if !is_host_name(&name) {
            let shown: String = name.chars().take(MAX_LENGTH).collect();
            return Err(Error::Usage(format!(
                "invalid host name {shown:?}: name this host as users do, with --join-name NAME"
            )));
        }
        Ok(Self { name, token })
    }

    /// Adds what only a join with a token has. `keys` are those of the call.
    pub(super) fn complete(
        &self,
        request: &mut JoinHostRequest,
        server: &str,
        keys: &[HostKey],
    ) -> Result<(), Error> {
        request.name.clone_from(&self.name);
        request.binding_secret = binding_secret(server, first(keys)?)?.to_vec();
        Ok(())
    }

    /// Checks that the server let the host in by the name that it wanted.
    ///
    /// # Errors
    /// Returns [`Error::Declined`] if not.
    pub(super) fn expect_named(&self, host: &Host) -> Result<(), Error> {
        if host.name == self.name {
            return Ok(());
        }
        let (given, wanted) = (&host.name, &self.name);
        let other = format!("the server calls this host {given:?}, and it joined as {wanted}");
        Err(Declined::other(other).into())
    }
}

/// The audience to ask an issuer for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TokenAudience {
    /// The audience: the issuer's own, `#`, and a commitment to the key.
    pub audience: String,
    /// The issuer's name at the server.
    pub issuer: String,
    /// The issuer's `iss`.
    pub url: String,
    /// The fingerprint of the host key that it names.
    pub key: String,
}

/// The audience that a token of this host must have. It is the same as long as the server's name
/// and the host's first key are.
///
/// # Errors
/// Returns [`Error::Usage`] if it is not clear which issuer is meant.
pub(crate) fn audience(
    trust: &GetTrustResponse,
    issuer: Option<&str>,
    keys: &[HostKey],
) -> Result<TokenAudience, Error> {
    let issuer = choose(&trust.issuers, issuer)?;
    let key = first(keys)?;
    let secret = binding_secret(&trust.server_name, key)?;
    let commitment = proof::commitment(key, &secret).map_err(malformed)?;
    let own = match issuer.audience.as_str() {
        "" => &issuer.client_id,
        audience => audience,
    };
    Ok(TokenAudience {
        audience: proof::bound_audience(own, &commitment),
        issuer: issuer.name.clone(),
        url: issuer.url.clone(),
        key: fingerprint(key),
    })
}

/// The issuer of that name, or the only one that binds keys by the audience.
fn choose<'a>(issuers: &'a [Issuer], name: Option<&str>) -> Result<&'a Issuer, Error> {
    let binds = issuers
        .iter()
        .filter(|it| it.binding() == Binding::Audience);
    let named = |it: &&Issuer| name.is_none_or(|name| it.name == name);
    let found: Vec<&Issuer> = binds.clone().filter(named).collect();
    if let [issuer] = found.as_slice() {
        return Ok(issuer);
    }
    let names: Vec<&str> = binds.map(|it| it.name.as_str()).collect();
    Err(Error::Usage(match names.as_slice() {
        [] => "the server has no issuer for machines (an [[issuer]] with binding = \"audience\")"
            .to_owned(),
        names => format!("choose with --issuer NAME from: {}", names.join(", ")),
    }))
}

/// The secret behind the commitment to a host key. It hides nothing, as a host shows its public key
/// to all who connect: what counts is that this key signs the join. So it is not random, and a
/// token can be asked for before the host is set up, and from another machine.
fn binding_secret(server: &str, key: &PublicKey) -> Result<[u8; proof::SECRET_LENGTH], Error> {
    let blob = key.to_bytes().map_err(malformed)?;
    let material = wire::strings(&[DOMAIN, server.as_bytes(), &blob]);
    Ok(Sha256::digest(material).into())
}

fn first(keys: &[HostKey]) -> Result<&PublicKey, Error> {
    let first = keys.first().map(|key| &key.public);
    first.ok_or_else(|| Error::Sshd("sshd has no host key".to_owned()))
}

fn malformed(error: ssh_key::Error) -> Error {
    Error::Sshd(format!("invalid host key: {error}"))
}
