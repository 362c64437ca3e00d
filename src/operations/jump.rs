//! The jump pass: the second pass of an ask whose host is reached through a bastion.
//!
//! The pass for the host is recorded and signed first, the jump pass after it: by the same ask,
//! holder and key, each with an event and a serial of its own. Neither leaves without the other.

use sha2::{Digest, Sha256};
use ssh_key::Certificate;

use crate::policy::{Grant, bastion::JumpHost};

/// A jump pass.
#[derive(Debug)]
pub struct Jump {
    /// The bastion, and the login there.
    pub jump_host: JumpHost,
    /// Signed, linted and verified.
    pub certificate: Certificate,
    /// The policy's answer.
    pub grant: Grant,
}

/// Derives the jump pass's nonce from the main pass's random one: neither is known before both
/// passes are out.
pub(super) fn nonce(main: &[u8; 32]) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"daypass-jump")
        .chain_update(main)
        .finalize()
        .into()
}
