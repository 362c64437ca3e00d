//! A draft for the unit tests of later stages. Never compiled into the product.

use super::{Draft, Fields};
use crate::ssh::{certificate::USER, permissions::Permissions, wire};
use crate::unix_seconds::UnixSeconds;

impl Draft {
    /// A draft of no grant; drafts of different nonces differ.
    pub(crate) fn sample(nonce: u8) -> Self {
        let blob = [wire::string(b"ssh-ed25519"), wire::string(&[9; 32])].concat();
        let fields = Fields {
            kind: USER,
            nonce: &[nonce; 32],
            subject: &blob,
            key_id: "alice/shell",
            valid_after: UnixSeconds(1_800_000_000),
            valid_before: UnixSeconds(1_800_003_600),
            permissions: &Permissions {
                principals: ["alice".to_owned()].into(),
                ..Permissions::default()
            },
            ca: &blob,
        };
        match fields.encode() {
            Some(unnumbered) => Self {
                unnumbered,
                key_id: fields.key_id.to_owned(),
                valid_after: fields.valid_after,
                valid_before: fields.valid_before,
                key_fingerprint: String::new(),
                ca_fingerprint: String::new(),
            },
            None => unreachable!("the blob is a key's"),
        }
    }
}
