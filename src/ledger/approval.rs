//! What deciders of requests sign: SSHSIGs over a request's digest, by their own bound key (PROTOCOL.sshsig). Pure.

use base64::{Engine, engine::general_purpose::STANDARD};
use ssh_encoding::Decode;
use ssh_key::{HashAlg, PublicKey, SshSig};

use super::{state::Verb, tree::Hash};

/// The SSHSIG namespace of decisions. A signature made for anything else does not count.
pub const NAMESPACE: &str = "daypass-approve@v1";

/// What a decision signs.
///
/// It names the decider: a signature that one person made does not count as another's, also if
/// both sign with the same key.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The decision.
    pub verb: Verb,
    /// The server's name.
    pub server_name: &'a str,
    /// The `iss` claim of the decider.
    pub issuer: &'a str,
    /// The `sub` claim of the decider.
    pub subject: &'a str,
    /// The RFC 6962 leaf hash of the request's event, so it names exactly what was asked.
    pub digest: &'a Hash,
    /// The decider's words.
    pub comment: &'a str,
}

impl Message<'_> {
    /// The signed bytes, as length-prefixed strings (RFC 4251, 5): domain, verb, server name,
    /// issuer, subject, digest, comment.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [
            NAMESPACE.as_bytes(),
            self.verb.as_str().as_bytes(),
            self.server_name.as_bytes(),
            self.issuer.as_bytes(),
            self.subject.as_bytes(),
            self.digest,
            self.comment.as_bytes(),
        ] {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// An armored SSHSIG as the ledger keeps it: its base64 on one line.
pub fn compact(armored: &str) -> String {
    let lines = armored.lines().map(str::trim);
    lines.filter(|line| !line.starts_with("-----")).collect()
}

/// The fingerprint (`SHA256:...`) of a key in OpenSSH form; none where it is no key.
pub(super) fn fingerprint(key: &str) -> Option<String> {
    let key = PublicKey::from_openssh(key).ok()?;
    Some(key.fingerprint(HashAlg::Sha256).to_string())
}

/// Whether `signature` ([`compact`]) is by `key` (OpenSSH form) over `message`.
pub fn is_signed(key: &str, message: &[u8], signature: &str) -> bool {
    is_signed_for(NAMESPACE, key, message, signature)
}

/// [`is_signed`] in another namespace.
pub(super) fn is_signed_for(namespace: &str, key: &str, message: &[u8], signature: &str) -> bool {
    let parse = || {
        let bytes = STANDARD.decode(signature).ok()?;
        let signature = SshSig::decode(&mut bytes.as_slice()).ok()?;
        let key = PublicKey::from_openssh(key).ok()?;
        key.verify(namespace, message, &signature).ok()
    };
    parse().is_some()
}
