//! Roles, trust and the ledger, as callers read them.

use super::*;
use crate::{
    ledger::{
        event::{Actor, LockTarget, policy_hash},
        order::tests as order,
        tree::{leaf_hash, verify_consistency, verify_inclusion},
        verify::verify_export,
    },
    operations::{
        access,
        audit::{self, Export, Range},
    },
    ssh::krl::Krl,
    unix_seconds::UnixSeconds,
};

#[tokio::test]
async fn only_those_whom_the_policy_lets_read_the_ledger() {
    let world = World::new().await;
    world.issue(&alice(), &ask("shell")).await.unwrap();
    for (groups, expected) in [
        (&["sre", "oncall"][..], false),
        (&[], false),
        (&["security"], true),
    ] {
        let identity = identity(groups);
        let list = audit::list(&world.authority, &identity, Range::default()).await;
        let export = Export::open(&world.authority, &identity).await;
        assert_eq!(list.is_ok(), expected, "{groups:?}");
        assert_eq!(export.is_ok(), expected, "{groups:?}");
        if let Err(error) = list {
            assert!(matches!(error, Error::AuditDenied), "{error}");
        }
    }
}

#[tokio::test]
async fn a_page_newest_first_begins_with_the_head() {
    let world = World::new().await;
    let auditor = identity(&["security"]);
    let range = Range {
        from: u64::MAX,
        limit: 2,
        newest_first: true,
    };
    let page = audit::list(&world.authority, &auditor, range)
        .await
        .unwrap();
    let indexes: Vec<u64> = page.entries.iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes, [page.size - 1, page.size - 2]);
}

#[tokio::test]
async fn an_export_longer_than_a_page_verifies_offline() {
    let world = World::new().await;
    for index in 0..2100 {
        let event = EventKind::KeyStaged {
            key: index.to_string(),
        };
        world.authority.store.record(event, now()).await.unwrap();
    }
    world.issue(&alice(), &ask("shell")).await.unwrap();
    let auditor = identity(&["security"]);
    let mut export = Export::open(&world.authority, &auditor).await.unwrap();
    // What is appended while an export is under way is not in it.
    world.issue(&alice(), &ask("shell")).await.unwrap();
    let mut bytes = Vec::new();
    let mut pieces = 0;
    while let Some(piece) = export.next(&world.authority).await.unwrap() {
        bytes.extend(piece);
        pieces += 1;
    }
    let report = verify_export(&bytes, &world.authority.store.verifier()).unwrap();
    assert_eq!((report.events, report.passes, pieces), (2104, 1, 4));
}

#[tokio::test]
async fn proofs_are_of_the_tree_the_checkpoint_signs() {
    let world = World::new().await;
    let authority = &world.authority;
    let anyone = identity(&[]);
    let verifier = authority.store.verifier();
    let old = verifier
        .verify(&trust::checkpoint(authority).await.unwrap())
        .unwrap();
    let serial = world
        .issue(&alice(), &ask("shell"))
        .await
        .unwrap()
        .certificate
        .serial();
    let new = verifier
        .verify(&trust::checkpoint(authority).await.unwrap())
        .unwrap();
    let (_, leaf) = authority.store.entries(serial, 1).await.unwrap().remove(0);

    let path = audit::prove_inclusion(authority, &anyone, serial, new.size)
        .await
        .unwrap();
    assert!(verify_inclusion(
        &leaf_hash(&leaf),
        serial,
        new.size,
        &path,
        &new.root
    ));
    let path = audit::prove_consistency(authority, &anyone, old.size, new.size)
        .await
        .unwrap();
    assert!(verify_consistency(
        old.size, &old.root, new.size, &new.root, &path
    ));

    for (index, size) in [
        (new.size, new.size),
        (0, new.size + 1),
        (u64::MAX, u64::MAX),
    ] {
        let result = audit::prove_inclusion(authority, &anyone, index, size).await;
        assert!(
            matches!(result, Err(Error::NotFound(_))),
            "{index} {size}: {result:?}"
        );
    }
}

#[tokio::test]
async fn roles_are_listed_for_those_who_may_have_them() {
    let world = World::new().await;
    let policy = world.authority.policy();
    for (groups, expected) in [
        (&["sre", "oncall"][..], &["shell", "logs"][..]),
        (&["oncall"], &["logs"]),
        (&[], &[]),
    ] {
        let listed = roles::list(&policy, &identity(groups), None, None);
        let names: Vec<&str> = listed.iter().map(|open| &*open.role.name).collect();
        assert_eq!(names, expected);
    }
    let explained = roles::explain(
        &world.authority,
        &identity(&["oncall"]),
        &ask("shell"),
        context(),
    );
    let [only] = &explained[..] else {
        panic!("{explained:?}")
    };
    assert!(only.role == "shell" && !only.granted);
}

#[tokio::test]
async fn a_person_sees_their_own_valid_passes_newest_first_and_no_other_name() {
    let world = World::new().await;
    let me = alice();
    let mut serials = Vec::new();
    for _ in 0..2 {
        let pass = world.issue(&me, &ask("shell")).await.unwrap();
        serials.insert(0, pass.certificate.serial());
    }
    let (passes, more) = access::passes(&world.authority, me.identity(), now())
        .await
        .unwrap();
    let found: Vec<u64> = passes.iter().map(|pass| pass.serial).collect();
    assert_eq!((found, more), (serials, 0));
    let later = now() + time::Duration::hours(2);
    let late = access::passes(&world.authority, me.identity(), later).await;
    assert!(late.unwrap().0.is_empty(), "they have ended");
    let preview = access::preview_own_lock(&world.authority, me.identity(), context());
    let preview = preview.await.unwrap();
    assert_eq!((preview.passes, preview.covers.len()), (2, 1));
    assert!(preview.covers_caller && preview.near.is_empty() && preview.lock.is_none());
}

#[tokio::test]
async fn anyone_may_know_keys_and_ledger() {
    let world = World::new().await;
    let trust = trust::trust(&world.authority);
    assert_eq!(trust.server_name, "ca.example.com");
    assert_eq!(
        trust.keys,
        [(world.authority.ca().active().clone(), KeyState::Active)]
    );
    assert_eq!(trust.verifier, world.authority.store.verifier());
    assert!(trust::health(&world.authority).store);
    world.authority.store.close().await;
    assert!(!trust::health(&world.authority).store);
}

#[tokio::test]
async fn large_events_do_not_make_answers_that_no_client_takes() {
    let world = World::new().await;
    for number in 0..300 {
        let text = format!("# {number} {}", "x".repeat(20_000));
        let event = EventKind::PolicyLoaded {
            policy: policy_hash(&text),
            text: Some(text),
        };
        world.authority.store.record(event, now()).await.unwrap();
    }
    let auditor = identity(&["security"]);
    for newest_first in [false, true] {
        let range = Range {
            from: 10,
            limit: 1000,
            newest_first,
        };
        let page = audit::list(&world.authority, &auditor, range)
            .await
            .unwrap();
        let bytes: usize = page.entries.iter().map(|(_, event)| event.len()).sum();
        assert!(!page.entries.is_empty() && bytes < 4 << 20, "{bytes}");
        assert_eq!(page.entries.first().unwrap().0, 10);
    }
    let mut export = Export::open(&world.authority, &auditor).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = export.next(&world.authority).await.unwrap() {
        assert!(piece.len() < 4 << 20, "{}", piece.len());
        bytes.extend(piece);
    }
    verify_export(&bytes, &world.authority.store.verifier()).unwrap();
}

/// The server's clock at the first fetch after a start dated the list, so that each start and each
/// server of one ledger published other bytes of the same version.
#[tokio::test]
async fn a_revocation_list_has_the_same_bytes_after_every_start() {
    for is_revoked in [false, true] {
        let [key, twin] = Key::twins();
        let world = World::start(tempfile::tempdir().unwrap(), key, now()).await;
        if is_revoked {
            world.issue(&alice(), &ask("shell")).await.unwrap();
            lock_role(&world, "shell").await;
        }
        let first = published::revocations(&world.authority).await.unwrap();
        world.authority.store.close().await;
        let later = now() + time::Duration::days(1);
        let world = World::start(world.folder, twin, later).await;
        let second = published::revocations(&world.authority).await.unwrap();
        assert_eq!(first.document.body, second.document.body, "{is_revoked}");
        let list = Krl::parse(&second.document.body).unwrap();
        assert_eq!(list.len(), usize::from(is_revoked));
        assert_eq!(list.made_at(), UnixSeconds::from(now()), "{is_revoked}");
    }
}

/// Locks a role, which revokes its passes.
async fn lock_role(world: &World, role: &str) {
    let who = Actor {
        issuer: "https://id.example.com".to_owned(),
        subject: "carol".to_owned(),
        label: "carol@example.com".to_owned(),
        claims: json!({}).into(),
    };
    let target = LockTarget::Role(role.to_owned());
    let store = &world.authority.store;
    let lock = store.state(|state| order::locked(state, &who, target, now()));
    store.record(lock, now()).await.unwrap();
}
