//! The day without an issuer, from the command line: registered keys, several people's too, and a script with nobody at the
//! keyboard, against a real sshd.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use std::{fs, path::Path, process::Stdio};

use daypass::ledger::event::{Event, EventKind};
use support::command::{Done, Office};
use tokio::process::Command;

fn key(office: &Office, name: &str) -> String {
    let key = office.world.files().emergency_key(name);
    key.display().to_string()
}

/// Somebody without a session, and so without anything that an issuer gave them.
async fn nobody(office: &Office, words: &str, more: &[&str]) -> Done {
    office.run("nobody", words, more).await
}

/// The last event's words.
async fn last(office: &Office) -> EventKind {
    let store = &office.world.daemon().unwrap().authority().store;
    let entries = store.entries(store.size() - 1, 1).await.unwrap();
    Event::parse(&entries[0].1).unwrap().what
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issuer_is_stopped_and_an_engineer_with_a_registered_key_gets_in_and_somebody_else_reviews_it()
 {
    let office = Office::open(&["carol"]).await;
    office.world.issuer().stop().await;
    let signed_out = nobody(
        &office,
        "ssh web-1 --role prod --reason INC-7",
        &["--", "true"],
    )
    .await;
    signed_out.exits("nobody is signed in", 4);

    let bob = key(&office, "bob");
    let words = [
        "--reason",
        "INC-7: the issuer is down",
        "--emergency-key",
        &bob,
        "--",
        "echo in",
    ];
    let refused = nobody(&office, "ssh web-1 --role prod", &words).await;
    refused.exits("the reason is not of the demanded form", 3);
    let words = [
        "--reason",
        "INC-7",
        "--emergency-key",
        &bob,
        "--",
        "echo in",
    ];
    let done = nobody(&office, "ssh web-1 --role prod", &words).await;
    let done = done.exits("a real sshd lets bob in", 0);
    assert_eq!(done.stdout, "in\n");
    // A pass that is still good serves the same ask again.
    let size = office.world.daemon().unwrap().authority().store.size();
    nobody(&office, "ssh web-1 --role prod", &words)
        .await
        .exits("again", 0);
    assert_eq!(
        office.world.daemon().unwrap().authority().store.size(),
        size
    );

    // Whoever is paged has heard of it.
    let told = office.world.receiver().until(|all| {
        let mut all = all.iter();
        all.any(|one| one.kind() == "emergency" && one.is_taken)
    });
    let told = tokio::time::timeout(std::time::Duration::from_secs(30), told).await;
    assert!(told.is_ok(), "the page arrives");

    let EventKind::Issued(issued) = last(&office).await else {
        panic!("the last event is the pass");
    };
    assert_eq!(
        (issued.who.label.as_str(), issued.ask.emergency),
        ("bob@example.com", true)
    );
    let id = (size - 1).to_string();
    let status = office
        .daypass("carol", "status")
        .await
        .exits("carol looks", 0)
        .json();
    assert_eq!(status["requests"][0]["state"], "review-open");
    assert_eq!(status["requests"][0]["may_decide"], true);
    let reviewed = office
        .daypass("carol", format!("review {id} --yes --comment seen"))
        .await;
    assert_eq!(
        reviewed.exits("carol reviews", 0).json()["state"],
        "reviewed"
    );
    let status = office.daypass("carol", "status").await.json();
    assert_eq!(status["requests"], serde_json::json!([]));
    office
        .daypass("carol", "ledger verify")
        .await
        .exits("it verifies", 0);
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_sign_one_sheet_and_it_is_redeemed_once_where_it_was_prepared() {
    let office = Office::open(&[]).await;
    office.world.issuer().stop().await;
    let (alice, bob) = (key(&office, "alice"), key(&office, "bob"));
    let sheet = office.folder.path().join("emergency.json");
    let sheet = sheet.to_str().unwrap();

    let alone = nobody(
        &office,
        "pass --role prod-root --reason INC-7 --emergency-key",
        &[&bob],
    )
    .await;
    let alone = alone.exits("one key of two", 3);
    assert!(
        alone.stderr.contains("QUORUM") && alone.stderr.contains("emergency prepare"),
        "{alone:?}"
    );

    let words = ["--emergency-key", &bob, "--file", sheet];
    let prepared = office
        .run("bob", "emergency prepare prod-root --reason INC-7", &words)
        .await;
    assert_eq!(
        prepared.exits("bob prepares", 0).json()["signed_by"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let early = office.run("bob", "emergency redeem", &[sheet]).await;
    assert!(early.exits("too few", 3).stderr.contains("QUORUM"));
    let words = [sheet, "--emergency-key", &alice];
    let signed = office.run("alice", "emergency sign", &words).await;
    assert_eq!(
        signed.exits("alice signs", 0).json()["signed_by"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    office
        .run("alice", "emergency redeem", &[sheet])
        .await
        .exits("not hers to redeem", 2);
    let out = office.folder.path().join("pass");
    let out = out.to_str().unwrap();
    let redeemed = office
        .run("bob", "emergency redeem", &[sheet, "--out", out])
        .await;
    let pass = redeemed.exits("bob redeems", 0).json();
    assert_eq!(pass["key_id"], "bob@example.com/prod-root");
    assert!(Path::new(&format!("{out}-cert.pub")).exists());
    office
        .run("bob", "emergency redeem", &[sheet])
        .await
        .exits("once", 2);

    // A sheet that was changed after somebody signed it is nobody's.
    let words = ["--emergency-key", &bob, "--file", sheet];
    office
        .run("bob", "emergency prepare prod-root --reason INC-7", &words)
        .await
        .exits("again", 0);
    let text = fs::read_to_string(sheet).unwrap().replace("INC-7", "INC-8");
    fs::write(sheet, text).unwrap();
    for (person, words, more) in [
        (
            "alice",
            "emergency sign",
            vec![sheet, "--emergency-key", &alice],
        ),
        ("bob", "emergency redeem", vec![sheet]),
    ] {
        let done = office.run(person, words, &more).await;
        let done = done.exits("bob signed another reason", 1);
        assert!(done.stderr.contains("do not sign it"), "{done:?}");
    }
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_only_ssh_keygen_can_use_signs_through_it() {
    let office = Office::open(&[]).await;
    let folder = office.folder.path();
    let rsa = folder.join("rsa").display().to_string();
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-b", "3072", "-N", "", "-f", &rsa])
        .status();
    assert!(made.await.unwrap().success());
    let public = fs::read_to_string(format!("{rsa}.pub")).unwrap();
    let policy = office.world.files().policy();
    let text = fs::read_to_string(&policy).unwrap();
    let more = format!(
        "[[emergency_identity]]\nissuer = {:?}\nsubject = \"rsa\"\nlabel = \"rsa\"\nclaims = {{ groups = [\"oncall\"] }}\nkeys = [{:?}]\n",
        office.world.issuer().url(),
        public.trim()
    );
    fs::write(&policy, text + &more).unwrap();
    office.world.daemon().unwrap().reload().await.unwrap();
    let words = "pass --no-input --role prod --reason INC-7 --emergency-key";
    for path in [rsa.clone(), format!("{rsa}.pub")] {
        let pass = nobody(&office, words, &[&path]).await;
        assert_eq!(pass.exits("an RSA key", 0).json()["key_id"], "rsa/prod");
    }
    let locked = Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "", "-N", "secret", "-f", &rsa])
        .status();
    assert!(locked.await.unwrap().success());
    let refused = nobody(&office, words, &[&rsa]).await;
    assert!(
        refused
            .exits("a passphrase that nobody can be asked for", 1)
            .stderr
            .contains("ssh-keygen did not sign")
    );
    office.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_of_the_manual_runs_as_it_stands() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/manual/emergency.md");
    let page = fs::read_to_string(page).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/emergency.sh");
    let shown = format!("```sh\n{}```\n", fs::read_to_string(script).unwrap());
    assert!(
        page.contains(&shown),
        "the manual shows tests/emergency.sh as it is"
    );

    let office = Office::open(&["bob"]).await;
    let run = async |person: &str, key: &str, words: &[&str]| {
        let mut command = Command::new(script);
        let program = Path::new(env!("CARGO_BIN_EXE_daypass")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        command
            .args(words)
            .envs(
                office
                    .world
                    .variables()
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .env("DAYPASS_STATE_DIR", office.state(person))
            .env("DAYPASS_EMERGENCY_KEY", key)
            .env("HOME", office.folder.path())
            .env("PATH", path)
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = command.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap_or(-1),
            text(output.stdout),
            text(output.stderr),
        )
    };

    // Signed in: an emergency by the token.
    let urgent = run("bob", "", &["web-1", "prod", "INC-7", "echo urgent"]).await;
    assert_eq!(
        (urgent.0, urgent.1.as_str()),
        (0, "urgent\n"),
        "{}",
        urgent.2
    );
    assert!(urgent.2.contains("emergency.sh: pass "), "{}", urgent.2);
    let out = run("nobody", "", &["web-1", "prod", "INC-7", "true"]).await;
    assert_eq!(out.0, 4, "{}", out.2);
    // The issuer is down and nobody is signed in: an emergency by the registered key.
    office.world.issuer().stop().await;
    let bob = key(&office, "bob");
    let outage = run(
        "nobody",
        &bob,
        &["web-1", "prod", "INC-7", "echo out; exit 7"],
    )
    .await;
    assert_eq!(
        (outage.0, outage.1.as_str()),
        (7, "out\n"),
        "the job's own exit code: {}",
        outage.2
    );
    let denied = run("nobody", &bob, &["web-1", "prod", "because", "true"]).await;
    assert_eq!(denied.0, 3, "{}", denied.2);
    let error: serde_json::Value = serde_json::from_str(denied.2.lines().last().unwrap()).unwrap();
    assert_eq!(error["error"]["reason"], "REASON_REQUIRED");
    let stranger = run(
        "nobody",
        "/nonexistent",
        &["web-1", "prod", "INC-7", "true"],
    )
    .await;
    assert_eq!(stranger.0, 1, "{}", stranger.2);
    office.close().await;
}
