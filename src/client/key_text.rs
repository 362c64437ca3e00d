//! Keys as the text of OpenSSH's key files. Pure.

use ssh_key::{LineEnding, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use super::Error;

/// A private key as OpenSSH writes it.
///
/// # Errors
/// Returns the error if ssh-key cannot encode the key.
pub(super) fn private_text(key: &PrivateKey) -> Result<Zeroizing<String>, Error> {
    key.to_openssh(LineEnding::LF)
        .map_err(|error| Error::other(format!("failed to encode the key: {error}")))
}

/// A public key in OpenSSH form, without a line break.
///
/// # Errors
/// Returns the error if ssh-key cannot encode the key.
pub(super) fn public_text(key: &PublicKey) -> Result<String, Error> {
    key.to_openssh()
        .map_err(|error| Error::other(format!("failed to encode the key: {error}")))
}

/// A public key as the line of a `.pub` file.
///
/// # Errors
/// As [`public_text`].
pub(super) fn public_line(key: &PublicKey) -> Result<String, Error> {
    Ok(public_text(key)? + "\n")
}
