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
            "PostgreSQL database",
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
