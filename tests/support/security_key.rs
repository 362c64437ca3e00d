//! A security key in software: an Ed25519 key in the form `sk-ssh-ed25519`, and an ssh-agent that
//! signs with it.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use ssh_agent_lib::{
    agent::{Session, listen},
    error::AgentError,
    proto::{Identity, SignRequest},
};
use ssh_key::{
    Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, Signature, SshSig,
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
        let signed = SshSig::signed_data(namespace, HashAlg::Sha512, message).unwrap();
        let signature = self.sign(&signed, TOUCHED);
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
