//! What a sheet says is what is signed, and a file that says less is none.
#![allow(clippy::unwrap_used, reason = "tests")]

use ssh_key::SshSig;

use super::*;

fn line(key: &Key) -> String {
    public_line(&key.public()).unwrap().trim_end().to_owned()
}

fn sheet() -> Sheet {
    Sheet {
        holder: line(&Key::fresh().unwrap()),
        server: "daypass.example.com".into(),
        challenge: "challenge".into(),
        expires_at: u64::MAX,
        ask: Asked {
            role: "prod".into(),
            host: "web-1".into(),
            reason: "INC-1".into(),
            ..Asked::default()
        },
        public_key: public_line(&Key::fresh().unwrap().public()).unwrap(),
        signatures: Vec::new(),
    }
}

type Change = fn(&mut Sheet);

#[tokio::test]
async fn a_signature_is_over_everything_that_the_sheet_says() {
    let signer = Signer::Key(Key::fresh().unwrap());
    let mut base = sheet();
    base.sign(&signer).await.unwrap();
    let signature = SshSig::from_pem(&base.signatures.first().unwrap().signature).unwrap();
    let public = signer.public();
    let holds = |sheet: &Sheet| public.verify(NAMESPACE, &sheet.message().unwrap(), &signature);
    holds(&base).unwrap();
    base.verify().unwrap();
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
        ("another one let in", |it| {
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
async fn a_key_signs_a_sheet_once() {
    let mut sheet = sheet();
    let (one, two) = (
        Signer::Key(Key::fresh().unwrap()),
        Signer::Key(Key::fresh().unwrap()),
    );
    for signer in [&one, &two, &one] {
        sheet.sign(signer).await.unwrap();
    }
    let fingerprint = |signer: &Signer| {
        let hash = ssh_key::HashAlg::Sha256;
        signer.public().fingerprint(hash).to_string()
    };
    assert_eq!(sheet.signers(), [fingerprint(&one), fingerprint(&two)]);
}

#[test]
fn a_sheet_comes_back_from_its_file_until_its_challenge_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("emergency.json");
    sheet().write(&path).unwrap();
    let read = Sheet::read(&path).unwrap();
    assert_eq!(read.ask, sheet().ask);
    let over = Sheet {
        expires_at: 1,
        ..sheet()
    };
    over.write(&path).unwrap();
    assert_eq!(Sheet::read(&path).unwrap_err().exit_code(), 5);
    for text in ["", "{}", "null", "{\"server\":\"x\"}"] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(Sheet::read(&path).unwrap_err().exit_code(), 2, "{text}");
    }
}
