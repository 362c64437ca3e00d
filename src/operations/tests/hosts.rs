//! Known hosts: record, then sign; marks in the ledger; what many of them cost.

#![allow(clippy::indexing_slicing, reason = "tests")]

use std::time::{Duration as Span, Instant};

use ssh_key::public::{Ed25519PublicKey, KeyData};
use time::Duration;

use super::*;
use crate::{
    ca::HostCa,
    ledger::{
        event::{Actor, HostJoined, HostKey, LoginFinding},
        state::HostRecord,
    },
    operations::{
        host_authority::{HostAuthority, Settings},
        hosts::{
            certified::certified_until,
            certifying::certify,
            listing,
            logins::{ProvenLogins, ReportedLogin},
            report::Report,
            reporting::ProvenSync,
        },
    },
    ssh::sshd_log::CertificateLogin,
    store::StoredReport,
    unix_seconds::UnixSeconds,
};

impl World {
    /// The server, which knows hosts by this key.
    async fn knowing(key: Key) -> Self {
        let world = Self::new().await;
        let ca = HostCa::new(vec![(key, KeyState::Active)], &world.authority.ca()).unwrap();
        let settings = Settings {
            names: Some(vec!["web-*".to_owned()]),
            lifetime: Span::from_secs(14 * 24 * 3600),
            behind_after: Span::from_secs(3600),
        };
        let hosts = Some(HostAuthority::new(ca, settings));
        Self {
            authority: world.authority.knowing_hosts(hosts),
            folder: world.folder,
        }
    }

    /// Lets a host join, past its proofs. Returns the event's index.
    async fn join(&self, number: u32) -> u64 {
        let joined = HostJoined {
            host: name(number),
            group: "web".to_owned(),
            aliases: Vec::new(),
            keys: vec![HostKey {
                key: key(number).to_openssh().unwrap(),
                signature: String::new(),
            }],
            digest: "ab".repeat(32),
            who: Some(Actor {
                issuer: "https://cloud.example.com".to_owned(),
                subject: name(number),
                label: name(number),
                claims: json!({}).into(),
            }),
            policy: Some(self.authority.policy().hash().to_owned()),
        };
        let joined = EventKind::HostJoined(Box::new(joined));
        self.authority.store.record(joined, now()).await.unwrap()
    }

    fn host(&self, number: u32) -> HostRecord {
        let find = |state: &crate::ledger::LedgerState| state.host(&name(number)).cloned();
        self.authority.store.state(find).unwrap()
    }

    /// A good report, and how it is kept.
    fn report(&self, number: u32, joined: u64, at: OffsetDateTime) -> StoredReport {
        let certificates = self.host(number).joined.unwrap().certificates;
        let report = Report {
            certificates: certificates.values().map(|it| it.serial).collect(),
            at: u64::try_from(at.unix_timestamp()).unwrap() * 1000,
            host: name(number),
            trusted_ca_keys: vec![fingerprint(self.authority.ca().active())],
            krl_version: Some(u64::MAX),
            sshd_version: "OpenSSH_9.9p1".to_owned(),
            ..Report::default()
        };
        StoredReport {
            host: report.host.clone(),
            joined,
            made: report.at,
            received: UnixSeconds::from(at),
            content: serde_json::to_vec(&report).unwrap(),
        }
    }
}

fn name(number: u32) -> String {
    format!("web-{number:05}")
}

/// A host key of this number. Nothing signs with it.
fn key(number: u32) -> PublicKey {
    let mut point = [9; 32];
    point[..4].copy_from_slice(&number.to_be_bytes());
    PublicKey::from(KeyData::Ed25519(Ed25519PublicKey(point)))
}

/// Longer than two runs of the hosts' timer.
const HEARD: Span = Span::from_secs(10 * 60);

#[tokio::test]
async fn a_host_certificate_is_recorded_before_it_is_signed_and_a_failure_is_recorded_too() {
    let [right, wrong] = [(); 2].map(|()| Key::sample(Algorithm::Ed25519));
    let world = World::knowing(right.answering_with(wrong)).await;
    world.join(1).await;
    let host = world.host(1);
    let keys = [key(1)];
    let made = certify(&world.authority, &host, &keys, [3; 32], now());
    let (made, events) = world.added(made).await;
    assert!(matches!(made, Err(Error::Ca(_))), "{made:?}");
    let [
        EventKind::HostCertified(recorded),
        EventKind::SigningFailed { serial, .. },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(recorded.host, "web-00001");
    assert_eq!(*serial + 2, world.events().await.len() as u64);
    let joined = world.host(1).joined.unwrap();
    assert!(joined.certificates.is_empty(), "it has no certificate");

    let world = World::knowing(Key::sample(Algorithm::Ed25519)).await;
    world.join(1).await;
    let host = world.host(1);
    let made = certify(&world.authority, &host, &keys, [3; 32], now()).await;
    let certificate = made.unwrap().remove(0);
    let events = world.events().await;
    let event = &events[usize::try_from(certificate.serial()).unwrap()];
    let EventKind::HostCertified(recorded) = &event.what else {
        panic!("{event:?}");
    };
    let bytes = certificate.to_bytes().unwrap();
    // The signature is the last string: type and 64 bytes, each with its length.
    let signature = 4 + 4 + "ssh-ed25519".len() + 4 + 64;
    let signed = &bytes[..bytes.len() - signature];
    let hash = base16ct::lower::encode_string(&Sha256::digest(signed));
    assert_eq!(recorded.to_be_signed, hash);
}

#[tokio::test]
async fn a_store_that_cannot_commit_makes_no_host_certificate() {
    let world = World::knowing(Key::sample(Algorithm::Ed25519)).await;
    world.join(1).await;
    let host = world.host(1);
    world.authority.store.close().await;
    let made = certify(&world.authority, &host, &[key(1)], [3; 32], now()).await;
    assert!(matches!(made, Err(Error::Store(_))), "{made:?}");
}

#[tokio::test]
async fn hosts_that_fall_behind_are_marked_once_and_once_more_when_they_are_back() {
    let world = World::knowing(Key::sample(Algorithm::Ed25519)).await;
    let authority = &world.authority;
    let joined = [world.join(1).await, world.join(2).await];
    for number in [1, 2] {
        let host = world.host(number);
        let made = certify(authority, &host, &[key(number)], [3; 32], now()).await;
        made.unwrap();
    }
    assert_eq!(
        listing::mark(authority, HEARD, now()).await.unwrap(),
        0,
        "just joined"
    );
    let later = now() + Duration::hours(2);
    let report = world.report(2, joined[1], later);
    assert!(authority.store.put_report(report.clone()).await.unwrap());
    assert!(
        !authority.store.put_report(report).await.unwrap(),
        "a replay"
    );
    // A server that was down for these hours heard no host.
    let early = Span::from_secs(60);
    assert_eq!(listing::mark(authority, early, later).await.unwrap(), 0);
    let (marked, events) = world.added(listing::mark(authority, HEARD, later)).await;
    assert_eq!(marked.unwrap(), 1);
    let [EventKind::HostBehind(behind)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(behind.host, "web-00001");
    assert!(behind.why[0].starts_with("it has not reported since it joined"));
    assert_eq!(
        listing::mark(authority, HEARD, later).await.unwrap(),
        0,
        "once"
    );
    // A report of an earlier join does not count.
    let foreign = world.report(1, joined[0] - 1, later);
    authority.store.put_report(foreign).await.unwrap();
    let soon = later + Duration::minutes(30);
    authority
        .store
        .put_report(world.report(1, joined[0], soon))
        .await
        .unwrap();
    authority
        .store
        .put_report(world.report(2, joined[1], soon))
        .await
        .unwrap();
    assert_eq!(
        listing::mark(authority, HEARD, soon).await.unwrap(),
        0,
        "within the hour"
    );
    let hour = later + Duration::hours(1);
    let (marked, events) = world.added(listing::mark(authority, HEARD, hour)).await;
    assert_eq!(marked.unwrap(), 1);
    let host = "web-00001".to_owned();
    assert_eq!(events, [EventKind::HostCurrent { host }]);
    let count = listing::count(authority);
    assert_eq!((count.joined, count.behind), (2, 0));
}

/// `cargo test --lib ten_thousand -- --nocapture` prints the times.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_hosts_report_and_their_marks_come_in_bounded_rounds() {
    const HOSTS: u32 = 10_000;
    let world = Arc::new(World::knowing(Key::sample(Algorithm::Ed25519)).await);
    let step = |what: &str, begun: Instant| eprintln!("{what}: {:?}", begun.elapsed());
    let together = async |one: fn(Arc<World>, u32) -> tokio::task::JoinHandle<()>| {
        let tasks: Vec<_> = (0..HOSTS)
            .map(|number| one(world.clone(), number))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    };
    let begun = Instant::now();
    together(|world, number| {
        tokio::spawn(async move {
            world.join(number).await;
        })
    })
    .await;
    step("10,000 joins", begun);
    let size = world.authority.store.size();
    let begun = Instant::now();
    together(|world, number| {
        tokio::spawn(async move {
            let joined = world.host(number).joined.unwrap().index;
            let report = world.report(number, joined, now());
            assert!(world.authority.store.put_report(report).await.unwrap());
        })
    })
    .await;
    step("10,000 reports", begun);
    assert_eq!(world.authority.store.size(), size, "a report is no event");
    let begun = Instant::now();
    let reports = world
        .authority
        .store
        .reports("web-00000", "web-99999")
        .await;
    let bytes: usize = reports.unwrap().iter().map(|it| it.content.len()).sum();
    step("all reports read", begun);
    assert!(bytes < 10_000 * 400, "{bytes} bytes");
    let later = now() + Duration::hours(2);
    let begun = Instant::now();
    let marked = listing::mark(&world.authority, HEARD, later).await.unwrap();
    step("one round of marks", begun);
    assert_eq!(marked, 256, "an outage floods no ledger");
    assert_eq!(listing::count(&world.authority).behind, 256);
}

/// A login with this pass, as its host reports it.
fn login_with(pass: &IssuedPass, at: OffsetDateTime) -> (Option<UnixSeconds>, ReportedLogin) {
    let certificate = &pass.certificate;
    let login = CertificateLogin {
        time: None,
        host: None,
        login: "alice".to_owned(),
        from: "192.0.2.7".to_owned(),
        port: 41_234,
        key: PublicKey::from(certificate.public_key().clone())
            .fingerprint(ssh_key::HashAlg::Sha256)
            .to_string(),
        key_id: certificate.key_id().to_owned(),
        serial: certificate.serial(),
        ca: PublicKey::from(certificate.signature_key().clone())
            .fingerprint(ssh_key::HashAlg::Sha256)
            .to_string(),
    };
    (Some(at.into()), ReportedLogin::By(login))
}

#[tokio::test]
async fn a_revoked_pass_is_known_as_one_when_its_login_is_reported_days_later() {
    let world = World::knowing(Key::sample(Algorithm::Ed25519)).await;
    world.join(1).await;
    let pass = world.issue(&alice(), &ask("shell")).await.unwrap();
    let failed = EventKind::SigningFailed {
        serial: pass.certificate.serial(),
        cause: "deadline".to_owned(),
    };
    world.authority.store.record(failed, now()).await.unwrap();
    let compare = async |minutes: i64, later: i64| {
        let logins = vec![login_with(&pass, now() + Duration::minutes(minutes))];
        let reported = ProvenLogins::sample(world.host(1), logins);
        let reported = reported.compare(&world.authority, now() + Duration::days(later));
        world.added(reported).await
    };
    let (found, events) = compare(0, 0).await;
    assert_eq!((found.unwrap(), events.len()), (Vec::new(), 0));
    let (found, events) = compare(5, 0).await;
    assert_eq!(
        (found.unwrap(), events.len()),
        (vec![LoginFinding::Late], 1)
    );
    // Long after the ledger state has forgotten the pass, the same line again.
    let (found, events) = compare(5, 3).await;
    assert_eq!(
        (found.unwrap(), events.len()),
        (vec![LoginFinding::Late], 0)
    );
}

/// What a host says it has, and when the server hears it.
async fn kept(
    world: &World,
    (joined, has): (u64, &[u64]),
    at: OffsetDateTime,
) -> Result<(usize, Option<String>), Error> {
    let report = Report {
        at: u64::try_from(at.unix_timestamp()).unwrap() * 1000,
        certificates: has.to_vec(),
        ..serde_json::from_slice(&world.report(1, joined, at).content).unwrap()
    };
    let host = world.host(1);
    let joined = host.joined.clone().unwrap();
    let proven = ProvenSync::sample(host, joined, report, vec![key(1)]);
    let (certificates, refused) = proven.keep(&world.authority, [5; 32], at).await?;
    Ok((certificates.len(), refused))
}

/// The serial of the newest certificate of the host.
fn newest(world: &World) -> u64 {
    let joined = world.host(1).joined.unwrap();
    joined.certificates.values().next().unwrap().serial
}

#[tokio::test]
async fn a_host_that_cannot_write_what_it_gets_uses_up_no_room_and_is_behind() {
    let world = World::knowing(Key::sample(Algorithm::Ed25519)).await;
    let joined = world.join(1).await;
    let made = kept(&world, (joined, &[]), now()).await.unwrap();
    assert_eq!(made, (1, None));
    let first = newest(&world);
    // Its last answers were lost: it is made up for at once, once.
    let mut at = now();
    let mut made = 0;
    for _ in 0..14 * 24 * 2 {
        at += Duration::minutes(30);
        made += kept(&world, (joined, &[first]), at).await.unwrap().0;
    }
    assert!((2..=64).contains(&made), "{made} in two weeks");
    let listed = listing::page(&world.authority, "", 10, at).await.unwrap();
    assert!(
        listed[0]
            .behind
            .iter()
            .any(|why| why.contains("has not taken a host certificate")),
        "{:?}",
        listed[0].behind
    );
    // Once it can write, it has the next one.
    at += Duration::hours(4);
    let (made, _) = kept(&world, (joined, &[first]), at).await.unwrap();
    assert_eq!(made, 1);
    let last = newest(&world);
    at += Duration::minutes(5);
    assert_eq!(
        kept(&world, (joined, &[last]), at).await.unwrap(),
        (0, None)
    );
}

#[tokio::test]
async fn a_clock_that_was_ahead_silences_no_host_once_it_is_right_again() {
    let world = World::knowing(Key::sample(Algorithm::Ed25519)).await;
    let joined = world.join(1).await;
    let ahead = now() + Duration::days(30);
    assert_eq!(kept(&world, (joined, &[]), ahead).await.unwrap().0, 1);
    let early = newest(&world);
    let shown = async |at: OffsetDateTime| {
        certified_until(&world.authority, &name(1), at.into())
            .await
            .get()
    };
    // The one of a month ahead is not valid yet, and took the room of one.
    let mut later = now();
    assert_eq!(kept(&world, (joined, &[early]), later).await.unwrap().0, 1);
    let good = newest(&world);
    later += Duration::minutes(5);
    assert_eq!(kept(&world, (joined, &[good]), later).await.unwrap().0, 0);
    assert!(shown(later).await > 0, "users can rely on it");
    assert_eq!(shown(now() - Duration::days(1)).await, 0, "not valid yet");
    // A replay is still none.
    let again = kept(&world, (joined, &[good]), later).await.unwrap_err();
    assert!(again.to_string().contains("was received before"), "{again}");
}

#[tokio::test]
async fn a_host_whose_certificate_cannot_be_signed_waits_longer_after_each_failure() {
    let [right, wrong] = [(); 2].map(|()| Key::sample(Algorithm::Ed25519));
    let world = World::knowing(right.answering_with(wrong)).await;
    let joined = world.join(1).await;
    let (mut at, mut failed) = (now(), 0);
    for _ in 0..24 * 12 {
        at += Duration::minutes(5);
        match kept(&world, (joined, &[]), at).await {
            Ok((0, Some(refused))) => assert!(refused.contains("signing the last"), "{refused}"),
            Ok(kept) => panic!("{kept:?}"),
            Err(_) => failed += 1,
        }
    }
    assert!((5..=12).contains(&failed), "{failed} failures in a day");
}
