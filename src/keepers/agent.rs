//! A CA key in an ssh-agent (draft-ietf-sshm-ssh-agent), such as one that fronts a hardware token.

use std::path::PathBuf;

use ssh_agent_lib::{
    agent::Session,
    client::Client,
    proto::{PublicCredential, SignRequest, signature::RSA_SHA2_512},
};
use ssh_key::{PublicKey, Signature};
use tokio::{net::UnixStream, sync::Semaphore};

use super::Way;
use crate::ca::{
    key::{Away, Unsigned},
    to_sign::ToSign,
};

/// Signatures that are asked for at once. OpenSSH's agent makes one after the other.
const AT_ONCE: usize = 4;

/// A key of the agent at this socket.
pub(crate) struct Agent {
    socket: PathBuf,
    key: PublicKey,
    turns: Semaphore,
}

impl Agent {
    pub(crate) fn new(socket: PathBuf, key: PublicKey) -> Self {
        Self {
            socket,
            key,
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// A connection of its own for each question: one that broke harms no other.
    async fn connect(&self) -> Result<Client<UnixStream>, Away> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|error| {
            Away(format!(
                "the ssh-agent at {} does not answer: {error}",
                self.socket.display()
            ))
        })?;
        Ok(Client::new(stream))
    }

    fn failed(&self, what: &str, error: &impl ToString) -> Away {
        Away(format!(
            "the ssh-agent at {} does not {what}: {}",
            self.socket.display(),
            error.to_string()
        ))
    }
}

impl Way for Agent {
    async fn sign(&self, to_sign: ToSign<'_>) -> Result<Signature, Unsigned> {
        let closed = |_| Away("the server stops".to_owned());
        let _turn = self.turns.acquire().await.map_err(closed)?;
        let flags = match self.key.algorithm().is_rsa() {
            true => RSA_SHA2_512,
            false => 0,
        };
        let credential = PublicCredential::Key(self.key.key_data().clone());
        let request = SignRequest {
            credential,
            data: to_sign.message().to_vec(),
            flags,
        };
        let mut agent = self.connect().await?;
        let signed = agent.sign(request).await;
        Ok(signed.map_err(|error| self.failed("sign", &error))?)
    }

    async fn find(&self) -> Result<(), Away> {
        let mut agent = self.connect().await?;
        let listed = agent.request_identities().await;
        let listed = listed.map_err(|error| self.failed("list its keys", &error))?;
        let is_there = listed.iter().any(|identity| {
            matches!(&identity.credential, PublicCredential::Key(data) if data == self.key.key_data())
        });
        match is_there {
            true => Ok(()),
            false => Err(Away(format!(
                "the ssh-agent at {} does not have it: add it with ssh-add, or unlock the agent",
                self.socket.display()
            ))),
        }
    }
}
