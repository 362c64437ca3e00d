//! What client and server compute alike: key commitments and possession messages. Pure.
use ssh_key::PublicKey;

/// The SSHSIG namespace of possession proofs.
pub const POSSESSION_NAMESPACE: &str = "daypass-issue@v1";

/// What a login commits to: base64url(SHA-256(domain, key blob, secret)).
pub fn commitment(_key: &PublicKey, _secret: &[u8]) -> String {
    todo!()
}

/// The bytes a possession proof signs: server name, hash of the token, subject key, the ask's canonical bytes (`proto::ask_bytes`).
pub fn possession_message(
    _server_name: &str,
    _token_hash: &[u8; 32],
    _key: &PublicKey,
    _ask: &[u8],
) -> Vec<u8> {
    todo!()
}
