//! A daemon that lies in every way gets nothing signed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod documents;
mod hosts;
mod slow;

use std::sync::LazyLock;

use sha2::{Digest, Sha256};
use ssh_key::Algorithm;
use time::Duration;

use super::{
    super::{ceiling::Excess, message::Question},
    *,
};
use crate::{
    ca::{
        key::Key,
        signer::{
            sample::{World, ceiling, ledger_key, now},
            sign,
        },
    },
    ledger::event::{Issued, RequestDetails},
    policy::Grant,
    ssh::{key::fingerprint, options::Extension},
};

fn grant() -> Grant {
    Grant::sample(&["alice"], None, None, &[Extension::Pty])
}

/// A ledger of five events, the last of which is a pass.
fn world() -> (World, u64) {
    let mut world = World::new();
    for _ in 0..3 {
        world.push(EventKind::Skipped);
    }
    let pass = world.issue(&grant(), now(), |_| ());
    (world, pass)
}

/// What becomes of the only item of a request, for a signer that remembers `known` events.
fn judged(world: &World, known: u64, request: Request) -> Result<ApprovedItem, Fault> {
    let approved = verify(&world.rules(), &world.seen_at(known), request, now());
    approved.unwrap().items.pop().unwrap()
}

fn fault(world: &World, pass: u64) -> Fault {
    judged(world, 1, world.request(1, &[pass])).unwrap_err()
}

fn pass_of(request: &mut Request) -> (&mut Vec<u8>, &mut Recorded) {
    match &mut request.items[0] {
        Item::Pass { bytes, recorded } => (bytes, recorded),
        Item::Document { .. } | Item::HostCertificate { .. } => panic!("no pass"),
    }
}

#[tokio::test]
async fn a_recorded_pass_is_signed_behind_its_remembered_checkpoint() {
    let (mut world, pass) = world();
    let second = world.issue(&grant(), now(), |_| ());
    world.push(EventKind::Skipped);
    for known in 0..=world.size() {
        let request = world.request(known, &[pass, second]);
        let seen = world.seen_at(known);
        let approved = verify(&world.rules(), &seen, request, now()).unwrap();
        assert_eq!(approved.head(), world.head_at(world.size()));
        let remembered = Remembered::written(approved.head());
        let verdicts = sign(&world.key, approved, remembered).await;
        for (index, verdict) in [pass, second].into_iter().zip(verdicts) {
            let super::super::message::Verdict::Signed(signature) = verdict else {
                panic!("{verdict:?}")
            };
            let mut whole = world.bytes[&index].clone();
            put_string(&mut whole, &signature);
            let certificate = lint::certificate(&whole, world.ca.active()).unwrap();
            certificate.verify_signature().unwrap();
            assert_eq!(certificate.serial(), index);
        }
    }
}

#[tokio::test]
async fn nothing_is_signed_behind_another_head_than_the_remembered_one() {
    let (world, pass) = world();
    for other in [world.head_at(2), Head::empty()] {
        let request = world.request(1, &[pass]);
        let approved = verify(&world.rules(), &world.seen_at(1), request, now()).unwrap();
        let verdicts = sign(&world.key, approved, Remembered::written(other)).await;
        assert!(verdicts.is_empty());
    }
}

#[test]
fn an_unrecorded_pass_is_refused() {
    let (world, pass) = world();
    let other = world.draft(&grant(), now()).to_be_signed(pass);
    let mut request = world.request(1, &[pass]);
    *pass_of(&mut request).0 = other;
    assert_eq!(judged(&world, 1, request), Err(Fault::Bytes));
}

#[test]
fn an_altered_byte_anywhere_is_refused() {
    let (world, pass) = world();
    let honest = world.request(1, &[pass]);
    for at in 0..pass_of(&mut honest.clone()).0.len() {
        let mut request = honest.clone();
        pass_of(&mut request).0[at] ^= 1;
        assert_eq!(judged(&world, 1, request), Err(Fault::Bytes), "byte {at}");
    }
    let mut request = honest.clone();
    pass_of(&mut request).0.push(0);
    assert_eq!(judged(&world, 1, request), Err(Fault::Bytes));
    for at in 0..pass_of(&mut honest.clone()).1.leaf.len() {
        let mut request = honest.clone();
        pass_of(&mut request).1.leaf[at] ^= 1;
        assert_eq!(judged(&world, 1, request), Err(Fault::NotIncluded), "{at}");
    }
}

#[test]
fn a_proof_that_is_not_this_events_is_refused() {
    let (mut world, pass) = world();
    let second = world.issue(&grant(), now(), |_| ());
    let honest = world.request(1, &[pass]);
    type Lie<'a> = (&'a str, Box<dyn Fn(&mut Recorded) + 'a>);
    let of_second = world.inclusion(second, world.size());
    let of_before = world.inclusion(pass, pass + 1);
    let lies: Vec<Lie<'_>> = vec![
        (
            "another event's",
            Box::new(|it| it.inclusion.clone_from(&of_second)),
        ),
        (
            "of an earlier checkpoint",
            Box::new(|it| it.inclusion.clone_from(&of_before)),
        ),
        ("none", Box::new(|it| it.inclusion.clear())),
        ("a short one", Box::new(|it| it.inclusion.truncate(1))),
        ("a long one", Box::new(|it| it.inclusion.push([0; 32]))),
        ("another index", Box::new(|it| it.index += 1)),
        ("an index before", Box::new(|it| it.index -= 1)),
        ("an index beyond", Box::new(|it| it.index = u64::MAX)),
        ("one bit", Box::new(|it| it.inclusion[0][0] ^= 1)),
    ];
    for (case, lie) in lies {
        let mut request = honest.clone();
        lie(pass_of(&mut request).1);
        assert_eq!(
            judged(&world, 1, request),
            Err(Fault::NotIncluded),
            "{case}"
        );
    }
}

/// The daemon writes what it likes into its own ledger.
#[test]
fn a_recorded_lie_is_refused() {
    type Change = (&'static str, fn(&mut Issued), Fault);
    let changes: [Change; 10] = [
        (
            "of other bytes",
            |it| it.to_be_signed = "00".repeat(32),
            Fault::Bytes,
        ),
        (
            "fewer principals than the pass has",
            |it| it.permissions.principals = ["guest".to_owned()].into(),
            Fault::Words("permission"),
        ),
        (
            "a force-command that the pass has not",
            |it| it.permissions.force_command = Some("/bin/true".to_owned()),
            Fault::Words("permission"),
        ),
        (
            "no extension",
            |it| it.permissions.extensions.clear(),
            Fault::Words("permission"),
        ),
        (
            "another holder",
            |it| it.key = "SHA256:other".to_owned(),
            Fault::Words("key"),
        ),
        (
            "another key id",
            |it| it.key_id = "bob/shell".to_owned(),
            Fault::Words("key id"),
        ),
        (
            "a person whom the key id does not name",
            |it| it.who.label = "mallory".to_owned(),
            Fault::Words("holder"),
        ),
        (
            "another role",
            |it| it.ask.role = "root".to_owned(),
            Fault::Words("holder"),
        ),
        (
            "another CA key",
            |it| it.ca = "SHA256:other".to_owned(),
            Fault::Words("CA key"),
        ),
        (
            "an earlier end",
            |it| it.valid_before = it.valid_after,
            Fault::Words("validity"),
        ),
    ];
    for (case, change, expected) in changes {
        let mut world = World::new();
        let pass = world.issue(&grant(), now(), change);
        assert_eq!(fault(&world, pass), expected, "{case}");
    }
}

#[test]
fn a_leaf_that_is_no_issued_event_as_daypass_writes_it_is_refused() {
    let mut world = World::new();
    let pass = world.issue(&grant(), now(), |_| ());
    let text = String::from_utf8(world.leaves[pass as usize].clone()).unwrap();
    let other = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    let cases = [
        (
            "another index",
            other("\"index\":1,", "\"index\":2,"),
            Fault::Index,
        ),
        (
            "a blank",
            other("\"index\":1,", "\"index\": 1,"),
            Fault::Leaf,
        ),
        (
            "a member twice",
            other("\"type\":", "\"index\":1,\"type\":"),
            Fault::Leaf,
        ),
        (
            "a member more",
            other("\"type\":", "\"more\":1,\"type\":"),
            Fault::Leaf,
        ),
        ("no event", "{}".to_owned(), Fault::Leaf),
        ("nothing", String::new(), Fault::Leaf),
        (
            "an unknown kind",
            other("\"issued\"", "\"permitted\""),
            Fault::Leaf,
        ),
    ];
    for (case, leaf, expected) in cases {
        world.leaves[pass as usize] = leaf.into_bytes();
        assert_eq!(fault(&world, pass), expected, "{case}");
    }
}

#[test]
fn an_event_of_another_kind_is_refused() {
    let (world, pass) = world();
    let leaf = String::from_utf8(world.leaves[pass as usize].clone()).unwrap();
    let issued = match Event::parse(leaf.as_bytes()).unwrap().what {
        EventKind::Issued(issued) => *issued,
        other => panic!("{other:?}"),
    };
    let kinds = [
        EventKind::Skipped,
        EventKind::SigningFailed {
            serial: 1,
            cause: String::new(),
        },
        EventKind::KeyActivated {
            key: issued.ca.clone(),
        },
        EventKind::Denied {
            who: issued.who.clone(),
            ask: RequestDetails {
                role: "shell".to_owned(),
                ..issued.ask.clone()
            },
            key: Some(issued.key.clone()),
            reason: "ROLE_DENIED".to_owned(),
            detail: String::new(),
            policy: issued.policy.clone(),
            cut: false,
            unbound: false,
            by: None,
        },
    ];
    for kind in kinds {
        let mut world = World::new();
        let index = world.push(kind.clone());
        let bytes = world.draft(&grant(), now()).to_be_signed(index);
        world.bytes.insert(index, bytes);
        assert_eq!(fault(&world, index), Fault::Kind, "{kind:?}");
    }
}

#[test]
fn a_serial_that_is_not_the_index_is_refused() {
    let mut world = World::new();
    let draft = world.draft(&grant(), now());
    let pass = world.issue_bytes(&grant(), |index| draft.to_be_signed(index + 1));
    assert_eq!(fault(&world, pass), Fault::Serial);
}

#[test]
fn recorded_bytes_that_fail_the_lint_are_refused() {
    let mut world = World::new();
    let draft = world.draft(&grant(), now());
    let length = draft.to_be_signed(1).len();
    let ca = draft.to_be_signed(1).len() - 32;
    type Change = (&'static str, Box<dyn Fn(&mut Vec<u8>)>);
    let changes: Vec<Change> = vec![
        ("bytes behind it", Box::new(|it| it.push(0))),
        ("cut off", Box::new(|it| it.truncate(it.len() - 1))),
        ("another CA key", Box::new(move |it| it[ca] ^= 1)),
        ("nothing", Box::new(Vec::clear)),
        ("an SSHSIG", Box::new(|it| *it = b"SSHSIG".to_vec())),
        ("text", Box::new(move |it| it.fill(b'a'))),
    ];
    for (case, change) in changes {
        let pass = world.issue_bytes(&grant(), |index| {
            let mut bytes = draft.to_be_signed(index);
            assert_eq!(bytes.len(), length);
            change(&mut bytes);
            bytes
        });
        let fault = fault(&world, pass);
        assert!(matches!(fault, Fault::Lint(_)), "{case}: {fault:?}");
    }
}

#[test]
fn every_flipped_bit_of_recorded_bytes_is_refused_unless_it_changes_nothing_that_is_said() {
    let mut world = World::new();
    let draft = world.draft(&grant(), now());
    let honest = draft.to_be_signed(1);
    // The nonce is free.
    let nonce = 4 + 32 + 4..4 + 32 + 4 + 32;
    for at in 0..honest.len() {
        let mut world = World::new();
        let pass = world.issue_bytes(&grant(), |_| {
            let mut bytes = honest.clone();
            bytes[at] ^= 1;
            bytes
        });
        // The event's words are of another draft, with another subject key.
        let judged = judged(&world, 1, world.request(1, &[pass]));
        assert!(judged.is_err(), "byte {at}");
    }
    let pass = world.issue(&grant(), now(), |_| ());
    let mut bytes = world.bytes[&pass].clone();
    bytes[nonce.start] ^= 1;
    let hash = base16ct::lower::encode_string(&Sha256::digest(&bytes));
    let leaf = String::from_utf8(world.leaves[pass as usize].clone()).unwrap();
    let old = base16ct::lower::encode_string(&Sha256::digest(&world.bytes[&pass]));
    world.leaves[pass as usize] = leaf.replace(&old, &hash).into_bytes();
    world.bytes.insert(pass, bytes);
    judged(&world, 1, world.request(1, &[pass])).unwrap();
}

/// Demands that the pass is signed, or refused as so many seconds away.
fn assert_time(world: &World, pass: u64, seconds: i64, is_signed: bool) {
    let judged = judged(world, 1, world.request(1, &[pass]));
    let expected = match is_signed {
        true => Ok(()),
        false => Err(Fault::Time(seconds.unsigned_abs())),
    };
    assert_eq!(judged.map(drop), expected, "{seconds}");
}

#[test]
fn a_pass_of_another_time_is_refused() {
    for (seconds, is_signed) in [
        (0, true),
        (-250, true),
        (250, true),
        (-301, false),
        (301, false),
        (-86_400, false),
        (86_400, false),
    ] {
        let mut world = World::new();
        let pass = world.issue(&grant(), now() + Duration::seconds(seconds), |_| ());
        assert_time(&world, pass, seconds, is_signed);
    }
}

/// Its event was of the year 9999, and no order about all passes before a time revoked it.
#[test]
fn an_event_of_another_time_is_refused() {
    for (seconds, is_signed) in [(250, true), (301, false), (-301, false)] {
        let mut world = World::new();
        let pass = world.issue(&grant(), now(), |_| ());
        let mut event = Event::parse(&world.leaves[pass as usize]).unwrap();
        event.at = now() + Duration::seconds(seconds);
        world.leaves[pass as usize] = event.to_bytes().unwrap();
        assert_time(&world, pass, seconds, is_signed);
    }
}

#[test]
fn a_recorded_pass_above_every_ceiling_is_refused() {
    let wide = |names: &[&str]| Grant::sample(names, None, None, &[Extension::Pty]);
    let cases = [
        ("root", wide(&["root"]), Some("principal root")),
        ("one of two", wide(&["alice", "bob"]), Some("principal bob")),
        ("a pattern", wide(&["u-bob"]), None),
        ("a group", wide(&["alice@web"]), None),
        (
            "root of a group",
            wide(&["root@web"]),
            Some("principal root@web"),
        ),
        (
            "an extension",
            Grant::sample(&["alice"], None, None, &[Extension::AgentForwarding]),
            Some("extension agent-forwarding"),
        ),
    ];
    for (case, grant, excess) in cases {
        let mut world = World::new();
        let pass = world.issue(&grant, now(), |_| ());
        let judged = judged(&world, 1, world.request(1, &[pass]));
        match (judged, excess) {
            (Ok(_), None) => {}
            (Err(fault @ Fault::Ceiling(_)), Some(excess)) => {
                assert!(fault.to_string().ends_with(excess), "{case}: {fault}");
            }
            (other, _) => panic!("{case}: {other:?}"),
        }
    }
}

#[test]
fn each_demand_of_a_ceiling_binds_and_one_ceiling_is_enough() {
    let mut world = World::new();
    let bare = world.issue(&grant(), now(), |_| ());
    let command = Grant::sample(&["alice"], Some("/bin/date"), None, &[]);
    let command = world.issue(&command, now(), |_| ());
    let source = Grant::sample(&["alice"], None, Some(&["10.0.0.0/8"]), &[]);
    let source = world.issue(&source, now(), |_| ());
    let judged = |ceilings: Vec<Ceiling>, pass| {
        let rules = Rules {
            ceilings,
            ..world.rules()
        };
        let request = world.request(1, &[pass]);
        let approved = verify(&rules, &world.seen_at(1), request, now()).unwrap();
        approved.items[0].clone().map(drop)
    };
    let alice = || ceiling(&["alice"]);
    let commanded = || Ceiling {
        force_command: true,
        ..alice()
    };
    let sourced = || Ceiling {
        source: true,
        ..alice()
    };
    let short = || Ceiling {
        ttl: std::time::Duration::from_secs(3599),
        ..alice()
    };
    let refused = |excesses: &[Excess]| Err(Fault::Ceiling(excesses.to_vec()));
    assert_eq!(judged(vec![commanded()], command), Ok(()));
    assert_eq!(judged(vec![sourced()], source), Ok(()));
    assert_eq!(
        judged(vec![commanded()], bare),
        refused(&[Excess::ForceCommand])
    );
    assert_eq!(judged(vec![sourced()], bare), refused(&[Excess::Source]));
    assert_eq!(
        judged(vec![short()], bare),
        refused(&[Excess::Lifetime(3600, 3599)])
    );
    assert_eq!(
        judged(vec![sourced(), commanded()], bare),
        refused(&[Excess::Source, Excess::ForceCommand])
    );
    assert_eq!(judged(vec![short(), alice()], bare), Ok(()));
    assert_eq!(judged(Vec::new(), bare), refused(&[]));
}

#[test]
fn a_serial_of_a_history_that_was_given_up_is_refused() {
    let (world, pass) = world();
    for (floor, is_signed) in [(pass, true), (pass + 1, false)] {
        let seen = Seen {
            floor,
            ..world.seen_at(1)
        };
        let request = world.request(1, &[pass]);
        let approved = verify(&world.rules(), &seen, request, now()).unwrap();
        assert_eq!(approved.items[0].is_ok(), is_signed, "{floor}");
    }
}

#[test]
fn a_checkpoint_that_is_not_the_ledgers_is_refused() {
    let (world, pass) = world();
    let head = world.head_at(world.size());
    let verifies_as_head = world.ledger.sign_head(head.size, head.root);
    for (case, note) in [
        (
            "of another key",
            ledger_key("daypass.example.com/ledger", 8).sign(head.size, head.root),
        ),
        (
            "of another ledger",
            ledger_key("other.example.com/ledger", 7).sign(head.size, head.root),
        ),
        ("a head of the database", verifies_as_head),
        ("nothing", String::new()),
        (
            "unsigned",
            world
                .note_at(world.size())
                .split("\n\n")
                .next()
                .unwrap()
                .to_owned(),
        ),
        (
            "of another size",
            world.note_at(world.size()).replacen("\n5\n", "\n6\n", 1),
        ),
    ] {
        let mut request = world.request(1, &[pass]);
        request.checkpoint = note;
        let refused = verify(&world.rules(), &world.seen_at(1), request, now()).unwrap_err();
        assert!(
            matches!(refused, Refusal::Checkpoint(_)),
            "{case}: {refused:?}"
        );
        assert!(!refused.is_alarming(), "{case}");
    }
}

#[test]
fn a_forked_ledger_is_an_alarm() {
    let (world, _) = world();
    let mut fork = World {
        leaves: world.leaves[..2].to_vec(),
        ca: crate::ca::Ca::new(vec![(
            Key::sample(Algorithm::Ed25519),
            crate::ca::KeyState::Active,
        )])
        .unwrap(),
        key: Key::sample(Algorithm::Ed25519).into(),
        ledger: ledger_key("daypass.example.com/ledger", 7),
        bytes: Default::default(),
    };
    for _ in 0..6 {
        fork.push(EventKind::SigningFailed {
            serial: 1,
            cause: String::new(),
        });
    }
    // After the fork, at the same size, and with any proof.
    for (size, proof) in [
        (8, fork.consistency(5, 8)),
        (8, world.consistency(2, 5)),
        (8, Vec::new()),
        (5, Vec::new()),
        (6, vec![[0; 32]; 3]),
    ] {
        let request = Request {
            known: 5,
            checkpoint: fork.note_at(size),
            consistency: proof,
            items: Vec::new(),
        };
        let refused = verify(&world.rules(), &world.seen_at(5), request, now()).unwrap_err();
        let (remembered, shown) = (5, size);
        assert_eq!(refused, Refusal::Fork { remembered, shown });
        assert!(refused.is_alarming());
    }
}

#[test]
fn a_smaller_ledger_is_an_alarm_only_to_a_caller_who_knows_what_is_remembered() {
    let (world, _) = world();
    for size in 1..5 {
        let request = |known| Request {
            known,
            checkpoint: world.note_at(size),
            consistency: Vec::new(),
            items: Vec::new(),
        };
        let refused =
            |known| verify(&world.rules(), &world.seen_at(5), request(known), now()).unwrap_err();
        let (remembered, shown) = (5, size);
        assert_eq!(refused(5), Refusal::Smaller { remembered, shown });
        assert!(refused(5).is_alarming());
        for known in [0, size, 4, 6, u64::MAX] {
            assert_eq!(refused(known), Refusal::Stale(5), "{known}");
            assert!(!refused(known).is_alarming());
        }
    }
}

/// Two servers share a ledger: each may be behind what the other has shown.
#[test]
fn a_proof_from_an_earlier_checkpoint_is_asked_for_again() {
    let (world, pass) = world();
    let request = world.request(2, &[pass]);
    let refused = verify(&world.rules(), &world.seen_at(3), request, now()).unwrap_err();
    assert_eq!(refused, Refusal::Stale(3));
    // The same checkpoint again needs no proof: its answer may have been lost.
    let request = world.request(2, &[pass]);
    let approved = verify(&world.rules(), &world.seen_at(5), request, now()).unwrap();
    assert_eq!(approved.faults().count(), 0);
}

#[test]
fn one_lie_in_a_batch_harms_no_other_pass() {
    let (mut world, pass) = world();
    let root = Grant::sample(&["root"], None, None, &[]);
    let root = world.issue(&root, now(), |_| ());
    let last = world.issue(&grant(), now(), |_| ());
    let request = world.request(1, &[pass, root, last]);
    let approved = verify(&world.rules(), &world.seen_at(1), request, now()).unwrap();
    let signed: Vec<bool> = approved.items.iter().map(Result::is_ok).collect();
    assert_eq!(signed, [true, false, true]);
    assert_eq!(approved.faults().count(), 1);
}

/// A ledger of six events, and an honest request for two passes in it.
static HONEST: LazyLock<(World, Request)> = LazyLock::new(|| {
    let (mut world, pass) = world();
    let second = world.issue(&grant(), now(), |_| ());
    let honest = world.request(2, &[pass, second]);
    (world, honest)
});

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(512))]

    /// For any bytes that arrive: what is approved is a recorded pass, in a ledger that goes on.
    #[test]
    fn no_change_of_a_request_has_anything_else_signed(
        changes in proptest::collection::vec((proptest::prelude::any::<u32>(), proptest::prelude::any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.1, proptest::prelude::any::<u32>()),
    ) {
        let (world, honest) = &*HONEST;
        let mut bytes = Question::Sign(honest.clone()).encode();
        for (at, byte) in changes {
            let at = at as usize % bytes.len();
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut as usize % bytes.len());
        }
        let Some(Question::Sign(request)) = Question::parse(&bytes) else { return Ok(()) };
        let Ok(approved) = verify(&world.rules(), &world.seen_at(2), request, now()) else {
            return Ok(());
        };
        proptest::prop_assert_eq!(approved.head(), world.head_at(6));
        for item in approved.items.iter().flatten() {
            proptest::prop_assert!(honest.items.contains(&item.item));
        }
    }
}
