//! A user's consent to a pass that another identity asks for on their behalf: what is signed, and
//! the check of a recorded one. Pure.
//!
//! Nothing of what was signed is recorded twice: the message is made again from the event.

use ipnet::IpNet;
use sha2::{Digest, Sha256};
use ssh_key::PublicKey;

use super::{
    approval,
    event::{Issued, OnBehalf, RequestDetails},
};
use crate::{
    ssh::{
        key::fingerprint,
        sshsig::Namespace,
        wire::{self, put_length, put_string},
    },
    unix_seconds::UnixSeconds,
};

/// The content of a consent.
#[derive(Clone, Copy, Debug)]
pub struct Consent<'a> {
    /// The server's name.
    pub server: &'a str,
    /// SHA-256 of the user's token.
    pub token: &'a [u8; 32],
    /// Canonical bytes of the ask ([`ask_bytes`]).
    pub ask: &'a [u8],
    /// The `iss` claim of the identity that asks.
    pub issuer: &'a str,
    /// Its `sub` claim.
    pub subject: &'a str,
    /// The blob of the key that the pass is for.
    pub key: &'a [u8],
    /// The consent is void after this time.
    pub until: UnixSeconds,
}

impl Consent<'_> {
    /// The bytes that the user's key signs, as length-prefixed strings (RFC 4251, 5): domain,
    /// server name, hash of the user's token, ask, issuer and subject of the asking identity, blob
    /// of the subject key, and the time in Unix seconds as a big-endian u64.
    pub fn message(&self) -> Vec<u8> {
        wire::strings(&[
            Namespace::Consent.as_bytes(),
            self.server.as_bytes(),
            self.token,
            self.ask,
            self.issuer.as_bytes(),
            self.subject.as_bytes(),
            self.key,
            &self.until.get().to_be_bytes(),
        ])
    }
}

/// The bytes that the subject key signs: domain, server name, hash of the asking identity's token,
/// blob of the subject key, and SHA-256 of the user's consent.
pub fn presentation(server: &str, token: &[u8; 32], key: &[u8], consent: &[u8]) -> Vec<u8> {
    wire::strings(&[
        Namespace::OnBehalf.as_bytes(),
        server.as_bytes(),
        token,
        key,
        &Sha256::digest(consent),
    ])
}

/// The canonical bytes of a recorded ask: those of `proto::ask_bytes`.
pub(crate) fn ask_bytes(ask: &RequestDetails) -> Vec<u8> {
    let mut bytes = Vec::new();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    put_string(&mut bytes, ask.role.as_bytes());
    put_string(&mut bytes, text(&ask.host).as_bytes());
    put_length(&mut bytes, ask.params.len());
    for (name, value) in &ask.params {
        put_string(&mut bytes, name.as_bytes());
        put_string(&mut bytes, value.as_bytes());
    }
    put_string(&mut bytes, text(&ask.reason).as_bytes());
    bytes.extend_from_slice(&ask.ttl_seconds.unwrap_or_default().to_be_bytes());
    for texts in [&ask.source_addresses, &ask.extensions] {
        put_length(&mut bytes, texts.len());
        for text in texts {
            put_string(&mut bytes, text.as_bytes());
        }
    }
    bytes.extend_from_slice(&ask.request.unwrap_or_default().to_be_bytes());
    bytes.push(u8::from(ask.emergency));
    bytes
}

/// Checks the consent of `issued` at `server`, if another identity asked for the pass: it is
/// about this pass, signed by the user's key, and the pass works from the asking address alone.
pub(super) fn check(server: &str, issued: &Issued) -> Result<(), &'static str> {
    let Some(on_behalf) = &issued.on_behalf else {
        return Ok(());
    };
    let ask = &issued.ask;
    if !["nonce", "audience", "refreshed"].contains(&on_behalf.binding.as_str()) {
        return Err("is on behalf of a user, by a token that is bound to no key");
    }
    if issued.emergency_proof.is_some() || issued.jump.is_some() || ask.emergency {
        return Err("is on behalf of a user, and something else as well");
    }
    if ask.host.is_none() || ask.request.is_some() {
        return Err("is on behalf of a user, and not for one host at once");
    }
    let (user, by) = (&issued.who, &on_behalf.by);
    if (&user.issuer, &user.subject) == (&by.issuer, &by.subject) {
        return Err("is on behalf of the identity that asked");
    }
    if !is_pinned(issued) {
        return Err("is on behalf of a user, and not pinned to the address that asked");
    }
    let Some(message) = message(server, issued, on_behalf) else {
        return Err("is on behalf of a user, for another key than it says");
    };
    if approval::fingerprint(&on_behalf.key).is_none_or(|key| key == issued.key) {
        return Err("is on behalf of a user whose key it is for");
    }
    let (key, signature) = (&on_behalf.key, &on_behalf.signature);
    match approval::is_signed_for(Namespace::Consent, key, &message, signature) {
        true => Ok(()),
        false => Err("is on behalf of a user, without their valid consent"),
    }
}

/// Identifies a consent in the ledger state: a hash of all that was signed but the server's name,
/// which is one in a ledger.
pub(super) fn id(issued: &Issued) -> Option<String> {
    let on_behalf = issued.on_behalf.as_deref()?;
    let message = message("", issued, on_behalf)?;
    Some(base16ct::lower::encode_string(&Sha256::digest(message)))
}

/// The signed bytes, from the event. None if its keys or hashes do not read or do not fit.
fn message(server: &str, issued: &Issued, on_behalf: &OnBehalf) -> Option<Vec<u8>> {
    let key = PublicKey::from_openssh(&on_behalf.subject_key).ok()?;
    let mut token = [0; 32];
    base16ct::lower::decode(&on_behalf.token, &mut token)
        .ok()
        .filter(|bytes| bytes.len() == 32)?;
    let consent = Consent {
        server,
        token: &token,
        ask: &ask_bytes(&issued.ask),
        issuer: &on_behalf.by.issuer,
        subject: &on_behalf.by.subject,
        key: &key.to_bytes().ok()?,
        until: on_behalf.until,
    };
    (fingerprint(&key) == issued.key).then(|| consent.message())
}

/// Whether the pass works from the one address that asked.
fn is_pinned(issued: &Issued) -> bool {
    let caller = issued.ask.caller.as_deref();
    let caller = caller.and_then(|text| text.parse::<std::net::IpAddr>().ok());
    let only = caller.map(|address| [IpNet::from(address.to_canonical())].into());
    only.is_some() && issued.permissions.source_addresses == only
}

#[cfg(test)]
mod tests;
