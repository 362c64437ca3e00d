//! The day without an issuer, from the command line: registered keys, several people's too, and a
//! script without a user at the keyboard, against a real sshd.

use std::{fs, path::Path, process::Stdio};

use crate::support::{command::Done, env::TestEnv};
use daypass::ledger::event::{Event, EventKind};
use tokio::process::Command;

fn key(env: &TestEnv, name: &str) -> String {
    let key = env.world().files().emergency_key(name);
    key.display().to_string()
}

/// A user without a session, and so without a token of an issuer.
async fn signed_out(env: &TestEnv, words: &str, more: &[&str]) -> Done {
    env.run("signed-out", words, more).await
}

/// The last event's words.
async fn last(env: &TestEnv) -> EventKind {
    let store = &env.authority().store;
    let entries = store.entries(store.size() - 1, 1).await.unwrap();
    Event::parse(&entries[0].1).unwrap().what
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issuer_is_stopped_and_an_engineer_with_a_registered_key_gets_in_and_another_user_reviews_it()
 {
    let env = TestEnv::new()
        .with_sshd()
        .signed_in(&["carol"])
        .start()
        .await;
    env.issuer().stop().await;
    let refused = signed_out(
        &env,
        "ssh web-1 --role prod --reason INC-7",
        &["--", "true"],
    )
    .await;
    refused.exits("not signed in", 4);

    let bob = key(&env, "bob");
    let words = [
        "--reason",
        "INC-7: the issuer is down",
        "--emergency-key",
        &bob,
        "--",
        "echo in",
    ];
    let refused = signed_out(&env, "ssh web-1 --role prod", &words).await;
    refused.exits("the reason is not of the demanded form", 3);
    let words = [
        "--reason",
        "INC-7",
        "--emergency-key",
        &bob,
        "--",
        "echo in",
    ];
    let done = signed_out(&env, "ssh web-1 --role prod", &words).await;
    let done = done.exits("a real sshd lets bob in", 0);
    assert_eq!(done.stdout, "in\n");
    // A pass that is still good serves the same ask again.
    let size = env.authority().store.size();
    signed_out(&env, "ssh web-1 --role prod", &words)
        .await
        .exits("again", 0);
    assert_eq!(env.authority().store.size(), size);

    // The receiver of pages has heard of it.
    let told = env.world().receiver().until(|all| {
        let mut all = all.iter();
        all.any(|one| one.kind() == "emergency" && one.is_taken)
    });
    let told = tokio::time::timeout(std::time::Duration::from_secs(30), told).await;
    assert!(told.is_ok(), "the page arrives");

    let EventKind::Issued(issued) = last(&env).await else {
        panic!("the last event is the pass");
    };
    assert_eq!(
        (issued.who.label.as_str(), issued.ask.emergency),
        ("bob@example.com", true)
    );
    let id = (size - 1).to_string();
    let status = env
        .daypass("carol", "status")
        .await
        .exits("carol looks", 0)
        .json();
    assert_eq!(status["requests"][0]["state"], "review-open");
    assert_eq!(status["requests"][0]["may_decide"], true);
    let reviewed = env
        .daypass("carol", format!("review {id} --yes --comment seen"))
        .await;
    assert_eq!(
        reviewed.exits("carol reviews", 0).json()["state"],
        "reviewed"
    );
    let status = env.daypass("carol", "status").await.json();
    assert_eq!(status["requests"], serde_json::json!([]));
    env.daypass("carol", "ledger verify --decisions")
        .await
        .exits("it verifies", 0);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_sign_one_sheet_and_it_is_redeemed_once_where_it_was_prepared() {
    let env = TestEnv::new().with_sshd().start().await;
    env.issuer().stop().await;
    let (alice, bob) = (key(&env, "alice"), key(&env, "bob"));
    let sheet = env.folder().join("emergency.json");
    let sheet = sheet.to_str().unwrap();

    let alone = signed_out(
        &env,
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
    let prepared = env
        .run("bob", "emergency prepare prod-root --reason INC-7", &words)
        .await;
    assert_eq!(
        prepared.exits("bob prepares", 0).json()["signed_by"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let early = env.run("bob", "emergency redeem", &[sheet]).await;
    assert!(early.exits("too few", 3).stderr.contains("QUORUM"));
    let words = [sheet, "--emergency-key", &alice];
    let signed = env.run("alice", "emergency sign", &words).await;
    assert_eq!(
        signed.exits("alice signs", 0).json()["signed_by"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    env.run("alice", "emergency redeem", &[sheet])
        .await
        .exits("not hers to redeem", 2);
    let out = env.folder().join("pass");
    let out = out.to_str().unwrap();
    let redeemed = env
        .run("bob", "emergency redeem", &[sheet, "--out", out])
        .await;
    let pass = redeemed.exits("bob redeems", 0).json();
    assert_eq!(pass["key_id"], "bob@example.com/prod-root");
    assert!(Path::new(&format!("{out}-cert.pub")).exists());
    env.run("bob", "emergency redeem", &[sheet])
        .await
        .exits("once", 2);

    // A sheet that was changed after a signature counts for no user.
    let words = ["--emergency-key", &bob, "--file", sheet];
    env.run("bob", "emergency prepare prod-root --reason INC-7", &words)
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
        let done = env.run(person, words, &more).await;
        let done = done.exits("bob signed another reason", 1);
        assert!(done.stderr.contains("do not sign it"), "{done:?}");
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_only_ssh_keygen_can_use_signs_through_it() {
    let env = TestEnv::new().with_sshd().start().await;
    let folder = env.folder();
    let rsa = folder.join("rsa").display().to_string();
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-b", "3072", "-N", "", "-f", &rsa])
        .status();
    assert!(made.await.unwrap().success());
    let public = fs::read_to_string(format!("{rsa}.pub")).unwrap();
    let policy = env.world().files().policy();
    let text = fs::read_to_string(&policy).unwrap();
    let more = format!(
        "[[emergency_identity]]\nissuer = {:?}\nsubject = \"rsa\"\nlabel = \"rsa\"\nclaims = {{ groups = [\"oncall\"] }}\nkeys = [{:?}]\n",
        env.issuer().url(),
        public.trim()
    );
    fs::write(&policy, text + &more).unwrap();
    env.world().daemon().unwrap().reload().await.unwrap();
    let words = "pass --no-input --role prod --reason INC-7 --emergency-key";
    for path in [rsa.clone(), format!("{rsa}.pub")] {
        let pass = signed_out(&env, words, &[&path]).await;
        assert_eq!(pass.exits("an RSA key", 0).json()["key_id"], "rsa/prod");
    }
    let locked = Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "", "-N", "secret", "-f", &rsa])
        .status();
    assert!(locked.await.unwrap().success());
    let refused = signed_out(&env, words, &[&rsa]).await;
    assert!(
        refused
            .exits("a passphrase that cannot be asked for", 1)
            .stderr
            .contains("ssh-keygen did not sign")
    );
    env.close().await;
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

    let env = TestEnv::new().with_sshd().signed_in(&["bob"]).start().await;
    let run = async |person: &str, key: &str, words: &[&str]| {
        let mut command = Command::new(script);
        let program = Path::new(env!("CARGO_BIN_EXE_daypass")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        command
            .args(words)
            .envs(
                env.world()
                    .variables()
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .env("DAYPASS_STATE_DIR", env.state(person))
            .env("DAYPASS_EMERGENCY_KEY", key)
            .env("HOME", env.folder())
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
    let out = run("signed-out", "", &["web-1", "prod", "INC-7", "true"]).await;
    assert_eq!(out.0, 4, "{}", out.2);
    // The issuer is down and no user is signed in: an emergency by the registered key.
    env.issuer().stop().await;
    let bob = key(&env, "bob");
    let outage = run(
        "signed-out",
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
    let denied = run("signed-out", &bob, &["web-1", "prod", "because", "true"]).await;
    assert_eq!(denied.0, 3, "{}", denied.2);
    let error: serde_json::Value = serde_json::from_str(denied.2.lines().last().unwrap()).unwrap();
    assert_eq!(error["error"]["reason"], "REASON_REQUIRED");
    let stranger = run(
        "signed-out",
        "/nonexistent",
        &["web-1", "prod", "INC-7", "true"],
    )
    .await;
    assert_eq!(stranger.0, 1, "{}", stranger.2);
    env.close().await;
}
