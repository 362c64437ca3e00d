//! Renewed sign-ins at each provider, by the real client: one sign-in in a browser, and then none.

use std::fs;

use daypass::identity::issuer::Algorithm;
use serde_json::{Value, json};

use crate::{
    habits::{ALL, Provider},
    sign_ins::binding,
    support::{
        command::{Done, Terminal},
        now,
    },
};

/// A provider whose ID tokens live for a second, and a terminal that is signed in.
pub(crate) struct SignedIn {
    pub(crate) provider: Provider,
    pub(crate) terminal: Terminal,
}

impl SignedIn {
    pub(crate) async fn start(name: &'static str, change: impl FnOnce(&mut toml::Table)) -> Self {
        let provider = Provider::start_with(name, |habits| {
            let profile = habits["profile"].as_table_mut().unwrap();
            profile.insert("lifetime".into(), 1.into());
            change(profile);
        })
        .await;
        let terminal = provider.env.own_terminal();
        let words = ["login", "--browser", "--issuer", name, "--as", "alice"];
        let done = terminal.run(&words).await.exits(name, 0);
        let has_note = done.stderr.contains("gave no refresh token");
        assert_eq!(
            has_note,
            !terminal.file("refresh.json").exists(),
            "{done:?}"
        );
        Self { provider, terminal }
    }

    /// Waits for the end of the token, by the clock.
    pub(crate) async fn token_ends(&self) {
        let session: Value =
            serde_json::from_slice(&fs::read(self.terminal.file("session.json")).unwrap()).unwrap();
        let expires = session["login"]["expires"].as_i64().unwrap();
        while now() <= expires {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// A pass, after the end of the token.
    async fn pass_later(&self) -> Done {
        self.token_ends().await;
        let words = ["pass", "--role", "shell", "--format", "json"];
        self.terminal.run(&words).await
    }

    async fn assert_renewed(&self, case: &str) {
        let pass = self.pass_later().await.exits(case, 0).json();
        assert_eq!(
            binding(&self.provider.env, &pass).await,
            "refreshed",
            "{case}"
        );
    }

    /// The client asks for a sign-in in one line that says this, and does not try again.
    async fn assert_over(&self, case: &str, says: &str) {
        let before = self.provider.issuer.hits("/token");
        let mut done = self.pass_later().await.exits(case, 4);
        let error = done.error();
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(says), "{case}: {message}");
        assert!(
            message.ends_with("sign in with: daypass login"),
            "{case}: {message}"
        );
        assert_eq!(done.stderr.lines().count(), 1, "{case}: {done:?}");
        assert_eq!(self.provider.issuer.hits("/token"), before + 1, "{case}");
        done = self.pass_later().await.exits(case, 4);
        assert!(done.stderr.contains("daypass login"), "{case}: {done:?}");
        assert_eq!(self.provider.issuer.hits("/token"), before + 1, "{case}");
        let status = self
            .terminal
            .run_json(&["status"])
            .await
            .exits(case, 4)
            .json();
        assert_eq!(status["signed_in"], false, "{case}");
        assert!(
            status["expires"].as_i64() <= Some(now()),
            "{case}: {status}"
        );
    }
}

/// The description with which a provider refuses a refresh token that has ended.
fn refusal(name: &str) -> String {
    let (_, text) = ALL.into_iter().find(|(it, _)| *it == name).unwrap();
    let habits: toml::Table = toml::from_str(&text.replace("PORT", "1")).unwrap();
    let refusal = &habits["profile"]["refresh"]["refusal"];
    format!(
        "has ended it ({}: \"{}\")",
        refusal["error"].as_str().unwrap(),
        refusal["description"].as_str().unwrap()
    )
}

/// One sign-in, two renewals, and the end of the session at the provider.
async fn renews(name: &'static str) {
    let signed_in = SignedIn::start(name, |_| ()).await;
    for renewal in ["the first renewal", "the second renewal"] {
        signed_in
            .assert_renewed(&format!("{name}, {renewal}"))
            .await;
    }
    let issuer = &signed_in.provider.issuer;
    assert_eq!(issuer.hits("/authorize"), 1, "one browser");
    issuer.end_refresh();
    signed_in.assert_over(name, &refusal(name)).await;
}

macro_rules! refreshes {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                renews($name).await;
            }
        )*

        #[test]
        fn every_provider_with_refresh_tokens_is_renewed_here() {
            let renewing = ALL.into_iter().filter(|(_, text)| text.contains("refresh]"));
            let renewing: Vec<&str> = renewing.map(|(name, _)| name).collect();
            assert_eq!(renewing, [$($name),*]);
        }
    };
}

refreshes! {
    google_keeps_its_refresh_token: "google",
    entra_gives_new_ones_beside_the_old: "entra",
    okta_rotates_with_a_time_for_reuse: "okta",
    auth0_rotates_and_refuses_with_403: "auth0",
    keycloak_repeats_the_nonce: "keycloak",
    zitadel_rotates_and_calls_an_ended_token_an_invalid_request: "zitadel",
    dex_rotates_and_calls_an_ended_token_an_invalid_request: "dex",
    cognito_keeps_its_refresh_token: "cognito",
    gitlab_rotates_and_wants_the_redirect_again: "gitlab",
}

/// Changes the habits of a profile's refresh tokens.
fn refresh(profile: &mut toml::Table, name: &str, value: impl Into<toml::Value>) {
    let refresh = profile["refresh"].as_table_mut().unwrap();
    refresh.insert(name.into(), value.into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_renews_no_id_token_asks_for_a_sign_in() {
    let change = |profile: &mut toml::Table| refresh(profile, "lacks_id_token", true);
    let signed_in = SignedIn::start("gitlab", change).await;
    signed_in
        .assert_over("gitlab", "the identity provider gitlab renews no ID token")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_the_refresh_grant_asks_for_a_sign_in() {
    for error in [
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_client",
    ] {
        let signed_in = SignedIn::start("auth0", |profile| {
            let refusal = toml::Table::from_iter([("error".to_owned(), error.into())]);
            refresh(profile, "refusal", refusal);
        })
        .await;
        signed_in.provider.issuer.end_refresh();
        let says = format!("auth0 does not renew it for this client ({error})");
        signed_in.assert_over(error, &says).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_answer_now_keeps_the_sign_in() {
    let signed_in = SignedIn::start("auth0", |profile| {
        let refusal = toml::Table::from_iter([
            ("error".to_owned(), "temporarily_unavailable".into()),
            ("status".to_owned(), 503.into()),
        ]);
        refresh(profile, "refusal", refusal);
    })
    .await;
    let kept = fs::read(signed_in.terminal.file("refresh.json")).unwrap();
    signed_in.provider.issuer.end_refresh();
    let done = signed_in.pass_later().await.exits("it cannot answer", 6);
    assert!(done.stderr.contains("identity provider auth0"), "{done:?}");
    assert!(kept == fs::read(signed_in.terminal.file("refresh.json")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_gives_no_refresh_token_is_said_at_the_sign_in() {
    let change = |profile: &mut toml::Table| {
        profile.remove("refresh");
    };
    // Without renewal the second-long token would be over before the sign-in is shown.
    let signed_in = SignedIn::start("okta", |profile| {
        change(profile);
        profile.insert("lifetime".into(), 15.into());
    })
    .await;
    let done = signed_in.pass_later().await.exits("the token has ended", 4);
    let message = done.error()["message"].clone();
    assert_eq!(
        message,
        "your sign-in has expired; sign in with: daypass login"
    );
}

/// A sign-in that is bound to no key would be worth as much as its refresh token alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_with_a_device_code_keeps_no_refresh_token() {
    let provider = Provider::start_with("keycloak", |habits| {
        let device_flow = toml::Table::from_iter([("device_flow".to_owned(), true.into())]);
        habits.insert("issuer".into(), device_flow.into());
    })
    .await;
    let terminal = provider.env.own_terminal();
    let words = ["login", "--device", "--issuer", "keycloak", "--as", "alice"];
    terminal.run(&words).await.exits("device", 0);
    assert!(!terminal.file("refresh.json").exists());
    let session: Value =
        serde_json::from_slice(&fs::read(terminal.file("session.json")).unwrap()).unwrap();
    assert_eq!(session["login"].get("ends"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_at_once_use_a_rotating_token_once() {
    let signed_in = SignedIn::start("auth0", |_| ()).await;
    for _ in 0..2 {
        let commands: Vec<_> = (0..5)
            .map(|_| {
                let terminal = signed_in.terminal.clone();
                tokio::spawn(async move { terminal.json(&["whoami"]).await })
            })
            .collect();
        for command in commands {
            command.await.unwrap();
        }
    }
    signed_in.assert_renewed("after all of them").await;
}

/// The job's token ends, and the job asks for another one.
#[tokio::test(flavor = "multi_thread")]
async fn github_actions_signs_in_again_with_each_token() {
    let provider = Provider::start("github").await;
    let terminal = provider.env.own_terminal();
    let job = SignedIn { provider, terminal };
    for turn in ["the first token", "the second token"] {
        job.sign_in_with_a_token().await.exits(turn, 0);
        let done = job.pass_later().await.exits("the token has ended", 4);
        let message = done.error()["message"].clone();
        assert_eq!(
            message,
            "your sign-in has expired; sign in with: daypass login"
        );
    }
}

impl SignedIn {
    /// Signs in with a token of GitHub Actions that lives for a few seconds.
    async fn sign_in_with_a_token(&self) -> Done {
        let prepared = ["login", "--print-audience", "--issuer", "github"];
        let prepared = self.terminal.json(&prepared).await;
        let issuer = &self.provider.issuer;
        let issued = now();
        let claims = json!({
            "iss": issuer.identifier(), "aud": prepared["audience"], "sub": self.provider.label,
            "iat": issued, "exp": issued + 15,
            "repository": "corp/app", "ref": "refs/heads/main",
        });
        let file = self.terminal.home.join("token");
        fs::write(&file, issuer.sign(Algorithm::RS256, &claims)).unwrap();
        let words = ["login", "--token-file", file.to_str().unwrap()];
        self.terminal.run(&words).await
    }
}
