//! Passes on behalf of a user: a bastion or web terminal with an identity of its own asks, and the
//! user consents with the key that their token is bound to. Pure.
//!
//! Two proofs, each in a namespace of its own, so that neither counts for anything else: the
//! user's ([`Namespace::Consent`]) names the server, the user's token, the ask, the asking
//! identity, the subject key and a time after which it is void. The asking identity's
//! ([`Namespace::OnBehalf`]) is by the subject key, to which its own token is bound, and covers the
//! user's. What both sign is in `ledger::consent`.

use std::time::Duration;

use ssh_key::PublicKey;
use time::OffsetDateTime;

use super::{
    binding::Binding,
    error::Error,
    proven::{Identity, KeyHolder, OnBehalf},
};
use crate::{
    ssh::sshsig::Namespace,
    unix_seconds::{UnixSeconds, moment},
};

/// Longest life of a consent.
pub(crate) const CONSENT_LIFE: Duration = Duration::from_secs(10 * 60);

/// A proof by a key, not yet verified.
pub(crate) struct Unverified<'a> {
    /// The key.
    pub key: PublicKey,
    /// The secret behind the token's binding.
    pub secret: &'a [u8],
    /// The message that the key should have signed.
    pub message: &'a [u8],
    /// The armored SSHSIG.
    pub signature: &'a str,
}

/// Proves that `by` holds the subject key and that `user` consents, until `until`, to a pass for
/// it.
///
/// # Errors
/// Returns `CONSENT` if the consent is void at `now` or cannot be one, `KEY_BINDING` if a token is
/// bound to no key or to another, and `POSSESSION` if a signature does not verify.
pub(crate) fn prove(
    (user, consent): (Identity, Unverified<'_>),
    (by, possession): (Identity, Unverified<'_>),
    until: UnixSeconds,
    now: OffsetDateTime,
) -> Result<KeyHolder, Error> {
    let now = UnixSeconds::from(now);
    // Its end may be by the clock of the user's machine, which the user does not suspect.
    let clocks = format!(
        "it ends at {}, and this server's clock says {}",
        moment(until.get()),
        moment(now.get())
    );
    if until < now {
        let text = format!("it is void: {clocks}: let the user sign a new one");
        return Err(Error::Consent(text.into()));
    }
    if until > now.saturating_add(CONSENT_LIFE) {
        let text = format!(
            "it may be good for 10 minutes at most: {clocks}: correct the clock of the machine that signs, or let it \
             take the time from the server"
        );
        return Err(Error::Consent(text.into()));
    }
    if (user.issuer(), user.subject()) == (by.issuer(), by.subject()) {
        let text = "it is your own: ask for a pass as usual";
        return Err(Error::Consent(text.into()));
    }
    if consent.key.key_data() == possession.key.key_data() {
        let text = "it is by the key that the pass would be for";
        return Err(Error::Consent(text.into()));
    }
    let holder = proven(Namespace::OnBehalf, by, possession)?;
    let signature = consent.signature.to_owned();
    let user = proven(Namespace::Consent, user, consent);
    let user = user.map_err(|error| Error::OfUser(Box::new(error)))?;
    let on_behalf = OnBehalf {
        by: holder.identity().clone(),
        key: user.key().clone(),
        until,
        signature,
    };
    Ok(holder.for_user(user.identity().clone(), on_behalf))
}

/// The holder of a key to which the token is bound. An unbound token is refused: a thief could
/// have it.
fn proven(
    namespace: Namespace,
    identity: Identity,
    proof: Unverified<'_>,
) -> Result<KeyHolder, Error> {
    if identity.binding() == Binding::None {
        return Err(Error::Unbound);
    }
    let Unverified {
        key,
        secret,
        message,
        signature,
    } = proof;
    identity.prove_possession_for(namespace, key, secret, message, signature)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;
    use ssh_key::{Algorithm, PrivateKey, rand_core::OsRng};

    use super::*;

    fn unverified(key: &PrivateKey) -> Unverified<'static> {
        Unverified {
            key: key.public_key().clone(),
            secret: b"",
            message: b"message",
            signature: "",
        }
    }

    #[test]
    fn a_token_that_is_bound_to_no_key_is_refused_on_either_side() {
        let key = || PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        let bound = |subject: &str| Identity::sample(json!({"sub": subject}));
        let unbound = |subject: &str| Identity::sample(json!({"sub": subject, "unbound": true}));
        let now = OffsetDateTime::UNIX_EPOCH;
        let refused = |user: Identity, by: Identity| {
            let (user, by) = ((user, unverified(&key())), (by, unverified(&key())));
            prove(user, by, UnixSeconds(60), now).unwrap_err()
        };
        let by = refused(bound("alice"), unbound("edge"));
        assert!(matches!(by, Error::Unbound), "{by}");
        // The samples' binding names no key, so the asking side is refused first.
        let both = refused(unbound("alice"), bound("edge"));
        assert!(matches!(both, Error::OtherKey), "{both}");
        let user = proven(Namespace::Consent, unbound("alice"), unverified(&key()));
        assert!(matches!(user, Err(Error::Unbound)));
    }

    #[test]
    fn a_consent_is_good_for_minutes() {
        let key = || PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        let person = |subject: &str| {
            (
                Identity::sample(json!({"sub": subject})),
                unverified(&key()),
            )
        };
        let at = |until: u64| {
            let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1000);
            prove(person("alice"), person("edge"), UnixSeconds(until), now).unwrap_err()
        };
        for (until, says) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (999, "1970-01-01 00:16:39 UTC"),
            (1601, "1970-01-01 00:26:41 UTC"),
            (u64::MAX, "the end of time"),
        ] {
            let refused = at(until);
            assert!(matches!(refused, Error::Consent(_)), "{until}");
            // The user cannot find a wrong clock that no refusal names.
            for clock in [says, "this server's clock says 1970-01-01 00:16:40 UTC"] {
                assert!(refused.to_string().contains(clock), "{until}: {refused}");
            }
        }
        for until in [1000, 1600] {
            assert!(matches!(at(until), Error::OtherKey), "{until}");
        }
    }
}
