//! A provider that is down: each command says in one line who does not answer, and then the command
//! for access that cannot wait.

use crate::{
    habits::Provider,
    refreshes::SignedIn,
    support::command::{Done, Terminal},
};

const ACCESS: &str =
    "Access that cannot wait needs no sign-in if the server knows your emergency key:";

/// The lines on stderr, with the provider's address as `[ISSUER]`.
fn screen(provider: &Provider, done: &Done) -> Vec<String> {
    let text = done
        .stderr
        .replace(&provider.issuer.identifier(), "[ISSUER]");
    text.lines().map(str::to_owned).collect()
}

async fn with_key(terminal: &Terminal, words: &[&str]) -> Done {
    let mut command = terminal.command(words);
    command.env("DAYPASS_EMERGENCY_KEY", "/keys/alice");
    Done::of(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_must_sign_in_or_renew_names_the_provider_and_the_emergency_command() {
    let signed_in = SignedIn::start("keycloak", |_| ()).await;
    let SignedIn { provider, terminal } = &signed_in;
    provider.issuer.stop().await;
    signed_in.token_ends().await;
    let down = "failed to reach the identity provider keycloak ([ISSUER]): Connection refused (os error 111)";
    let first = format!("daypass: {down}");
    for (words, command) in [
        (
            &["login", "--issuer", "keycloak", "--as", "alice"][..],
            "daypass ssh HOST --role ROLE --reason TEXT --emergency-key FILE",
        ),
        (
            &["pass", "--role", "shell"],
            "daypass pass --role shell --reason TEXT --emergency-key FILE",
        ),
        (
            &[
                "ssh",
                "deploy@web-1",
                "--role",
                "shell",
                "--reason",
                "disk full",
            ],
            "daypass ssh deploy@web-1 --role shell --reason 'disk full' --emergency-key FILE",
        ),
        (
            &["roles"],
            "daypass ssh HOST --role ROLE --reason TEXT --emergency-key FILE",
        ),
    ] {
        let done = terminal.run(words).await.exits(words[0], 6);
        let second = format!("{ACCESS} {command}");
        assert_eq!(
            screen(provider, &done),
            [first.clone(), second],
            "{words:?}"
        );
    }
    let done = with_key(terminal, &["pass", "--role", "shell"]).await;
    let second = format!("{ACCESS} daypass pass --role shell --reason TEXT --emergency");
    assert_eq!(screen(provider, &done), [first, second]);
    let words = ["pass", "--role", "shell", "--format", "json"];
    let error = terminal.run(&words).await.exits("json", 6).error();
    assert_eq!(error["reason"], "ISSUER_UNAVAILABLE");
}

/// The server starts while the provider is down, so it has no key to check a token with.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_reach_the_provider_says_so_and_the_emergency_command() {
    let mut provider = Provider::start("keycloak").await;
    let terminal = provider.signed_in("keycloak").await;
    provider.issuer.stop().await;
    provider.env.restart().await;
    for (words, command) in [
        (
            &["pass", "--role", "shell"][..],
            "daypass pass --role shell",
        ),
        (
            &["ssh", "web-1", "--role", "shell"],
            "daypass ssh web-1 --role shell",
        ),
        (&["whoami"], "daypass ssh HOST --role ROLE"),
    ] {
        let done = terminal.run(words).await.exits(words[0], 6);
        let screen = screen(&provider, &done);
        let second = format!("{ACCESS} {command} --reason TEXT --emergency-key FILE");
        assert_eq!(screen.len(), 2, "{screen:?}");
        let first = "daypass: the server cannot check your sign-in, since it does not reach the identity \
                     provider: failed to fetch the keys of issuer `keycloak`; its log says why";
        assert_eq!(screen[0], first, "{words:?}");
        assert_eq!(screen[1], second, "{words:?}");
    }
}
