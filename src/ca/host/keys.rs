//! The keys that sign host certificates.

use ssh_key::PublicKey;

use crate::ca::{
    error::Error,
    key::Key,
    keys::{Ca, KeyState},
};

/// The keys that sign host certificates, of which exactly one is active.
#[derive(Debug)]
pub struct HostCa(pub(super) Ca);

impl HostCa {
    /// A CA of hosts over these keys.
    ///
    /// # Errors
    /// [`Error::Keys`] unless exactly one is active, no key is there twice, and none is a key of
    /// `users`.
    pub fn new(keys: Vec<(Key, KeyState)>, users: &Ca) -> Result<Self, Error> {
        let hosts = Ca::new(keys)?;
        let is_shared =
            |key: &PublicKey| users.keys().any(|(it, _)| it.key_data() == key.key_data());
        let has_shared = hosts.keys().any(|(key, _)| is_shared(key));
        match has_shared {
            true => Err(Error::Keys(
                "a key of [[hosts.key]] is also a [[ca.key]]: give hosts a key of their own",
            )),
            false => Ok(Self(hosts)),
        }
    }

    /// The key that new host certificates are signed with.
    pub(crate) fn active(&self) -> &PublicKey {
        self.0.active()
    }

    /// Every key that users should trust for hosts, the active one first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&PublicKey, KeyState)> {
        self.0.keys()
    }

    /// [`Ca::start`].
    pub(crate) async fn start(&self) {
        self.0.start().await;
    }

    /// [`Ca::look`].
    pub(crate) async fn look(&self) {
        self.0.look().await;
    }

    /// [`Ca::expect_key`].
    ///
    /// # Errors
    /// [`Error::Away`] with the key and the cause.
    pub(crate) fn expect_key(&self) -> Result<(), Error> {
        self.0.expect_key()
    }
}
