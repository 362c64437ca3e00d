//! Trading a proven identity and an ask for a pass.
use super::{Authority, Error};
use crate::{
    identity::{Holder, Identity},
    policy::{Ask, Context, Grant},
};
use ssh_key::{Certificate, PublicKey};

/// A pass, with the grant it came from.
#[derive(Debug)]
pub struct Pass {
    pub certificate: Certificate,
    pub grant: Grant,
}

/// decide -> draft -> record -> sign. A denial is recorded once and is `Error::Denied`.
pub async fn issue(
    _authority: &Authority,
    _holder: &Holder,
    _ask: &Ask,
    _context: Context,
    _nonce: [u8; 32],
) -> Result<Pass, Error> {
    todo!()
}

/// Records the refusal of a proven identity's ask that never reached the policy: one `denied` event with this `reason`
/// (`SUBJECT_KEY`, `ASK_MALFORMED`, `KEY_BINDING`, `POSSESSION`). `ask` holds what of it could be read.
pub async fn refuse(
    _authority: &Authority,
    _identity: &Identity,
    _key: Option<&PublicKey>,
    _ask: &Ask,
    _context: Context,
    _reason: &str,
    _detail: &str,
) -> Result<(), Error> {
    todo!()
}
