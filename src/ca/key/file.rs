//! Ed25519 and ECDSA P-256 keys in OpenSSH files.
use super::{super::Error, Key};
use std::path::Path;
/// Reads a key file; `passphrase` opens an encrypted one.
pub fn load(_path: &Path, _passphrase: Option<&secrecy::SecretString>) -> Result<Key, Error> {
    todo!()
}
