//! The second way to an [`Identity`], for when the issuer is down: registered keys sign a fresh
//! challenge. Pure.
//!
//! There is no token, so the challenge's hash stands in the possession message where the token's
//! hash would. The subject key signs that message. Every registered key signs it together with the
//! key of the person who asks, in an SSHSIG namespace of its own. A challenge is good for
//! [`CHALLENGE_LIFE`]; the ledger accepts it once. The policy knows that such an identity showed no
//! token, and gives it emergencies only.

mod signed;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use ssh_key::PublicKey;
use time::OffsetDateTime;

use super::{binding::Commitment, claims::LEEWAY, error::Error, possession, proven::Identity};
use crate::{ssh::sshsig::Namespace, unix_seconds::UnixSeconds};
pub(crate) use signed::{Emergency, Registered, Signer};

/// Lifetime of a challenge: long enough for several people to sign the same one.
pub(crate) const CHALLENGE_LIFE: Duration = Duration::from_secs(15 * 60);

/// Signatures of one emergency at most.
pub(crate) const MAX_SIGNATURES: usize = 16;

/// Separates challenges from every other MAC.
const DOMAIN: &[u8] = b"daypass-challenge@v1";

/// Bytes of a challenge's parts: its time (Unix seconds, u64 big-endian), 16 random bytes, the MAC.
const TIME: usize = 8;
const UNIQUE: usize = 16;
const MAC: usize = 32;

/// The registered keys, each with its person.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    by_key: BTreeMap<Vec<u8>, Arc<Registered>>,
}

impl Registry {
    /// Registers one more key. Returns false if it is registered already, or has no encoding.
    pub(crate) fn add(&mut self, key: &PublicKey, person: &Arc<Registered>) -> bool {
        let Ok(blob) = PublicKey::from(key.key_data().clone()).to_bytes() else {
            return false;
        };
        let is_new = !self.by_key.contains_key(&blob);
        if is_new {
            self.by_key.insert(blob, Arc::clone(person));
        }
        is_new
    }

    /// Whether no key is registered.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    fn find(&self, key: &PublicKey) -> Option<&Registered> {
        let blob = PublicKey::from(key.key_data().clone()).to_bytes().ok()?;
        self.by_key.get(&blob).map(Arc::as_ref)
    }

    /// The identity of the person who signed first, with all people who signed the same message.
    ///
    /// `message` holds that person's key and [`super::proof::possession_message`] over the
    /// challenge's hash. Each person counts once.
    ///
    /// # Errors
    /// Returns an error with the code `EMERGENCY_KEY` if a key is not registered, or a signature is
    /// not by its key over this message.
    pub(crate) fn verify(
        &self,
        challenge: &Challenge,
        message: &[u8],
        unverified: &[Unverified],
    ) -> Result<Identity, Error> {
        if unverified.len() > MAX_SIGNATURES {
            return Err(Error::TooLarge("the list of emergency signatures"));
        }
        let mut signers: Vec<Signer> = Vec::with_capacity(unverified.len());
        for one in unverified {
            let signer = self.signer(message, one)?;
            if !signers.iter().any(|other| other.is_same_person(&signer)) {
                signers.push(signer);
            }
        }
        let first = signers
            .first()
            .ok_or(Error::EmergencyKey("no registered key signed"))?
            .person
            .clone();
        Ok(Identity {
            issuer: first.issuer,
            subject: first.subject,
            label: first.label,
            claims: Arc::new(first.claims),
            commitment: Commitment::Absent,
            token_hash: challenge.hash,
            expires: challenge.ends,
            is_refreshed: false,
            emergency: Some(Arc::new(Emergency {
                challenge: challenge.text.clone(),
                message: message.to_vec(),
                signers,
            })),
        })
    }

    fn signer(&self, message: &[u8], unverified: &Unverified) -> Result<Signer, Error> {
        let (key, signature) = (&unverified.key, &unverified.signature);
        let person = self
            .find(key)
            .ok_or(Error::EmergencyKey("a key is not registered"))?;
        possession::check_proof(Namespace::Emergency, key, message, signature)
            .map_err(|_| Error::EmergencyKey("a signature is not by its key over this ask"))?;
        Ok(Signer {
            person: person.clone(),
            key: PublicKey::from(key.key_data().clone()),
            signature: signature.clone(),
        })
    }
}

/// A signature from the wire. Nothing about it is proven.
#[derive(Clone, Debug)]
pub(crate) struct Unverified {
    /// The key that it is said to be by.
    pub key: PublicKey,
    /// The armored SSHSIG.
    pub signature: String,
}

/// Makes challenges, and recognises those of its servers by their MAC. It stores none: the ledger
/// remembers which were answered.
pub(crate) struct Challenges {
    key: hmac::Key,
}

/// A challenge of this server that has not expired. Only [`Challenges::check`] makes one.
#[derive(Clone, Debug)]
pub(crate) struct Challenge {
    text: String,
    hash: [u8; 32],
    ends: OffsetDateTime,
}

impl Challenge {
    /// SHA-256 of its text, for possession messages.
    pub(crate) fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

impl Challenges {
    /// `secret` is known to the servers of one ledger alone, which accept each other's challenges.
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
        }
    }

    /// A fresh challenge and its end. `unique` is random and used once.
    pub(crate) fn make(&self, unique: [u8; 16], now: OffsetDateTime) -> (String, OffsetDateTime) {
        let seconds = UnixSeconds::from(now).get();
        let mut bytes = seconds.to_be_bytes().to_vec();
        bytes.extend_from_slice(&unique);
        let mac = hmac::sign(&self.key, &[DOMAIN, &bytes].concat());
        bytes.extend_from_slice(mac.as_ref());
        (URL_SAFE_NO_PAD.encode(bytes), now + CHALLENGE_LIFE)
    }

    /// Checks that a text is a challenge of this server that may be answered at `now`.
    ///
    /// # Errors
    /// Returns [`Error::Challenge`] with what to do if it is not.
    pub(crate) fn check(&self, unverified: &str, now: OffsetDateTime) -> Result<Challenge, Error> {
        let strange = || Error::Challenge("it is not one of this server: ask for a new one");
        if unverified.len() > 2 * (TIME + UNIQUE + MAC) {
            return Err(strange());
        }
        let bytes = URL_SAFE_NO_PAD.decode(unverified).map_err(|_| strange())?;
        let (made, mac) = bytes
            .split_at_checked(TIME + UNIQUE)
            .filter(|(_, mac)| mac.len() == MAC)
            .ok_or_else(strange)?;
        hmac::verify(&self.key, &[DOMAIN, made].concat(), mac).map_err(|_| strange())?;
        let seconds = made.first_chunk::<TIME>().copied().unwrap_or_default();
        let made = UnixSeconds(u64::from_be_bytes(seconds)).to_utc();
        let made = made.ok_or_else(strange)?;
        if now + LEEWAY < made || made + CHALLENGE_LIFE <= now {
            return Err(Error::Challenge("its time is over: ask for a new one"));
        }
        Ok(Challenge {
            text: unverified.to_owned(),
            hash: Sha256::digest(unverified.as_bytes()).into(),
            ends: made + CHALLENGE_LIFE,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::Map;
    use time::{Duration, macros::datetime};

    const NOW: OffsetDateTime = datetime!(2026-11-28 03:00 UTC);

    #[test]
    fn a_challenge_is_good_from_its_start_to_its_end() {
        let challenges = Challenges::new(&[7; 32]);
        let (text, ends) = challenges.make([1; 16], NOW);
        assert_eq!(ends, NOW + CHALLENGE_LIFE);
        for (case, after, good) in [
            ("at once", Duration::ZERO, true),
            (
                "by a clock that is a little behind",
                -Duration::seconds(30),
                true,
            ),
            (
                "by a clock that is far behind",
                -Duration::seconds(31),
                false,
            ),
            ("in the last second", Duration::seconds(899), true),
            ("at its end", Duration::seconds(900), false),
            ("an hour later", Duration::hours(1), false),
        ] {
            assert_eq!(challenges.check(&text, NOW + after).is_ok(), good, "{case}");
        }
    }

    #[test]
    fn a_challenge_of_another_secret_or_with_any_bit_changed_is_none() {
        let challenges = Challenges::new(&[7; 32]);
        let (other, _) = Challenges::new(&[8; 32]).make([1; 16], NOW);
        assert!(challenges.check(&other, NOW).is_err());
        let (text, _) = challenges.make([1; 16], NOW);
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            if let Some(byte) = changed.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert!(challenges.check(&changed, NOW).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_key_is_one_persons_once() {
        let key = |name: &str| {
            let seed = [name.len() as u8; 32];
            let pair = ssh_key::private::Ed25519Keypair::from_seed(&seed);
            PublicKey::new(pair.public.into(), name)
        };
        let person = Arc::new(Registered {
            issuer: "https://id.example.com".into(),
            subject: "bob".into(),
            label: "bob".into(),
            claims: Map::new(),
        });
        let mut registry = Registry::default();
        assert!(registry.is_empty());
        assert!(registry.add(&key("one"), &person));
        // The comment is no part of a key.
        assert!(!registry.add(&key("two"), &person));
        assert!(registry.add(&key("three"), &person));
        assert_eq!(registry.by_key.len(), 2);
    }
}
