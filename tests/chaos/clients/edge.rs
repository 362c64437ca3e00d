//! A bastion that asks for passes on behalf of users who consent, and some who do not.

use std::{sync::atomic::Ordering, time::Duration};

use daypass::{
    ledger::consent::{Consent, presentation},
    proto::{
        ask_bytes,
        v1::{self, Ask, IssueForRequest, KeyProof},
    },
    ssh::sshsig::Namespace,
    unix_seconds::UnixSeconds,
};
use rand::Rng;
use sha2::{Digest, Sha256};
use ssh_key::{HashAlg, LineEnding, PrivateKey};

use super::{Client, asked, parsed};
use crate::{
    history::{Asked, Behalf, Expected, What},
    support::{
        api::{Caller, with_token},
        issued::Issued,
        user::TestUser,
    },
};

/// A consent is void after so many seconds.
const CONSENTED: u64 = 300;

impl Client {
    /// Asks until the run is over.
    pub(crate) async fn run_edge(mut self) {
        while !self.shared.is_over.load(Ordering::SeqCst) {
            self.on_behalf().await;
            let pause = self.chance.gen_range(0..250);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// One consent, shown to two daemons at once and perhaps again; or a false one.
    async fn on_behalf(&mut self) {
        let (daemon, other) = (self.daemon(), self.daemon());
        let way: u32 = self.chance.gen_range(0..12);
        let (name, edge) = (
            format!("user-{}-{}", self.number, self.tags),
            format!("edge-{}-{}", self.number, self.tags),
        );
        let group = if way == 0 { "sre" } else { "bastions" };
        let user = self.user_on(daemon, &name, &["sre"], Caller::new());
        let bastion = self.user_on(daemon, &edge, &[group], Caller::new());
        let ask = Ask {
            host: "web-1".to_owned(),
            ..self.ask("via")
        };
        let issuer = self.shared.daemons[daemon].files.issuer.url();
        let mut consent = Consented {
            by: (issuer.to_owned(), edge.clone()),
            signer: user.caller.key.clone(),
            ask: ask.clone(),
            until: u64::try_from(self.shared.daemons[daemon].now()).unwrap() + CONSENTED,
        };
        let expected = match way {
            0 => Expected::Denial,
            _ => consent.falsify(way),
        };
        let request = consent.request(&user, &bastion, ask.clone());
        let asked = Asked {
            key: bastion.fingerprint(),
            by: Some(Behalf {
                by: edge,
                key: user.fingerprint(),
            }),
            ..asked(&user, &ask, expected)
        };
        let send = async |daemon: usize| {
            let mut passes = self.shared.daemons[daemon].api.passes();
            let request = with_token(request.clone(), &bastion.token);
            let answer = async {
                let issued: Issued = passes.issue_for(request).await?.into_inner().into();
                Ok(parsed::issued(&issued))
            };
            self.record(daemon, What::Ask(asked.clone()), answer).await
        };
        if way < 6 {
            send(daemon).await;
            return;
        }
        tokio::join!(send(daemon), send(other));
        if way < 9 {
            send(other).await;
        }
    }
}

/// What the user signs.
struct Consented {
    /// Issuer and subject of the bastion.
    by: (String, String),
    signer: PrivateKey,
    ask: Ask,
    until: u64,
}

impl Consented {
    /// Changes one thing in it, in some ways. Returns what a correct server may answer.
    fn falsify(&mut self, way: u32) -> Expected {
        match way {
            1 => self.by.1 += "-other",
            2 => self.signer = Caller::new().key,
            3 => self.ask.host = "web-2".to_owned(),
            _ => return Expected::Anything,
        }
        Expected::Unproven
    }

    /// The bastion's call with this consent.
    fn request(&self, user: &TestUser, bastion: &TestUser, ask: Ask) -> IssueForRequest {
        let server = bastion.api.server_name();
        let key = bastion.caller.key.public_key().to_bytes().unwrap();
        let consent = Consent {
            server,
            token: &hash(&user.token),
            ask: &ask_bytes(&self.ask),
            issuer: &self.by.0,
            subject: &self.by.1,
            key: &key,
            until: UnixSeconds(self.until),
        }
        .message();
        let presented = presentation(server, &hash(&bastion.token), &key, &consent);
        IssueForRequest {
            ask: Some(ask),
            proof: Some(proof(
                bastion,
                signed(&bastion.caller.key, Namespace::OnBehalf, &presented),
            )),
            consent: Some(v1::Consent {
                token: user.token.clone(),
                original_token: String::new(),
                proof: Some(proof(
                    user,
                    signed(&self.signer, Namespace::Consent, &consent),
                )),
                expires_at: self.until,
            }),
        }
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn signed(key: &PrivateKey, namespace: Namespace, message: &[u8]) -> String {
    let signature = key.sign(namespace.as_str(), HashAlg::Sha512, message);
    signature.unwrap().to_pem(LineEnding::LF).unwrap()
}

fn proof(user: &TestUser, signature: String) -> KeyProof {
    KeyProof {
        public_key: user.caller.key.public_key().to_openssh().unwrap(),
        binding_secret: user.caller.secret.clone(),
        signature,
    }
}
