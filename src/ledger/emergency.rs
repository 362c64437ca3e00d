//! Emergency passes by registered keys, without an ID token: the signatures are kept with the pass
//! and verified again from the ledger alone. Pure.

mod proof;
mod signed;

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use ssh_key::PublicKey;

use super::{
    approval,
    event::{Issued, RequestDetails, bounds},
};
use crate::ssh::{
    key,
    sshsig::Namespace,
    wire::{self, Reader},
};

pub use proof::{Proof, Signature, message};
use signed::MOST_PARAMS;
pub(crate) use signed::Signed;

/// Checks the proof of `issued` at `server`: required for an emergency without a token, forbidden
/// for any other pass.
pub(super) fn check(server: &str, issued: &Issued) -> Result<(), &'static str> {
    let Some(proof) = &issued.emergency_proof else {
        return match issued.binding == BINDING {
            true => Err("is an emergency by registered keys, without their signatures"),
            false => Ok(()),
        };
    };
    if issued.binding != BINDING || !issued.ask.emergency {
        return Err("has an emergency's signatures but is not an emergency");
    }
    let message = STANDARD.decode(&proof.message).unwrap_or_default();
    if !is_about(&message, server, issued, proof) {
        return Err("has signatures over another message than this pass");
    }
    let is_good = |one: &Signature| {
        approval::is_signed_for(Namespace::Emergency, &one.key, &message, &one.signature)
    };
    if !proof.signatures.iter().all(is_good) {
        return Err("is an emergency with an invalid signature");
    }
    let people = proof.signatures.iter();
    let people: BTreeSet<_> = people
        .map(|one| (&one.who.issuer, &one.who.subject))
        .collect();
    let keys: BTreeSet<_> = proof
        .signatures
        .iter()
        .map(Signature::fingerprint)
        .collect();
    let first = proof.signatures.first().map(|one| &one.who);
    let is_first = first.is_some_and(|who| {
        (&who.issuer, &who.subject) == (&issued.who.issuer, &issued.who.subject)
    });
    let count = proof.signatures.len();
    match is_first && people.len() == count && keys.len() == count {
        true => Ok(()),
        false => Err("counts a signature twice, or lacks its holder's"),
    }
}

/// The `binding` of a pass by registered keys. Other values say how a token is bound.
pub(crate) const BINDING: &str = "emergency";

/// Whether the message names this server, this pass's key and ask, the challenge, and the first
/// signer as the holder.
fn is_about(message: &[u8], server: &str, issued: &Issued, proof: &Proof) -> bool {
    let Some([domain, holder, possession]) = wire::parts(message) else {
        return false;
    };
    let Some([_, name, hash, key, ask]) = wire::parts(possession) else {
        return false;
    };
    let first = proof.signatures.first();
    domain == Namespace::Emergency.as_bytes()
        && fingerprint(holder) == first.and_then(Signature::fingerprint)
        && name == server.as_bytes()
        && hash == Sha256::digest(proof.challenge.as_bytes()).as_slice()
        && fingerprint(key).as_ref() == Some(&issued.key)
        && is_asked(ask, &issued.ask)
}

fn fingerprint(blob: &[u8]) -> Option<String> {
    let parsed = PublicKey::from_bytes(blob).ok()?;
    Some(key::fingerprint(&parsed))
}

/// Whether the signed ask (`proto::ask_bytes`) is the recorded one: same role, host, parameters and
/// reason, an emergency, and redeeming no request. Truncated texts are compared up to the cut.
fn is_asked(ask: &[u8], asked: &RequestDetails) -> bool {
    if !ask.ends_with(&[0, 0, 0, 0, 0, 0, 0, 0, 1]) {
        return false;
    }
    let mut ask = Reader::new(ask);
    let (role, host) = (ask.text(), ask.text());
    let Some(count) = ask.u32() else {
        return false;
    };
    let mut params = Vec::new();
    for _ in 0..count.min(MOST_PARAMS) {
        let (Some(name), Some(value)) = (ask.string(), ask.string()) else {
            return false;
        };
        params.push((name, value));
    }
    let reason = ask.string();
    let same = |signed: Option<&[u8]>, said: &str| {
        signed.is_some_and(|signed| match bounds::beginning(said) {
            Some(beginning) => signed.starts_with(beginning.as_bytes()),
            None => signed == said.as_bytes(),
        })
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let said = asked.params.iter();
    same(role.map(str::as_bytes), &asked.role)
        && same(host.map(str::as_bytes), &text(&asked.host))
        && same(reason, &text(&asked.reason))
        && params.len() >= asked.params.len()
        && said.zip(params).all(|((name, value), (key, signed))| {
            same(Some(key), name) && same(Some(signed), value)
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use ssh_key::{Algorithm, PrivateKey, rand_core::OsRng};

    use super::*;
    use crate::ledger::event::{Actor, tests::issued};

    const SERVER: &str = "daypass.example.com";

    fn text(bytes: &[u8]) -> Vec<u8> {
        [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    }

    fn key() -> PrivateKey {
        PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap()
    }

    fn blob(key: &PrivateKey) -> Vec<u8> {
        key.public_key().to_bytes().unwrap()
    }

    fn signed(key: &PrivateKey, message: &[u8], subject: &str) -> Signature {
        let signature = key
            .sign(
                Namespace::Emergency.as_str(),
                ssh_key::HashAlg::Sha512,
                message,
            )
            .unwrap();
        let armored = signature.to_pem(ssh_key::LineEnding::LF).unwrap();
        Signature {
            who: Actor {
                subject: subject.to_owned(),
                ..issued().who
            },
            key: key.public_key().to_openssh().unwrap(),
            signature: crate::ssh::sshsig::compact(&armored),
        }
    }

    /// An emergency of `u-4711`, seconded by `bob`.
    fn good() -> Issued {
        let (subject, holder, second) = (key(), key(), key());
        let ask = [
            text(b"web-logs"),
            text(b"web-1"),
            1_u32.to_be_bytes().to_vec(),
            text(b"unit"),
            text(b"nginx"),
            text(b"INC-7"),
            vec![0; 24],
            vec![1],
        ];
        let possession = [
            text(b"daypass-issue@v1"),
            text(SERVER.as_bytes()),
            text(&Sha256::digest("challenge")),
            text(&blob(&subject)),
            text(&ask.concat()),
        ];
        let message = message(&blob(&holder), &possession.concat());
        let mut issued = issued();
        issued.ask.emergency = true;
        issued.ask.host = Some("web-1".into());
        issued.ask.params = [("unit".into(), "nginx".into())].into();
        issued.ask.reason = Some("INC-7".into());
        Issued {
            key: key::fingerprint(subject.public_key()),
            binding: BINDING.to_owned(),
            emergency_proof: Some(Box::new(Proof {
                challenge: "challenge".to_owned(),
                signatures: vec![
                    signed(&holder, &message, "u-4711"),
                    signed(&second, &message, "bob"),
                ],
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
        let changes: [(&str, Change); 15] = [
            ("another challenge", |_, proof| proof.challenge.push('x')),
            ("another pass key", |pass, _| pass.key.push('x')),
            ("no emergency", |pass, _| pass.ask.emergency = false),
            ("bound by a token", |pass, _| pass.binding = "nonce".into()),
            ("another role", |pass, _| pass.ask.role = "prod-root".into()),
            ("another host", |pass, _| {
                pass.ask.host = Some("db-1".into())
            }),
            ("another reason", |pass, _| pass.ask.reason = None),
            ("another parameter", |pass, _| {
                pass.ask.params.insert("unit".into(), "sshd".into());
            }),
            ("the one who seconded as the one let in", |pass, proof| {
                proof.signatures.reverse();
                pass.who.subject = "bob".into();
            }),
            ("another message", |_, proof| {
                proof.message = STANDARD.encode(b"x")
            }),
            ("another holder", |pass, _| pass.who.subject = "bob".into()),
            ("one key as two people", |_, proof| {
                let (key, signature) = {
                    let first = &proof.signatures[0];
                    (first.key.clone(), first.signature.clone())
                };
                proof.signatures[1].key = key;
                proof.signatures[1].signature = signature;
            }),
            ("one person twice", |_, proof| {
                proof.signatures[1].who.subject = "u-4711".into();
            }),
            ("a signature of another key", |_, proof| {
                proof.signatures[1].key = proof.signatures[0].key.clone();
            }),
            ("no signer", |_, proof| proof.signatures.clear()),
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

    #[test]
    fn what_was_signed_is_read_back_and_nothing_may_follow_or_be_missing() {
        let pass = good();
        let proof = pass.emergency_proof.unwrap();
        let message = STANDARD.decode(&proof.message).unwrap();
        let signed = Signed::read(&message).unwrap();
        assert_eq!(
            proof.signatures[0].fingerprint(),
            Some(key::fingerprint(&signed.holder))
        );
        assert_eq!(key::fingerprint(&signed.key), pass.key);
        let texts = (&*signed.role, &*signed.host, &*signed.reason);
        assert_eq!(texts, ("web-logs", "web-1", "INC-7"));
        assert_eq!(signed.params, [("unit".to_owned(), "nginx".to_owned())]);
        assert_eq!(Signed::read(&[&message[..], b"x"].concat()), None);
        for length in 0..message.len() {
            assert_eq!(Signed::read(&message[..length]), None, "{length}");
        }
    }
}
