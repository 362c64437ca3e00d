//! CA keys by orders: reports that do not count, and a server that lacks the key that signs.

#![allow(clippy::indexing_slicing, reason = "tests")]

use std::time::Duration as Span;

use ssh_key::{HashAlg, LineEnding, PrivateKey, rand_core::OsRng};
use time::Duration;

use super::*;
use crate::{
    ca::{self, HostCa},
    ledger::{
        event::{Actor, CaKeyNamed, CaKeyOrdered, CaKeyState, CaKeyStep, HostJoined, HostKey},
        order::Proof,
    },
    operations::{
        host_authority::{HostAuthority, Settings},
        hosts::{
            proven::proven,
            report::{KeptReport, Report, SignedReport},
        },
    },
    ssh::{
        host_proof::{HostProof, HostVerb},
        sshsig::{self, Namespace},
    },
    store::StoredReport,
    unix_seconds::UnixSeconds,
};

/// In these tests a host signs JSON.
fn read(bytes: &[u8]) -> Option<Report> {
    serde_json::from_slice(bytes).ok()
}

fn host_key() -> PrivateKey {
    PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap()
}

fn signed(keys: &[&PrivateKey], verb: HostVerb, bytes: &[u8]) -> SignedReport {
    let public: Vec<PublicKey> = keys.iter().map(|key| key.public_key().clone()).collect();
    let digest = Sha256::digest(bytes).into();
    let proof = HostProof {
        server: "ca.example.com",
        verb,
        digest: &digest,
        keys: &public,
    };
    let message = proof.message().unwrap();
    let sign = |key: &&PrivateKey| {
        let signature = key.sign(Namespace::Host.as_str(), HashAlg::Sha512, &message);
        let armored = signature.unwrap().to_pem(LineEnding::LF).unwrap();
        HostKey {
            key: key.public_key().to_openssh().unwrap(),
            signature: sshsig::compact(&armored),
        }
    };
    SignedReport::new(bytes, keys.iter().map(sign).collect())
}

fn report(host: &str, at: OffsetDateTime) -> Report {
    Report {
        at: u64::try_from(at.unix_timestamp()).unwrap() * 1000,
        host: host.to_owned(),
        trusted_ca_keys: vec!["SHA256:new".to_owned()],
        ..Report::default()
    }
}

/// A host of this name that has joined with this key. Returns the event's index.
async fn join(authority: &Authority, host: &str, key: &PrivateKey) -> u64 {
    let joined = HostJoined {
        host: host.to_owned(),
        group: "web".to_owned(),
        aliases: Vec::new(),
        keys: vec![HostKey {
            key: key.public_key().to_openssh().unwrap(),
            signature: String::new(),
        }],
        digest: "ab".repeat(32),
        who: Some(Actor {
            issuer: "https://cloud.example.com".to_owned(),
            subject: host.to_owned(),
            label: host.to_owned(),
            claims: json!({}).into(),
        }),
        policy: Some(authority.policy().hash().to_owned()),
    };
    let joined = EventKind::HostJoined(Box::new(joined));
    authority.store.record(joined, now()).await.unwrap()
}

#[tokio::test]
async fn only_a_new_report_with_the_hosts_own_signature_shows_that_it_trusts_a_key() {
    let World { authority, folder } = World::new().await;
    let key = Key::sample(Algorithm::Ed25519);
    let ca = HostCa::new(vec![(key, KeyState::Active)], &authority.ca()).unwrap();
    let settings = Settings {
        names: Some(vec!["web-*".to_owned()]),
        lifetime: Span::from_secs(14 * 24 * 3600),
        behind_after: Span::from_secs(3600),
    };
    let authority = authority.knowing_hosts(Some(HostAuthority::new(ca, settings)));
    let (own, other) = (host_key(), host_key());
    let joined = join(&authority, "web-1", &own).await;
    join(&authority, "web-2", &other).await;
    let good = serde_json::to_vec(&report("web-1", now())).unwrap();
    let at = |at: OffsetDateTime| serde_json::to_vec(&report("web-1", at)).unwrap();
    let kept = |signed: Option<SignedReport>| KeptReport {
        report: report("web-1", now()),
        signed,
    };
    let honest = |bytes: &[u8]| Some(signed(&[&own], HostVerb::Sync, bytes));
    let of_other = serde_json::to_vec(&report("web-2", now())).unwrap();
    let altered = serde_json::to_vec(&json!({
        "at": 1, "host": "web-1", "trusted_ca_keys": [], "krl_version": null, "sshd_version": "",
        "daypass_version": "", "faults": [], "certificates": [],
        "signed": {
            "bytes": serde_json::to_value(honest(&good)).unwrap()["bytes"].as_str().unwrap().replace('A', "B"),
            "keys": serde_json::to_value(honest(&good)).unwrap()["keys"],
        },
    }));
    let json = |kept: KeptReport| serde_json::to_vec(&kept).unwrap();
    let rows = [
        ("honest", json(kept(honest(&good))), joined, Ok(())),
        (
            "almost an hour old",
            json(kept(honest(&at(now() - Duration::minutes(59))))),
            joined,
            Ok(()),
        ),
        (
            "an old row put back",
            json(kept(honest(&at(now() - Duration::HOUR)))),
            joined,
            Err("its last report is of "),
        ),
        (
            "of the future",
            json(kept(honest(&at(now() + Duration::HOUR)))),
            joined,
            Err("in the future"),
        ),
        (
            "without a signature",
            json(kept(None)),
            joined,
            Err("without its signature"),
        ),
        (
            "altered bytes",
            altered.unwrap(),
            joined,
            Err("not the one that it signed"),
        ),
        (
            "by another key",
            json(kept(Some(signed(&[&other], HostVerb::Sync, &good)))),
            joined,
            Err("not the one that it signed"),
        ),
        (
            "by both keys",
            json(kept(Some(signed(&[&own, &other], HostVerb::Sync, &good)))),
            joined,
            Err("not the one that it signed"),
        ),
        (
            "the row of another host",
            json(kept(Some(signed(&[&other], HostVerb::Sync, &of_other)))),
            joined,
            Err("not the one that it signed"),
        ),
        (
            "its own signature over another host's report",
            json(kept(honest(&of_other))),
            joined,
            Err("not the one that it signed"),
        ),
        (
            "the signature of its join",
            json(kept(Some(signed(&[&own], HostVerb::Join, &good)))),
            joined,
            Err("not the one that it signed"),
        ),
        (
            "of an earlier join",
            json(kept(honest(&good))),
            joined - 1,
            Err("since it joined"),
        ),
        (
            "garbage",
            b"{".to_vec(),
            joined,
            Err("without its signature"),
        ),
    ];
    for (made, (case, content, joined, expected)) in (1..).zip(rows) {
        authority
            .store
            .remove_report("web-1".to_owned())
            .await
            .unwrap();
        let stored = StoredReport {
            host: "web-1".to_owned(),
            joined,
            made,
            received: UnixSeconds::from(now()),
            content,
        };
        authority.store.put_report(stored).await.unwrap();
        let hosts = proven(&authority, read, now().into()).await.unwrap();
        assert_eq!(hosts.len(), 2, "{case}");
        assert!(hosts[1].trusted.is_err(), "web-2 has reported nothing");
        match (&hosts[0].trusted, expected) {
            (Ok(trusted), Ok(())) => assert_eq!(trusted, &["SHA256:new"], "{case}"),
            (Err(why), Err(words)) => assert!(why.contains(words), "{case}: {why}"),
            (found, _) => panic!("{case}: {found:?}"),
        }
    }
    drop(folder);
}

/// An order as it is recorded; the store does not verify its signature.
fn order(
    authority: &Authority,
    step: CaKeyStep,
    key: &PublicKey,
    from: &[(&PublicKey, CaKeyState)],
) -> EventKind {
    let text = |key: &PublicKey| key.to_openssh().unwrap();
    let mut ordered = CaKeyOrdered {
        who: Actor {
            issuer: "https://id.example.com".to_owned(),
            subject: "carol".to_owned(),
            label: "carol".to_owned(),
            claims: json!({}).into(),
        },
        step,
        key: text(key),
        anyway: false,
        behind: Vec::new(),
        from: from
            .iter()
            .map(|(key, state)| CaKeyNamed {
                key: text(key),
                state: *state,
            })
            .collect(),
        reason: None,
        proof: None,
    };
    let after = authority
        .store
        .state(|state| state.after(&ordered.target()));
    ordered.proof = Some(Proof {
        key: text(&subject_key()),
        signature: String::new(),
        token: "07".repeat(32),
        after,
    });
    EventKind::CaKeyOrdered(Box::new(ordered))
}

#[tokio::test]
async fn passes_are_by_the_key_of_the_last_order_and_a_server_without_it_issues_none() {
    let ([old, old_twin], [new, new_twin]) = (Key::twins(), Key::twins());
    let (old_public, new_public) = (old.public().clone(), new.public().clone());
    let World { authority, folder } = World::with_key(old).await;
    let world = World { authority, folder };
    let first = order(
        &world.authority,
        CaKeyStep::Stage,
        &new_public,
        &[(&old_public, CaKeyState::Active)],
    );
    world.authority.store.record(first, now()).await.unwrap();
    let pass = world.issue(&alice(), &logs("nginx")).await.unwrap();
    assert_eq!(pass.certificate.signature_key(), old_public.key_data());
    let second = order(&world.authority, CaKeyStep::Activate, &new_public, &[]);
    world.authority.store.record(second, now()).await.unwrap();
    // It runs, and lacks the key that signs now: nothing is recorded.
    let (refused, added) = world.added(world.issue(&alice(), &logs("nginx"))).await;
    let is_absent = matches!(&refused, Err(Error::KeyAway(ca::Error::Absent { .. })));
    assert!(is_absent && added.is_empty(), "{refused:?} {added:?}");
    let missing = crate::operations::trust::missing_key(&world.authority).unwrap();
    assert_eq!(
        (missing.key, missing.is_absent),
        (fingerprint(&new_public), true)
    );

    // It starts again without the key: else no administrator could activate another one.
    let World { authority, folder } = world;
    authority.store.close().await;
    drop(authority);
    let world = World::start(folder, old_twin, now()).await;
    let (refused, added) = world.added(world.issue(&alice(), &logs("nginx"))).await;
    let is_absent = matches!(&refused, Err(Error::KeyAway(ca::Error::Absent { .. })));
    assert!(is_absent && added.is_empty(), "{refused:?} {added:?}");
    let World { authority, folder } = world;
    authority.store.close().await;
    drop(authority);

    // With the key it starts, also if its configuration lacks the others.
    let world = World::start(folder, new_twin, now()).await;
    let pass = world.issue(&alice(), &logs("nginx")).await.unwrap();
    assert_eq!(pass.certificate.signature_key(), new_public.key_data());
    let keys = world.authority.ca();
    let states: Vec<_> = keys.keys().map(|(_, state)| state).collect();
    assert_eq!(states, [KeyState::Active, KeyState::Retired]);
}

/// Starts a server with these keys over the folder's ledger. Returns why it refuses.
async fn refuses_to_start(folder: &TempDir, keys: Vec<(Key, KeyState)>) -> Option<String> {
    let signer = Signer::new("ca.example.com/ledger", &[1; 32]).unwrap();
    let started = EventKind::started("test", "ca.example.com");
    let store = Store::open(folder.path(), signer, started, now())
        .await
        .unwrap();
    let parts = Parts {
        server_name: "ca.example.com".to_owned(),
        ca: Ca::new(keys).unwrap(),
        policy: policy(POLICY),
        store: store.clone(),
        is_new_policy: true,
    };
    let refused = Authority::start(parts, now()).await.err();
    store.close().await;
    refused.map(|error| error.to_string())
}

/// A key that was only added to `daypass.toml` let the server start without the key that signs: it
/// served, and was not ready. Only a key that the ledger has in store, or one that its operator
/// puts in the place of the lost one, does.
#[tokio::test]
async fn a_server_without_the_key_that_signs_starts_only_if_another_is_to_replace_it() {
    let ([old, old_twin], [staged, staged_twin]) = (Key::twins(), Key::twins());
    let (old_public, staged_public) = (old.public().clone(), staged.public().clone());
    let lost = host_key().public_key().clone();
    let World { authority, folder } = World::with_key(old).await;
    for (step, key, from) in [
        (
            CaKeyStep::Stage,
            &lost,
            &[(&old_public, CaKeyState::Active)][..],
        ),
        (CaKeyStep::Activate, &lost, &[]),
        (CaKeyStep::Retire, &old_public, &[]),
        (CaKeyStep::Stage, &staged_public, &[]),
    ] {
        let order = order(&authority, step, key, from);
        authority.store.record(order, now()).await.unwrap();
    }
    authority.store.close().await;
    drop(authority);
    let fresh = || Key::sample(Algorithm::Ed25519);
    let (active, added) = (KeyState::Active, KeyState::Staged);
    let alone = refuses_to_start(&folder, vec![(old_twin, active), (fresh(), added)]).await;
    let said = alone.unwrap();
    assert!(said.contains(&fingerprint(&lost)), "{said}");
    assert!(
        said.contains("add its [[ca.key]] to daypass.toml") && said.contains("key is lost"),
        "{said}"
    );
    for (case, keys) in [
        ("the manual's recovery: a new key", vec![(fresh(), active)]),
        (
            "and one that the ledger has as staged",
            vec![(fresh(), active), (staged_twin, added)],
        ),
        ("a staged key alone", vec![(staged, active)]),
    ] {
        assert_eq!(refuses_to_start(&folder, keys).await, None, "{case}");
    }
}
