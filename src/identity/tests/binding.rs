//! Key binding and possession proofs.
//!
//! `golden/` is by OpenSSH: `ssh-keygen -Y sign -f KEY -n daypass-issue@v1 message`, the message
//! without a newline.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ssh_encoding::{
    Encode, Writer,
    pem::{LineEnding, PemLabel},
};
use ssh_key::{
    EcdsaCurve, HashAlg, PrivateKey, PublicKey, SshSig,
    public::{EcdsaPublicKey, Ed25519PublicKey, KeyData, SkEcdsaSha2NistP256, SkEd25519},
};

use super::world::{TestIssuer, issuers, now, sign, with};
use crate::identity::{
    Binding, Identity,
    proof::{bound_audience, commitment, possession_message},
};
use crate::ssh::sshsig::Namespace;

const MESSAGE: &[u8] = b"a message of daypass";
const SECRET: [u8; 32] = [9; 32];

fn private_key(algorithm: ssh_key::Algorithm) -> PrivateKey {
    PrivateKey::random(&mut rand::rngs::OsRng, algorithm).unwrap()
}

fn ed25519() -> PrivateKey {
    private_key(ssh_key::Algorithm::Ed25519)
}

fn prove(key: &PrivateKey, message: &[u8]) -> String {
    let proof = key
        .sign(Namespace::Issue.as_str(), HashAlg::Sha512, message)
        .unwrap();
    proof.to_pem(LineEnding::LF).unwrap()
}

/// An identity that needs no commitment.
fn unbound() -> Identity {
    Identity::sample(json!({"unbound": true}))
}

fn code(
    identity: Identity,
    key: &PublicKey,
    secret: &[u8],
    proof: &str,
) -> Result<(), &'static str> {
    let outcome = identity.prove_possession(key.clone(), secret, MESSAGE, proof);
    outcome.map(|_| ()).map_err(|error| error.code())
}

#[test]
fn signatures_of_openssh_prove_possession() {
    let files = [
        (
            include_str!("golden/ed25519.pub"),
            include_str!("golden/ed25519.sig"),
        ),
        (
            include_str!("golden/ecdsa.pub"),
            include_str!("golden/ecdsa.sig"),
        ),
        (
            include_str!("golden/rsa.pub"),
            include_str!("golden/rsa.sig"),
        ),
    ];
    for (key, proof) in files {
        let mut key = PublicKey::from_openssh(key).unwrap();
        key.set_comment("alice@laptop");
        let holder = unbound()
            .prove_possession(key.clone(), b"", MESSAGE, proof)
            .unwrap();
        assert_eq!(holder.key().key_data(), key.key_data());
        assert_eq!(holder.key().comment(), "");
    }
}

#[test]
fn a_proof_counts_for_one_key_message_and_namespace() {
    let key = ed25519();
    let good = prove(&key, MESSAGE);
    let sha256 = key
        .sign(Namespace::Issue.as_str(), HashAlg::Sha256, MESSAGE)
        .unwrap();
    assert_eq!(code(unbound(), key.public_key(), b"", &good), Ok(()));
    let sha256 = sha256.to_pem(LineEnding::LF).unwrap();
    assert_eq!(code(unbound(), key.public_key(), b"", &sha256), Ok(()));
    let stranger = ed25519();
    let golden = PublicKey::from_openssh(include_str!("golden/ed25519.pub")).unwrap();
    let other_namespace = include_str!("golden/ed25519-other-namespace.sig");
    let mut changed = good.clone();
    changed.insert(good.len() / 2, 'A');
    let cases = [
        ("another namespace", &golden, other_namespace.to_owned()),
        (
            "another key's proof",
            key.public_key(),
            prove(&ed25519(), MESSAGE),
        ),
        (
            "a proof for another key",
            stranger.public_key(),
            good.clone(),
        ),
        (
            "another message",
            key.public_key(),
            prove(&key, b"another message"),
        ),
        ("nothing", key.public_key(), String::new()),
        ("rubbish", key.public_key(), "rubbish".to_owned()),
        ("a changed proof", key.public_key(), changed),
        ("two proofs", key.public_key(), format!("{good}{good}")),
        (
            "a megabyte",
            key.public_key(),
            format!("{good}{}", "\n".repeat(1 << 20)),
        ),
        (
            "the key instead of a proof",
            key.public_key(),
            key.public_key().to_openssh().unwrap(),
        ),
    ];
    for (case, key, proof) in cases {
        assert_eq!(
            code(unbound(), key, b"", &proof),
            Err("POSSESSION"),
            "{case}"
        );
    }
}

#[test]
fn a_proof_for_another_ask_token_or_server_does_not_count() {
    let key = ed25519();
    let public = key.public_key();
    let message = |server: &str, token: u8, ask: &[u8]| {
        possession_message(server, &[token; 32], public, ask).unwrap()
    };
    let expected = message("a", 1, b"ask");
    let cases = [
        ("this ask", message("a", 1, b"ask"), true),
        ("another server", message("b", 1, b"ask"), false),
        ("another token", message("a", 2, b"ask"), false),
        ("another ask", message("a", 1, b"other"), false),
    ];
    for (case, signed, counts) in cases {
        let outcome =
            unbound().prove_possession(public.clone(), b"", &expected, &prove(&key, &signed));
        assert_eq!(outcome.is_ok(), counts, "{case}");
    }
}

/// An SSHSIG, field by field (PROTOCOL.sshsig).
struct Raw {
    version: u32,
    key: KeyData,
    reserved: &'static str,
    hash: &'static str,
    signature: Vec<u8>,
}

impl Encode for Raw {
    fn encoded_len(&self) -> ssh_encoding::Result<usize> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes)?;
        Ok(bytes.len())
    }

    fn encode(&self, writer: &mut impl Writer) -> ssh_encoding::Result<()> {
        writer.write(b"SSHSIG")?;
        self.version.encode(writer)?;
        self.key.encode_prefixed(writer)?;
        Namespace::Issue.as_str().encode(writer)?;
        self.reserved.encode(writer)?;
        self.hash.encode(writer)?;
        self.signature.as_slice().encode(writer)
    }
}

impl PemLabel for Raw {
    const PEM_LABEL: &'static str = "SSH SIGNATURE";
}

impl Raw {
    fn armored(&self) -> String {
        ssh_encoding::EncodePem::encode_pem_string(self, LineEnding::LF).unwrap()
    }
}

fn ssh_string(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    bytes.encode(&mut out).unwrap();
    out
}

#[test]
fn another_version_hash_or_reserved_bytes_do_not_count() {
    let pair = ed25519();
    let public = pair.public_key();
    let raw = |version, reserved: &'static str, hash: &'static str| {
        let mut signed = b"SSHSIG".to_vec();
        for part in [
            Namespace::Issue.as_str().as_bytes(),
            reserved.as_bytes(),
            hash.as_bytes(),
            &Sha256::digest(MESSAGE),
        ] {
            signed.extend(ssh_string(part));
        }
        let signature = signature::Signer::try_sign(&pair, &signed).unwrap();
        let signature: Vec<u8> = ssh_key::Signature::try_into(signature).unwrap();
        let key = public.key_data().clone();
        Raw {
            version,
            key,
            reserved,
            hash,
            signature,
        }
        .armored()
    };
    let cases = [
        ("as it should be", raw(1, "", "sha256"), Ok(())),
        ("version 0", raw(0, "", "sha256"), Err("POSSESSION")),
        ("version 2", raw(2, "", "sha256"), Err("POSSESSION")),
        ("reserved bytes", raw(1, "x", "sha256"), Err("POSSESSION")),
        ("SHA-1", raw(1, "", "sha1"), Err("POSSESSION")),
        ("no hash", raw(1, "", ""), Err("POSSESSION")),
    ];
    for (case, proof, expected) in cases {
        assert_eq!(code(unbound(), public, b"", &proof), expected, "{case}");
    }
}

/// Message that a security key signs (PROTOCOL.u2f): application, flags, counter, message, hashed.
fn security_key_data(flags: u8) -> Vec<u8> {
    let message = SshSig::signed_data(Namespace::Issue.as_str(), HashAlg::Sha256, MESSAGE).unwrap();
    let mut data = Sha256::digest("ssh:").to_vec();
    data.push(flags);
    data.extend(5_u32.to_be_bytes());
    data.extend(Sha256::digest(message));
    data
}

fn security_key_proof(key: &KeyData, algorithm: &str, signature: &[u8], flags: u8) -> String {
    let mut blob = ssh_string(algorithm.as_bytes());
    blob.extend(ssh_string(signature));
    blob.push(flags);
    blob.extend(5_u32.to_be_bytes());
    Raw {
        version: 1,
        key: key.clone(),
        reserved: "",
        hash: "sha256",
        signature: blob,
    }
    .armored()
}

/// `sk-ssh-ed25519`: a proof signed over `signed` flags that claims to have `sent` ones.
fn sk_ed25519(signed: u8, sent: u8) -> (PublicKey, String) {
    let pair = Ed25519KeyPair::generate().unwrap();
    let point = Ed25519PublicKey::try_from(pair.public_key().as_ref()).unwrap();
    let key = KeyData::SkEd25519(SkEd25519::new(point, "ssh:"));
    let signature = pair.sign(&security_key_data(signed));
    let name = "sk-ssh-ed25519@openssh.com";
    let proof = security_key_proof(&key, name, signature.as_ref(), sent);
    (PublicKey::from(key), proof)
}

/// `sk-ecdsa-sha2-nistp256`, likewise.
fn sk_ecdsa(signed: u8, sent: u8) -> (PublicKey, String) {
    let pair = private_key(ssh_key::Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    });
    let KeyData::Ecdsa(EcdsaPublicKey::NistP256(point)) = pair.public_key().key_data() else {
        panic!("asked for P-256")
    };
    let key = KeyData::SkEcdsaSha2NistP256(SkEcdsaSha2NistP256::new(*point, "ssh:"));
    let signature: ssh_key::Signature =
        signature::Signer::try_sign(&pair, &security_key_data(signed)).unwrap();
    let name = "sk-ecdsa-sha2-nistp256@openssh.com";
    let proof = security_key_proof(&key, name, signature.as_bytes(), sent);
    (PublicKey::from(key), proof)
}

#[test]
fn a_security_key_counts_only_when_touched() {
    for make in [sk_ed25519, sk_ecdsa] {
        for (case, signed, sent, expected) in [
            ("touched", 0x01, 0x01, Ok(())),
            ("touched, with a PIN", 0x05, 0x05, Ok(())),
            ("not touched", 0x00, 0x00, Err("POSSESSION")),
            ("a PIN without a touch", 0x04, 0x04, Err("POSSESSION")),
            ("a touch that was not signed", 0x00, 0x01, Err("POSSESSION")),
        ] {
            let (key, proof) = make(signed, sent);
            assert_eq!(code(unbound(), &key, b"", &proof), expected, "{case}");
        }
    }
}

#[tokio::test]
async fn a_bound_token_is_good_for_its_key_and_secret_only() {
    let issuer = TestIssuer::start().await;
    let key = ed25519();
    let other = ed25519();
    let committed = commitment(key.public_key(), &SECRET).unwrap();
    let nonce = with(&issuer.claims(), "nonce", json!(committed));
    let audience = json!(bound_audience("daypass", &committed));
    let audience = with(
        &with(&issuer.claims(), "nonce", Value::Null),
        "aud",
        audience,
    );
    for (binding, device_flow, claims) in [
        (Binding::Nonce, false, &nonce),
        (Binding::Nonce, true, &nonce),
        (Binding::Audience, false, &audience),
    ] {
        let mut settings = issuer.settings();
        settings.binding = binding;
        settings.interactive = binding != Binding::Audience;
        settings.device_flow = device_flow;
        let identity = issuers(vec![settings])
            .verify(&sign(claims), now())
            .await
            .unwrap();
        let cases = [
            ("its key and secret", &key, SECRET.to_vec(), Ok(())),
            ("another key", &other, SECRET.to_vec(), Err("KEY_BINDING")),
            ("another secret", &key, vec![8; 32], Err("KEY_BINDING")),
            ("no secret", &key, vec![], Err("KEY_BINDING")),
            ("a longer secret", &key, vec![9; 33], Err("KEY_BINDING")),
        ];
        for (case, key, secret, expected) in cases {
            let proof = prove(key, MESSAGE);
            let outcome = code(identity.clone(), key.public_key(), &secret, &proof);
            assert_eq!(outcome, expected, "{binding:?}: {case}");
        }
    }
}

#[tokio::test]
async fn a_commitment_to_a_short_secret_does_not_count() {
    let issuer = TestIssuer::start().await;
    let key = ed25519();
    let committed = commitment(key.public_key(), b"").unwrap();
    let token = sign(&with(&issuer.claims(), "nonce", json!(committed)));
    let identity = issuer.issuers().verify(&token, now()).await.unwrap();
    let proof = prove(&key, MESSAGE);
    assert_eq!(
        code(identity, key.public_key(), b"", &proof),
        Err("KEY_BINDING")
    );
}
