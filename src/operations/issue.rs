//! Trading a proven identity and an ask for a pass.
use super::{Authority, Error};
use crate::{
    identity::Holder,
    policy::{Ask, Context, Grant},
};
use ssh_key::Certificate;

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
