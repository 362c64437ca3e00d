//! What an operator sees of a server whose ledger is in PostgreSQL: the check, the backup, and the
//! start after a loss.

use std::{fs, path::Path, process::Command};

use daypass::proto::v1::preview_request;

use super::{
    cluster::Cluster,
    daemons::{Daemon, pair},
    support::{api::ask, command::DAYPASS, files, server::signal},
    testing::until,
};

/// Status, and everything that it printed.
pub(crate) fn daypass(words: &[&str], configuration: &Path) -> (bool, String) {
    let mut command = Command::new(DAYPASS);
    command.args(words).arg("--config").arg(configuration);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains("geheim"), "{text}");
    (output.status.success(), text)
}

pub(crate) fn check(configuration: &Path) -> (bool, String) {
    daypass(&["serve", "--check"], configuration)
}

pub(crate) async fn stop(daemon: &mut Daemon) {
    signal(daemon.process.0.id(), "TERM");
    assert!(daemon.process.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_looks_at_the_database_and_shows_no_password() {
    let cluster = Cluster::shared();
    let (database, foreign) = (cluster.database().await, cluster.database().await);
    let [mut a, mut b] = pair(&database).await;
    let configuration = b.files.configuration();
    let (is_healthy, text) = check(&configuration);
    assert!(is_healthy, "{text}");
    assert!(text.contains("has the ledger, with 4 events"), "{text}");
    let file = b.files.path("postgres");
    let address = |text: &str| files::write_secret(&file, text);
    address(&foreign.address());
    let (is_healthy, text) = check(&configuration);
    assert!(!is_healthy, "{text}");
    assert!(text.contains("this server knows a ledger of"), "{text}");
    let cases = [
        (
            "a wrong password",
            database.address().replace("geheim", "falsch"),
            "check the user and the password",
        ),
        (
            "the database of another user",
            database.address_of(&foreign),
            "the user needs all rights",
        ),
        (
            "another setting",
            format!("{}&passwort=geheim", database.address()),
            "its settings may be",
        ),
    ];
    for (case, text, expected) in cases {
        address(&text);
        let (is_healthy, text) = check(&configuration);
        assert!(!is_healthy && text.contains(expected), "{case}: {text}");
        assert!(!text.contains("falsch"), "{case}: {text}");
    }
    stop(&mut b).await;
    // Another server's name: refused with both names, by the check and by a start.
    address(&database.address());
    let text = fs::read_to_string(&configuration).unwrap();
    let other = text.replace("name = \"localhost\"", "name = \"127.0.0.1\"");
    let other = other.replace("state = \"state\"", "state = \"another\"");
    fs::write(&configuration, other).unwrap();
    for words in [&["serve", "--check"][..], &["serve"]] {
        let (is_healthy, text) = daypass(words, &configuration);
        assert!(!is_healthy, "{text}");
        for name in ["localhost/ledger", "127.0.0.1/ledger"] {
            assert!(text.contains(name), "{name}: {text}");
        }
    }
    // A ledger is not begun where there is one.
    let (_, text) = daypass(&["serve", "--new-ledger"], &a.files.configuration());
    assert!(text.contains("in use by another daypass daemon"), "{text}");
    stop(&mut a).await;
    let (_, text) = daypass(&["serve", "--new-ledger"], &a.files.configuration());
    assert!(
        text.contains("there is a ledger in the PostgreSQL database"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_the_databases_and_a_loss_is_accepted_by_an_administrator() {
    let database = Cluster::shared().database().await;
    let [mut a, mut b] = pair(&database).await;
    let (alice, carol) = (a.user("alice", &["sre"]), a.user("carol", &["security"]));
    let target = a.files.path("backup").display().to_string();
    for words in [
        ["backup", &target, "--with-keys"],
        ["backup", &target, "--without-keys"],
    ] {
        let (is_done, text) = daypass(&words, &a.files.configuration());
        assert!(!is_done && text.contains("pg_basebackup"), "{text}");
        assert!(
            text.contains("ledger_key") && text.contains("policy.toml"),
            "{text}"
        );
    }
    assert!(!Path::new(&target).exists());
    let first = alice.issue(ask("shell")).await.unwrap().serial;
    stop(&mut a).await;
    stop(&mut b).await;
    database.copy().await;
    a.again().await;
    let lost = alice.over(&a.api).issue(ask("shell")).await.unwrap().serial;
    assert!(lost > first);
    stop(&mut a).await;
    database.put_back().await;
    // The server that knows more refuses the older database.
    let (_, text) = daypass(&["serve"], &a.files.configuration());
    assert!(text.contains("were signed"), "{text}");
    assert!(text.contains("restore --by-hand"), "{text}");
    let (is_done, text) = daypass(&["restore", "--by-hand"], &a.files.configuration());
    assert!(is_done, "{text}");
    a.again().await;
    let alice = alice.over(&a.api);
    let refused = alice.issue(ask("shell")).await.unwrap_err();
    assert_eq!(refused.reason, "LEDGER_RESTORED", "{refused:?}");
    // The other one knew no more than was put back: it follows.
    b.again().await;
    let refused = alice.over(&b.api).issue(ask("shell")).await.unwrap_err();
    assert_eq!(refused.reason, "LEDGER_RESTORED", "{refused:?}");
    let carol = carol.over(&b.api);
    let target = preview_request::Target::Through(lost + 100);
    until(async || carol.preview(target.clone()).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn init_looks_at_the_database_before_it_writes_a_file() {
    let cluster = Cluster::shared();
    let (database, foreign) = (cluster.database().await, cluster.database().await);
    let [mut a, mut b] = pair(&foreign).await;
    stop(&mut a).await;
    stop(&mut b).await;
    let folder = files::folder();
    let (file, dir) = (folder.path().join("address"), folder.path().join("server"));
    let init = |postgres: &str| {
        let dir = dir.to_str().unwrap();
        let words = ["init", dir, "--name", "localhost", "--postgres", postgres];
        let listen = ["--listen", "127.0.0.1:0"];
        let output = Command::new(DAYPASS).args(words).args(listen).output();
        let output = output.unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), text)
    };
    let named = file.to_str().unwrap();
    let cases = [
        (
            "a wrong password",
            database.address().replace("geheim", "falsch"),
            "check the user and the password",
        ),
        (
            "the database of another user",
            database.address_of(&foreign),
            "the user needs all rights",
        ),
        (
            "the database of another server",
            foreign.address(),
            "has a ledger already",
        ),
        (
            "no address",
            "ledger.db".to_owned(),
            "invalid PostgreSQL address",
        ),
    ];
    for (case, address, expected) in cases {
        files::write_secret(&file, &address);
        let (is_done, text) = init(named);
        assert!(!is_done && text.contains(expected), "{case}: {text}");
        assert!(text.contains("Nothing was written"), "{case}: {text}");
        assert!(!text.contains("geheim"), "{case}: {text}");
        assert!(!dir.exists(), "{case}");
    }
    // It was: `: No such file or directory`.
    for empty in ["", " "] {
        let (is_done, text) = init(empty);
        assert!(!is_done && text.contains("--postgres is empty"), "{text}");
    }
    let (is_done, text) = init("localhost/daypass");
    assert!(
        !is_done && text.contains("names a file with the address"),
        "{text}"
    );
    assert!(!dir.exists());
    let (is_done, text) = init(&database.address());
    assert!(!is_done && text.contains("holds a password"), "{text}");
    assert!(!text.contains("geheim"), "{text}");
    assert!(!dir.exists());

    files::write_secret(&file, &database.address());
    let (is_done, text) = init(named);
    assert!(is_done, "{text}");
    let (is_healthy, text) = daypass(
        &["serve", "--check", "--offline"],
        &dir.join("daypass.toml"),
    );
    assert!(is_healthy, "{text}");
    assert!(text.contains("PostgreSQL database"), "{text}");
}
