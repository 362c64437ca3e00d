//! Renewed sign-ins against a daemon: the token of the sign-in, and one that its provider's refresh
//! token gave later.

use daypass::{
    identity::{issuer::Algorithm, proof},
    proto::{ask::ask_bytes, v1::lock_target},
};
use serde_json::{Value, json};
use ssh_key::{HashAlg, LineEnding};

use crate::{
    habits::{ALL, Provider, block},
    support::{
        api::{Attempt, Caller, Refusal, ask, with_token},
        issued::Issued,
        now,
    },
};

/// An attempt with the two tokens.
struct Renewed {
    attempt: Attempt,
    original: String,
}

impl Renewed {
    fn new(provider: &Provider, caller: &Caller, fresh: &str, original: &str) -> Self {
        let server = provider.env.api.server_name();
        let mut attempt = caller.attempt(server, fresh, ask("shell"));
        let hash = proof::refreshed_hash(fresh, original);
        let key = &caller.key;
        let ask = ask_bytes(&attempt.ask);
        let message = proof::possession_message(server, &hash, key.public_key(), &ask).unwrap();
        let signature = key
            .sign("daypass-issue@v1", HashAlg::Sha512, &message)
            .unwrap();
        attempt.possession = signature.to_pem(LineEnding::LF).unwrap();
        Self {
            attempt,
            original: original.to_owned(),
        }
    }

    async fn send(&self, provider: &Provider) -> Result<Issued, Refusal> {
        let mut request = with_token(self.attempt.message(), &self.attempt.token);
        let original = self.original.parse().unwrap();
        request
            .metadata_mut()
            .insert("daypass-original-token", original);
        Ok(provider
            .env
            .api
            .passes()
            .issue(request)
            .await?
            .into_inner()
            .into())
    }
}

/// Claims of alice's sign-in that long ago, in seconds, at Okta.
fn signed_in(provider: &Provider, caller: &Caller, subject: &str, ago: i64) -> Value {
    let issuer = provider.issuer.identifier();
    let mut claims = caller.claims(&issuer, subject, &["sre"], now() - ago);
    claims["auth_time"] = json!(now() - ago);
    claims
}

fn renewed(provider: &Provider, caller: &Caller, subject: &str) -> String {
    let mut claims = signed_in(provider, caller, subject, 0);
    claims.as_object_mut().unwrap().remove("nonce");
    provider.issuer.sign(Algorithm::RS256, &claims)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tokens_of_one_sign_in_get_a_pass_and_the_ledger_says_so() {
    let provider = Provider::start("okta").await;
    let (alice, mallory) = (Caller::new(), Caller::new());
    let at = |ago| {
        provider.issuer.sign(
            Algorithm::RS256,
            &signed_in(&provider, &alice, "alice", ago),
        )
    };
    let (original, fresh) = (at(11 * 3600), renewed(&provider, &alice, "alice"));

    let issued = Renewed::new(&provider, &alice, &fresh, &original)
        .send(&provider)
        .await
        .unwrap();
    let events = provider
        .env
        .api
        .events(&provider.env.carol().token, 0)
        .await;
    let event = events
        .iter()
        .map(Value::to_string)
        .find(|it| it.contains("\"refreshed\""));
    assert!(event.unwrap().contains(r#""binding":"refreshed""#));
    assert!(issued.serial > 0);

    let of_bob = renewed(&provider, &alice, "bob");
    for (case, caller, fresh, original, reason) in [
        (
            "of another subject",
            &alice,
            &of_bob,
            &original,
            "KEY_BINDING",
        ),
        (
            "with another key",
            &mallory,
            &fresh,
            &original,
            "KEY_BINDING",
        ),
        (
            "of a sign-in too long ago",
            &alice,
            &fresh,
            &at(12 * 3600 + 40),
            "SESSION_OVER",
        ),
        (
            "that has expired",
            &alice,
            &at(3600),
            &original,
            "TOKEN_EXPIRED",
        ),
    ] {
        let attempt = Renewed::new(&provider, caller, fresh, original);
        let refusal = attempt.send(&provider).await.unwrap_err();
        assert_eq!(refusal.reason, reason, "{case}");
    }
    // The fresh token alone is bound to no key.
    let server = provider.env.api.server_name();
    let alone = alice.attempt(server, &fresh, ask("shell"));
    let refusal = provider.env.api.issue(&alone).await.unwrap_err();
    assert_eq!(refusal.reason, "KEY_BINDING");
    // A proof over one of the tokens is none over both.
    let mut swapped = Renewed::new(&provider, &alice, &fresh, &original);
    swapped.attempt.sign(&alice.key, server);
    assert_eq!(
        swapped.send(&provider).await.unwrap_err().reason,
        "POSSESSION"
    );
    // The provider withdraws the keys: the original no longer verifies.
    provider.issuer.rotate().unwrap();
    let fresh = renewed(&provider, &alice, "alice");
    let attempt = Renewed::new(&provider, &alice, &fresh, &original);
    assert_eq!(
        attempt.send(&provider).await.unwrap_err().reason,
        "TOKEN_KEY"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_person_stays_locked_with_a_renewed_token() {
    let provider = Provider::start("okta").await;
    let alice = Caller::new();
    let claims = signed_in(&provider, &alice, "alice", 3600);
    let original = provider.issuer.sign(Algorithm::RS256, &claims);
    let fresh = renewed(&provider, &alice, "alice");
    let attempt = Renewed::new(&provider, &alice, &fresh, &original);
    attempt.send(&provider).await.unwrap();
    let target = lock_target::Target::Identity("alice@example.com".to_owned());
    provider.env.carol().lock(target).await.unwrap();
    let refusal = attempt.send(&provider).await.unwrap_err();
    assert_eq!(refusal.reason, "LOCKED");
}

/// A provider that gives refresh tokens is configured for them, in the way that it demands.
#[test]
fn what_a_provider_demands_for_a_refresh_token_is_configured() {
    for (name, habits) in ALL {
        let habits: toml::Table = toml::from_str(&habits.replace("PORT", "1")).unwrap();
        let block = block(name).to_string();
        let refresh = habits["profile"].get("refresh");
        assert_eq!(
            refresh.is_some(),
            block.contains("refresh = true"),
            "{name}"
        );
        let Some(refresh) = refresh else { continue };
        if let Some(scope) = refresh.get("scope") {
            assert!(block.contains(scope.as_str().unwrap()), "{name}");
        }
        let parameters = refresh.get("parameters").and_then(|all| all.as_array());
        for parameter in parameters.into_iter().flatten() {
            let (key, value) = parameter.as_str().unwrap().split_once('=').unwrap();
            assert!(block.contains(key) && block.contains(value), "{name}");
        }
    }
}
