//! Emergencies without a token: registered keys sign a challenge of one daemon, and any daemon
//! issues once for it.

use daypass::{
    identity::proof::possession_message,
    ledger::emergency,
    proto::{
        ask_bytes,
        v1::{
            Ask, EmergencyChallengeRequest, EmergencyProof, IssueRequest, KeyProof,
            emergency_proof::Signature,
        },
    },
    ssh::sshsig::Namespace,
};
use rand::Rng;
use sha2::{Digest, Sha256};
use ssh_key::{HashAlg, LineEnding, PrivateKey};

use super::{Client, PATIENCE, parsed};
use crate::{
    history::{Asked, Expected, What},
    policies::{REGISTERED, registered_key},
    support::{
        api::{Api, Caller},
        issued::Issued,
    },
};

impl Client {
    /// Two registered people ask for one pass; or one alone, one with a
    /// key that is not registered, or one twice.
    pub(super) async fn registered(&mut self) {
        let (daemon, other) = (self.daemon(), self.daemon());
        let first = self.chance.gen_range(0..REGISTERED.len());
        let second = (first + self.chance.gen_range(1..REGISTERED.len())) % REGISTERED.len();
        let (one, two) = (registered_key(first), registered_key(second));
        let (keys, expected) = match self.chance.gen_range(0..8) {
            0 => (vec![one], Expected::Denial),
            1 => (vec![one, Caller::new().key], Expected::Unproven),
            2 => (vec![one.clone(), one], Expected::Unproven),
            _ => (vec![one, two], Expected::Anything),
        };
        let ask = Ask {
            emergency: true,
            ttl_seconds: 0,
            ..self.ask("down")
        };
        let asked = Asked {
            tag: ask.reason.clone(),
            subject: REGISTERED[first].to_owned(),
            key: self.key.key.fingerprint(HashAlg::Sha256).to_string(),
            role: "down",
            ttl_seconds: 0,
            request: None,
            emergency: true,
            by: None,
            expected,
        };
        let Some(challenge) = challenge(&self.shared.daemons[daemon].api).await else {
            return;
        };
        let server = self.shared.daemons[daemon].api.server_name();
        let request = request(&self.key, server, (&challenge, &keys), ask);
        let send = async |daemon: usize| {
            let mut passes = self.shared.daemons[daemon].api.passes();
            let answer = async {
                let issued: Issued = passes.issue(request.clone()).await?.into_inner().into();
                Ok(parsed::issued(&issued))
            };
            let what = What::Ask(asked.clone());
            self.record(daemon, what, answer).await
        };
        // The same challenge twice at once: the ledger has one pass of it.
        tokio::join!(send(daemon), send(other));
    }
}

/// A challenge of this daemon's; none if it does not answer.
async fn challenge(api: &Api) -> Option<String> {
    let mut passes = api.passes();
    let asked = passes.emergency_challenge(EmergencyChallengeRequest {});
    let answer = tokio::time::timeout(PATIENCE, asked).await.ok()?;
    Some(answer.ok()?.into_inner().challenge)
}

/// The ask for the caller's key, signed by these registered keys; the first one gets the pass.
fn request(
    caller: &Caller,
    server: &str,
    (challenge, keys): (&str, &[PrivateKey]),
    ask: Ask,
) -> IssueRequest {
    let hash: [u8; 32] = Sha256::digest(challenge.as_bytes()).into();
    let subject = caller.key.public_key();
    let possession = possession_message(server, &hash, subject, &ask_bytes(&ask)).unwrap();
    let holder = keys[0].public_key().to_bytes().unwrap();
    let message = emergency::message(&holder, &possession);
    let armored = |key: &PrivateKey, namespace: Namespace, message: &[u8]| {
        let signature = key.sign(namespace.as_str(), HashAlg::Sha512, message);
        signature.unwrap().to_pem(LineEnding::LF).unwrap()
    };
    let signatures = keys.iter().map(|key| Signature {
        public_key: key.public_key().to_openssh().unwrap(),
        signature: armored(key, Namespace::Emergency, &message),
    });
    IssueRequest {
        ask: Some(ask),
        proof: Some(KeyProof {
            public_key: subject.to_openssh().unwrap(),
            binding_secret: Vec::new(),
            signature: armored(&caller.key, Namespace::Issue, &possession),
        }),
        emergency: Some(EmergencyProof {
            challenge: challenge.to_owned(),
            signatures: signatures.collect(),
        }),
    }
}
