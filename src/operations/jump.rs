//! The jump pass: the second one of an ask whose way goes through a bastion.
//!
//! The pass for the host is recorded and signed first, the jump pass after it: by the same ask, holder and key, each with an
//! event and a serial of its own. Neither leaves without the other.

use sha2::{Digest, Sha256};
use ssh_key::Certificate;

use super::{Error, issuance::Order};
use crate::{
    ca::Draft,
    ledger::event,
    policy::{Grant, bastion::Way},
};

/// A jump pass.
#[derive(Debug)]
pub struct Jump {
    /// The bastion, and the login there.
    pub way: Way,
    /// Signed, linted and verified.
    pub certificate: Certificate,
    /// What the policy answered.
    pub grant: Grant,
}

/// Records and signs the jump pass of the pass `main`.
pub(super) async fn issue(
    order: &Order<'_>,
    way: Way,
    grant: Grant,
    draft: Draft,
    main: u64,
) -> Result<Jump, Error> {
    let jump = event::Jump {
        bastion: way.bastion.clone(),
        pass: main,
    };
    let issued = event::Issued {
        jump: Some(jump),
        ..order.issued(&grant, &draft)
    };
    let certificate = order.sign(draft, issued).await?;
    Ok(Jump {
        way,
        certificate,
        grant,
    })
}

/// Another nonce out of a random one, which nobody knows before both passes are out.
pub(super) fn nonce(main: &[u8; 32]) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"daypass-jump")
        .chain_update(main)
        .finalize()
        .into()
}
