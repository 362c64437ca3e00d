//! A user who is signed in with a key: asks for passes, decides about requests (`decisions.rs`),
//! and locks and revokes (`orders.rs`).

use daypass::proto::v1::{Ask, Request};
use ssh_key::{Certificate, HashAlg, LineEnding};

use super::issued::Issued;
use super::{
    api::{Api, Attempt, Caller, Refusal},
    env::TestEnv,
    files,
    ssh::Pass,
};

/// A key with a token that is bound to it, and a connection.
#[derive(Clone)]
pub struct TestUser {
    pub name: String,
    pub caller: Caller,
    pub token: String,
    pub api: Api,
}

impl TestUser {
    /// Signs in with a fresh key.
    pub fn sign_in(env: &TestEnv, name: &str, groups: &[&str]) -> Self {
        let caller = Caller::new();
        let claims = env.claims(&caller, name, groups);
        env.user_with(name, caller, claims)
    }

    /// The same user over another connection.
    pub fn over(&self, api: &Api) -> Self {
        let api = api.clone();
        Self {
            api,
            ..self.clone()
        }
    }

    /// The key's fingerprint.
    pub fn fingerprint(&self) -> String {
        self.caller.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// An honest attempt, to be changed or sent.
    pub fn attempt(&self, ask: Ask) -> Attempt {
        let server = self.api.server_name();
        self.caller.attempt(server, &self.token, ask)
    }

    /// Asks for a pass.
    pub async fn issue(&self, ask: Ask) -> Result<Issued, Refusal> {
        self.api.issue(&self.attempt(ask)).await
    }

    /// Asks for a pass that needs approval; returns the request.
    pub async fn request(&self, ask: Ask) -> Request {
        let answer = self.issue(ask).await.unwrap();
        assert!(answer.certificate.is_empty() && answer.serial == 0);
        answer.pending.expect("the role needs approval")
    }

    /// Redeems a request by the ask that opened it.
    pub async fn redeem(&self, request: &Request, ask: Ask) -> Result<Issued, Refusal> {
        let request = request.id;
        self.issue(Ask { request, ..ask }).await
    }

    /// Writes a pass and its key to files, as `ssh -i` wants them.
    pub fn write_pass(&self, issued: &Issued) -> Pass {
        let folder = files::folder();
        files::write_key(&folder.path().join("pass"), &self.caller.key);
        Pass::new(
            folder,
            Certificate::from_openssh(&issued.certificate).unwrap(),
        )
    }

    /// The private key in OpenSSH's format.
    pub fn key_text(&self) -> String {
        let text = self.caller.key.to_openssh(LineEnding::LF).unwrap();
        text.to_string()
    }
}
