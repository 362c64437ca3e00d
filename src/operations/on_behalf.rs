//! The proofs of a pass on behalf of a user: the user's consent, and the asking identity's
//! possession of the key that the pass is for.

use ssh_key::PublicKey;

use super::{authority::Authority, record};
use crate::{
    identity::{
        Error, Identity, KeyHolder,
        on_behalf::{self, Unverified},
    },
    ledger::consent::{self, Consent},
    policy::{Ask, Context},
    unix_seconds::UnixSeconds,
};

/// An identity and its proof, not yet verified.
pub(crate) struct Party<'a> {
    /// The proven identity.
    pub identity: Identity,
    /// Its key.
    pub key: PublicKey,
    /// The secret behind its token's binding.
    pub secret: &'a [u8],
    /// Its armored SSHSIG.
    pub signature: &'a str,
}

impl Party<'_> {
    fn proof<'a>(&'a self, message: &'a [u8]) -> (Identity, Unverified<'a>) {
        let proof = Unverified {
            key: self.key.clone(),
            secret: self.secret,
            message,
            signature: self.signature,
        };
        (self.identity.clone(), proof)
    }
}

/// Proves that `by` holds its key and that `user` has consented to a pass for that key.
///
/// The user has signed the ask as the ledger will record it, so that an auditor can check the
/// consent from the event.
///
/// # Errors
/// As [`on_behalf::prove`].
pub(crate) fn holder(
    authority: &Authority,
    user: &Party<'_>,
    by: &Party<'_>,
    until: UnixSeconds,
    (ask, context): (&Ask, Context),
) -> Result<KeyHolder, Error> {
    let (server, key) = (&authority.server_name, by.key.to_bytes());
    let key = key.map_err(Error::KeyMalformed)?;
    let message = Consent {
        server,
        token: user.identity.token_hash(),
        ask: &record::ask_bytes(ask, context),
        issuer: by.identity.issuer(),
        subject: by.identity.subject(),
        key: &key,
        until,
    }
    .message();
    let presented = consent::presentation(server, by.identity.token_hash(), &key, &message);
    on_behalf::prove(
        user.proof(&message),
        by.proof(&presented),
        until,
        context.now,
    )
}
