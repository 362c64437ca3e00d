//! `daypass hosts` and `daypass admin hosts`, as an administrator types them.

use std::fs;

use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

use crate::{
    fake_server::{Answers, FakeServer},
    support::{
        agent::Agent,
        command::Done,
        env::{EnvOptions, TestEnv},
        files,
        hosts::{SECTION, TestHost, join, joined, sync},
        user::TestUser,
    },
};

/// Options of a server in this process that knows hosts.
pub(crate) fn knowing(options: EnvOptions) -> EnvOptions {
    let file = options.folder().join("host_ca_key");
    files::write_key(&file, &files::new_key());
    options.configuration(SECTION.replace("host_ca_key", &file.display().to_string()))
}

/// A host that has joined, and has reported which certificates it shows.
async fn reporting(env: &TestEnv, name: &str) -> TestHost {
    let (host, serials) = joined(env, name).await;
    let server = env.api.server_name();
    sync(
        &env.api,
        host.reporting(server, &host.report(&[], &serials)),
    )
    .await
    .unwrap();
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_adds_a_host_sees_it_and_removes_it() {
    let key = files::folder();
    let file = key.path().join("host_ca_key");
    files::write_key(&file, &files::new_key());
    let section = SECTION.replace("host_ca_key", &file.display().to_string());
    let options = TestEnv::new().configuration(section);
    let env = options.signed_in(&["carol", "alice"]).start().await;
    let run = async |words: &str| {
        let format = if words.contains("--format") {
            ""
        } else {
            " --format text"
        };
        env.daypass("carol", format!("{words}{format}")).await
    };
    let none = run("hosts").await;
    assert!(none.stdout.contains("No host is known"), "{none:?}");
    let refused = env
        .daypass("alice", "admin hosts add web-1 --group web")
        .await;
    assert_eq!(refused.code, 3, "{refused:?}");
    let wrong = run("admin hosts add web-* --group web").await;
    assert_eq!(wrong.code, 3, "{wrong:?}");
    assert!(
        wrong.stderr.contains("is not an exact host name"),
        "{wrong:?}"
    );
    // daypass admin hosts add web-1 --group web --alias 10.0.0.7
    let words = "admin hosts add web-1 --group web --alias 10.0.0.7";
    let added = run(words).await;
    // It said that there is no such host, and `daypass hosts` lists it.
    let early = run("admin hosts add web-1 --rekey").await;
    assert!(
        early.stderr.contains("no host web-1 has joined"),
        "{early:?}"
    );
    let other = run("admin hosts add elsewhere --group web").await;
    assert!(other.stderr.contains("daypass.toml"), "{other:?}");
    // On a new machine, the command that was printed exited with 2 and asked for --server.
    let stdout = added.stdout.clone();
    let (url, _) = env.world().server();
    let printed = format!("daypass host setup --server {url} --join ");
    assert!(stdout.contains(&printed), "{stdout}");
    let code = stdout.rsplit("--join ").next().unwrap().trim().to_owned();
    assert_eq!(code.len(), 19, "{added:?}");
    assert!(run("hosts").await.stdout.contains("expected"));
    let web = TestHost::new("web-1");
    join(&env.api, web.joining(env.api.server_name(), &code))
        .await
        .unwrap();
    let listed = run("hosts --format json").await.success();
    assert_eq!(listed["hosts"][0]["name"], "web-1");
    assert_eq!(listed["hosts"][0]["state"], "joined");
    // The table said that it is current, and JSON did not.
    assert_eq!(listed["hosts"][0]["status"], "current");
    assert_eq!(listed["hosts"][0]["aliases"][0], "10.0.0.7");
    assert_eq!(listed["hosts"][0]["keys"].as_array().unwrap().len(), 2);
    assert!(
        run("hosts --behind")
            .await
            .stdout
            .contains("No host is behind.")
    );
    let found = run("ledger list --host web-1 --format json").await.stdout;
    assert_eq!(found.matches("host_certified").count(), 2, "{found}");
    let shown = run("ledger list --host 10.0.0.7").await.stdout;
    assert!(
        shown.contains("host_joined") && shown.contains("web-1"),
        "{shown}"
    );
    // Users reach a host by an alias too, and read its name in the words about its host key.
    for order in ["add 10.0.0.7 --rekey", "remove 10.0.0.7"] {
        let refused = run(&format!("admin hosts {order}")).await;
        let says = "10.0.0.7 is an alias of host web-1: name web-1 instead";
        assert!(
            refused.code != 0 && refused.stderr.contains(says),
            "{refused:?}"
        );
    }
    // It was a denial in the ledger.
    for long in ["8d", "0s"] {
        let words = format!("admin hosts add web-2 --group web --expires {long}");
        let refused = run(&words).await;
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains("at most 7d"), "{refused:?}");
    }
    let denied = run("ledger list --event denied --format json").await.stdout;
    assert!(!denied.contains("web-2"), "{denied}");
    let again = run(words).await;
    assert!(again.stderr.contains("--rekey"), "{again:?}");
    let added = run("admin hosts add web-1 --rekey --format json")
        .await
        .success();
    assert_eq!(added["name"], "web-1");
    assert!(run("hosts").await.stdout.contains("rekeying"));
    let removed = run("admin hosts remove web-1").await.stdout;
    assert!(
        removed.contains("2 of its certificates were still valid, and are revoked now"),
        "{removed}"
    );
    let gone = run("admin hosts remove web-1").await;
    assert!(gone.stderr.contains("no host web-1 has joined"), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smaller_version_than_a_known_one_is_no_alarm_if_the_list_is_as_new() {
    let key = files::folder();
    let file = key.path().join("host_ca_key");
    files::write_key(&file, &files::new_key());
    let section = SECTION.replace("host_ca_key", &file.display().to_string());
    let env = TestEnv::new().configuration(section).start().await;
    let fake = FakeServer::start(&env.api).await;
    let mut terminal = env.terminal("alice");
    terminal
        .variables
        .retain(|(name, _)| name != "DAYPASS_SERVER");
    let server = ("DAYPASS_SERVER".to_owned(), fake.url.clone());
    terminal.variables.push(server);
    terminal.sign_in("alice").await;
    let carol = env.carol();
    for name in ["web-1", "web-2"] {
        let code = carol.add_host(name, false).await.unwrap();
        let web = TestHost::new(name);
        let joining = web.joining(env.api.server_name(), &code);
        join(&env.api, joining).await.unwrap();
        carol.remove_host(name).await.unwrap();
    }
    let says = async |version| {
        fake.answers(Answers {
            host_revocations_version: version,
            ..Answers::default()
        });
        let done = terminal.run(&["roles"]).await;
        assert_eq!(done.code, 0, "{done:?}");
        done.stderr
    };
    assert_eq!(says(None).await, "");
    // As if another command had fetched the list since the server said its version.
    assert_eq!(says(Some(1)).await, "");
    let alarm = says(Some(1_000_000)).await;
    let expected = "and version 1000000 is known here";
    assert!(alarm.contains(expected), "{alarm}");
    assert_eq!(says(None).await, "");
}

const POLICY: &str = r#"
[limits]
ttl = "8h"
principals = ["root"]
[hosts]
web = ["web-*"]
[audit]
allow = 'true'
[admin]
allow = 'true'
[[role]]
name = "shell"
allow = 'true'
hosts = ["web"]
principals = ["root"]
ttl = "30m"
on_behalf = { by = 'claims.email == "bob@example.com"' }
"#;

/// `--agent` and `on-behalf redeem` did not: ssh asked about an impostor as about any new host.
#[tokio::test(flavor = "multi_thread")]
async fn whichever_way_a_pass_comes_its_host_is_known_to_have_a_certificate() {
    let options = knowing(TestEnv::new().policy(POLICY));
    let env = options.signed_in(&["alice", "bob"]).start().await;
    reporting(&env, "web-1").await;
    let agent = Agent::start(env.folder()).await;
    let at = |name: &str| env.folder().join(name).display().to_string();
    let (out, sheet) = (at("mine"), at("on-behalf.json"));
    let run = async |who: &str, words: &str, more: &[&str]| {
        let mut command = env.command(who, words, more);
        command.env("SSH_AUTH_SOCK", &agent.socket);
        Done::of(command).await.exits(words, 0);
    };
    let file = |who: &str| env.state(who).join("certified-hosts.json");
    let is_known = |who: &str| {
        let text = fs::read_to_string(file(who)).unwrap_or_default();
        text.contains("\"web-1\"")
    };
    let pass = "pass --role shell --host web-1";
    for (way, more) in [
        ("in the state folder", vec![]),
        ("at a path", vec!["--out", &out]),
        ("in the agent", vec!["--agent"]),
    ] {
        assert!(!is_known("alice"), "before: {way}");
        run("alice", pass, &more).await;
        assert!(is_known("alice"), "{way}");
        fs::remove_file(file("alice")).unwrap();
    }
    let prepare = "on-behalf prepare shell --host web-1";
    run("bob", prepare, &["--file", &sheet]).await;
    run("alice", "on-behalf sign --yes", &[&sheet]).await;
    assert!(!is_known("bob"));
    run("bob", "on-behalf redeem", &[&sheet]).await;
    assert!(is_known("bob"), "on behalf");
}

/// A server that was a moment behind another one looked like one that was restored from a backup.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_a_moment_behind_another_one_is_asked_for_the_list_itself() {
    let options = knowing(TestEnv::new().policy(POLICY));
    let env = options.signed_in(&["carol"]).start().await;
    let (_, serials) = joined(&env, "web-1").await;
    let removed = env.daypass("carol", "admin hosts remove web-1").await;
    removed.exits("remove", 0);
    assert!(!serials.is_empty());
    let server = FakeServer::start(&env.api).await;
    let mut terminal = env.terminal("alice");
    let variable = ("DAYPASS_SERVER".to_owned(), server.url.clone());
    terminal.variables.retain(|(name, _)| name != &variable.0);
    terminal.variables.push(variable);
    terminal.sign_in("alice").await;
    assert!(terminal.file("revoked_hosts").is_file());
    server.answers(Answers {
        host_revocations_behind: 1,
        ..Answers::default()
    });
    let done = terminal.run(&["roles"]).await.exits("behind", 0);
    assert!(!done.stderr.contains("revoked"), "{done:?}");
}

/// The order was in the ledger, and the administrator was told that it had failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_removed_though_its_last_report_stays() {
    let options = knowing(TestEnv::new().policy(POLICY));
    let env = options.signed_in(&["carol"]).start().await;
    reporting(&env, "web-1").await;
    let options = SqliteConnectOptions::new().filename(ledger(&env));
    let mut connection = options.connect().await.unwrap();
    let fault = "CREATE TRIGGER full BEFORE DELETE ON report \
                 BEGIN SELECT RAISE(ABORT, 'disk is full'); END";
    sqlx::query(fault).execute(&mut connection).await.unwrap();
    let carol: TestUser = env.carol();
    assert_eq!(carol.remove_host("web-1").await.unwrap().len(), 2);
    assert!(carol.hosts(false).await.unwrap().is_empty());
}

/// The database of the world's ledger.
fn ledger(env: &TestEnv) -> std::path::PathBuf {
    let mut folders = vec![env.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("ledger.db") {
                return path;
            }
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    panic!("no ledger");
}
