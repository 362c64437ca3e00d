//! A sign-in that was renewed by a refresh token: two ID tokens, which together prove one identity.
//! Pure.
//!
//! The *original* is the token of the sign-in. Its nonce binds the key, and it may have expired. A
//! *fresh* token came later, and usually has no nonce (OpenID Connect Core, section 12.2). So a
//! stolen refresh token is worth nothing without the key of the sign-in.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;
use time::Duration;

use super::{
    binding::Commitment,
    claims::{LEEWAY, ValidatedClaims},
    error::Error,
};

/// Claims about the sign-in itself. A renewal is not a sign-in: an issuer that writes its time into
/// `auth_time` must not make a sign-in look newer than it is.
const OF_THE_SIGN_IN: [&str; 3] = ["auth_time", "acr", "amr"];

/// The identity's claims: the fresh token's, with the original's commitment and what it says about
/// the sign-in.
///
/// # Errors
/// Returns [`Error::OtherSignIn`] if the tokens are not of one sign-in.
pub(super) fn combine(
    mut fresh: ValidatedClaims,
    original: ValidatedClaims,
    session: Duration,
) -> Result<ValidatedClaims, Error> {
    check_pair(&fresh, &original)?;
    let visible = Arc::make_mut(&mut fresh.visible);
    for name in OF_THE_SIGN_IN {
        match original.visible.get(name) {
            Some(value) => visible.insert(name.to_owned(), value.clone()),
            None => visible.remove(name),
        };
    }
    fresh.expires = fresh.expires.min(original.issued + session);
    fresh.commitment = original.commitment;
    Ok(fresh)
}

fn check_pair(fresh: &ValidatedClaims, original: &ValidatedClaims) -> Result<(), Error> {
    if fresh.subject != original.subject {
        return Err(Error::OtherSignIn("it is of another subject"));
    }
    if fresh.visible.get("azp") != original.visible.get("azp")
        || !audiences(fresh).is_superset(&audiences(original))
    {
        return Err(Error::OtherSignIn("it is for another client"));
    }
    if original.issued - fresh.issued > LEEWAY {
        return Err(Error::OtherSignIn("it is older"));
    }
    match (&fresh.commitment, &original.commitment) {
        (Commitment::Absent, Commitment::Nonce(_)) => Ok(()),
        (Commitment::Nonce(nonce), Commitment::Nonce(original)) if nonce == original => Ok(()),
        _ => Err(Error::OtherSignIn("its nonce is another one")),
    }
}

fn audiences(claims: &ValidatedClaims) -> BTreeSet<&str> {
    match claims.visible.get("aud") {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => BTreeSet::from([one.as_str()]),
        _ => BTreeSet::new(),
    }
}
