//! Security keys in software: an Ed25519 key in the form `sk-ssh-ed25519`, an ssh-agent that signs
//! with it, and a passkey.

use std::path::{Path, PathBuf};

use base64::prelude::*;
use sha2::{Digest, Sha256};
use ssh_agent_lib::{
    agent::{Session, listen},
    error::AgentError,
    proto::{Identity, SignRequest},
};
use ssh_key::{
    Algorithm, EcdsaCurve, HashAlg, LineEnding, PrivateKey, PublicKey, Signature, SshSig,
    public::{KeyData, SkEd25519},
    rand_core::OsRng,
};
use tokio::{net::UnixListener, task::AbortHandle};

const APPLICATION: &str = "ssh:";

/// The user touched the key (`SSH_SK_USER_PRESENCE_REQD`).
pub const TOUCHED: u8 = 0x01;
/// The user touched the key and typed its PIN (`SSH_SK_USER_VERIFICATION_REQD`).
pub const VERIFIED: u8 = 0x05;

#[derive(Clone)]
pub struct SecurityKey {
    pair: PrivateKey,
}

impl SecurityKey {
    pub fn new() -> Self {
        let pair = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        Self { pair }
    }

    pub fn public(&self) -> PublicKey {
        let point = *self.pair.public_key().key_data().ed25519().unwrap();
        PublicKey::from(KeyData::SkEd25519(SkEd25519::new(point, APPLICATION)))
    }

    /// A signature in the form of PROTOCOL.u2f, with these flags.
    pub fn sign(&self, message: &[u8], flags: u8) -> Signature {
        let mut signed = Sha256::digest(APPLICATION).to_vec();
        signed.push(flags);
        signed.extend(7_u32.to_be_bytes());
        signed.extend(Sha256::digest(message));
        let signature: Signature = signature::Signer::try_sign(&self.pair, &signed).unwrap();
        let mut blob = signature.as_bytes().to_vec();
        blob.push(flags);
        blob.extend(7_u32.to_be_bytes());
        Signature::new(Algorithm::SkEd25519, blob).unwrap()
    }

    /// An armored SSHSIG of a touched key.
    pub fn prove(&self, namespace: &str, message: &[u8]) -> String {
        self.prove_with(namespace, message, TOUCHED)
    }

    /// An armored SSHSIG with these flags.
    pub fn prove_with(&self, namespace: &str, message: &[u8], flags: u8) -> String {
        let signed = SshSig::signed_data(namespace, HashAlg::Sha512, message).unwrap();
        let signature = self.sign(&signed, flags);
        let key = self.public().key_data().clone();
        let signature = SshSig::new(key, namespace, HashAlg::Sha512, signature).unwrap();
        signature.to_pem(LineEnding::LF).unwrap()
    }

    /// An agent with this key, whose user does what `flags` say. Ends when dropped.
    pub fn agent(&self, folder: &Path, flags: u8) -> SoftwareAgent {
        let socket = folder.join(format!("agent-{flags}"));
        let listener = UnixListener::bind(&socket).unwrap();
        let key = self.clone();
        let task = tokio::spawn(async move {
            let _ = listen(listener, Holder { key, flags }).await;
        });
        let task = task.abort_handle();
        SoftwareAgent { socket, task }
    }
}

pub struct SoftwareAgent {
    pub socket: PathBuf,
    task: AbortHandle,
}

impl Drop for SoftwareAgent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Holder {
    key: SecurityKey,
    flags: u8,
}

#[ssh_agent_lib::async_trait]
impl Session for Holder {
    async fn request_identities(&mut self) -> Result<Vec<Identity>, AgentError> {
        Ok(vec![Identity {
            credential: self.key.public().key_data().clone().into(),
            comment: "security key".to_owned(),
        }])
    }

    async fn sign(&mut self, request: SignRequest) -> Result<Signature, AgentError> {
        Ok(self.key.sign(&request.data, self.flags))
    }
}

/// A passkey in software: a P-256 key for one domain that signs as browsers have it signed.
pub struct Passkey {
    pair: PrivateKey,
    domain: String,
}

/// A page on which a passkey signs, and the flags of the authenticator.
pub struct Page<'a> {
    pub origin: &'a str,
    pub is_cross_origin: bool,
    pub flags: u8,
}

impl<'a> Page<'a> {
    pub fn of(origin: &'a str) -> Self {
        Self {
            origin,
            is_cross_origin: false,
            flags: TOUCHED,
        }
    }
}

impl Passkey {
    pub fn new(domain: &str) -> Self {
        let curve = EcdsaCurve::NistP256;
        let pair = PrivateKey::random(&mut OsRng, Algorithm::Ecdsa { curve }).unwrap();
        let domain = domain.to_owned();
        Self { pair, domain }
    }

    fn blob(&self) -> Vec<u8> {
        let point = self.pair.public_key().key_data().ecdsa().unwrap();
        let name = b"sk-ecdsa-sha2-nistp256@openssh.com";
        let domain = self.domain.as_bytes();
        strings(&[name, b"nistp256", point.as_sec1_bytes(), domain])
    }

    /// Its line in a policy.
    pub fn line(&self) -> String {
        let key = BASE64_STANDARD.encode(self.blob());
        let id = "A".repeat(43);
        format!("sk-ecdsa-sha2-nistp256@openssh.com {key} passkey:{id}")
    }

    /// An armored SSHSIG, made on this page.
    pub fn prove(&self, namespace: &str, message: &[u8], page: &Page<'_>) -> String {
        let data = SshSig::signed_data(namespace, HashAlg::Sha512, message).unwrap();
        let (origin, flags) = (page.origin, page.flags);
        let client_data = format!(
            r#"{{"type":"webauthn.get","challenge":"{}","origin":"{origin}","crossOrigin":{}}}"#,
            BASE64_URL_SAFE_NO_PAD.encode(data),
            page.is_cross_origin
        );
        let mut signed = Sha256::digest(&self.domain).to_vec();
        signed.push(flags);
        signed.extend([0; 4]);
        signed.extend(Sha256::digest(&client_data));
        let numbers: Signature = signature::Signer::try_sign(&self.pair, &signed).unwrap();
        let name = b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com";
        let mut signature = strings(&[name, numbers.as_bytes()]);
        signature.push(flags);
        signature.extend([0; 4]);
        signature.extend(strings(&[origin.as_bytes(), client_data.as_bytes(), b""]));
        let namespace = namespace.as_bytes();
        let parts = strings(&[&self.blob(), namespace, b"", b"sha512", &signature]);
        let blob = [&b"SSHSIG\0\0\0\x01"[..], &parts].concat();
        let text = BASE64_STANDARD.encode(blob);
        format!("-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n")
    }
}

/// SSH strings (RFC 4251, section 5).
fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let framed = parts.iter().map(|part| {
        let length = u32::try_from(part.len()).unwrap().to_be_bytes();
        [&length[..], part].concat()
    });
    framed.collect::<Vec<_>>().concat()
}
