//! What registered keys sign to get somebody in while the issuer is down, kept with the pass and checked again from the
//! ledger alone. Pure.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ssh_key::{HashAlg, PublicKey};

use super::{
    approval,
    event::{Issued, Who},
};

/// The SSHSIG namespace of emergency signatures. A signature made for anything else does not count.
pub const NAMESPACE: &str = "daypass-emergency@v1";

/// The proof behind an emergency pass that no token was shown for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// The server's challenge. It is spent with this event.
    pub challenge: String,
    /// What everybody signed, base64: the possession message, with the challenge's hash where a token's would stand.
    pub message: String,
    /// Who signed; the first is the pass's own.
    pub signatures: Vec<Signature>,
}

/// One registered person's signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    /// Who signed.
    pub who: Who,
    /// Their registered key in OpenSSH form.
    pub key: String,
    /// Their SSHSIG in base64, on one line.
    pub signature: String,
}

impl Signature {
    /// The registered key's fingerprint (`SHA256:...`); none where it is no key.
    pub fn fingerprint(&self) -> Option<String> {
        let key = PublicKey::from_openssh(&self.key).ok()?;
        Some(key.fingerprint(HashAlg::Sha256).to_string())
    }
}

/// Whether `issued` at `server` has the proof that it needs: one for an emergency without a token, and none for anything else.
pub(super) fn check(server: &str, issued: &Issued) -> Result<(), &'static str> {
    let Some(proof) = &issued.emergency_proof else {
        return match issued.binding == BINDING {
            true => Err("is an emergency by registered keys, without their signatures"),
            false => Ok(()),
        };
    };
    if issued.binding != BINDING || !issued.ask.emergency {
        return Err("has an emergency's signatures and is none");
    }
    let message = STANDARD.decode(&proof.message).unwrap_or_default();
    if !is_about(&message, server, issued, proof) {
        return Err("has signatures over something else than this pass");
    }
    let is_good =
        |one: &Signature| approval::is_signed_for(NAMESPACE, &one.key, &message, &one.signature);
    if !proof.signatures.iter().all(is_good) {
        return Err("is an emergency with a signature that is not its maker's");
    }
    let people = proof.signatures.iter();
    let people: BTreeSet<_> = people
        .map(|one| (&one.who.issuer, &one.who.subject))
        .collect();
    let first = proof.signatures.first().map(|one| &one.who);
    let is_first = first.is_some_and(|who| {
        (&who.issuer, &who.subject) == (&issued.who.issuer, &issued.who.subject)
    });
    match is_first && people.len() == proof.signatures.len() {
        true => Ok(()),
        false => Err("counts somebody's signature twice, or not its holder's"),
    }
}

/// How the ledger names this way in, where others say how their token is bound.
pub const BINDING: &str = "emergency";

/// The message's parts (`identity::proof::possession_message`): domain, server, hash of the challenge, key, ask.
fn is_about(message: &[u8], server: &str, issued: &Issued, proof: &Proof) -> bool {
    let Some([_, name, hash, key, _]) = parts(message) else {
        return false;
    };
    let fingerprint = PublicKey::from_bytes(key)
        .map(|key| key.fingerprint(HashAlg::Sha256).to_string())
        .unwrap_or_default();
    name == server.as_bytes()
        && hash == Sha256::digest(proof.challenge.as_bytes()).as_slice()
        && fingerprint == issued.key
}

/// Exactly five SSH strings (RFC 4251, 5).
fn parts(message: &[u8]) -> Option<[&[u8]; 5]> {
    let mut rest = message;
    let mut parts = [[].as_slice(); 5];
    for part in &mut parts {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        (*part, rest) = after.split_at_checked(length)?;
    }
    rest.is_empty().then_some(parts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use ssh_key::{Algorithm, PrivateKey, rand_core::OsRng};

    use super::*;
    use crate::ledger::event::tests::issued;

    const SERVER: &str = "daypass.example.com";

    fn string(bytes: &[u8]) -> Vec<u8> {
        [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    }

    fn signed(message: &[u8], subject: &str) -> Signature {
        let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        let signature = key.sign(NAMESPACE, HashAlg::Sha512, message).unwrap();
        let armored = signature.to_pem(ssh_key::LineEnding::LF).unwrap();
        Signature {
            who: Who {
                subject: subject.to_owned(),
                ..issued().who
            },
            key: key.public_key().to_openssh().unwrap(),
            signature: approval::compact(&armored),
        }
    }

    /// An emergency of `u-4711`, seconded by `bob`.
    fn good() -> Issued {
        let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        let message = [
            string(b"daypass-issue@v1"),
            string(SERVER.as_bytes()),
            string(&Sha256::digest("challenge")),
            string(&key.public_key().to_bytes().unwrap()),
            string(b"ask"),
        ]
        .concat();
        let mut issued = issued();
        issued.ask.emergency = true;
        Issued {
            key: key.fingerprint(HashAlg::Sha256).to_string(),
            binding: BINDING.to_owned(),
            emergency_proof: Some(Box::new(Proof {
                challenge: "challenge".to_owned(),
                signatures: vec![signed(&message, "u-4711"), signed(&message, "bob")],
                message: STANDARD.encode(message),
            })),
            ..issued
        }
    }

    type Change = fn(&mut Issued, &mut Proof);

    #[test]
    fn a_pass_without_the_signatures_that_it_claims_is_found() {
        assert_eq!(check(SERVER, &good()), Ok(()));
        assert_eq!(check(SERVER, &issued()), Ok(()));
        assert!(
            check("other.example.com", &good()).is_err(),
            "another server"
        );
        let changes: [(&str, Change); 9] = [
            ("another challenge", |_, proof| proof.challenge.push('x')),
            ("another pass key", |pass, _| pass.key.push('x')),
            ("no emergency", |pass, _| pass.ask.emergency = false),
            ("bound by a token", |pass, _| pass.binding = "nonce".into()),
            ("another message", |_, proof| {
                proof.message = STANDARD.encode(b"x")
            }),
            ("another holder", |pass, _| pass.who.subject = "bob".into()),
            ("one person twice", |_, proof| {
                proof.signatures[1].who.subject = "u-4711".into();
            }),
            ("a signature of another key", |_, proof| {
                proof.signatures[1].key = proof.signatures[0].key.clone();
            }),
            ("nobody", |_, proof| proof.signatures.clear()),
        ];
        for (case, change) in changes {
            let mut pass = good();
            let mut proof = pass.emergency_proof.take().unwrap();
            change(&mut pass, &mut proof);
            pass.emergency_proof = Some(proof);
            assert!(check(SERVER, &pass).is_err(), "{case}");
        }
        let mut bare = good();
        bare.emergency_proof = None;
        assert!(check(SERVER, &bare).is_err(), "no proof at all");
    }
}
