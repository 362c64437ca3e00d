//! `daypass on-behalf`: the whole way on the command line, what an auditor sees of it, and what is
//! refused with words.

use std::fs;

use serde_json::{Value, json};
use ssh_key::Certificate;

use crate::support::{command::Done, env::TestEnv, faketime, policy};

/// Bob's sign-in stands for the bastion's.
fn policy() -> String {
    let by = r#"on_behalf = { by = 'claims.email == "bob@example.com"' }"#;
    let role = |name: &str, more: &[&str]| {
        let role = policy::role(name, "x", "deploy", more);
        role.replace(
            "'\"x\" in claims.groups'",
            "'claims.email == \"alice@example.com\"'",
        )
    };
    let logs = [
        by,
        r#"command = ["/bin/echo", "{unit}"]"#,
        r#"params.unit = { pattern = "[a-z]+" }"#,
        "reason = 'INC-[0-9]+'",
        "ttl = \"30m\"",
    ];
    [
        &policy::limits(&["deploy"]),
        "[audit]\nallow = 'true'\n[admin]\nallow = 'true'\n",
        &role("logs", &logs),
        &role("slow", &[by, policy::APPROVAL]),
        &role("own", &[]),
        &role("shared", &[by]).replace("'claims.email == \"alice@example.com\"'", "'true'"),
    ]
    .concat()
}

async fn start() -> TestEnv {
    let people = ["alice", "bob", "carol"];
    let env = TestEnv::new().policy(policy()).signed_in(&people);
    env.start().await
}

const PREPARE: &str =
    "on-behalf prepare logs --host web-1 --param unit=nginx --reason INC-7 --ttl 10m";

#[tokio::test(flavor = "multi_thread")]
async fn a_user_reads_and_signs_the_bastions_file_and_an_auditor_finds_both() {
    let env = start().await;
    let sheet = env.folder().join("on-behalf.json");
    let sheet = sheet.to_str().unwrap();
    let prepared = env.run("bob", PREPARE, &["--file", sheet]).await;
    let prepared = prepared.exits("prepare", 0).json();
    assert_eq!(prepared["host"], "web-1");
    assert_eq!(prepared["signed_by"], Value::Null);

    let unsigned = env.run("bob", "on-behalf redeem", &[sheet]).await;
    assert!(
        unsigned
            .exits("unsigned", 2)
            .stderr
            .contains("on-behalf sign")
    );
    let unseen = env.run("alice", "on-behalf sign", &[sheet]).await;
    assert!(
        unseen
            .exits("without a terminal", 2)
            .stderr
            .contains("--yes")
    );

    let signed = env.run("alice", "on-behalf sign --yes", &[sheet]).await;
    let signed = signed.exits("sign", 0);
    for shown in [
        "logs",
        "web-1",
        "unit=nginx",
        "INC-7",
        "10m",
        "asked by    bob",
        "SHA256:",
    ] {
        assert!(signed.stderr.contains(shown), "{shown}: {}", signed.stderr);
    }
    assert_eq!(signed.json()["signed_by"], "alice@example.com");

    let theirs = env.run("carol", "on-behalf redeem", &[sheet]).await;
    let theirs = theirs.exits("another sign-in", 2);
    assert!(
        theirs.stderr.contains("another sign-in"),
        "{}",
        theirs.stderr
    );
    let redeemed = env.run("bob", "on-behalf redeem", &[sheet]).await;
    let pass = redeemed.exits("redeem", 0).json();
    assert_eq!(pass["key_id"], "alice@example.com~via~bob@example.com/logs");
    assert_eq!(pass["source_addresses"], json!(["127.0.0.1/32"]));
    assert_eq!(pass["command"], "/bin/echo nginx");
    let again = env.run("bob", "on-behalf redeem", &[sheet]).await;
    let again = again.exits("a second time", 3);
    assert!(again.stderr.contains("CONSENT_USED"), "{}", again.stderr);

    // What an auditor sees.
    for who in ["alice@example.com", "bob@example.com"] {
        let words = format!("ledger list --event issued --who {who}");
        let listed = env.daypass("carol", words).await;
        let listed = listed.exits(who, 0).json();
        let events = listed["events"].as_array().unwrap();
        assert_eq!(events.len(), 1, "{who}: {listed}");
    }
    let mut table = env.command("carol", "ledger list --event issued", &[]);
    table.env("DAYPASS_FORMAT", "text");
    let table = table.output().await.unwrap();
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(
        table.contains("alice@example.com via bob@example.com"),
        "{table}"
    );
    let verified = env.daypass("carol", "ledger verify --decisions").await;
    let verified = verified.exits("verify", 0).json();
    assert_eq!(verified["decisions"]["wrong"], 0, "{verified}");
    assert_eq!(verified["decisions"]["confirmed"], 1, "{verified}");
}

/// The label in the file is the user's to choose, and named the folder: the pass of one user took
/// the place of another's.
#[tokio::test(flavor = "multi_thread")]
async fn the_pass_of_each_user_has_a_place_that_no_label_in_the_file_changes() {
    let env = start().await;
    let sheet = env.folder().join("on-behalf.json");
    let path = sheet.to_str().unwrap();
    let redeem = async |who: &str| {
        let words = "on-behalf prepare shared --host web-1";
        let prepared = env.run("bob", words, &["--file", path]).await;
        prepared.exits("prepare", 0);
        let signed = env.run(who, "on-behalf sign --yes", &[path]).await;
        signed.exits(who, 0);
        let text = fs::read_to_string(&sheet).unwrap();
        let label = format!("\"label\": \"{who}@example.com\"");
        assert!(text.contains(&label), "{text}");
        let changed = text.replace(&label, "\"label\": \"alice@example.com\"");
        fs::write(&sheet, changed).unwrap();
        let redeemed = env.run("bob", "on-behalf redeem", &[path]).await;
        redeemed.exits(who, 0).json()
    };
    let (alices, carols) = (redeem("alice").await, redeem("carol").await);
    for (pass, key_id) in [
        (&alices, "alice@example.com~via~bob@example.com/shared"),
        (&carols, "carol@example.com~via~bob@example.com/shared"),
    ] {
        assert_eq!(pass["key_id"], key_id);
        let file = format!("{}-cert.pub", pass["path"].as_str().unwrap());
        let kept = Certificate::from_openssh(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(kept.key_id(), key_id, "{file}");
    }
    assert_ne!(alices["path"], carols["path"]);
    // Two consents to the same in one second are one.
    let second = env.now();
    while env.now() == second {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(redeem("alice").await["path"], alices["path"]);
}

/// The consent ended by the clock of the user's laptop: 6 minutes behind, it was void at once, and
/// 6 minutes ahead, it was good for too long.
#[tokio::test(flavor = "multi_thread")]
async fn a_consent_is_good_for_5_minutes_though_the_users_clock_is_wrong() {
    let env = start().await;
    let sheet = env.folder().join("on-behalf.json");
    let path = sheet.to_str().unwrap();
    // Two consents to the same in one second are one, so the reasons differ.
    for (clock, reason) in [("-6m", "INC-8"), ("+6m", "INC-9")] {
        let words = PREPARE.replace("INC-7", reason);
        let prepared = env.run("bob", &words, &["--file", path]).await;
        prepared.exits("prepare", 0);
        let mut sign = env.command("alice", "on-behalf sign --yes", &[path]);
        sign.envs(faketime::variables()).env("FAKETIME", clock);
        let signed = Done::of(sign).await.exits(clock, 0).json();
        let left = signed["expires_at"].as_i64().unwrap() - env.now();
        assert!((240..=300).contains(&left), "{clock}: {left}");
        let redeemed = env.run("bob", "on-behalf redeem", &[path]).await;
        redeemed.exits(clock, 0);
    }
    let prepared = env.run("bob", PREPARE, &["--file", path]).await;
    prepared.exits("prepare", 0);
    let signed = env.run("alice", "on-behalf sign --yes", &[path]).await;
    let ends = signed.exits("sign", 0).json()["expires_at"].to_string();
    let text = fs::read_to_string(&sheet).unwrap();
    fs::write(&sheet, text.replace(&ends, "1000000000")).unwrap();
    let void = env.run("bob", "on-behalf redeem", &[path]).await;
    let void = void.exits("void", 5);
    for said in [
        "void since 2001-09-09 01:46:40 UTC",
        "the server's clock says 20",
    ] {
        assert!(void.stderr.contains(said), "{said}: {}", void.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_a_damaged_one_and_roles_that_are_not_given_are_refused_in_words() {
    let env = start().await;
    let sheet = env.folder().join("on-behalf.json");
    let path = sheet.to_str().unwrap();
    let sign = async |words: &str, role: &str| {
        let words = words.replace("logs", role);
        let prepared = env.run("bob", &words, &["--file", path]).await;
        prepared.exits("prepare", 0);
        let signed = env.run("alice", "on-behalf sign --yes", &[path]).await;
        signed.exits("sign", 0);
    };
    sign(PREPARE, "logs").await;
    let text = fs::read_to_string(&sheet).unwrap();
    for (from, to) in [
        ("web-1", "web-2"),
        ("nginx", "sshd"),
        ("INC-7", "INC-8"),
        ("\"ttl_seconds\": 600", "\"ttl_seconds\": 1200"),
    ] {
        fs::write(&sheet, text.replace(from, to)).unwrap();
        let refused = env.run("bob", "on-behalf redeem", &[path]).await;
        assert_ne!(refused.code, 0, "{from}");
        assert!(
            refused.stderr.contains("POSSESSION"),
            "{from}: {}",
            refused.stderr
        );
        // It told the bastion to sign in again, which helps nothing.
        assert_eq!(refused.code, 3, "{refused:?}");
        assert!(!refused.stderr.contains("daypass login"), "{refused:?}");
        assert!(refused.stderr.contains("Prepare a new file"), "{refused:?}");
    }
    for damaged in ["{}", "", "\0", &text.replace("\"host\"", "\"hosts\"")] {
        fs::write(&sheet, damaged).unwrap();
        for (who, words) in [
            ("bob", "on-behalf redeem"),
            ("alice", "on-behalf sign --yes"),
        ] {
            let refused = env.run(who, words, &[path]).await;
            let refused = refused.exits(words, 2);
            assert!(
                refused.stderr.contains("on-behalf prepare"),
                "{}",
                refused.stderr
            );
        }
        let kept = env.run("bob", PREPARE, &["--file", path]).await;
        kept.exits("another file is not replaced", 2);
    }
    fs::remove_file(&sheet).unwrap();
    let plain = "on-behalf prepare logs --host web-1";
    for (role, words) in [("slow", "daypass request"), ("own", "let the user ask")] {
        sign(plain, role).await;
        let refused = env.run("bob", "on-behalf redeem", &[path]).await;
        let refused = refused.exits(role, 3);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
        assert!(refused.stderr.contains("ON_BEHALF"), "{}", refused.stderr);
    }
    let emergency = env
        .run("bob", plain, &["--emergency", "--file", path])
        .await;
    emergency.exits("an emergency", 2);
}
