//! The lying daemon of issue 12 against a real signer: no pass is signed that the ledger does
//! not have, and an operator sees what it tried.

use std::{fs, time::Duration};

use daypass::ledger::EventKind;
use ssh_key::PublicKey;

use super::liar::{
    Answer, Item, Liar, ORIGIN, Pass, Wire, certificate, document, question, root, stranger, string,
};
use crate::support::{
    files::{folder, new_key, write_key},
    server::Process,
    signer::SignerFiles,
};

const CEILINGS: &str = r#"
[[ceiling]]
principals = ["alice", "u-*"]
ttl = "15m"
extensions = ["pty"]
[[ceiling]]
principals = ["root"]
ttl = "5m"
force_command = true
"#;

/// A signer with a key of its own, and the daemon that lies to it.
struct Scene {
    signer: SignerFiles,
    process: Process,
    liar: Liar,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = folder();
        let key = new_key();
        let ca = PublicKey::from(key.public_key().key_data().clone());
        let liar = Liar::new(ca);
        let ledger = liar.verifier();
        let signer = SignerFiles::prepare(folder.path(), &ledger, "file = \"ca_key\"", CEILINGS);
        write_key(&signer.path("ca_key"), &key);
        signer.must(&["accept", "--new"]);
        let process = signer.spawn(&[]);
        Self {
            signer,
            process,
            liar,
            _folder: folder,
        }
    }

    fn wire(&self) -> Wire {
        Wire::open(&self.signer.socket())
    }

    fn known(&self) -> u64 {
        self.wire().status().1
    }

    /// An honest ask with this item.
    fn ask(&self, items: &[Item]) -> Answer {
        let known = self.known();
        self.wire().ask(&self.liar.question(known, items))
    }

    /// Why one item is not signed.
    fn refusal(&self, item: Item) -> String {
        match self.ask(&[item]) {
            Answer::Verdicts(verdicts) => match &verdicts[..] {
                [Err(why)] => why.clone(),
                other => panic!("SIGNED: {other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// An honest pass is signed.
    fn expect_honest(&mut self) {
        let pass = self.liar.pass();
        let index = self.liar.record(&pass);
        let item = self.liar.item(index, &pass);
        let Answer::Verdicts(verdicts) = self.ask(std::slice::from_ref(&item)) else {
            panic!("{}", self.signer.log())
        };
        let signed = certificate(&item.bytes, verdicts[0].as_ref().unwrap());
        signed.verify_signature().unwrap();
        assert_eq!(signed.serial(), index);
        assert_eq!(signed.signature_key(), self.liar.ca.key_data());
    }

    fn expect_alarm(&mut self, says: &str) {
        assert!(self.wire().status().2.contains(says));
        let pass = self.liar.pass();
        let index = self.liar.record(&pass);
        let honest = self.ask(&[self.liar.item(index, &pass)]);
        assert!(matches!(honest, Answer::Refused(_)), "{honest:?}");
        let (is_good, said) = self.signer.run(&["--check"]);
        assert!(!is_good && said.contains(says), "{said}");
        assert!(self.signer.log().contains("ALARM"), "{}", self.signer.log());
    }

    async fn restart(&mut self) {
        self.process.kill();
        self.process = self.signer.spawn(&[]);
    }
}

/// The lies about one pass, each with what the signer says.
fn lies(scene: &mut Scene) -> Vec<(&'static str, Item, &'static str)> {
    let liar = &mut scene.liar;
    let pass = liar.pass();
    let honest = liar.record(&pass);
    let unrecorded = liar.pass();
    let wide = Pass {
        principals: vec!["alice", "root"],
        ..pass.clone()
    };
    let root = Pass {
        principals: vec!["root"],
        extensions: Vec::new(),
        ..pass.clone()
    };
    let long = Pass {
        before: pass.after + 86_400,
        ..pass.clone()
    };
    let old = Pass {
        after: pass.after - 3600,
        before: pass.after - 3000,
        ..pass.clone()
    };
    let coming = Pass {
        after: pass.after + 3600,
        before: pass.after + 4000,
        ..pass.clone()
    };
    let forwarding = Pass {
        extensions: vec!["permit-agent-forwarding"],
        ..pass.clone()
    };
    let host = Pass {
        kind: 2,
        ..pass.clone()
    };
    let anyone = Pass {
        principals: Vec::new(),
        ..pass.clone()
    };
    let unsorted = Pass {
        principals: vec!["u-b", "alice"],
        ..pass.clone()
    };
    let other_ca = Pass {
        ca: PublicKey::from(stranger().public_key().key_data().clone()),
        ..pass.clone()
    };
    let recorded = [
        &wide,
        &root,
        &long,
        &old,
        &coming,
        &forwarding,
        &host,
        &anyone,
        &unsorted,
        &other_ca,
    ]
    .map(|pass| liar.record(pass));
    let renamed = liar.record_as(&pass, |it| it.key_id = "bob/shell".to_owned());
    let narrowed = liar.record_as(&wide, |it| {
        it.permissions.principals = ["alice".to_owned()].into();
    });
    let empty = liar.record_as(&pass, |it| it.to_be_signed = String::new());
    let kind = liar.push(EventKind::KeyActivated {
        key: "SHA256:x".to_owned(),
    });
    let failed = liar.push(EventKind::SigningFailed {
        serial: honest,
        cause: String::new(),
    });
    let item = |index, pass: &Pass| liar.item(index, pass);
    let honest_item = item(honest, &pass);
    let mut lies = vec![
        (
            "an unrecorded pass",
            Item {
                bytes: unrecorded.bytes(honest),
                ..honest_item.clone()
            },
            "records other bytes",
        ),
        (
            "another serial",
            Item {
                bytes: pass.bytes(honest + 1),
                ..honest_item.clone()
            },
            "records other bytes",
        ),
        (
            "nothing",
            Item {
                bytes: Vec::new(),
                ..honest_item.clone()
            },
            "records other bytes",
        ),
        (
            "an SSHSIG",
            Item {
                bytes: b"SSHSIG".to_vec(),
                ..honest_item.clone()
            },
            "records other bytes",
        ),
        (
            "another index",
            Item {
                index: honest + 1,
                ..honest_item.clone()
            },
            "not in the ledger",
        ),
        (
            "an index beyond",
            Item {
                index: u64::MAX,
                ..honest_item.clone()
            },
            "not in the ledger",
        ),
        (
            "another event's proof",
            Item {
                inclusion: item(kind, &pass).inclusion,
                ..honest_item.clone()
            },
            "not in the ledger",
        ),
        (
            "no proof",
            Item {
                inclusion: Vec::new(),
                ..honest_item.clone()
            },
            "not in the ledger",
        ),
        (
            "an event of another kind",
            item(kind, &pass),
            "does not issue",
        ),
        (
            "another event of another kind",
            item(failed, &pass),
            "does not issue",
        ),
        (
            "an event of other words",
            item(renamed, &pass),
            "says another key id",
        ),
        (
            "an event of fewer words",
            item(narrowed, &wide),
            "says another permission",
        ),
        (
            "an event without a hash",
            item(empty, &pass),
            "records other bytes",
        ),
    ];
    let words = [
        "principal root",
        "principal root",
        "a lifetime of",
        "away from the signer's clock",
        "away from the signer's clock",
        "extension agent-forwarding",
        "not a user certificate",
        "principals are not",
        "principals are not",
        "CA key is not the configured one",
    ];
    let passes = [
        wide, root, long, old, coming, forwarding, host, anyone, unsorted, other_ca,
    ];
    for ((index, pass), says) in recorded.into_iter().zip(&passes).zip(words) {
        lies.push((
            "a recorded pass beyond the ceiling",
            liar.item(index, pass),
            says,
        ));
    }
    // The leaf says what the thief wants, and is not the one that is in the ledger.
    let mut forged = honest_item.clone();
    let text = String::from_utf8(forged.leaf).unwrap();
    forged.leaf = text.replace("alice", "alicf").into_bytes();
    lies.push(("a forged leaf", forged, "not in the ledger"));
    lies
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lie_about_a_pass_has_it_signed_and_the_truth_still_is() {
    let mut scene = Scene::new();
    scene.expect_honest();
    for (case, item, says) in lies(&mut scene) {
        let why = scene.refusal(item);
        assert!(why.contains(says), "{case}: {why}");
        assert_eq!(scene.wire().status().2, "", "{case}");
    }
    scene.expect_honest();
    let log = scene.signer.log();
    assert!(log.contains("refused: not signed"), "{log}");
    assert!(scene.signer.run(&["--check"]).0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_the_ledgers_key_did_not_sign_is_refused() {
    let mut scene = Scene::new();
    scene.expect_honest();
    let pass = scene.liar.pass();
    let index = scene.liar.record(&pass);
    let item = scene.liar.item(index, &pass);
    let known = scene.known();
    let (size, head) = (scene.liar.size(), root(&scene.liar.leaves));
    let signer = |origin, seed| daypass::ledger::checkpoint::Signer::new(origin, &[seed; 32]);
    for (case, note) in [
        ("another key", signer(ORIGIN, 8).unwrap().sign(size, head)),
        (
            "another name",
            signer("other.example.com/ledger", 7)
                .unwrap()
                .sign(size, head),
        ),
        (
            "another size",
            scene.liar.note().replace(&format!("\n{size}\n"), "\n900\n"),
        ),
        ("none", String::new()),
    ] {
        let proof = scene.liar.consistency(known);
        let items = std::slice::from_ref(&item);
        let answer = scene.wire().ask(&question(known, &note, &proof, items));
        assert!(matches!(answer, Answer::Refused(_)), "{case}: {answer:?}");
        assert_eq!(scene.known(), known, "{case}");
    }
    scene.expect_honest();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_is_an_alarm_until_an_operator_answers_it() {
    let mut scene = Scene::new();
    scene.expect_honest();
    scene.expect_honest();
    let known = scene.known();
    // The same past without its last pass, and another one in its place.
    let mut fork = scene.liar.clone();
    fork.leaves.pop();
    let pass = fork.pass();
    let index = fork.record(&pass);
    fork.push(EventKind::Skipped);
    let item = fork.item(index, &pass);
    let answer = scene.wire().ask(&fork.question(known, &[item]));
    assert!(
        matches!(&answer, Answer::Refused(why) if why.contains("fork")),
        "{answer:?}"
    );
    assert_eq!(scene.known(), known);
    scene.expect_alarm("it is a fork");
    scene.restart().await;
    scene.expect_alarm("it is a fork");
    let (is_good, said) = scene.signer.run(&["accept", "--keep"]);
    assert!(!is_good && said.contains("stop it first"), "{said}");

    scene.process.kill();
    scene.signer.must(&["accept", "--keep"]);
    scene.process = scene.signer.spawn(&[]);
    assert!(scene.signer.run(&["--check"]).0);
    scene.expect_honest();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_ledger_is_an_alarm_and_after_its_acceptance_no_old_serial_is_signed_twice() {
    let mut scene = Scene::new();
    scene.expect_honest();
    let old = scene.liar.clone();
    for _ in 0..3 {
        scene.expect_honest();
    }
    let known = scene.known();
    // An old checkpoint by itself says only that its caller is behind.
    let answer = scene.wire().ask(&old.question(old.size(), &[]));
    assert_eq!(answer, Answer::Stale(known));
    assert_eq!(scene.wire().status().2, "");
    let answer = scene.wire().ask(&question(known, &old.note(), &[], &[]));
    assert!(
        matches!(&answer, Answer::Refused(why) if why.contains("a backup was restored")),
        "{answer:?}"
    );
    scene.expect_alarm("a backup was restored");

    scene.process.kill();
    let checkpoint = scene.signer.path("old");
    fs::write(&checkpoint, old.note()).unwrap();
    let said = scene.signer.must(&["accept", checkpoint.to_str().unwrap()]);
    assert!(said.contains(&format!("{} events", old.size())), "{said}");
    scene.process = scene.signer.spawn(&[]);
    scene.liar = old;
    while scene.liar.size() < known {
        let pass = scene.liar.pass();
        let index = scene.liar.record(&pass);
        let why = scene.refusal(scene.liar.item(index, &pass));
        assert!(why.contains(&format!("below {known}")), "{why}");
    }
    scene.expect_honest();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_question_has_nothing_else_signed() {
    let mut scene = Scene::new();
    scene.expect_honest();
    let (known, pass) = (scene.known(), scene.liar.pass());
    let index = scene.liar.record(&pass);
    let recorded = scene.liar.question(known, &[scene.liar.item(index, &pass)]);
    let first = scene.wire().ask(&recorded);
    // Its answer may have been lost: the same again is the same pass again.
    assert_eq!(scene.wire().ask(&recorded), first);
    scene.expect_honest();
    // Later it is stale, and nothing of it is signed.
    assert_eq!(scene.wire().ask(&recorded), Answer::Stale(scene.known()));
    // Its proofs do not serve another pass.
    let other = scene.liar.pass();
    let stale = Item {
        bytes: other.bytes(index),
        ..scene.liar.item(index, &pass)
    };
    assert!(scene.refusal(stale).contains("other bytes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_name_keys_and_people_of_the_signers_configuration_only() {
    let scene = Scene::new();
    let line = |key: &PublicKey| key.to_openssh().unwrap();
    let ours = line(&scene.liar.ca);
    let thief = line(&PublicKey::from(stranger().public_key().key_data().clone()));
    let list = |keys: &[&str]| format!("# daypass CA keys, version 0\n{}\n", keys.join("\n"));
    let recovery = |administrators: &str| {
        format!(
            r#"{{"format":"daypass recovery v1","server":"daypass.example.com","version":0,"administrators":[{administrators}]}}"#
        )
    };
    let someone = format!("\"SHA256:{}\"", "A".repeat(43));
    let (keys, people) = ("daypass-ca@v1", "daypass-recovery@v1");
    for (case, namespace, content, is_signed) in [
        ("the own key", keys, list(&[&ours]), true),
        ("a thief's key", keys, list(&[&ours, &thief]), false),
        ("no administrator", people, recovery(""), true),
        ("another administrator", people, recovery(&someone), false),
    ] {
        let known = scene.known();
        let question = document(&scene.liar, known, namespace, content.as_bytes());
        let answer = scene.wire().ask(&question);
        let Answer::Verdicts(verdicts) = &answer else {
            panic!("{case}: {answer:?}")
        };
        assert_eq!(verdicts[0].is_ok(), is_signed, "{case}: {verdicts:?}");
    }
    // What users and administrators sign is no document of the CA.
    for namespace in [
        "daypass-issue@v1",
        "daypass-admin@v1",
        "daypass-restore@v1",
        "git",
        "",
    ] {
        let question = document(&scene.liar, scene.known(), namespace, b"x");
        let answer = scene.wire().ask(&question);
        assert_eq!(
            answer,
            Answer::Refused("not a question".to_owned()),
            "{namespace}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_floods_and_huge_questions_are_cut_off_and_harm_no_other_caller() {
    let mut scene = Scene::new();
    scene.expect_honest();
    let pass = scene.liar.pass();
    let index = scene.liar.record(&pass);
    let item = scene.liar.item(index, &pass);
    let huge = scene.liar.question(scene.known(), &vec![item.clone(); 65]);
    let most = scene.liar.question(scene.known(), &vec![item; 64]);
    for (case, question) in [
        ("garbage", vec![0xff; 1000]),
        ("nothing", Vec::new()),
        ("another kind", vec![9]),
        ("an answer", vec![4, 0, 0, 0, 0, 0, 0, 0, 1]),
        ("65 passes", huge),
        ("cut off", most[..most.len() - 1].to_vec()),
        ("something behind it", [&most[..], &[0]].concat()),
    ] {
        let mut wire = scene.wire();
        let answer = wire.ask(&question);
        assert_eq!(
            answer,
            Answer::Refused("not a question".to_owned()),
            "{case}"
        );
        assert_eq!(wire.answer(), Answer::Closed, "{case}");
    }
    let Answer::Verdicts(verdicts) = scene.wire().ask(&most) else {
        panic!("{}", scene.signer.log())
    };
    assert!(verdicts.len() == 64 && verdicts.iter().all(Result::is_ok));

    // Longer than any question, by its own words: cut off before it is read.
    let mut wire = scene.wire();
    wire.send(&u32::MAX.to_be_bytes());
    assert_eq!(wire.answer(), Answer::Closed);
    // Half a question, and then nothing: cut off after a while; others are served meanwhile.
    let mut half = scene.wire();
    half.send(&string(&most)[..100]);
    let mut idle: Vec<Wire> = (0..60).map(|_| scene.wire()).collect();
    scene.expect_honest();
    let begun = std::time::Instant::now();
    assert_eq!(half.answer(), Answer::Closed);
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
    // More connections than are served: the ones that are there go on.
    let more: Vec<Wire> = (0..200).map(|_| scene.wire()).collect();
    assert_eq!(idle[0].status().2, "");
    drop((more, idle));
    for _ in 0..600 {
        if std::panic::catch_unwind(|| scene.wire().status()).is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    scene.expect_honest();
}

/// A caller that was asked to come back keeps its turn, for two seconds at most.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_does_not_come_back_loses_its_turn() {
    let mut scene = Scene::new();
    scene.expect_honest();
    let old = scene.liar.clone();
    scene.expect_honest();
    let mut hog = scene.wire();
    let begun = std::time::Instant::now();
    let stale = hog.ask(&old.question(old.size(), &[]));
    assert!(matches!(stale, Answer::Stale(_)), "{stale:?}");
    scene.expect_honest();
    let waited = begun.elapsed();
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(20)).contains(&waited),
        "{waited:?}"
    );
    assert_eq!(hog.answer(), Answer::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_another_user_is_refused() {
    let mut scene = Scene::new();
    scene.expect_honest();
    scene.process.kill();
    let configuration = scene.signer.path("signer.toml");
    let text = fs::read_to_string(&configuration).unwrap();
    let user = rustix::process::getuid().as_raw();
    let text = text.replace(&format!("[\"{user}\"]"), "[\"daemon\", \"4711\"]");
    fs::write(&configuration, text).unwrap();
    scene.process = scene.signer.spawn(&[]);
    let answer = scene.wire().ask(&[1]);
    assert_eq!(answer, Answer::Closed);
    let log = scene.signer.log();
    assert!(log.contains("a call of another user"), "{log}");
}
