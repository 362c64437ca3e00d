//! `daypass hosts` and `daypass admin hosts`, as an administrator types them.

use crate::{
    fake_server::{Answers, FakeServer},
    support::{
        env::TestEnv,
        files,
        hosts::{SECTION, TestHost, join},
    },
};

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
    let stdout = added.stdout.clone();
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
