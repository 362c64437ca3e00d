//! The stages of a pass in this process, without a connection: the same functions that a daemon
//! calls. What a daemon costs beyond their sum is transport, wake-ups, log and metrics.

use std::{sync::Arc, time::Duration};

use daypass::{
    ca::{Ca, KeyState, draft::parse_subject_key, key::file},
    dev::issuer::{CLIENT_ID, Issuer},
    identity::{Binding, Issuers, KeyHolder, Settings, SignIn, issuer::Algorithm, proof},
    ledger::{EventKind, checkpoint::Signer},
    operations::{
        Authority,
        authority::Parts,
        issuance::{Issuance, Outcome},
    },
    policy::{Ask, Context, Policy},
    store::Store,
};
use serde_json::json;
use time::OffsetDateTime;

use crate::{
    clock::cpu,
    micros,
    support::{api::Caller, files},
};

const SERVER: &str = "localhost";

/// Tokens of one measurement.
const TOKENS: usize = 1500;

/// Passes of one measurement, and how many of them wait at once.
const PASSES: usize = 6400;
const AT_ONCE: usize = 128;

/// Prints the CPU time of each stage.
pub async fn print(policy: &str) {
    println!("stages in one process, CPU time");
    let issuer = Issuer::start().await.unwrap();
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let issuers = Issuers::new(vec![settings(issuer.url(), algorithm)]).unwrap();
        let caller = Caller::new();
        let tokens: Vec<String> = (0..TOKENS)
            .map(|number| token(&issuer, &caller, algorithm, number))
            .collect();
        // Fetches the keys.
        let now = OffsetDateTime::now_utc();
        issuers
            .verify(&token(&issuer, &caller, algorithm, TOKENS), now)
            .await
            .unwrap();
        let new = verify_all(&issuers, &tokens, now).await;
        let known = verify_all(&issuers, &tokens, now).await;
        println!(
            "  token {algorithm:?}: new {}, known {}",
            micros(new),
            micros(known)
        );
    }
    let issuers = Issuers::new(vec![settings(issuer.url(), Algorithm::EdDSA)]).unwrap();
    let (holder, proof) = prove(&issuer, &issuers).await;
    println!("  possession proof: {}", micros(proof));
    let folder = files::folder();
    let authority = Arc::new(authority(folder.path(), policy).await);
    let rest = pass_all(&authority, &holder).await;
    println!(
        "  decision, draft, event, commit, signature, lint: {}",
        micros(rest)
    );
    authority.store.close().await;
}

async fn verify_all(issuers: &Issuers, tokens: &[String], now: OffsetDateTime) -> Duration {
    let before = cpu(std::process::id());
    for token in tokens {
        issuers.verify(token, now).await.unwrap();
    }
    (cpu(std::process::id()) - before) / u32::try_from(tokens.len()).unwrap()
}

async fn prove(issuer: &Issuer, issuers: &Issuers) -> (KeyHolder, Duration) {
    let caller = Caller::new();
    let token = token(issuer, &caller, Algorithm::EdDSA, 0);
    let identity = issuers
        .verify(&token, OffsetDateTime::now_utc())
        .await
        .unwrap();
    let attempt = caller.attempt(SERVER, &token, crate::support::api::ask("shell"));
    let key = parse_subject_key(&attempt.public_key).unwrap();
    let ask = daypass::proto::ask::ask_bytes(&attempt.ask);
    let hash = identity.token_hash();
    let message = proof::possession_message(SERVER, hash, &key, &ask).unwrap();
    let proven = || {
        let (identity, key) = (identity.clone(), key.clone());
        identity
            .prove_possession(key, &attempt.secret, &message, &attempt.possession)
            .unwrap()
    };
    (proven(), crate::bare::each(|| drop(proven())))
}

async fn pass_all(authority: &Arc<Authority>, holder: &KeyHolder) -> Duration {
    let before = cpu(std::process::id());
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (authority, holder) = (authority.clone(), holder.clone());
            tokio::spawn(async move {
                let ask = Ask {
                    role: "shell".to_owned(),
                    ..Ask::default()
                };
                for _ in 0..PASSES / AT_ONCE {
                    let context = Context {
                        now: OffsetDateTime::now_utc(),
                        caller: Some([127, 0, 0, 1].into()),
                    };
                    let issuance = Issuance::new(&authority, &holder, &ask, context);
                    let outcome = issuance.issue(rand::random()).await.unwrap();
                    assert!(matches!(outcome, Outcome::Pass(_)));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    (cpu(std::process::id()) - before) / u32::try_from(PASSES).unwrap()
}

async fn authority(folder: &std::path::Path, policy: &str) -> Authority {
    let now = OffsetDateTime::now_utc();
    files::write_key(&folder.join("ca_key"), &files::new_key());
    let key = file::load(&folder.join("ca_key"), None).unwrap();
    let signer = Signer::new("localhost/ledger", &[1; 32]).unwrap();
    let started = EventKind::started("bench", SERVER);
    let store = Store::open(&folder.join("state"), signer, started, now).await;
    let parts = Parts {
        server_name: SERVER.to_owned(),
        ca: Ca::new(vec![(key, KeyState::Active)]).unwrap(),
        policy: Policy::parse(policy, "policy.toml").unwrap(),
        store: store.unwrap(),
        is_new_policy: true,
    };
    Authority::start(parts, now).await.unwrap()
}

fn token(issuer: &Issuer, caller: &Caller, algorithm: Algorithm, number: usize) -> String {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let mut claims = caller.claims(issuer.url(), "alice", &["sre"], now);
    claims["aud"] = json!(CLIENT_ID);
    claims["jti"] = json!(number);
    issuer.sign(algorithm, &claims)
}

fn settings(url: &str, algorithm: Algorithm) -> Settings {
    Settings {
        name: "dev".to_owned(),
        url: url.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        audiences: vec![CLIENT_ID.to_owned()],
        scopes: vec!["openid".to_owned()],
        algorithms: vec![algorithm],
        key_without_id: false,
        binding: Binding::Nonce,
        device_flow: false,
        interactive: true,
        ca_certificates: None,
        label: None,
        string_booleans: false,
        sign_in: SignIn::default(),
    }
}
