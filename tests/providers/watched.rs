//! Waiting with tokens that end while the command waits, as those of Keycloak do after five
//! minutes.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};

use crate::{habits::Provider, support::command::DAYPASS};

/// Long enough for a busy machine.
const SOON: Duration = Duration::from_secs(150);

/// Seconds that a token lives: a watch that ends sooner counts as one that failed.
const LIFETIME: i64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_reaches_who_waits_through_the_ends_of_several_tokens() {
    let provider = Provider::start_with("keycloak", |habits| {
        let profile = habits["profile"].as_table_mut().unwrap();
        profile.insert("lifetime".into(), LIFETIME.into());
    })
    .await;
    let terminal = provider.signed_in("keycloak").await;

    let mut watch = terminal.program(DAYPASS, &["requests", "watch", "--format", "json"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(watch.stdout.take().unwrap()).lines();
    let words = ["request", "prod", "--reason", "INC-1", "--wait", "5m"];
    let waiting = terminal.command(&words).spawn().unwrap();
    let line = timeout(SOON, told.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(line.contains("\"pending\""), "{line}");
    let request: serde_json::Value = serde_json::from_str(&line).unwrap();

    // Both commands renew at each end of their watch.
    let renewed = provider.issuer.hits("/token") + 4;
    let renewals = async {
        while provider.issuer.hits("/token") < renewed {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, renewals).await.expect("the watches go on");
    let bob = provider.env.user("bob", &["sre-lead"]);
    let view = bob.view(request["id"].as_u64().unwrap()).await.unwrap();
    bob.approve(&view).await.unwrap();

    let done = timeout(SOON, waiting.wait_with_output()).await.unwrap();
    let done = done.unwrap();
    assert!(done.status.success(), "{done:?}");
    let line = timeout(SOON, told.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(line.contains("\"approved\""), "{line}");
    watch.kill().await.unwrap();
    assert_eq!(provider.issuer.hits("/authorize"), 1, "one browser");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_renewal_the_wait_ends_with_the_token_and_says_what_to_do() {
    let provider = Provider::start_with("keycloak", |habits| {
        let profile = habits["profile"].as_table_mut().unwrap();
        profile.insert("lifetime".into(), LIFETIME.into());
        profile.remove("refresh");
    })
    .await;
    let terminal = provider.signed_in("keycloak").await;
    let words = ["request", "prod", "--reason", "INC-1", "--wait", "5m"];
    let done = terminal.run(&words).await.exits("the token ends", 4);
    assert!(done.stderr.contains("daypass login"), "{done:?}");
}
