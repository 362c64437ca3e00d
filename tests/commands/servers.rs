//! One laptop and two servers: each has its own sign-in, passes and CA file.

use serde_json::Value;

use crate::support::{
    command::{Done, Terminal},
    env::TestEnv,
};

/// A policy whose only role is for one group of hosts.
fn policy(group: &str) -> String {
    format!(
        r#"
[limits]
ttl = "1h"
principals = ["deploy"]

[hosts]
{group} = ["{group}-*", "both-*"]

[[role]]
name = "{group}-shell"
allow = 'true'
hosts = ["{group}"]
principals = ["deploy"]
pty = true
ttl = "30m"
"#
    )
}

async fn server(group: &str) -> TestEnv {
    TestEnv::new().policy(policy(group)).start().await
}

/// A terminal that no variable ties to a server.
fn laptop(env: &TestEnv) -> Terminal {
    Terminal {
        state: env.folder().join("laptop"),
        variables: Vec::new(),
        ..env.terminal("")
    }
}

/// `daypass login` with the server's address and CA file, as the user types it once.
async fn sign_in(laptop: &Terminal, env: &TestEnv, person: &str) -> Value {
    let is_of_server = |name: &str| ["DAYPASS_SERVER", "DAYPASS_CA_FILE"].contains(&name);
    let variables = env.server.variables().into_iter();
    let in_world = Terminal {
        variables: variables.filter(|(name, _)| !is_of_server(name)).collect(),
        ..laptop.clone()
    };
    let (url, ca) = (env.server.url(), env.world().files().tls_ca());
    let words = ["login", "--as", person, "--server", &url, "--ca-file"];
    let words = [&words[..], &[ca.to_str().unwrap()]].concat();
    in_world.json(&words).await
}

async fn role_of_pass(laptop: &Terminal, words: &[&str]) -> String {
    let pass = laptop.json(&[&["pass"], words].concat()).await;
    pass["role"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_passes_and_ca_files_belong_to_a_server() {
    let (web, db) = (server("web").await, server("db").await);
    let laptop = laptop(&web);
    sign_in(&laptop, &web, "alice").await;
    assert_eq!(
        role_of_pass(&laptop, &["--host", "web-1"]).await,
        "web-shell"
    );
    // Another person at the second server: neither sign-in nor passes of the first are touched.
    sign_in(&laptop, &db, "bob").await;
    assert_eq!(role_of_pass(&laptop, &["--host", "db-1"]).await, "db-shell");
    assert_eq!(
        role_of_pass(&laptop, &["--host", "web-2"]).await,
        "web-shell",
        "the host tells which server is meant"
    );
    assert_eq!(
        role_of_pass(&laptop, &["--host", "both-1"]).await,
        "db-shell",
        "if both name it, the last sign-in decides"
    );
    let url = web.server.url();
    let named = ["--host", "both-1", "--server", &url];
    assert_eq!(role_of_pass(&laptop, &named).await, "web-shell");

    let all = laptop.json(&["status", "--all"]).await;
    let servers = all["servers"].as_array().unwrap();
    let shown = servers.iter().map(|it| {
        let passes = it["passes"].as_array().unwrap().len();
        (it["label"].as_str().unwrap(), it["default"] == true, passes)
    });
    let shown: Vec<_> = shown.collect();
    assert_eq!(
        shown,
        [
            ("alice@example.com", false, 3),
            ("bob@example.com", true, 2)
        ]
    );
    // A server that a variable names does not hide the others.
    let named = Terminal {
        variables: vec![("DAYPASS_SERVER".to_owned(), url)],
        ..laptop.clone()
    };
    let all = named.json(&["status", "--all"]).await;
    assert_eq!(all["servers"].as_array().unwrap().len(), 2);
    let text = laptop.run(&["status", "--all"]).await;
    assert!(text.stdout.contains("(default)"), "{text:?}");

    // Signing out of one leaves the other.
    laptop.json(&["logout"]).await;
    laptop.run(&["pass"]).await.exits("signed out of db", 4);
    let still = role_of_pass(&laptop, &["--host", "web-3"]).await;
    assert_eq!(still, "web-shell");
    laptop.json(&["logout", "--all"]).await;
    let none: Done = laptop.run(&["status", "--all"]).await;
    let none = none.exits("signed out everywhere", 4);
    assert!(none.stdout.contains("Not signed in."), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_ssh_knows_the_hosts_of_every_server_and_one_file_for_each_host() {
    let (web, db) = (server("web").await, server("db").await);
    let laptop = laptop(&web);
    sign_in(&laptop, &web, "alice").await;
    laptop
        .run(&["ensure", "--host", "both-1"])
        .await
        .exits("", 0);
    sign_in(&laptop, &db, "bob").await;
    let block = laptop.json(&["ssh-config", "print"]).await;
    let block = block["ssh_config"].as_str().unwrap();
    let block = block.lines().find(|line| line.starts_with("Match "));
    let block = block.unwrap().to_owned();
    for pattern in ["web-*", "db-*", "both-*"] {
        assert_eq!(block.matches(pattern).count(), 1, "{pattern}: {block}");
    }
    let config = || {
        let path = laptop.of_host("both-1").join("ssh_config");
        std::fs::read_to_string(path).unwrap()
    };
    let of_web = config();
    laptop
        .run(&["ensure", "--host", "both-1"])
        .await
        .exits("", 0);
    assert_ne!(config(), of_web, "the pass of the last sign-in's server");
    assert!(config().contains("/servers/"), "{}", config());
}
