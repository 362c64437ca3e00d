//! One sign-in at each provider, by the real client.

use daypass::identity::issuer::Algorithm;
use serde_json::Value;

use crate::{
    habits::Provider,
    support::{
        api::{Caller, ask},
        env::TestEnv,
        now,
    },
};

/// The binding in the event behind a pass.
pub(crate) async fn binding(env: &TestEnv, pass: &Value) -> String {
    let serial = usize::try_from(pass["serial"].as_u64().unwrap()).unwrap();
    let events = env.api.events(&env.carol().token, 0).await;
    word(&events[serial], "binding").unwrap()
}

fn word(value: &Value, name: &str) -> Option<String> {
    match value {
        Value::Object(members) => members
            .iter()
            .find_map(|(key, value)| match value.as_str() {
                Some(text) if key == name => Some(text.to_owned()),
                _ => word(value, name),
            }),
        Value::Array(items) => items.iter().find_map(|item| word(item, name)),
        _ => None,
    }
}

async fn signs_in(name: &'static str) {
    let provider = Provider::start(name).await;
    let terminal = provider.env.own_terminal();
    let words = ["login", "--browser", "--issuer", name, "--as", "alice"];
    let login = terminal.json(&words).await;
    assert_eq!(
        login["issuer"].as_str().unwrap(),
        provider.issuer.identifier()
    );
    assert_eq!(login["bound"], true);
    let pass = terminal.json(&["pass", "--role", "shell"]).await;
    let key_id = pass["key_id"].as_str().unwrap();
    assert_eq!(key_id, format!("{}/shell", provider.label));
    assert_eq!(binding(&provider.env, &pass).await, "nonce");
}

macro_rules! sign_ins {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                signs_in($name).await;
            }
        )*
    };
}

sign_ins! {
    google_with_a_client_secret_and_no_groups: "google",
    entra_with_an_opaque_subject_and_a_label: "entra",
    okta_with_an_exact_redirect: "okta",
    auth0_with_a_slash_and_groups_under_a_url: "auth0",
    keycloak_with_short_tokens: "keycloak",
    zitadel_with_several_audiences: "zitadel",
    dex_with_a_redirect_to_localhost: "dex",
    cognito_with_texts_for_booleans: "cognito",
    gitlab_with_groups_as_paths: "gitlab",
}

/// The job's token is for the CI's issuer, and people's issuer beside it is not asked.
#[tokio::test(flavor = "multi_thread")]
async fn github_actions_beside_the_issuer_of_people() {
    let provider = Provider::start("github").await;
    let caller = Caller::new();
    let mut claims = caller.claims(&provider.issuer.identifier(), &provider.label, &[], now());
    let audience = format!("https://daypass.example.com#{}", caller.commitment());
    claims["aud"] = audience.into();
    claims["repository"] = "corp/app".into();
    claims["ref"] = "refs/heads/main".into();
    for name in ["nonce", "email", "email_verified", "groups"] {
        claims.as_object_mut().unwrap().remove(name);
    }
    let token = provider.issuer.sign(Algorithm::RS256, &claims);
    let api = &provider.env.api;
    let attempt = caller.attempt(api.server_name(), &token, ask("shell"));
    let issued = api.issue(&attempt).await.unwrap();
    assert!(issued.certificate.starts_with("ssh-ed25519-cert"));
    claims["repository"] = "evil/app".into();
    let token = provider.issuer.sign(Algorithm::RS256, &claims);
    let attempt = caller.attempt(api.server_name(), &token, ask("shell"));
    let refusal = api.issue(&attempt).await.unwrap_err();
    assert_eq!(refusal.reason, "NOT_ALLOWED");
}
