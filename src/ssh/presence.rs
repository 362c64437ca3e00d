//! SSHSIGs that show that a person was present: by a security key (PROTOCOL.u2f, `sk-` keys) or by
//! a passkey in a browser (PROTOCOL.u2f, `webauthn-sk-ecdsa-sha2-nistp256@openssh.com`). Pure.
//!
//! Both are kept in OpenSSH's forms, so `ssh-keygen -Y verify` checks them too. ssh-key 0.6 reads
//! neither the form of browsers nor that of ECDSA security keys, so this module has a reader of its
//! own. It is strict: each signature has one form.

use aws_lc_rs::{
    digest::{self, SHA256},
    signature::ED25519,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::Deserialize;
use ssh_key::{
    PublicKey,
    public::{EcdsaPublicKey, KeyData},
};

use super::{
    key,
    signed_by::{is_ecdsa, is_verified},
    sshsig::{self, Namespace, compact},
    wire::Reader,
};

/// Longest signature in bytes, as base64.
const MAX_TEXT: usize = 8 * 1024;

/// Longest `clientDataJSON` in bytes. Browsers write about 200.
const MAX_CLIENT_DATA: usize = 2048;

/// Longest extension data in bytes. Browsers send none for what the page asks.
const MAX_EXTENSIONS: usize = 1024;

/// Beginning of an SSHSIG's binary form.
const MAGIC: &[u8] = b"SSHSIG";

/// Beginning of the application of keys that OpenSSH makes. Of a passkey, the application is the
/// domain of its page, and no page has this one.
const OPENSSH: &str = "ssh:";

/// Flags of an authenticator's signature (WebAuthn, section 6.1).
const USER_PRESENT: u8 = 0x01;
const ATTESTED: u8 = 0x40;
const EXTENSIONS: u8 = 0x80;

/// A verified signature of a person who was present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Presence {
    /// The key that signed.
    pub(crate) key: PublicKey,
    /// The origin of the page that had it signed; none for a key outside of a browser.
    pub(crate) origin: Option<String>,
    /// The key's count of its signatures. Passkeys that are synchronised have 0.
    pub(crate) counter: u32,
}

/// Whether a key shows presence on the page (a passkey), outside of it (a security key), or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Made by a page, for one domain.
    Passkey,
    /// Made by OpenSSH.
    SecurityKey,
}

impl Kind {
    /// The kind of a key; `None` if it shows no presence.
    pub(crate) fn of(key: &PublicKey) -> Option<Self> {
        match key.key_data() {
            KeyData::SkEd25519(key) if key.application().starts_with(OPENSSH) => {
                Some(Self::SecurityKey)
            }
            KeyData::SkEcdsaSha2NistP256(key) if key.application().starts_with(OPENSSH) => {
                Some(Self::SecurityKey)
            }
            KeyData::SkEcdsaSha2NistP256(key) if is_domain(key.application()) => {
                Some(Self::Passkey)
            }
            _ => None,
        }
    }
}

/// Reads a public key that can show presence, from its OpenSSH line. Also returns its kind and its
/// comment.
pub(crate) fn parse(line: &str) -> Option<(PublicKey, Kind, &str)> {
    if line.len() > MAX_TEXT || line.chars().any(char::is_control) {
        return None;
    }
    let mut words = line.trim().splitn(3, ' ');
    let (algorithm, encoded) = (words.next()?, words.next()?);
    let (key, kind) = read(&STANDARD.decode(encoded).ok()?)?;
    (key.algorithm().as_str() == algorithm).then(|| (key, kind, words.next().unwrap_or_default()))
}

/// Reads the blob of a public key that can show presence, by the rules of [`key`].
fn read(blob: &[u8]) -> Option<(PublicKey, Kind)> {
    let key = PublicKey::from_bytes(blob).ok()?;
    let kind = Kind::of(&key)?;
    let is_checked = match (kind, key.key_data()) {
        // Its point, because the rules of keys that passes are for know no application but ssh:.
        (Kind::Passkey, KeyData::SkEcdsaSha2NistP256(it)) => {
            let point = KeyData::Ecdsa(EcdsaPublicKey::NistP256(*it.ec_point()));
            key::check(&PublicKey::from(point)).is_ok()
        }
        _ => key::check(&key).is_ok(),
    };
    let is_canonical = key.to_bytes().is_ok_and(|canonical| canonical == blob);
    (is_checked && is_canonical).then_some((key, kind))
}

/// Verifies an armored SSHSIG, or the base64 of one, over `message` in `namespace`. Whether its key
/// is registered is left to the caller.
///
/// # Errors
/// Returns [`Error`] for every signature that does not show presence.
pub(crate) fn verify(
    unverified: &str,
    namespace: Namespace,
    message: &[u8],
) -> Result<Presence, Error> {
    if unverified.len() > MAX_TEXT {
        return Err(Error::TooLong);
    }
    let blob = STANDARD.decode(compact(unverified));
    let blob = blob.map_err(|_| Error::Malformed)?;
    let frame = Frame::read(&blob, namespace).ok_or(Error::Malformed)?;
    let (key, kind) = read(frame.key).ok_or(Error::Key)?;
    let signed = Signed::read(frame.signature).ok_or(Error::Malformed)?;
    if signed.flags & USER_PRESENT == 0 {
        return Err(Error::Absent);
    }
    let data = sshsig::signed_data(namespace, message).map_err(|_| Error::Malformed)?;
    let origin = signed.verify(&key, kind, &data)?;
    Ok(Presence {
        key,
        origin,
        counter: signed.counter,
    })
}

/// The parts of an SSHSIG (PROTOCOL.sshsig) in this namespace, by SHA-512 as Daypass signs.
struct Frame<'a> {
    key: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Frame<'a> {
    fn read(blob: &'a [u8], namespace: Namespace) -> Option<Self> {
        let mut reader = Reader::new(blob.strip_prefix(MAGIC)?);
        let version = reader.u32()?;
        let key = reader.string()?;
        let (named, reserved, hash) = (reader.string()?, reader.string()?, reader.string()?);
        let signature = reader.string()?;
        let is_ours = version == 1
            && named == namespace.as_bytes()
            && reserved.is_empty()
            && hash == b"sha512"
            && reader.is_empty();
        is_ours.then_some(Self { key, signature })
    }
}

/// A signature of PROTOCOL.u2f.
struct Signed<'a> {
    algorithm: &'a str,
    signature: &'a [u8],
    flags: u8,
    counter: u32,
    web: Option<Web<'a>>,
}

/// What a browser adds.
struct Web<'a> {
    origin: &'a str,
    client_data: &'a [u8],
    extensions: &'a [u8],
}

/// `clientDataJSON` (WebAuthn, section 5.8.1). A field that is there twice is refused; browsers may
/// add others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    top_origin: Option<String>,
}

impl<'a> Signed<'a> {
    fn read(blob: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(blob);
        let mut signed = Self {
            algorithm: reader.text()?,
            signature: reader.string()?,
            flags: reader.byte()?,
            counter: reader.u32()?,
            web: None,
        };
        if signed.algorithm.starts_with("webauthn-") {
            signed.web = Some(Web {
                origin: reader.text()?,
                client_data: reader.string()?,
                extensions: reader.string()?,
            });
        }
        reader.is_empty().then_some(signed)
    }

    /// Verifies it over `data`, and returns the origin of the page if there was one.
    fn verify(&self, key: &PublicKey, kind: Kind, data: &[u8]) -> Result<Option<String>, Error> {
        let (extensions, hashed) = match (&self.web, kind) {
            (None, Kind::SecurityKey) => (&[][..], data),
            (Some(web), Kind::Passkey) => {
                web.check(self.flags, data)?;
                (web.extensions, web.client_data)
            }
            (None, Kind::Passkey) | (Some(_), Kind::SecurityKey) => return Err(Error::Key),
        };
        let signed = |application: &str| {
            let hash = |bytes: &[u8]| digest::digest(&SHA256, bytes);
            let (application, hashed) = (hash(application.as_bytes()), hash(hashed));
            let counter = self.counter.to_be_bytes();
            let parts = [
                application.as_ref(),
                &[self.flags],
                &counter,
                extensions,
                hashed.as_ref(),
            ];
            parts.concat()
        };
        let is_good = match (key.key_data(), self.algorithm) {
            (KeyData::SkEd25519(key), "sk-ssh-ed25519@openssh.com") => {
                let message = signed(key.application());
                is_verified(&ED25519, &key.public_key().0, &message, self.signature)
            }
            (
                KeyData::SkEcdsaSha2NistP256(key),
                "sk-ecdsa-sha2-nistp256@openssh.com"
                | "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
            ) => {
                let message = signed(key.application());
                let point = EcdsaPublicKey::NistP256(*key.ec_point());
                is_ecdsa(&point, &message, self.signature)
            }
            _ => false,
        };
        match (is_good, &self.web) {
            (false, _) => Err(Error::NotSigned),
            (true, None) => Ok(None),
            (true, Some(web)) if is_page_of(web.origin, application(key)) => {
                Ok(Some(web.origin.to_owned()))
            }
            (true, Some(_)) => Err(Error::Origin),
        }
    }
}

impl Web<'_> {
    /// Checks what the browser says that it signed, as OpenSSH does (`webauthn_check_prepare_hash`)
    /// and in what OpenSSH ignores: it is a signature of a page itself, not of a frame in one.
    fn check(&self, flags: u8, data: &[u8]) -> Result<(), Error> {
        let is_bounded = self.client_data.len() <= MAX_CLIENT_DATA
            && self.extensions.len() <= MAX_EXTENSIONS
            && flags & ATTESTED == 0
            && (flags & EXTENSIONS == 0) == self.extensions.is_empty();
        if !is_bounded || self.origin.contains(['"', '\\']) {
            return Err(Error::Malformed);
        }
        let challenge = URL_SAFE_NO_PAD.encode(data);
        let origin = self.origin;
        let beginning = format!(
            "{{\"type\":\"webauthn.get\",\"challenge\":\"{challenge}\",\"origin\":\"{origin}\""
        );
        if !self.client_data.starts_with(beginning.as_bytes()) {
            return Err(Error::NotSigned);
        }
        let read: ClientData =
            serde_json::from_slice(self.client_data).map_err(|_| Error::Malformed)?;
        let is_same = read.r#type == "webauthn.get"
            && read.challenge == challenge
            && read.origin == origin
            && !read.cross_origin
            && read.top_origin.is_none();
        is_same.then_some(()).ok_or(Error::Origin)
    }
}

/// The application of a key: `ssh:...`, or the domain of a passkey (its RP id).
fn application(key: &PublicKey) -> &str {
    match key.key_data() {
        KeyData::SkEd25519(key) => key.application(),
        KeyData::SkEcdsaSha2NistP256(key) => key.application(),
        _ => "",
    }
}

/// Whether a page of this origin is of this domain (WebAuthn, section 5.1.4.1: the RP id is the
/// page's domain, or one above it).
fn is_page_of(origin: &str, domain: &str) -> bool {
    let Some(rest) = origin.strip_prefix("https://") else {
        return false;
    };
    let (host, port) = rest.split_once(':').unwrap_or((rest, "443"));
    let is_below = || {
        host.strip_suffix(domain)
            .is_some_and(|it| it.ends_with('.'))
    };
    is_domain(host) && port.parse::<u16>().is_ok() && (host == domain || is_below())
}

/// Whether a text looks like a domain in the form that browsers write.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|it| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    // The last label of a domain is no number: 127.0.0.1 is an address (URL, "ends in a number").
    text.len() <= 253
        && text.split('.').all(is_label)
        && last.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Reason why a signature shows no presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Longer than every such signature.
    #[error("it is too large")]
    TooLong,
    /// Not in a form of PROTOCOL.u2f, or for another purpose.
    #[error("it is not a signature of a security key or passkey in the form of OpenSSH")]
    Malformed,
    /// Not by a security key, or by a passkey outside of a browser, or the reverse.
    #[error("its key is neither a security key nor a passkey of a page")]
    Key,
    /// No person touched the key.
    #[error("the key signed without its user: touch it when it blinks")]
    Absent,
    /// Made on a page of another site, or in a frame of one.
    #[error("it was made on a page of another site")]
    Origin,
    /// Over something else.
    #[error("it is not by this key over this decision")]
    NotSigned,
}

#[cfg(test)]
mod tests;
