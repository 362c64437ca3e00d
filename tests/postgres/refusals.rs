//! A start on a database that Daypass cannot use: the message says why, and what to do.

use super::{
    cluster::Cluster,
    testing::{NOW, Replica, signer_of, staged},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_reached_is_refused_with_the_cause() {
    let database = Cluster::shared().database().await;
    let address = database.address();
    let nowhere = tempfile::tempdir().unwrap();
    let cases = [
        (
            "a wrong password",
            address.replace("geheim", "falsch"),
            "check the user and the password",
        ),
        (
            "a missing database",
            address.replace(&format!("localhost/{}", database.name), "localhost/missing"),
            "make the database first",
        ),
        (
            "no server",
            database.address_at(nowhere.path()),
            "PostgreSQL has no socket there",
        ),
        (
            "no server at this port",
            "postgres://ada@127.0.0.1:1/daypass".to_owned(),
            "no PostgreSQL listens there",
        ),
        (
            // The resolver refuses it itself.
            "an unknown host",
            "postgres://ada@a..b/daypass".to_owned(),
            "the name of the host is not known here",
        ),
        (
            "no address",
            "ledger.db".to_owned(),
            "invalid PostgreSQL address",
        ),
    ];
    for (case, address, expected) in cases {
        let refused = Replica::new().refusal(&address).await;
        assert!(refused.contains(expected), "{case}: {refused}");
        assert!(!refused.contains("geheim"), "{case}: {refused}");
        assert!(!refused.contains("falsch"), "{case}: {refused}");
        // A line of PostgreSQL's source.
        assert!(!refused.contains(" at line "), "{case}: {refused}");
    }
}

#[tokio::test]
async fn a_user_without_rights_is_told_which() {
    let cluster = Cluster::shared();
    let (owned, foreign) = (cluster.database().await, cluster.database().await);
    let address = owned.address();
    let address = address.replace(
        &format!("localhost/{}", owned.name),
        &format!("localhost/{}", foreign.name),
    );
    let refused = Replica::new().refusal(&address).await;
    assert!(refused.contains("the user needs all rights"), "{refused}");
}

/// The error named no database and no next step, or was `current transaction is aborted`.
#[tokio::test]
async fn a_table_or_a_column_that_is_gone_is_named_with_what_to_do() {
    let cases = [
        ("ALTER TABLE head RENAME TO kept", "its table \"head\""),
        (
            "ALTER TABLE head RENAME note TO kept",
            "the column \"note\"",
        ),
        (
            "ALTER TABLE ledger RENAME hashes TO kept",
            "the column \"hashes\"",
        ),
        ("DROP TABLE mailbox", "its table \"mailbox\""),
        ("DROP TABLE ledger", "its table \"ledger\""),
    ];
    for (sql, what) in cases {
        let database = Cluster::shared().database().await;
        let replica = Replica::new();
        replica.open(&database).await.unwrap().close().await;
        database.run_sql(sql).await;
        let refused = replica.refusal(&database.address()).await;
        for expected in [what, "is missing", &database.name, "restore the database"] {
            assert!(refused.contains(expected), "{sql}: {expected}: {refused}");
        }
        assert!(!refused.contains("aborted"), "{refused}");
    }
}

/// It said: migration 5 is partially applied; fix and remove row.
#[tokio::test]
async fn a_step_that_is_recorded_as_not_done_is_named_in_words_of_ours() {
    let database = Cluster::shared().database().await;
    let replica = Replica::new();
    replica.open(&database).await.unwrap().close().await;
    database
        .run_sql("UPDATE _sqlx_migrations SET success = false WHERE version = 5")
        .await;
    let refused = replica.refusal(&database.address()).await;
    assert!(
        refused.contains("step 5 of its tables is recorded as not done"),
        "{refused}"
    );
    assert!(refused.contains("restore the database"), "{refused}");
}

/// It was called unavailable, without a next step.
#[tokio::test]
async fn a_schema_of_another_text_is_refused_with_what_to_do() {
    let database = Cluster::shared().database().await;
    let replica = Replica::new();
    replica.open(&database).await.unwrap().close().await;
    database
        .run_sql("UPDATE _sqlx_migrations SET checksum = 'x' WHERE version = 1")
        .await;
    let refused = replica.refusal(&database.address()).await;
    assert!(refused.contains("another program"), "{refused}");
    assert!(refused.contains("from a backup"), "{refused}");
    assert!(!refused.contains("unavailable"), "{refused}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_as_it_is() {
    let database = Cluster::shared().database().await;
    let replica = Replica::new();
    replica.open(&database).await.unwrap().close().await;
    database
        .run_sql(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (999, 'newer', true, '', 0)",
        )
        .await;
    let refused = replica.refusal(&database.address()).await;
    assert!(refused.contains("a newer version of daypass"), "{refused}");
    database
        .run_sql("DELETE FROM _sqlx_migrations WHERE version = 999")
        .await;
    assert_eq!(replica.open(&database).await.unwrap().size(), 2);
}

#[tokio::test]
async fn an_older_schema_is_brought_up_to_date_with_the_ledger_as_it_is() {
    let database = Cluster::shared().database().await;
    let replica = Replica::new();
    let store = replica.open(&database).await.unwrap();
    store.record(staged(1), NOW).await.unwrap();
    store.close().await;
    database
        .run_sql("DROP TABLE mailbox; DELETE FROM _sqlx_migrations WHERE version = 4")
        .await;
    assert_eq!(replica.open(&database).await.unwrap().size(), 3);
    let mailboxes = database.number("SELECT count(*) FROM mailbox").await;
    assert_eq!(mailboxes, 0, "the table is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_start_at_once_on_an_empty_or_older_database_all_start() {
    for _ in 0..5 {
        let database = Cluster::shared().database().await;
        let replicas = [(); 4].map(|()| Replica::new());
        for older in [false, true] {
            let [a, b, c, d] = replicas.each_ref().map(|it| it.open(&database));
            let stores = tokio::join!(a, b, c, d);
            let stores = [stores.0, stores.1, stores.2, stores.3].map(Result::unwrap);
            for store in &stores {
                store.close().await;
            }
            if !older {
                database
                    .run_sql("DROP TABLE mailbox, report; DELETE FROM _sqlx_migrations WHERE version > 2")
                    .await;
            }
        }
        assert_eq!(database.number("SELECT count(*) FROM ledger").await, 8);
    }
}

#[tokio::test]
async fn another_server_or_another_key_on_the_same_database_is_refused() {
    let database = Cluster::shared().database().await;
    let store = Replica::new().open(&database).await.unwrap();
    for signer in [
        signer_of("other.example.com", 7),
        signer_of("daypass.example.com", 8),
    ] {
        let refused = Replica::new().open_as(&database.address(), signer).await;
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("it is of the ledger \"daypass.example.com/ledger\""),
            "{refused}"
        );
        // The names of two keys of one server are the same.
        let hash = |before: &str| {
            let (_, rest) = refused.split_once(before).expect(&refused);
            rest.chars()
                .take_while(char::is_ascii_hexdigit)
                .collect::<String>()
        };
        let [theirs, ours] = ["signed by the key ", "whose key signs as "].map(hash);
        assert!(theirs.len() == 8 && ours.len() == 8, "{refused}");
        assert_ne!(theirs, ours, "{refused}");
    }
    assert_eq!(store.record(staged(1), NOW).await.unwrap(), 1);
}

#[tokio::test]
async fn tables_that_another_program_changed_are_refused_by_name() {
    let cases = [
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
         CREATE TRIGGER t BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE RULE r AS ON INSERT TO ledger DO INSTEAD NOTHING",
        "ALTER TABLE ledger ENABLE ROW LEVEL SECURITY",
        "CREATE TABLE child () INHERITS (ledger)",
        "ALTER TABLE ledger RENAME TO real; CREATE VIEW ledger AS SELECT * FROM real",
    ];
    for sql in cases {
        let database = Cluster::shared().database().await;
        let replica = Replica::new();
        replica.open(&database).await.unwrap().close().await;
        database.run_sql(sql).await;
        let refused = replica.refusal(&database.address()).await;
        assert!(
            refused.contains("another program changed the database"),
            "{sql}: {refused}"
        );
    }
}
