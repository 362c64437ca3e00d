//! What may be used once is used once, over two daemons: the challenge of an emergency, and an
//! approved request.

use std::fs;

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
use sha2::{Digest, Sha256};
use ssh_key::{HashAlg, LineEnding, PrivateKey};

use super::{
    cluster::{Cluster, Database},
    daemons::{Daemon, pair, prepared, start_all},
    support::{
        api::{Api, Refusal, ask},
        files::new_key,
        issued::Issued,
        ledger, policy,
    },
};

/// Two daemons whose policy registers bob's key.
struct Outage {
    daemons: [Daemon; 2],
    bob: PrivateKey,
}

impl Outage {
    async fn start(database: &Database) -> Self {
        let addresses = [database.address(), database.address()];
        let files = prepared(&addresses, "", &[]).await;
        let bob = new_key();
        let policy = [
            policy::limits(&["root"]),
            policy::AUDIT_AND_ADMIN.to_owned(),
            policy::role(
                "prod",
                "oncall",
                "root",
                &["ttl = \"1h\"", policy::EMERGENCY],
            ),
            format!(
                "[[emergency_identity]]\nissuer = \"{}\"\nsubject = \"bob\"\nlabel = \"bob@example.com\"\n\
                 claims = {{ groups = [\"oncall\"] }}\nkeys = [{:?}]\n",
                files[0].issuer.url(),
                bob.public_key().to_openssh().unwrap()
            ),
        ];
        for one in &files {
            fs::write(one.path("policy.toml"), policy.concat()).unwrap();
        }
        Self {
            daemons: start_all(files).await,
            bob,
        }
    }

    /// An emergency ask with a challenge of one daemon.
    async fn request(&self, daemon: &Daemon) -> IssueRequest {
        let asked = EmergencyChallengeRequest {};
        let challenge = daemon.api.passes().emergency_challenge(asked).await;
        let challenge = challenge.unwrap().into_inner().challenge;
        let ask = Ask {
            reason: "INC-7".to_owned(),
            emergency: true,
            ..ask("prod")
        };
        let subject = new_key();
        let hash: [u8; 32] = Sha256::digest(challenge.as_bytes()).into();
        let name = daemon.api.server_name();
        let message = possession_message(name, &hash, subject.public_key(), &ask_bytes(&ask));
        let message = message.unwrap();
        let holder = self.bob.public_key().to_bytes().unwrap();
        let signed = emergency::message(&holder, &message);
        IssueRequest {
            ask: Some(ask),
            proof: Some(KeyProof {
                public_key: subject.public_key().to_openssh().unwrap(),
                binding_secret: Vec::new(),
                signature: armored(&subject, Namespace::Issue, &message),
            }),
            emergency: Some(EmergencyProof {
                challenge,
                signatures: vec![Signature {
                    public_key: self.bob.public_key().to_openssh().unwrap(),
                    signature: armored(&self.bob, Namespace::Emergency, &signed),
                }],
            }),
        }
    }
}

fn armored(key: &PrivateKey, namespace: Namespace, message: &[u8]) -> String {
    let signature = key.sign(namespace.as_str(), HashAlg::Sha512, message);
    signature.unwrap().to_pem(LineEnding::LF).unwrap()
}

async fn issue(api: &Api, request: IssueRequest) -> Result<Issued, Refusal> {
    Ok(api.passes().issue(request).await?.into_inner().into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_of_one_daemon_is_used_once_at_any() {
    let database = Cluster::shared().database().await;
    let outage = Outage::start(&database).await;
    let [a, b] = &outage.daemons;
    let request = outage.request(a).await;
    let pass = issue(&b.api, request.clone()).await.unwrap();
    assert_eq!(pass.key_id, "bob@example.com/prod");
    for daemon in [a, b] {
        let again = issue(&daemon.api, request.clone()).await;
        assert_eq!(again.unwrap_err().reason, "CHALLENGE_USED");
    }
    // At the same instant.
    for _ in 0..5 {
        let request = outage.request(b).await;
        let (one, other) = tokio::join!(
            issue(&a.api, request.clone()),
            issue(&b.api, request.clone())
        );
        assert_ne!(one.is_ok(), other.is_ok(), "{one:?} {other:?}");
    }
    let carol = b.user("carol", &["security"]);
    ledger::assert_verifies(&b.api, &carol.token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_spent_once_when_both_daemons_are_asked_at_once() {
    let database = Cluster::shared().database().await;
    let [a, b] = pair(&database).await;
    let lead = b.user("dave", &["sre-lead"]);
    for number in 0..5 {
        let bob = a.user(&format!("bob-{number}"), &["oncall"]);
        let on_b = bob.over(&b.api);
        let request = bob.request(ask("prod")).await;
        lead.approve(&lead.view(request.id).await.unwrap())
            .await
            .unwrap();
        let (one, other) = tokio::join!(
            bob.redeem(&request, ask("prod")),
            on_b.redeem(&request, ask("prod"))
        );
        assert_ne!(one.is_ok(), other.is_ok(), "{one:?} {other:?}");
    }
}
