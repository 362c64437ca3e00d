//! Decisions about requests: approve, deny, cancel, review; and what a user sees of requests.

use base64::prelude::*;
use daypass::{
    ledger::{
        approval,
        state::Verb,
        tree::{Hash, leaf_hash},
    },
    proto::v1::{DecideRequest, GetRequest, KeyProof, Request, WatchRequest, request::State},
    ssh::sshsig::Namespace,
};
use ssh_key::{HashAlg, LineEnding};
use tonic::Streaming;

use super::{
    api::{Refusal, with_token},
    user::TestUser,
};

/// The comment of every decision.
pub const COMMENT: &str = "looked at";

impl TestUser {
    /// A signed decision, to be changed or sent as often as a test likes.
    pub fn decision(&self, verb: Verb, request: &Request) -> DecideRequest {
        self.decision_for(verb, self.api.server_name(), request)
    }

    /// The same for a server of this name.
    pub fn decision_for(&self, verb: Verb, server: &str, request: &Request) -> DecideRequest {
        let digest = leaf_hash(&request.event);
        let message = decision(&self.token, verb, server, &digest, COMMENT);
        let key = &self.caller.key;
        let signature = key.sign(Namespace::Approve.as_str(), HashAlg::Sha512, &message);
        DecideRequest {
            id: request.id,
            proof: Some(KeyProof {
                public_key: key.public_key().to_openssh().unwrap(),
                binding_secret: self.caller.secret.clone(),
                signature: signature.unwrap().to_pem(LineEnding::LF).unwrap(),
            }),
            comment: COMMENT.to_owned(),
            presence_signature: String::new(),
        }
    }

    /// Sends a decision to the method of this verb.
    pub async fn send_decision(
        &self,
        verb: Verb,
        message: DecideRequest,
    ) -> Result<Request, Refusal> {
        let mut requests = self.api.requests();
        let message = with_token(message, &self.token);
        let answer = match verb {
            Verb::Approve => requests.approve(message).await,
            Verb::Deny => requests.deny(message).await,
            Verb::Cancel => requests.cancel(message).await,
            Verb::Review => requests.review(message).await,
        };
        Ok(answer?.into_inner())
    }

    pub async fn decide(&self, verb: Verb, request: &Request) -> Result<Request, Refusal> {
        self.send_decision(verb, self.decision(verb, request)).await
    }

    pub async fn approve(&self, request: &Request) -> Result<Request, Refusal> {
        self.decide(Verb::Approve, request).await
    }

    /// Reviews the emergency with this number.
    pub async fn review(&self, id: u64) -> Result<Request, Refusal> {
        let seen = self.view(id).await?;
        self.decide(Verb::Review, &seen).await
    }

    /// The request as this user sees it.
    pub async fn view(&self, id: u64) -> Result<Request, Refusal> {
        let message = with_token(GetRequest { id }, &self.token);
        Ok(self.api.requests().get(message).await?.into_inner())
    }

    /// The state of the request, which this user must see.
    pub async fn state_of(&self, id: u64) -> State {
        self.view(id).await.unwrap().state()
    }

    /// Watches one request, or all that concern this user (0).
    pub async fn watch(&self, id: u64) -> Result<Streaming<Request>, Refusal> {
        let message = with_token(WatchRequest { id, beats: false }, &self.token);
        Ok(self.api.requests().watch(message).await?.into_inner())
    }
}

/// The bytes that the identity of this token signs to decide about a request with that digest.
pub fn decision(
    token: &str,
    verb: Verb,
    server_name: &str,
    digest: &Hash,
    comment: &str,
) -> Vec<u8> {
    let payload = token.split('.').nth(1).unwrap();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let message = approval::Message {
        verb,
        server_name,
        issuer: claims["iss"].as_str().unwrap(),
        subject: claims["sub"].as_str().unwrap(),
        digest,
        comment,
    };
    message.to_bytes()
}
