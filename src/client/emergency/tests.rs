//! A signature is over the whole content of the file, and an incomplete file is refused.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::{super::key_text::public_line, *};
use crate::ssh::sshsig::{self, Namespace};

fn line(key: &Key) -> String {
    public_line(&key.public()).unwrap().trim_end().to_owned()
}

fn signature_request() -> SignatureRequest {
    SignatureRequest {
        holder: line(&Key::fresh().unwrap()),
        server: "daypass.example.com".into(),
        challenge: "challenge".into(),
        expires_at: u64::MAX,
        ask: EmergencyAsk {
            role: "prod".into(),
            host: "web-1".into(),
            reason: "INC-1".into(),
            ..EmergencyAsk::default()
        },
        public_key: public_line(&Key::fresh().unwrap().public()).unwrap(),
        signatures: Vec::new(),
    }
}

type Change = fn(&mut SignatureRequest);

#[tokio::test]
async fn a_signature_is_over_everything_that_the_sheet_says() {
    let signer = Signer::Key(Key::fresh().unwrap());
    let mut base = SignatureRequest {
        holder: public_line(&signer.public()).unwrap(),
        ..signature_request()
    };
    base.sign(&signer).await.unwrap();
    let signature =
        sshsig::Signature::from_armored(&base.signatures.first().unwrap().signature).unwrap();
    let public = signer.public();
    let holds = |signature_request: &SignatureRequest| {
        signature.verify(
            &public,
            Namespace::Emergency,
            &signature_request.message().unwrap(),
        )
    };
    holds(&base).unwrap();
    let signed = base.verify().unwrap();
    assert_eq!(signed.holder.key_data(), public.key_data());
    assert_eq!((&*signed.role, &*signed.host), ("prod", "web-1"));
    let changes: [(&str, Change); 9] = [
        ("another server", |it| it.server.push('x')),
        ("another challenge", |it| it.challenge.push('x')),
        ("another role", |it| it.ask.role = "root".into()),
        ("another host", |it| it.ask.host = "db-1".into()),
        ("another reason", |it| it.ask.reason.push('2')),
        ("another lifetime", |it| it.ask.ttl_seconds = 1),
        ("another parameter", |it| {
            it.ask.params.insert("unit".into(), "x".into());
        }),
        ("another holder", |it| {
            it.holder = line(&Key::fresh().unwrap());
        }),
        ("another key", |it| {
            it.public_key = public_line(&Key::fresh().unwrap().public()).unwrap();
        }),
    ];
    for (case, change) in changes {
        let mut other = base.clone();
        change(&mut other);
        assert!(holds(&other).is_err(), "{case}");
        assert!(other.verify().is_err(), "{case}");
    }
}

#[tokio::test]
async fn a_sheet_that_its_holder_did_not_sign_first_is_refused() {
    let (holder, other) = (
        Signer::Key(Key::fresh().unwrap()),
        Signer::Key(Key::fresh().unwrap()),
    );
    let base = SignatureRequest {
        holder: public_line(&holder.public()).unwrap(),
        ..signature_request()
    };
    for (case, signers, good) in [
        ("no signature", vec![], false),
        ("another person's alone", vec![&other], false),
        ("another person's first", vec![&other, &holder], false),
        ("the holder's", vec![&holder], true),
        ("the holder's first", vec![&holder, &other], true),
    ] {
        let mut signature_request = base.clone();
        for signer in signers {
            signature_request.sign(signer).await.unwrap();
        }
        assert_eq!(signature_request.verify().is_ok(), good, "{case}");
    }
    let mut signature_request = base;
    signature_request.sign(&holder).await.unwrap();
    let again = signature_request.signatures.first().unwrap().clone();
    signature_request.signatures.push(again);
    assert!(signature_request.verify().is_err(), "one key twice");
}

#[tokio::test]
async fn a_key_signs_a_sheet_once() {
    let mut signature_request = signature_request();
    let (one, two) = (
        Signer::Key(Key::fresh().unwrap()),
        Signer::Key(Key::fresh().unwrap()),
    );
    for signer in [&one, &two, &one] {
        signature_request.sign(signer).await.unwrap();
    }
    let fingerprint = |signer: &Signer| {
        let hash = ssh_key::HashAlg::Sha256;
        signer.public().fingerprint(hash).to_string()
    };
    assert_eq!(
        signature_request.signers(),
        [fingerprint(&one), fingerprint(&two)]
    );
}

#[test]
fn a_sheet_is_read_from_its_file_until_its_challenge_expires() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("emergency.json");
    signature_request().write(&path).unwrap();
    let read = SignatureRequest::read(&path).unwrap();
    assert_eq!(read.ask, signature_request().ask);
    let over = SignatureRequest {
        expires_at: 1,
        ..signature_request()
    };
    over.write(&path).unwrap();
    assert_eq!(SignatureRequest::read(&path).unwrap_err().exit_code(), 5);
    let long = " ".repeat(300_000);
    for text in ["", "{}", "null", "{\"server\":\"x\"}", &long] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(SignatureRequest::read(&path).unwrap_err().exit_code(), 2);
        let refused = SignatureRequest::check_place(&path).unwrap_err();
        assert_eq!(refused.exit_code(), 2, "another file is not replaced");
    }
}
