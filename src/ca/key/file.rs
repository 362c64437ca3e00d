//! Ed25519 and ECDSA P-256 keys in OpenSSH files.
use std::path::Path;
use super::{super::Error, Key};
/// Reads a key file; `passphrase` opens an encrypted one.
pub fn load(_path: &Path, _passphrase: Option<&secrecy::SecretString>) -> Result<Key, Error> { todo!() }
