//! An address that leads to another database: to an empty one although this server knows a ledger,
//! to another program's, or to another server's. Nothing is written to it.

use std::{fs, process::Command};

use super::{
    cluster::{Cluster, Database},
    daemons::{Daemon, prepared},
    operator::{check, daypass, stop},
    support::{command::DAYPASS, files},
    testing::{NOW, Replica, staged},
};

/// A daemon that has run on this database.
async fn stopped(database: &Database) -> Daemon {
    let [first, _] = prepared(&[database.address(), database.address()], "", &[]).await;
    let mut daemon = Daemon::start(first).await;
    stop(&mut daemon).await;
    daemon
}

fn point_at(daemon: &Daemon, address: &str) {
    files::write_secret(&daemon.files.path("postgres"), address);
}

/// Everything in the schema, to compare.
async fn things(database: &Database) -> i64 {
    let count = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = 'public'";
    database.number(count).await
}

/// The check and a start refuse in the same words.
fn refused_by_both(daemon: &Daemon, expected: &[&str]) {
    let configuration = daemon.files.configuration();
    for words in [&["serve", "--check"][..], &["serve"]] {
        let (is_good, text) = daypass(words, &configuration);
        assert!(!is_good, "{words:?}: {text}");
        for expected in expected {
            assert!(text.contains(expected), "{words:?}: {expected}: {text}");
        }
    }
}

const LOST: [&str; 3] = [
    "this server knows a ledger of",
    "Nothing was written to it",
    "Correct the address",
];

/// The start made five tables in the other database, then said that nothing was changed. The check
/// found it good.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_an_empty_database_writes_nothing_where_a_ledger_is_known() {
    let cluster = Cluster::shared();
    let (database, empty) = (cluster.database().await, cluster.database().await);
    let mut daemon = stopped(&database).await;
    let checkpoint = daemon.files.path("state/checkpoint");
    let known = fs::read(&checkpoint).unwrap();
    point_at(&daemon, &empty.address());
    for has_tables in [false, true] {
        if has_tables {
            // An earlier version left them there.
            Replica::new().open(&empty).await.unwrap().close().await;
            empty.run_sql("TRUNCATE ledger, head").await;
        }
        let before = things(&empty).await;
        refused_by_both(&daemon, &LOST);
        let configuration = daemon.files.configuration();
        let (_, text) = daypass(&["serve", "--new-ledger"], &configuration);
        assert!(text.contains(LOST[0]), "{text}");
        // It put aside what the folder knows, and the next start began an empty ledger.
        let (is_done, text) = daypass(&["restore", "--by-hand"], &configuration);
        assert!(
            !is_done && text.contains("there is no ledger in the"),
            "{text}"
        );
        assert_eq!(fs::read(&checkpoint).unwrap(), known);
        assert_eq!(things(&empty).await, before);
        assert_eq!(before > 0, has_tables);
    }
    point_at(&daemon, &database.address());
    daemon.again().await;
    stop(&mut daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_sees_that_a_ledger_is_not_the_one_that_the_folder_knows() {
    let database = Cluster::shared().database().await;
    let mut daemon = stopped(&database).await;
    database.copy().await;
    daemon.again().await;
    stop(&mut daemon).await;
    assert!(check(&daemon.files.configuration()).0);
    database.put_back().await;
    refused_by_both(&daemon, &["were signed", &database.name]);
    // The same number of events, and others.
    fs::remove_file(daemon.files.path("state/checkpoint")).unwrap();
    daemon.again().await;
    stop(&mut daemon).await;
    database
        .run_sql("UPDATE ledger SET hashes = decode(repeat('00', length(hashes)), 'hex')")
        .await;
    let (is_good, text) = check(&daemon.files.configuration());
    assert!(
        !is_good && text.contains("are not the ones that were signed"),
        "{text}"
    );
}

/// The tables of an older version were brought up to date before the ledger was compared.
#[tokio::test]
async fn an_older_database_of_another_ledger_stays_as_it_is() {
    let cluster = Cluster::shared();
    let (database, other) = (cluster.database().await, cluster.database().await);
    let replica = Replica::new();
    replica.open(&database).await.unwrap().close().await;
    let store = Replica::new().open(&other).await.unwrap();
    store.record(staged(7), NOW).await.unwrap();
    store.close().await;
    let older = "DROP TABLE mailbox, report; DELETE FROM _sqlx_migrations WHERE version > 2";
    other.run_sql(older).await;
    // A ledger of the same keys differs in its events.
    other
        .run_sql("UPDATE ledger SET event = 'x' WHERE position = 0")
        .await;
    let refused = replica.refusal(&other.address()).await;
    assert!(refused.contains("Correct the address"), "{refused}");
    assert!(refused.contains("Nothing was changed"), "{refused}");
    let made = "SELECT count(*) FROM pg_class WHERE relname IN ('mailbox', 'report')";
    assert_eq!(other.number(made).await, 0);
}

/// What other programs have in their databases.
const FOREIGN: [(&str, &str); 6] = [
    ("a table", "CREATE TABLE customers (id bigint)"),
    (
        "an application of sqlx",
        "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL, \
           installed_on timestamptz NOT NULL DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL, \
           execution_time bigint NOT NULL); \
         INSERT INTO _sqlx_migrations VALUES (20240101, 'users', now(), true, 'x', 1); \
         CREATE TABLE users (id bigint)",
    ),
    ("a table `report`", "CREATE TABLE report (id bigint)"),
    (
        "a table `ledger`",
        "CREATE TABLE ledger (account text, amount bigint)",
    ),
    (
        "a table `head` with a trigger",
        "CREATE TABLE head (id bigint, note text); \
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
         CREATE TRIGGER t BEFORE INSERT ON head FOR EACH ROW EXECUTE FUNCTION f()",
    ),
    ("a view", "CREATE VIEW totals AS SELECT 1 AS one"),
];

/// It was taken for an empty database, for one of a newer version, or for one to restore, and got
/// tables of ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_program_is_named_and_left_alone() {
    let cluster = Cluster::shared();
    let folder = files::folder();
    let own = cluster.database().await;
    let daemon = stopped(&own).await;
    fs::remove_file(daemon.files.path("state/checkpoint")).unwrap();
    point_at(&daemon, &cluster.database().await.address());
    let (is_good, text) = check(&daemon.files.configuration());
    assert!(is_good && text.contains("has no ledger yet"), "{text}");
    for (case, sql) in FOREIGN {
        let database = cluster.database().await;
        database.run_sql(sql).await;
        let name = &database.name;
        database
            .run_sql(&format!(
                "GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}"
            ))
            .await;
        let before = things(&database).await;
        let refused = Replica::new().refusal(&database.address()).await;
        assert!(
            refused.contains("belongs to another program"),
            "{case}: {refused}"
        );
        assert!(!refused.contains("newer version"), "{case}: {refused}");
        assert!(!refused.contains("estore the"), "{case}: {refused}");
        point_at(&daemon, &database.address());
        refused_by_both(
            &daemon,
            &["belongs to another program", "Nothing was written"],
        );
        let by_hand = ["restore", "--by-hand"];
        let (is_done, text) = daypass(&by_hand, &daemon.files.configuration());
        assert!(
            !is_done && text.contains("belongs to another program"),
            "{text}"
        );
        let file = folder.path().join("address");
        files::write_secret(&file, &database.address());
        let dir = folder.path().join("server");
        let init = Command::new(DAYPASS)
            .args(["init", dir.to_str().unwrap(), "--name", "localhost"])
            .args([
                "--listen",
                "127.0.0.1:0",
                "--postgres",
                file.to_str().unwrap(),
            ])
            .output();
        let init = init.unwrap();
        let text = String::from_utf8_lossy(&init.stderr);
        assert!(!init.status.success(), "{case}: {text}");
        assert!(
            text.contains("belongs to another program"),
            "{case}: {text}"
        );
        assert!(!dir.exists(), "{case}");
        assert_eq!(things(&database).await, before, "{case}");
    }
}

/// An earlier version made four of its five tables, and its advice was to restore the database.
#[tokio::test]
async fn a_name_that_another_program_took_is_told_and_no_table_is_made() {
    let database = Cluster::shared().database().await;
    Replica::new().open(&database).await.unwrap().close().await;
    database
        .run_sql(
            "TRUNCATE ledger, head; DROP TABLE mailbox, report; CREATE TABLE report (id bigint); \
             DELETE FROM _sqlx_migrations WHERE version > 2",
        )
        .await;
    let before = things(&database).await;
    let refused = Replica::new().refusal(&database.address()).await;
    assert!(
        refused.contains("a table \"report\" that daypass did not make"),
        "{refused}"
    );
    assert_eq!(things(&database).await, before);
    database.run_sql("DROP TABLE report").await;
    Replica::new().open(&database).await.unwrap();
}

#[tokio::test]
async fn extensions_and_other_schemas_make_no_database_another_programs() {
    let database = Cluster::shared().database().await;
    database
        .run_sql(
            "CREATE EXTENSION pg_stat_statements; CREATE SCHEMA other; CREATE TABLE other.report (id bigint); \
             CREATE TABLE other.customers (id bigint)",
        )
        .await;
    let replica = Replica::new();
    replica.open(&database).await.unwrap().close().await;
    // An operator's own, beside a ledger.
    database
        .run_sql("CREATE TABLE heartbeat (at timestamptz)")
        .await;
    assert_eq!(replica.open(&database).await.unwrap().size(), 2);
}

/// The check asked for rights on tables only, and the start for that to make them too.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_only_use_the_tables_serves_and_the_check_agrees_with_the_start() {
    let cluster = Cluster::shared();
    let (database, other) = (cluster.database().await, cluster.database().await);
    let mut daemon = stopped(&database).await;
    point_at(&daemon, &other.address_of(&database));
    refused_by_both(&daemon, &["the user needs all rights"]);
    let user = &other.name;
    let grant =
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}");
    database.run_sql(&grant).await;
    let (is_good, text) = check(&daemon.files.configuration());
    assert!(is_good, "{text}");
    daemon.again().await;
    stop(&mut daemon).await;
    database
        .run_sql(&format!("REVOKE DELETE ON mailbox FROM {user}"))
        .await;
    refused_by_both(&daemon, &["lacks DELETE on mailbox"]);
    database.run_sql(&grant).await;
    database
        .run_sql("DROP TABLE report; DELETE FROM _sqlx_migrations WHERE version = 5")
        .await;
    refused_by_both(&daemon, &["lacks CREATE on the schema"]);
    // The check refused it, and a start did not.
    database.run_sql("DROP TABLE mailbox").await;
    refused_by_both(&daemon, &["mailbox", "is missing", "restore the database"]);
}
