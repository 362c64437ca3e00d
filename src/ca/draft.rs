//! The to-be-signed certificate. Pure.
use super::Error;
use crate::{identity::Holder, policy::Grant};
use ssh_key::PublicKey;
use time::OffsetDateTime;

/// A certificate that lacks serial and signature.
#[derive(Clone, Debug)]
pub struct Draft;

impl Draft {
    /// Backdates by 60 s, counts the lifetime from `now`. `ca` is the active key that must sign.
    pub fn new(
        _holder: &Holder,
        _grant: &Grant,
        _ca: &PublicKey,
        _nonce: [u8; 32],
        _now: OffsetDateTime,
    ) -> Result<Self, Error> {
        todo!()
    }
    /// The exact bytes a CA signs (PROTOCOL.certkeys / draft-miller-ssh-cert), at this serial.
    pub fn to_be_signed(&self, _serial: u64) -> Vec<u8> {
        todo!()
    }
    /// `LABEL/ROLE`, printable ASCII, at most 256 bytes.
    pub fn key_id(&self) -> &str {
        todo!()
    }
    /// Unix seconds.
    pub fn valid_after(&self) -> u64 {
        todo!()
    }
    pub fn valid_before(&self) -> u64 {
        todo!()
    }
    /// Fingerprint of the subject key and of the CA key.
    pub fn key_fingerprint(&self) -> String {
        todo!()
    }
    pub fn ca_fingerprint(&self) -> String {
        todo!()
    }
}

/// Refuses subject keys no pass is for (RSA under 3072 bits, odd exponents, DSA, certificates...) from their OpenSSH text,
/// before any mathematics. The server calls it on the wire's `public_key`.
pub fn parse_subject_key(_text: &str) -> Result<PublicKey, Error> {
    todo!()
}
