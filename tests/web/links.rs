//! The way from the command line and from a webhook to the page of a request.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use serde_json::{Value, json};

use crate::{story::asked, support::env::TestEnv};

#[tokio::test(flavor = "multi_thread")]
async fn requests_open_opens_the_page_of_a_request_or_prints_its_address() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let id = asked(&env, "INC-7").await;
    let page = format!("{}/web/requests/{id}", env.server.url());
    // A webhook's message leads there, too.
    let told = env.world().receiver().until(|all| {
        let mut all = all.iter();
        all.any(|one| one.kind() == "requested")
    });
    let told = tokio::time::timeout(Duration::from_secs(60), told).await;
    let told = told.expect("the message arrives");
    let requested = told.iter().find(|one| one.kind() == "requested").unwrap();
    let body: Value = serde_json::from_slice(&requested.body).unwrap();
    assert_eq!(body["data"]["url"], json!(page));

    let (browser, opened) = (env.folder().join("browser.sh"), env.folder().join("opened"));
    let script = format!("#!/bin/sh\nprintf %s \"$1\" > {}\n", opened.display());
    fs::write(&browser, script).unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o755)).unwrap();
    let browser = browser.to_str().unwrap();
    let words = format!("requests open {id}");

    let done = env.run("carol", &words, &["--browser", browser]).await;
    let answer = done.exits("it is opened", 0).json();
    assert_eq!(answer, json!({ "url": page, "opened": true }));
    assert_eq!(fs::read_to_string(&opened).unwrap(), page);
    fs::remove_file(&opened).unwrap();

    for (case, more) in [
        ("no terminal", vec![]),
        ("no input", vec!["--no-input", "--browser", browser]),
        ("no such browser", vec!["--browser", "/nonexistent/browser"]),
    ] {
        let done = env.run("carol", &words, &more).await;
        let answer = done.exits(case, 0).json();
        assert_eq!(answer, json!({ "url": page, "opened": false }), "{case}");
        assert!(!opened.exists(), "{case}");
    }
    // A request that bob may not see, and none at all.
    for (words, code) in [("requests open 99999", 1), ("requests open x", 2)] {
        let done = env.run("carol", words, &["--browser", browser]).await;
        assert_eq!(done.exits(words, code).stdout, "");
        assert!(!opened.exists(), "{words}");
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_open_says_that_a_server_has_no_page() {
    let mut env = TestEnv::new().signed_in(&["bob"]).start().await;
    env.edit("daypass.toml", "[web]\n", "");
    env.restart().await;
    let done = env
        .daypass("bob", "requests open 3")
        .await
        .exits("no page", 1);
    let message = done.error()["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("has no page") && message.contains("daypass show 3"),
        "{message}"
    );
    env.close().await;
}
