//! The CA's private keys.
pub mod file;
/// A signing key, wherever it lives.
pub struct Key;
impl Key {
    pub fn public(&self) -> &ssh_key::PublicKey {
        todo!()
    }
}
