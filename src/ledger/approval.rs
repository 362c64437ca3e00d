//! Signatures of decisions about requests: SSHSIGs (PROTOCOL.sshsig) by the decider's own key.
//! Pure.

use ssh_key::PublicKey;

use super::{state::Verb, tree::Hash};
use crate::ssh::{
    key, presence,
    sshsig::{Namespace, Signature},
    wire,
};

/// The content of a decision's signature.
///
/// It names the decider, so a signature that one person made never counts as another person's, even
/// if both use the same key.
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
    /// The decider's comment.
    pub comment: &'a str,
}

impl Message<'_> {
    /// The signed bytes, as length-prefixed strings (RFC 4251, 5): domain, verb, server name,
    /// issuer, subject, digest, comment.
    pub fn to_bytes(self) -> Vec<u8> {
        wire::strings(&[
            Namespace::Approve.as_bytes(),
            self.verb.as_str().as_bytes(),
            self.server_name.as_bytes(),
            self.issuer.as_bytes(),
            self.subject.as_bytes(),
            self.digest,
            self.comment.as_bytes(),
        ])
    }
}

/// The fingerprint (`SHA256:...`) of a key in OpenSSH form; `None` if it does not parse.
pub(super) fn fingerprint(key: &str) -> Option<String> {
    let parsed = PublicKey::from_openssh(key).ok()?;
    Some(key::fingerprint(&parsed))
}

/// Whether `signature` ([`compact`](crate::ssh::sshsig::compact)) is by `key` (OpenSSH form) over
/// `message`, as a decision.
pub(crate) fn is_signed(key: &str, message: &[u8], signature: &str) -> bool {
    is_signed_for(Namespace::Approve, key, message, signature)
}

/// Whether `signature` shows the presence of the holder of `key`, over `message`, as a decision.
pub(crate) fn shows_presence(key: &str, message: &[u8], signature: &str) -> bool {
    let Ok(key) = PublicKey::from_openssh(key) else {
        return false;
    };
    let verified = presence::verify(signature, Namespace::Approve, message);
    verified.is_ok_and(|presence| presence.key.key_data() == key.key_data())
}

/// [`is_signed`] in another namespace.
pub(super) fn is_signed_for(
    namespace: Namespace,
    key: &str,
    message: &[u8],
    signature: &str,
) -> bool {
    let (Ok(key), Ok(signature)) = (
        PublicKey::from_openssh(key),
        Signature::from_compact(signature),
    ) else {
        return false;
    };
    signature.verify(&key, namespace, message).is_ok()
}
