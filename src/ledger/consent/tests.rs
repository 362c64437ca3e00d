#![allow(clippy::unwrap_used, reason = "tests")]

use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, rand_core::OsRng};

use super::*;
use crate::ledger::event::{Actor, tests::issued};

const SERVER: &str = "daypass.example.com";

fn key() -> PrivateKey {
    PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap()
}

fn line(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap()
}

fn sign(key: &PrivateKey, message: &[u8]) -> String {
    let signature = key.sign(Namespace::Consent.as_str(), HashAlg::Sha512, message);
    let armored = signature.unwrap().to_pem(LineEnding::LF).unwrap();
    crate::ssh::sshsig::compact(&armored)
}

/// A pass that a bastion asked for, signed by `user`.
fn good(user: &PrivateKey) -> Issued {
    let subject = key();
    let mut issued = issued();
    issued.key = fingerprint(subject.public_key());
    issued.ask.host = Some("web-1".to_owned());
    issued.ask.params = [("unit".to_owned(), "nginx".to_owned())].into();
    issued.ask.caller = Some("192.0.2.10".to_owned());
    issued.permissions.source_addresses = Some(["192.0.2.10/32".parse().unwrap()].into());
    issued.on_behalf = Some(Box::new(OnBehalf {
        by: Actor {
            subject: "edge".to_owned(),
            ..issued.who.clone()
        },
        binding: "audience".to_owned(),
        subject_key: line(&subject),
        token: "ab".repeat(32),
        until: UnixSeconds(1_795_361_871),
        key: line(user),
        signature: String::new(),
    }));
    resign(&mut issued, user);
    issued
}

fn resign(issued: &mut Issued, user: &PrivateKey) {
    let on_behalf = issued.on_behalf.clone().unwrap();
    let message = message(SERVER, issued, &on_behalf).unwrap_or_default();
    issued.on_behalf.as_mut().unwrap().signature = sign(user, &message);
}

type Change = fn(&mut Issued, &mut OnBehalf);

#[test]
fn a_pass_without_the_consent_that_it_claims_is_found() {
    let user = key();
    assert_eq!(check(SERVER, &good(&user)), Ok(()));
    assert_eq!(check(SERVER, &issued()), Ok(()), "a pass of its own holder");
    assert!(check("other.example.com", &good(&user)).is_err());
    let changes: [(&str, Change); 16] = [
        ("another role", |it, _| it.ask.role.push('x')),
        ("another host", |it, _| it.ask.host = Some("web-2".into())),
        ("another parameter", |it, _| {
            it.ask.params.insert("unit".into(), "sshd".into());
        }),
        ("another reason", |it, _| it.ask.reason = Some("x".into())),
        ("another lifetime", |it, _| it.ask.ttl_seconds = Some(9)),
        ("another bastion", |_, on| on.by.subject.push('x')),
        ("a bastion of another issuer", |_, on| {
            on.by.issuer.push('x')
        }),
        ("another token", |_, on| on.token = "cd".repeat(32)),
        ("a longer consent", |_, on| on.until = UnixSeconds(u64::MAX)),
        ("another user's key", |_, on| on.key = line(&key())),
        ("another subject key", |_, on| on.subject_key = line(&key())),
        ("another pass key", |it, _| it.key.push('x')),
        ("another address", |it, _| {
            it.permissions.source_addresses = Some(["192.0.2.0/24".parse().unwrap()].into());
        }),
        ("any address", |it, _| {
            it.permissions.source_addresses = None
        }),
        ("an unknown address", |it, _| it.ask.caller = None),
        ("a signature of nothing", |_, on| on.signature.clear()),
    ];
    for (case, change) in changes {
        let mut pass = good(&user);
        let mut on_behalf = pass.on_behalf.take().unwrap();
        change(&mut pass, &mut on_behalf);
        pass.on_behalf = Some(on_behalf);
        assert!(check(SERVER, &pass).is_err(), "{case}");
    }
}

/// Signed as they are, so that the signature is not what refuses them.
#[test]
fn a_consent_to_what_no_consent_can_give_is_found() {
    let user = key();
    let changes: [(&str, Change); 6] = [
        ("an emergency", |it, _| it.ask.emergency = true),
        ("no host", |it, _| it.ask.host = None),
        ("a request", |it, _| it.ask.request = Some(7)),
        ("the bastion's own pass", |it, on| on.by = it.who.clone()),
        ("a jump pass", |it, _| {
            it.jump = Some(crate::ledger::event::Jump {
                bastion: "edge".into(),
                pass: 1,
            });
        }),
        ("a network", |it, _| {
            it.permissions.source_addresses = Some(["192.0.2.0/24".parse().unwrap()].into());
        }),
    ];
    for (case, change) in changes {
        let mut pass = good(&user);
        let mut on_behalf = pass.on_behalf.take().unwrap();
        change(&mut pass, &mut on_behalf);
        pass.on_behalf = Some(on_behalf);
        resign(&mut pass, &user);
        assert!(check(SERVER, &pass).is_err(), "{case}");
    }
    let mut own = good(&user);
    own.key = fingerprint(user.public_key());
    own.on_behalf.as_mut().unwrap().subject_key = line(&user);
    resign(&mut own, &user);
    assert!(check(SERVER, &own).is_err(), "for the user's own key");
}

#[test]
fn one_consent_has_one_id_under_any_signature() {
    let pass = good(&key());
    let mut other = pass.clone();
    other.on_behalf.as_mut().unwrap().signature.push('x');
    assert_eq!(id(&pass), id(&other));
    let mut later = pass.clone();
    later.on_behalf.as_mut().unwrap().until = UnixSeconds(1_795_361_872);
    assert_ne!(id(&pass), id(&later));
    assert_eq!(id(&issued()), None);
}

#[test]
fn the_signed_bytes_are_the_documented_ones() {
    let consent = Consent {
        server: "ca",
        token: &[7; 32],
        ask: b"ask",
        issuer: "i",
        subject: "s",
        key: b"k",
        until: UnixSeconds(0x0102),
    };
    let expected = [
        b"\0\0\0\x12daypass-consent@v1\0\0\0\x02ca\0\0\0\x20".as_slice(),
        &[7; 32],
        b"\0\0\0\x03ask\0\0\0\x01i\0\0\0\x01s\0\0\0\x01k\0\0\0\x08\0\0\0\0\0\0\x01\x02",
    ];
    assert_eq!(consent.message(), expected.concat());
    let presented = presentation("ca", &[7; 32], b"k", &consent.message());
    let hash = Sha256::digest(consent.message());
    let expected = [
        b"\0\0\0\x14daypass-on-behalf@v1\0\0\0\x02ca\0\0\0\x20".as_slice(),
        &[7; 32],
        b"\0\0\0\x01k\0\0\0\x20",
        &hash,
    ];
    assert_eq!(presented, expected.concat());
}
