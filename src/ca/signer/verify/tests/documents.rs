//! Documents for hosts: what a stolen daemon cannot have signed.

use std::collections::BTreeSet;

use super::*;
use crate::{
    ca::to_sign::HostDocument,
    ledger::recovery::{Accepted, Recovery, Restored},
    ssh::{
        ca_keys::version_line,
        krl::{Krl, Revoked},
    },
};

/// What becomes of a document, at a ledger of five events.
fn judged(world: &World, rules: &Rules, kind: HostDocument, content: Vec<u8>) -> Result<(), Fault> {
    let mut request = world.request(1, &[]);
    request.items.push(Item::Document { kind, content });
    let approved = verify(rules, &world.seen_at(1), request, now()).unwrap();
    approved.items[0].clone().map(drop)
}

#[test]
fn what_is_signed_of_a_document_is_an_sshsig_that_no_certificate_can_be() {
    let (world, _) = world();
    let content = Krl::new(1, UnixSeconds(1), []).publish().unwrap();
    let mut request = world.request(1, &[]);
    request.items.push(Item::Document {
        kind: HostDocument::Krl,
        content: content.clone(),
    });
    let approved = verify(&world.rules(), &world.seen_at(1), request, now()).unwrap();
    let item = approved.items[0].clone().unwrap();
    let message = item.to_sign().message();
    assert!(message.starts_with(b"SSHSIG"));
    let expected = sshsig::signed_data(HostDocument::Krl.namespace(), &content).unwrap();
    assert_eq!(message, expected);
}

#[test]
fn a_list_of_revoked_passes_is_of_this_ca_and_ledger() {
    let (world, _) = world();
    let own = world.key.public().to_bytes().unwrap();
    let other = Key::sample(Algorithm::Ed25519).public().to_bytes().unwrap();
    let list = |version, serial, ca: &[u8]| {
        let ca = ca.to_vec();
        let list = Krl::new(version, UnixSeconds(1), [Revoked { serial, ca }]);
        list.publish().unwrap()
    };
    let mut more = list(3, 4, &own);
    more.push(0);
    for (case, content, is_signed) in [
        ("a list", list(3, 4, &own), true),
        ("of any key", list(3, 4, &[]), true),
        ("of another key", list(3, 4, &other), false),
        ("of a pass to come", list(3, 5, &own), false),
        ("of a version to come", list(6, 4, &own), false),
        ("of the last version", list(u64::MAX, 4, &own), false),
        ("no list", Vec::new(), false),
        ("more than a list", more, false),
    ] {
        let judged = judged(&world, &world.rules(), HostDocument::Krl, content);
        assert_eq!(judged.is_ok(), is_signed, "{case}: {judged:?}");
    }
}

#[test]
fn a_list_of_ca_keys_names_keys_of_the_configuration_only() {
    let (world, _) = world();
    let line = |key: &PublicKey| key.to_openssh().unwrap() + "\n";
    let (own, staged) = (world.key.public().clone(), Key::sample(Algorithm::Ed25519));
    let thief = Key::sample(Algorithm::Ed25519);
    let rules = Rules {
        others: vec![staged.public().clone()],
        ..world.rules()
    };
    let list = |version, lines: &[String]| version_line(version) + &lines.concat();
    let (own, staged, thief) = (line(&own), line(staged.public()), line(thief.public()));
    for (case, text, is_signed) in [
        ("the own key", list(3, std::slice::from_ref(&own)), true),
        ("both", list(3, &[own.clone(), staged.clone()]), true),
        (
            "a thief's too",
            list(3, &[own.clone(), thief.clone()]),
            false,
        ),
        ("a thief's alone", list(3, &[thief]), false),
        ("without the own one", list(3, &[staged]), false),
        ("nothing", list(3, &[]), false),
        (
            "a version to come",
            list(6, std::slice::from_ref(&own)),
            false,
        ),
        (
            "two versions",
            list(1, &[version_line(2), own.clone()]),
            false,
        ),
        ("no version", own.clone(), false),
        (
            "an option before the key",
            list(3, &[format!("cert-authority {own}")]),
            false,
        ),
        (
            "a comment",
            list(3, &[own.replace('\n', " comment\n")]),
            true,
        ),
    ] {
        let judged = judged(&world, &rules, HostDocument::CaKeys, text.into_bytes());
        assert_eq!(judged.is_ok(), is_signed, "{case}: {judged:?}");
    }
}

#[test]
fn a_recovery_document_names_the_administrators_of_the_configuration_only() {
    let (world, _) = world();
    let ours: BTreeSet<String> = [fingerprint(world.key.public())].into();
    let theirs: BTreeSet<String> = [fingerprint(Key::sample(Algorithm::Ed25519).public())].into();
    let rules = Rules {
        administrators: ours.clone(),
        ..world.rules()
    };
    let document = |version, administrators: &BTreeSet<String>| {
        Recovery::new(rules.server.clone(), version, administrators.clone())
    };
    let other_server = Recovery::new("other.example.com".to_owned(), 3, ours.clone());
    let restored = |size| {
        let mut document = document(3, &ours);
        document.restored = Some(Restored {
            size,
            root: "00".repeat(32),
            is_pending: true,
        });
        document
    };
    let accepted = |index| {
        let mut document = document(3, &ours);
        document.accepted = Some(Accepted {
            index,
            leaf: String::new(),
        });
        document
    };
    let both = ours.union(&theirs).cloned().collect();
    for (case, document, is_signed) in [
        ("ours", document(3, &ours), true),
        ("none", document(3, &BTreeSet::new()), false),
        ("a thief's", document(3, &theirs), false),
        ("a thief's too", document(3, &both), false),
        ("another server", other_server, false),
        ("a version to come", document(6, &ours), false),
        ("a restored copy", restored(4), true),
        ("a copy to come", restored(6), false),
        ("an acceptance", accepted(4), true),
        ("an acceptance to come", accepted(6), false),
    ] {
        let content = document.to_bytes().unwrap();
        let judged = judged(&world, &rules, HostDocument::Recovery, content);
        assert_eq!(judged.is_ok(), is_signed, "{case}: {judged:?}");
    }
    let text = judged(&world, &rules, HostDocument::Recovery, b"{}".to_vec());
    assert!(matches!(text, Err(Fault::Document(_))));
}
