//! A valid export, and damaged ones: each failure names its line.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure"
)]

use super::{lines::NOTE_LIMIT, *};
use crate::ledger::{
    Event, EventKind,
    checkpoint::Signer,
    event::tests::{sample_leaves, samples},
    tree::leaf_hash,
};
use crate::ssh::{
    permissions::Permissions,
    sshsig::{self, Namespace},
};
use crate::unix_seconds::UnixSeconds;
use time::macros::datetime;

const ORIGIN: &str = "daypass.example.com/ledger";

fn signer() -> Signer {
    Signer::new(ORIGIN, &[7; 32]).unwrap()
}

fn note(leaves: &[Vec<u8>]) -> String {
    let mut frontier = Frontier::default();
    for leaf in leaves {
        frontier.push(leaf_hash(leaf));
    }
    signer().sign(frontier.size(), frontier.root())
}

/// An export of these leaves and this note, even if they do not match.
fn export(leaves: &[Vec<u8>], note: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for leaf in leaves {
        bytes.extend_from_slice(leaf);
        bytes.push(b'\n');
    }
    bytes.push(b'\n');
    bytes.extend_from_slice(note.as_bytes());
    bytes
}

fn verify(export: &[u8]) -> Result<VerifyReport, Error> {
    verify_export(export, &signer().verifier())
}

/// The result for the sample ledger after `change`, with the note that was signed before.
fn changed(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> String {
    let mut leaves = sample_leaves();
    let note = note(&leaves);
    change(&mut leaves);
    verify(&export(&leaves, &note)).unwrap_err().to_string()
}

/// The result for a ledger of these events that was signed as it is.
fn signed(events: Vec<EventKind>) -> String {
    let at = datetime!(2026-11-22 15:32:51 UTC);
    let leaves: Vec<_> = (0..)
        .zip(events)
        .map(|(index, what)| Event { index, at, what }.to_bytes().unwrap())
        .collect();
    verify(&export(&leaves, &note(&leaves)))
        .unwrap_err()
        .to_string()
}

#[test]
fn a_good_export_verifies() {
    let leaves = sample_leaves();
    let report = verify(&export(&leaves, &note(&leaves))).unwrap();
    assert_eq!((report.events, report.passes), (10, 2));
    assert_eq!(report.checkpoint.size, 10);
}

#[test]
fn an_empty_ledger_verifies() {
    let report = verify(&export(&[], &note(&[]))).unwrap();
    assert_eq!((report.events, report.passes), (0, 0));
}

#[test]
fn damaged_leaves_are_found_and_named() {
    let cases = [
        (
            "a missing leaf",
            changed(|l| drop(l.remove(4))),
            "line 5: the event here must have index 4, and it has 5",
        ),
        (
            "the first leaf missing",
            changed(|l| drop(l.remove(0))),
            "line 1: the event here must have index 0, and it has 1",
        ),
        (
            "two leaves swapped",
            changed(|l| l.swap(2, 3)),
            "line 3: the event here must have index 2, and it has 3",
        ),
        (
            "a leaf twice",
            changed(|l| l.insert(6, l[5].clone())),
            "line 7: the event here must have index 6, and it has 5",
        ),
        (
            "the last leaf missing",
            changed(|l| drop(l.pop())),
            "the checkpoint is over 10 events, and lines 1 to 9 hold 9",
        ),
        (
            "a leaf that is no JSON",
            changed(|l| l[3] = b"{".to_vec()),
            "line 4: not an event",
        ),
        (
            "a letter that is not ASCII",
            changed(|l| l[3][20] = 0xe4),
            "line 4: byte 20 is not printable",
        ),
        (
            "a changed index",
            changed(|l| l[8] = replace(&l[8], "\"index\":8", "\"index\":80")),
            "line 9: the event here must have index 8, and it has 80",
        ),
        (
            "a pass with another serial",
            changed(|l| l[5] = replace(&l[5], "\"index\":5", "\"index\":0")),
            "line 6: the event here must have index 5, and it has 0",
        ),
        (
            "a changed role",
            changed(|l| l[5] = replace(&l[5], "web-logs", "prod-sql")),
            "lines 1 to 10 (events 0 to 9) are not what was signed",
        ),
        (
            "no leaf at all",
            changed(Vec::clear),
            "the checkpoint is over 10 events",
        ),
    ];
    for (case, found, expected) in cases {
        assert!(found.starts_with(expected), "{case}: {found}");
    }
}

fn replace(leaf: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(leaf.to_vec()).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    text.replace(from, to).into_bytes()
}

#[test]
fn what_was_signed_and_cannot_be_is_named() {
    let first = samples().remove(0);
    let unsigned = EventKind::Issued(Box::new(crate::ledger::event::Issued {
        to_be_signed: String::new(),
        ..crate::ledger::event::tests::issued()
    }));
    let failed = |serial| EventKind::SigningFailed {
        serial,
        cause: String::new(),
    };
    let cases = [
        (
            "a pass at index 0",
            samples().split_off(5),
            "line 1: event 0 is the first one and is not `started`",
        ),
        (
            "a pass without a hash",
            vec![first.clone(), unsigned],
            "line 2: event 1 is a pass without the hash",
        ),
        (
            "a failure of no pass",
            vec![first.clone(), failed(0)],
            "line 2: event 1 names a serial",
        ),
        (
            "a failure before its pass",
            vec![first, failed(2)],
            "line 2: event 1 names a serial",
        ),
    ];
    for (case, events, expected) in cases {
        let found = signed(events);
        assert!(found.starts_with(expected), "{case}: {found}");
    }
}

#[test]
fn wrong_checkpoints_are_refused() {
    let leaves = sample_leaves();
    let other_key = Signer::new(ORIGIN, &[8; 32]).unwrap();
    let head = signer().verifier().verify(&note(&leaves)).unwrap();
    let cases = [
        (
            "another ledger's key",
            other_key.sign(head.size, head.root),
            "line 12: no valid signature",
        ),
        (
            "an older checkpoint",
            note(&leaves[..7]),
            "the checkpoint is over 7 events",
        ),
        (
            "another root of the same size",
            signer().sign(head.size, [1; 32]),
            "lines 1 to 10",
        ),
        (
            "nothing",
            String::new(),
            "line 12: the checkpoint is not whole",
        ),
    ];
    for (case, note, expected) in cases {
        let found = verify(&export(&leaves, &note)).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{case}: {found}");
    }
}

#[test]
fn every_cut_is_found() {
    let leaves = sample_leaves();
    let whole = export(&leaves, &note(&leaves));
    for end in 0..whole.len() {
        assert!(verify(&whole[..end]).is_err(), "cut at byte {end}");
    }
    assert_eq!(
        verify(&whole[..whole.len() / 2]).unwrap_err().to_string(),
        format!(
            "line {}: no checkpoint follows the events; the export is cut off",
            whole[..whole.len() / 2].split(|b| *b == b'\n').count()
        )
    );
}

#[test]
fn a_flipped_bit_in_any_byte_is_found() {
    let leaves = sample_leaves()[..6].to_vec();
    let whole = export(&leaves, &note(&leaves));
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(verify(&flipped).is_err(), "a bit of byte {at} is flipped");
    }
}

#[test]
fn impossible_decisions_and_passes_are_found() {
    use crate::ledger::event::{Issued, RequestDecision, RequestDetails, Requested, tests::issued};
    let who = issued().who;
    let started = || samples().remove(0);
    let requested = || {
        EventKind::Requested(Box::new(Requested {
            who: who.clone(),
            ask: RequestDetails::default(),
            key: "SHA256:subject".to_owned(),
            needed: 1,
            expires_at: UnixSeconds(u64::MAX),
            permissions: Permissions::default(),
            ttl_seconds: 60,
            policy: String::new(),
            through: None,
        }))
    };
    let approved = |request| {
        EventKind::Approved(Box::new(RequestDecision {
            request,
            role: String::new(),
            who: who.clone(),
            key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti"
                .to_owned(),
            signature: "U1NIU0lH".to_owned(),
            comment: String::new(),
            policy: String::new(),
            presence: None,
        }))
    };
    let redeemed = EventKind::Issued(Box::new(Issued {
        ask: RequestDetails {
            request: Some(1),
            ..RequestDetails::default()
        },
        ..issued()
    }));
    let cases = [
        (
            "an approval without a signature",
            vec![started(), requested(), approved(1)],
            "line 3: event 2 is a decision with an invalid signature",
        ),
        (
            "an approval of nothing",
            vec![started(), approved(1)],
            "line 2: event 1 decides a request that does not exist",
        ),
        (
            "a pass for a request without approvals",
            vec![started(), requested(), redeemed],
            "line 3: event 2 breaks a rule: request 1 still waits for approval",
        ),
    ];
    for (case, events, expected) in cases {
        assert_eq!(signed(events), expected, "{case}");
    }
}

/// A request with two required approvals, and approvals by real keys.
mod approvals {
    use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, rand_core::OsRng};

    use super::*;
    use crate::ledger::{
        approval,
        event::{Actor, RequestDecision, RequestDetails, Requested, tests::issued},
        state::Verb,
    };

    fn who(subject: &str) -> Actor {
        Actor {
            subject: subject.to_owned(),
            label: format!("{subject}@example.com"),
            ..issued().who
        }
    }

    fn key() -> PrivateKey {
        PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap()
    }

    fn requested(key: &PrivateKey) -> EventKind {
        EventKind::Requested(Box::new(Requested {
            who: who("bob"),
            ask: RequestDetails::default(),
            key: key.fingerprint(HashAlg::Sha256).to_string(),
            needed: 2,
            expires_at: UnixSeconds(u64::MAX),
            permissions: Permissions::default(),
            ttl_seconds: 60,
            policy: String::new(),
            through: None,
        }))
    }

    /// The approval of event 1 by this person with this key, after the events `before`.
    fn approved(before: &[EventKind], key: &PrivateKey, subject: &str) -> Box<RequestDecision> {
        let at = datetime!(2026-11-22 15:32:51 UTC);
        let (index, what) = (1, before[1].clone());
        let digest = leaf_hash(&Event { index, at, what }.to_bytes().unwrap());
        let started = match &before[0] {
            EventKind::Started { server, .. } => server.clone(),
            other => panic!("{other:?}"),
        };
        let message = approval::Message {
            verb: Verb::Approve,
            server_name: &started,
            issuer: &who(subject).issuer,
            subject,
            digest: &digest,
            comment: "",
        };
        let signature = key
            .sign(
                Namespace::Approve.as_str(),
                HashAlg::Sha512,
                &message.to_bytes(),
            )
            .unwrap();
        Box::new(RequestDecision {
            request: 1,
            role: String::new(),
            who: who(subject),
            key: key.public_key().to_openssh().unwrap(),
            signature: sshsig::compact(&signature.to_pem(LineEnding::LF).unwrap()),
            comment: String::new(),
            policy: String::new(),
            presence: None,
        })
    }

    #[test]
    fn one_signature_under_two_names_and_one_key_of_two_people_are_found() {
        let (subject_key, lead, second) = (key(), key(), key());
        let before = vec![samples().remove(0), requested(&subject_key)];
        let by = |key: &PrivateKey, subject| approved(&before, key, subject);
        let with = |more: Vec<Box<RequestDecision>>| {
            let more = more.into_iter().map(EventKind::Approved);
            before.iter().cloned().chain(more).collect::<Vec<_>>()
        };
        let renamed = RequestDecision {
            who: who("dave"),
            ..*by(&lead, "carol")
        };
        let cases = [
            (
                "the signature of another person",
                with(vec![by(&lead, "carol"), Box::new(renamed)]),
                "line 4: event 3 is a decision with an invalid signature",
            ),
            (
                "the key of another person",
                with(vec![by(&lead, "carol"), by(&lead, "dave")]),
                "line 4: event 3 breaks a rule: request 1 was already approved with this key: \
                 sign in with a key of your own",
            ),
            (
                "the key of the requester",
                with(vec![by(&subject_key, "carol")]),
                "line 3: event 2 breaks a rule: request 1 was made with this key: \
                 decide it with a key of your own",
            ),
        ];
        for (case, events, expected) in cases {
            assert_eq!(signed(events), expected, "{case}");
        }
        let good = with(vec![by(&lead, "carol"), by(&second, "dave")]);
        let at = datetime!(2026-11-22 15:32:51 UTC);
        let leaves: Vec<_> = (0..)
            .zip(good)
            .map(|(index, what)| Event { index, at, what }.to_bytes().unwrap())
            .collect();
        verify(&export(&leaves, &note(&leaves))).unwrap();
    }

    #[test]
    fn what_another_policy_gave_than_the_one_in_force_is_found() {
        let loaded = |policy: &str| EventKind::PolicyLoaded {
            policy: policy.to_owned(),
            text: None,
        };
        let pass = EventKind::Issued(Box::new(issued()));
        let in_force = issued().policy;
        let events = vec![
            samples().remove(0),
            loaded(&in_force),
            pass.clone(),
            loaded(&"ef".repeat(32)),
            pass,
        ];
        assert_eq!(
            signed(events),
            "line 5: event 4 breaks a rule: the policy changed in the meantime: ask again"
        );
    }
}

/// A lock, an unlock and another lock of one name, as a server records them.
fn ordered() -> Vec<EventKind> {
    use crate::ledger::{
        LedgerState,
        event::{LockTarget, tests::issued},
        order::tests as order,
    };
    let at = datetime!(2026-11-22 15:32:51 UTC);
    let admin = crate::ledger::event::Actor {
        subject: "u-1".to_owned(),
        label: "carol@example.com".to_owned(),
        ..issued().who
    };
    let target = || LockTarget::Identity("alice@example.com".to_owned());
    let mut state = LedgerState::default();
    let mut events = Vec::new();
    let steps: [&dyn Fn(&LedgerState) -> EventKind; 5] = [
        &|_| samples().remove(0),
        &|_| EventKind::Issued(Box::new(issued())),
        &|state| order::locked(state, &admin, target(), at),
        &|state| order::unlocked(state, &admin, target()),
        &|state| order::locked(state, &admin, target(), at),
    ];
    for (index, step) in (0..).zip(steps) {
        let what = step(&state);
        let event = Event { index, at, what };
        state.admit(&event).unwrap();
        state.apply(&event);
        events.push(event.what);
    }
    events
}

/// The verification of [`ordered`] after `change`, signed with the change.
fn doctored(change: impl FnOnce(&mut Vec<EventKind>)) -> Result<VerifyReport, Error> {
    let mut events = ordered();
    change(&mut events);
    let at = datetime!(2026-11-22 15:32:51 UTC);
    let leaves: Vec<_> = (0..)
        .zip(events)
        .map(|(index, what)| Event { index, at, what }.to_bytes().unwrap())
        .collect();
    verify(&export(&leaves, &note(&leaves)))
}

type Doctor = fn(&mut Vec<EventKind>);

#[test]
fn an_order_that_no_administrator_gave_is_found() {
    use crate::ledger::{
        event::Locked,
        order::tests::{SERVER, key, proof, signed},
    };
    fn lock(events: &mut [EventKind], index: usize) -> &mut Locked {
        match &mut events[index] {
            EventKind::Locked(locked) => locked,
            other => panic!("{other:?}"),
        }
    }
    assert!(doctored(|_| ()).is_ok());
    let cases: [(&str, Doctor, &str); 11] = [
        (
            "no signature",
            |events| *proof(&mut events[3]) = None,
            "line 4: event 3 is an order without its administrator's signature",
        ),
        (
            "another administrator",
            |events| lock(events, 2).who.subject.push('x'),
            "line 3: event 2 is an order with an invalid signature",
        ),
        (
            "another key",
            |events| {
                let other = key(2).public_key().to_openssh().unwrap();
                lock(events, 2).proof.as_mut().unwrap().key = other;
            },
            "line 3: event 2 is an order with an invalid signature",
        ),
        (
            "another target",
            |events| {
                lock(events, 2).target =
                    crate::ledger::event::LockTarget::Identity("bob".to_owned());
            },
            "line 3: event 2 is an order with an invalid signature",
        ),
        (
            "for another server",
            |events| events[2] = signed(events[2].clone(), "ca.example.com", 1, 0),
            "line 3: event 2 is an order with an invalid signature",
        ),
        (
            "fewer identities",
            |events| lock(events, 2).covers.clear(),
            "line 3: event 2 breaks a rule: its list of covered identities is wrong",
        ),
        (
            "another identity",
            |events| lock(events, 2).covers[0].subject.push('x'),
            "line 3: event 2 breaks a rule: its list of covered identities is wrong",
        ),
        (
            "fewer passes",
            |events| lock(events, 2).serials.clear(),
            "line 3: event 2 breaks a rule: it does not revoke exactly the passes",
        ),
        (
            "a copied lock",
            |events| events.insert(3, events[2].clone()),
            "line 4: event 3 breaks a rule: another order about this target came first",
        ),
        (
            "a copied unlock",
            |events| events.push(events[3].clone()),
            "line 6: event 5 breaks a rule: another order about this target came first",
        ),
        (
            "an order that follows none",
            |events| events[2] = signed(events[2].clone(), SERVER, 1, 9),
            "line 3: event 2 breaks a rule: another order about this target came first",
        ),
    ];
    for (case, doctor, expected) in cases {
        let found = doctored(doctor).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{case}: {found}");
    }
}

/// The same result in parts of any size as in one.
fn in_parts(export: &[u8], size: usize) -> Result<VerifyReport, Error> {
    let mut verification = Verification::with_root_of(3);
    for part in export.chunks(size) {
        verification.take(part)?;
    }
    if let Ok(report) = verify(export) {
        assert_eq!(verification.events(), report.events);
        assert_eq!(verification.root().is_some(), report.events >= 3);
    }
    verification.finish(&signer().verifier().into())
}

#[test]
fn an_export_in_parts_gives_the_same_result() {
    let leaves = sample_leaves();
    let whole = export(&leaves, &note(&leaves));
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    let other = export(&leaves, &note(&leaves[1..]));
    let without_end = whole.strip_suffix(b"\n").unwrap().to_vec();
    let cuts = (0..whole.len()).step_by(97).map(|at| whole[..at].to_vec());
    for export in [whole.clone(), damaged, other, without_end, Vec::new()]
        .into_iter()
        .chain(cuts)
    {
        let expected = verify(&export).map(|it| it.events);
        let expected = expected.map_err(|error| error.to_string());
        for size in [1, 2, 7, 100, 4096] {
            let result = in_parts(&export, size).map(|it| it.events);
            assert_eq!(
                result.map_err(|error| error.to_string()),
                expected,
                "{size}"
            );
        }
    }
}

#[test]
fn the_root_of_an_earlier_size_is_kept() {
    let leaves = sample_leaves();
    let export = export(&leaves, &note(&leaves));
    for size in [0, 1, 3, 10, 11] {
        let mut frontier = Frontier::default();
        for leaf in leaves.iter().take(usize::try_from(size).unwrap()) {
            frontier.push(leaf_hash(leaf));
        }
        let mut verification = Verification::with_root_of(size);
        verification.take(&export).unwrap();
        let expected = (size <= 10).then(|| frontier.root());
        assert_eq!(verification.root(), expected, "{size}");
    }
}

/// Memory stays bounded although no line ends.
#[test]
fn a_line_without_end_is_refused() {
    let mut verification = Verification::default();
    let part = vec![b'x'; 1024 * 1024];
    let refused = (0..17).find_map(|_| verification.take(&part).err());
    assert!(matches!(refused, Some(Error::TooLong { line: 1 })));
}

#[test]
fn a_note_without_end_is_cut_and_refused() {
    let mut verification = Verification::default();
    let leaves = sample_leaves();
    verification.take(&export(&leaves, &note(&leaves))).unwrap();
    for _ in 0..100 {
        verification.take(&[b'x'; 10_000]).unwrap();
    }
    assert!(verification.lines.note.as_ref().unwrap().len() <= NOTE_LIMIT);
    let refused = verification.finish(&signer().verifier().into());
    assert!(matches!(refused, Err(Error::Checkpoint { .. })));
}
