//! A server's ledger moves from its folder into a database: clients that remember it go on, and no
//! start over what was left behind forks it.

use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};

use daypass::{
    dev::receiver::{Behaviour, Receiver},
    proto::v1::preview_request,
};
use sqlx::{Connection as _, SqliteConnection};
use tokio::time::timeout;

use super::{
    cluster::{Cluster, Database},
    daemons::{Daemon, policy},
    proxy::Proxy,
    support::{
        api::ask,
        command::{DAYPASS, Terminal},
        env::UNLIMITED,
        files,
        orders::identity,
        server::{ServerFiles, signal},
    },
};

const STORE: &str = "\n[store]\npostgres_file = \"postgres\"\n";

/// A server with its ledger in its folder, and people who have asked it.
struct Site {
    daemon: Daemon,
    people: tempfile::TempDir,
}

impl Site {
    async fn start() -> Self {
        Self::start_with("", &[]).await
    }

    /// The same with more sections of the configuration, and the secret files that they name.
    async fn start_with(sections: &str, secrets: &[(&str, &str)]) -> Self {
        let folder = files::folder();
        for (name, secret) in secrets {
            files::write_secret(&folder.path().join(name), secret);
        }
        let files = ServerFiles::prepare(folder, &policy(), UNLIMITED, sections).await;
        let people = files::folder();
        files::write_secret(&people.path().join("password"), "any");
        Self {
            daemon: Daemon::start(files).await,
            people,
        }
    }

    async fn signed_in(&self, name: &str) -> Terminal {
        let ca = self.daemon.files.path("tls.pem");
        let variables = [
            ("DAYPASS_CA_FILE", ca.display().to_string()),
            ("DAYPASS_DEV", self.people.path().display().to_string()),
        ];
        let terminal = Terminal {
            home: self.people.path().join(name),
            state: self.people.path().join(name).join("state"),
            variables: variables
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
        };
        let url = self.daemon.files.url();
        terminal
            .json(&["login", "--as", name, "--server", &url])
            .await;
        terminal
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.daemon.files.path(name)
    }

    async fn stop(&mut self) {
        signal(self.daemon.process.0.id(), "TERM");
        assert!(self.daemon.process.ended().await.success());
    }

    /// Names the database in the configuration, or no longer.
    fn share(&self, address: Option<&str>) {
        let configuration = self.daemon.files.configuration();
        let text = fs::read_to_string(&configuration).unwrap();
        let text = text.replace(STORE, "");
        let text = match address {
            Some(address) => {
                files::write_secret(&self.path("postgres"), address);
                text + STORE
            }
            None => text,
        };
        fs::write(configuration, text).unwrap();
    }

    /// Succeeds, with what it printed.
    fn migrate(&self) -> String {
        let (is_done, text) = daypass(&["migrate"], &self.daemon.files.configuration());
        assert!(is_done, "{text}");
        text
    }

    /// Fails, with what it printed.
    fn refuses(&self, words: &[&str]) -> String {
        let (is_done, text) = daypass(words, &self.daemon.files.configuration());
        assert!(!is_done, "{text}");
        text
    }
}

/// Status, and everything that it printed.
fn daypass(words: &[&str], configuration: &Path) -> (bool, String) {
    let mut command = Command::new(DAYPASS);
    command.args(words).arg("--config").arg(configuration);
    let output = command.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!text.contains("geheim"), "{text}");
    (output.status.success(), text)
}

async fn database() -> Database {
    Cluster::shared().database().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_moves_into_a_database_and_clients_that_remember_it_go_on() {
    let database = database().await;
    let mut site = Site::start().await;
    let alice = site.signed_in("alice").await;
    let before = alice.json(&["pass", "--role", "shell"]).await;
    let carol = site.daemon.user("carol", &["security"]);
    let target = preview_request::Target::Identity("bob@example.com".to_owned());
    let after = carol.preview(target).await.unwrap().after;
    let lock = carol.lock_request(identity("bob@example.com"), after);
    carol.send_lock(lock).await.unwrap();
    site.share(Some(&database.address()));
    let refused = site.refuses(&["migrate"]);
    assert!(
        refused.contains("in use by another daypass daemon"),
        "{refused}"
    );
    site.stop().await;
    // [store] alone moves nothing, and begins no second ledger.
    let refused = site.refuses(&["serve"]);
    assert!(refused.contains("`daypass migrate`"), "{refused}");
    let moved = site.migrate();
    assert!(moved.contains("Moved "), "{moved}");
    assert!(!site.path("state/ledger.db").exists());
    assert!(site.path("state/ledger.db.moved").exists());
    // An accidental start over the old file.
    site.share(None);
    for words in [&["serve"][..], &["serve", "--new-ledger"]] {
        let refused = site.refuses(words);
        assert!(refused.contains("was moved to the PostgreSQL"), "{refused}");
    }
    site.share(Some(&database.address()));
    let again = site.refuses(&["migrate"]);
    assert!(again.contains("start the server"), "{again}");
    site.daemon.again().await;
    let after = alice.json(&["pass", "--role", "shell"]).await;
    assert!(
        after["serial"].as_u64() > before["serial"].as_u64(),
        "{before} {after}"
    );
    let bob = site.daemon.user("bob", &["sre"]);
    let refused = bob.issue(ask("shell")).await.unwrap_err();
    assert_eq!(refused.reason, "LOCKED", "{refused:?}");
    let verified = site
        .signed_in("carol")
        .await
        .json(&["ledger", "verify"])
        .await;
    assert!(
        verified["size"].as_u64() > after["serial"].as_u64(),
        "{verified}"
    );
    // Another server joins.
    let second = site.daemon.files.replica();
    files::write_secret(&second.folder().join("postgres"), &database.address());
    let second = Daemon::start(second).await;
    let refused = bob.over(&second.api).issue(ask("shell")).await.unwrap_err();
    assert_eq!(refused.reason, "LOCKED", "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_whose_commit_got_no_answer_is_ended_by_the_next() {
    let database = database().await;
    let proxy = Proxy::start(database.cluster.socket());
    let mut site = Site::start().await;
    let alice = site.signed_in("alice").await;
    alice.json(&["pass", "--role", "shell"]).await;
    site.stop().await;
    site.share(Some(&database.address_at(proxy.socket())));
    proxy.cut_after_commit();
    let configuration = site.daemon.files.configuration();
    let unknown = tokio::task::spawn_blocking(move || daypass(&["migrate"], &configuration));
    let (is_done, text) = unknown.await.unwrap();
    assert!(
        !is_done && text.contains("run this command again"),
        "{text}"
    );
    assert!(proxy.has_cut());
    // Which of the two is the ledger is not known: neither is started.
    site.share(None);
    let refused = site.refuses(&["serve"]);
    assert!(refused.contains("`daypass migrate`"), "{refused}");
    site.share(Some(&database.address()));
    let refused = site.refuses(&["serve"]);
    assert!(refused.contains("`daypass migrate`"), "{refused}");
    site.migrate();
    site.daemon.again().await;
    alice.json(&["pass", "--role", "shell"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_refused_leaves_the_ledger_where_it_is() {
    let database = database().await;
    let mut first = Site::start().await;
    first.stop().await;
    first.share(Some(&database.address()));
    first.migrate();
    let mut site = Site::start().await;
    let alice = site.signed_in("alice").await;
    site.stop().await;
    let refused = site.refuses(&["migrate"]);
    assert!(refused.contains("names no shared database"), "{refused}");
    site.share(Some(&database.address()));
    let refused = site.refuses(&["migrate"]);
    assert!(refused.contains("is not empty"), "{refused}");
    // A database that fails in the middle.
    database
        .run_sql(
            "TRUNCATE ledger, head; ALTER TABLE ledger ADD CONSTRAINT few CHECK (position < 2)",
        )
        .await;
    let refused = site.refuses(&["migrate"]);
    assert!(refused.contains("few"), "{refused}");
    site.share(None);
    site.daemon.again().await;
    alice.json(&["pass", "--role", "shell"]).await;
    site.stop().await;
    database
        .run_sql("ALTER TABLE ledger DROP CONSTRAINT few")
        .await;
    site.share(Some(&database.address()));
    site.migrate();
    site.daemon.again().await;
    alice.json(&["pass", "--role", "shell"]).await;
}

/// It got tables of ours, or the advice to restore it.
#[tokio::test(flavor = "multi_thread")]
async fn no_ledger_moves_into_a_database_of_another_program() {
    let mut site = Site::start().await;
    site.stop().await;
    for sql in [
        "CREATE TABLE customers (id bigint)",
        "CREATE TABLE ledger (account text, amount bigint)",
    ] {
        let database = database().await;
        database.run_sql(sql).await;
        site.share(Some(&database.address()));
        let refused = site.refuses(&["migrate"]);
        assert!(refused.contains("belongs to another program"), "{refused}");
        assert!(site.path("state/ledger.db").exists());
        let things = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = 'public'";
        assert_eq!(database.number(things).await, 1);
    }
    // Nor an empty file in the place of the ledger, whose checkpoint knows of more.
    let database = database().await;
    site.share(Some(&database.address()));
    fs::write(site.path("state/ledger.db"), "").unwrap();
    let refused = site.refuses(&["migrate"]);
    assert!(refused.contains("it has 0 events"), "{refused}");
    assert_eq!(fs::read(site.path("state/ledger.db")).unwrap(), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_was_changed_is_not_moved_and_the_database_stays_empty() {
    let database = database().await;
    let mut site = Site::start().await;
    let alice = site.signed_in("alice").await;
    alice.json(&["pass", "--role", "shell"]).await;
    site.stop().await;
    site.share(Some(&database.address()));
    let file = format!("sqlite://{}", site.path("state/ledger.db").display());
    let mut ledger = SqliteConnection::connect(&file).await.unwrap();
    sqlx::query("UPDATE ledger SET event = CAST(replace(event, 'alice', 'alica') AS BLOB)")
        .execute(&mut ledger)
        .await
        .unwrap();
    ledger.close().await.unwrap();
    let refused = site.refuses(&["migrate"]);
    assert!(refused.contains("was changed after it was"), "{refused}");
    assert!(site.path("state/ledger.db").exists());
    assert!(!site.path("state/ledger.db.moved").exists());
    // Another ledger finds the database empty.
    let mut other = Site::start().await;
    other.stop().await;
    other.share(Some(&database.address()));
    other.migrate();
    other.daemon.again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_webhook_had_not_yet_got_comes_once_after_the_move() {
    let database = database().await;
    let receiver = Receiver::start().await.unwrap();
    let section = format!(
        "[[webhook]]\nname = \"test\"\nurl = \"{}\"\nsecret_file = \"test.secret\"\n\
         networks = [\"127.0.0.1/32\"]\n",
        receiver.url()
    );
    let secrets = [("test.secret", receiver.secret())];
    let mut site = Site::start_with(&section, &secrets).await;
    let mut requests = Vec::new();
    for number in 0..6 {
        if number == 3 {
            let three = receiver.until(|all| all.iter().filter(|it| it.is_taken).count() == 3);
            timeout(PATIENCE, three).await.expect("three come");
            receiver.behave(Behaviour::Status(503));
        }
        let bob = site.daemon.user(&format!("bob-{number}"), &["oncall"]);
        requests.push(bob.request(ask("prod")).await.id);
    }
    let tried = |all: &[daypass::dev::receiver::Delivery]| {
        let failed = all.iter().filter(|it| !it.is_taken);
        failed.map(|it| &it.id).collect::<BTreeSet<_>>().len() == 3
    };
    timeout(PATIENCE, receiver.until(tried))
        .await
        .expect("three fail");
    site.stop().await;
    site.share(Some(&database.address()));
    site.migrate();
    receiver.behave(Behaviour::Normal);
    site.daemon.again().await;
    let taken = receiver.until(|all| all.iter().filter(|it| it.is_taken).count() >= 6);
    timeout(PATIENCE, taken).await.expect("the others come");
    // One more, so that a repetition would have come before it.
    let bob = site.daemon.user("bob", &["oncall"]);
    requests.push(bob.request(ask("prod")).await.id);
    let last = receiver.until(|all| all.iter().filter(|it| it.is_taken).count() >= 7);
    let all = timeout(PATIENCE, last).await.expect("the last one comes");
    let taken = all.iter().filter(|it| it.is_taken);
    let mut told: Vec<u64> = taken
        .map(|it| it.json["data"]["id"].as_u64().unwrap())
        .collect();
    told.sort_unstable();
    assert_eq!(told, requests, "each once");
}

/// Longer than the pause before a delivery is tried again, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
