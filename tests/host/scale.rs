//! Thousands of revoked passes, in the sequences that break revocation lists of other makes: the
//! real daemon publishes them, `host sync` fetches them, and OpenSSH refuses exactly those. With
//! `DAYPASS_QUANTITY=long` they are twenty thousand.
//!
//! The passes are drafted and recorded as [`daypass::operations::issuance`] does it, in one process
//! with the daemon and without the wire in between; those that OpenSSH is shown are signed too.
//! They are revoked through the server.

use daypass::ssh::permissions::Permissions;
use std::{
    collections::BTreeSet, future::poll_fn, iter::repeat_n, pin::Pin, process::Command, task::Poll,
};

use daypass::{
    ca::Draft,
    identity::{Algorithm, Binding, Issuers, KeyHolder, Settings, SignIn, proof},
    ledger::{
        EventKind, Receipt,
        event::{Actor, Issued, RequestDetails},
    },
    operations::Authority,
    policy::{Ask, Context, Decision, Grant},
    proto::v1::{lock_target::Target, revoke_request},
    ssh::krl::Krl,
    ssh::sshsig::Namespace,
};
use ssh_key::{HashAlg, LineEnding, PublicKey};
use time::OffsetDateTime;

use super::{
    ca::Pass,
    daemon::Site,
    sshd::{Sshd, log},
    support::api::Caller,
};

/// Whose pass an index of the ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// Kept.
    Alice,
    /// Locked.
    Mallory,
    /// Revoked by name.
    Bob,
    /// Revoked by key.
    Dave,
    /// Something else than a pass.
    Gap,
}

use Slot::{Alice, Bob, Dave, Gap, Mallory};

/// How many events are on their way to the writer at once: fewer than wait there, so that their
/// order is kept.
const BATCH: usize = 500;

/// The length of the longest run.
fn longest_run() -> usize {
    match std::env::var("DAYPASS_QUANTITY").as_deref() {
        Ok("long") => 15_000,
        _ => 2_000,
    }
}

/// The sequences, each with its name.
fn sequences() -> Vec<(&'static str, Vec<Slot>)> {
    let alternating = [Mallory, Alice].into_iter().cycle().take(6_000);
    // 246 revocations over 16,482 serials: `ssh-keygen -k` writes such a list unreadably.
    let sparse = (0..246).flat_map(|_| [Alice, Bob, Alice].into_iter().chain(repeat_n(Gap, 64)));
    let run = [Alice]
        .into_iter()
        .chain(repeat_n(Mallory, longest_run()))
        .chain([Alice]);
    let growing = (1..=60).flat_map(|length| repeat_n(Bob, length).chain([Alice]));
    let doubling = (0..10).flat_map(|power| {
        let gap = (1_usize << power) - 1;
        [Dave]
            .into_iter()
            .chain([Alice].into_iter().chain(repeat_n(Gap, gap)).take(gap))
    });
    let around_gaps = (0..200).flat_map(|_| [Dave, Gap, Alice, Gap, Dave, Dave, Gap]);
    vec![
        ("alternating", alternating.collect()),
        ("sparse", sparse.collect()),
        ("one run", run.collect()),
        ("growing runs", growing.collect()),
        ("doubling distances", doubling.collect()),
        ("around gaps", around_gaps.collect()),
    ]
}

/// A caller with a proven key, and what the policy grants them.
struct Requester {
    caller: Caller,
    holder: KeyHolder,
    grant: Grant,
}

impl Requester {
    async fn new(site: &Site, issuers: &Issuers, name: &str) -> Self {
        let caller = Caller::new();
        let token = site.env.sign(site.env.claims(&caller, name, &["sre"]));
        let identity = issuers.verify(&token, now()).await.unwrap();
        let (key, hash) = (caller.key.public_key(), identity.token_hash());
        let message = proof::possession_message("localhost", hash, key, b"ask").unwrap();
        let signature = caller
            .key
            .sign(Namespace::Issue.as_str(), HashAlg::Sha512, &message);
        let signature = signature.unwrap().to_pem(LineEnding::LF).unwrap();
        let key = key.clone();
        let holder = identity
            .prove_possession(key, &caller.secret, &message, &signature)
            .unwrap();
        let ask = Ask {
            role: "shell".into(),
            ..Ask::default()
        };
        let context = Context {
            now: now(),
            caller: None,
        };
        let policy = authority(site).policy();
        let Decision::Granted(grant) = policy.decide(holder.identity(), &ask, context) else {
            panic!("{name} may have a shell");
        };
        Self {
            caller,
            holder,
            grant,
        }
    }

    /// The next pass, as [`daypass::operations::issuance`] drafts and records it.
    async fn record(&self, authority: &Authority) -> (Draft, Receipt) {
        let (holder, grant, now) = (&self.holder, &self.grant, now());
        let draft = Draft::new(holder, grant, &authority.ca(), rand::random(), now).unwrap();
        let issued = Issued {
            who: who(holder),
            ask: RequestDetails {
                role: "shell".into(),
                ..RequestDetails::default()
            },
            key: draft.key_fingerprint().to_owned(),
            binding: "nonce".into(),
            key_id: draft.key_id().to_owned(),
            permissions: Permissions {
                principals: grant.principals().iter().cloned().collect(),
                ..Permissions::default()
            },
            valid_after: draft.valid_after(),
            valid_before: draft.valid_before(),
            policy: authority.policy().hash().to_owned(),
            ca: draft.ca_fingerprint().to_owned(),
            to_be_signed: String::new(),
            emergency_proof: None,
            on_behalf: None,
            jump: None,
        };
        authority.store.issue(draft, issued, now).await.unwrap()
    }
}

/// What an index of the ledger became.
struct Entry {
    serial: u64,
    slot: Slot,
    /// What can still be signed; none for a gap.
    drafted: Option<(Draft, Receipt)>,
}

struct Crowd {
    alice: Requester,
    mallory: Requester,
    bob: Requester,
    dave: Requester,
}

impl Crowd {
    async fn new(site: &Site) -> Self {
        let issuers = Issuers::new(vec![settings(site.env.issuer().url())]).unwrap();
        Self {
            alice: Requester::new(site, &issuers, "alice").await,
            mallory: Requester::new(site, &issuers, "mallory").await,
            bob: Requester::new(site, &issuers, "bob").await,
            dave: Requester::new(site, &issuers, "dave").await,
        }
    }

    fn of(&self, slot: Slot) -> Option<&Requester> {
        match slot {
            Alice => Some(&self.alice),
            Mallory => Some(&self.mallory),
            Bob => Some(&self.bob),
            Dave => Some(&self.dave),
            Gap => None,
        }
    }

    async fn record(&self, authority: &Authority, slot: Slot) -> Entry {
        let Some(requester) = self.of(slot) else {
            let key = "SHA256:gap".to_owned();
            let serial = authority
                .store
                .record(EventKind::KeyStaged { key }, now())
                .await;
            return Entry {
                serial: serial.unwrap(),
                slot,
                drafted: None,
            };
        };
        let (draft, receipt) = requester.record(authority).await;
        Entry {
            serial: receipt.serial(),
            slot,
            drafted: Some((draft, receipt)),
        }
    }

    /// Signs what was recorded.
    async fn sign(&self, authority: &Authority, entry: &mut Entry) -> Pass {
        let (draft, receipt) = entry.drafted.take().expect("each is signed once");
        let key = &self.of(entry.slot).unwrap().caller.key;
        Pass {
            key: key.to_openssh(LineEnding::LF).unwrap().to_string(),
            certificate: authority.ca().sign(draft, receipt).await.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_refuses_exactly_the_thousands_that_are_revoked() {
    let site = Site::start().await;
    let authority = authority(&site);
    let crowd = Crowd::new(&site).await;
    let mut first = authority.store.size();
    let mut recorded = Vec::new();
    for (name, slots) in sequences() {
        let mut entries = Vec::new();
        for batch in slots.chunks(BATCH) {
            let events = batch.iter().map(|slot| crowd.record(authority, *slot));
            entries.extend(in_order(events).await);
        }
        let serials = (first..).take(slots.len());
        assert!(
            entries.iter().map(|entry| entry.serial).eq(serials),
            "{name}: in order"
        );
        first += slots.len() as u64;
        recorded.push((name, entries));
    }
    let expected: BTreeSet<u64> = recorded
        .iter()
        .flat_map(|(_, entries)| entries)
        .filter(|entry| !matches!(entry.slot, Alice | Gap))
        .map(|entry| entry.serial)
        .collect();
    assert!(expected.len() > longest_run() + 5_000, "{}", expected.len());

    assert_eq!(revoke(&site, &crowd).await, expected);
    let report = site.host.json(&["sync"]).await;
    assert_eq!(report["revoked"], expected.len());
    let krl = Krl::parse(&site.host.read("daypass/revoked.krl")).unwrap();
    let ca = authority.ca().active().to_bytes().unwrap();
    for entry in recorded.iter().flat_map(|(_, entries)| entries) {
        let (serial, slot) = (entry.serial, entry.slot);
        assert_eq!(
            krl.revokes(&ca, serial),
            expected.contains(&serial),
            "{serial} {slot:?}"
        );
    }
    assert_eq!(listed_by_openssh(&site, authority.ca().active()), expected);

    let sshd = Sshd::start(&site.host);
    for (name, entries) in &mut recorded {
        let mut passes: Vec<(Slot, Pass)> = Vec::new();
        for at in boundaries(entries) {
            let slot = entries[at].slot;
            passes.push((slot, crowd.sign(authority, &mut entries[at]).await));
        }
        let judged = judged_by_openssh(&site, &passes);
        for ((slot, pass), is_revoked) in passes.iter().zip(judged) {
            let serial = pass.certificate.serial();
            assert_eq!(is_revoked, *slot != Alice, "{name}: {serial} of {slot:?}");
        }
        // And by logging in: the two sides of a boundary at the sequence's beginning and at its
        // end.
        let neighbours = passes.windows(2).filter(|pair| {
            let serial = |at: usize| pair[at].1.certificate.serial();
            serial(0).abs_diff(serial(1)) <= 2 && (pair[0].0 == Alice) != (pair[1].0 == Alice)
        });
        let neighbours: Vec<_> = neighbours.collect();
        for pair in [neighbours.first(), neighbours.last()]
            .into_iter()
            .flatten()
        {
            for (slot, pass) in *pair {
                let serial = pass.certificate.serial();
                let is_taken = sshd.takes(pass);
                assert_eq!(
                    is_taken,
                    *slot == Alice,
                    "{name}: {serial}: {}",
                    log(&site.host)
                );
            }
        }
    }
}

/// Over gRPC, by name, key and lock. Answers with what that hit.
async fn revoke(site: &Site, crowd: &Crowd) -> BTreeSet<u64> {
    let carol = &site.carol;
    let mut hit = BTreeSet::new();
    let locked = carol.lock(Target::Identity("mallory".into())).await;
    hit.extend(locked.unwrap().serials);
    let dave: &Caller = &crowd.dave.caller;
    let key = dave.key.fingerprint(HashAlg::Sha256).to_string();
    for target in [
        revoke_request::Target::Identity("bob@example.com".into()),
        revoke_request::Target::Key(key),
    ] {
        hit.extend(carol.revoke(target).await.unwrap());
    }
    hit
}

/// Where a revoked pass is next to one that is not, gaps left out; and both ends. A few hundred of
/// them at most.
fn boundaries(entries: &[Entry]) -> Vec<usize> {
    let passes: Vec<usize> = (0..entries.len())
        .filter(|at| entries[*at].slot != Gap)
        .collect();
    let is_kept = |at: usize| entries[at].slot == Alice;
    let mut found: BTreeSet<usize> = passes
        .first()
        .into_iter()
        .chain(passes.last())
        .copied()
        .collect();
    for pair in passes.windows(2) {
        if is_kept(pair[0]) != is_kept(pair[1])
            && (found.len() < 120 || pair[1] + 120 > entries.len())
        {
            found.extend(pair);
        }
    }
    found.into_iter().collect()
}

/// Every serial that OpenSSH reads out of the list on the host.
fn listed_by_openssh(site: &Site, ca: &PublicKey) -> BTreeSet<u64> {
    let output = Command::new("ssh-keygen")
        .args(["-Q", "-l", "-f"])
        .arg(site.host.path("daypass/revoked.krl"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let fingerprint = ca.fingerprint(HashAlg::Sha256).to_string();
    assert!(
        text.contains(&fingerprint),
        "{fingerprint} in {}",
        &text[..200]
    );
    let mut serials = BTreeSet::new();
    for line in text.lines() {
        let Some(serial) = line.strip_prefix("serial: ") else {
            continue;
        };
        let (from, to) = serial.split_once('-').unwrap_or((serial, serial));
        serials.extend(from.parse::<u64>().unwrap()..=to.parse().unwrap());
    }
    serials
}

/// Whether `ssh-keygen -Q` says that each is revoked.
fn judged_by_openssh(site: &Site, passes: &[(Slot, Pass)]) -> Vec<bool> {
    let folder = tempfile::tempdir().unwrap();
    let files = passes.iter().map(|(_, pass)| {
        let path = folder.path().join(pass.certificate.serial().to_string());
        std::fs::write(&path, pass.certificate.to_openssh().unwrap()).unwrap();
        path
    });
    let files: Vec<_> = files.collect();
    let output = Command::new("ssh-keygen")
        .args(["-Q", "-f"])
        .arg(site.host.path("daypass/revoked.krl"))
        .args(&files)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), passes.len(), "{text}");
    let judged = text.lines().zip(&files).map(|(line, file)| {
        assert!(line.starts_with(file.to_str().unwrap()), "{line}");
        match line.rsplit(' ').next() {
            Some("REVOKED") => true,
            Some("ok") => false,
            _ => panic!("{line}"),
        }
    });
    judged.collect()
}

/// Runs these side by side, each begun after the one before it.
async fn in_order<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        for (future, done) in &mut running {
            if done.is_none()
                && let Poll::Ready(value) = Pin::as_mut(future).poll(context)
            {
                *done = Some(value);
            }
        }
        match running.iter().all(|(_, done)| done.is_some()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    running.into_iter().filter_map(|(_, done)| done).collect()
}

fn authority(site: &Site) -> &Authority {
    site.env.authority()
}

fn who(holder: &KeyHolder) -> Actor {
    let identity = holder.identity();
    Actor {
        issuer: identity.issuer().to_owned(),
        subject: identity.subject().to_owned(),
        label: identity.label().to_owned(),
        claims: serde_json::Value::from(identity.claims().clone()).into(),
    }
}

fn settings(url: &str) -> Settings {
    Settings {
        name: "dev".into(),
        url: url.to_owned(),
        client_id: "daypass".into(),
        audiences: vec!["daypass".into()],
        scopes: vec!["openid".into()],
        algorithms: vec![Algorithm::ES256],
        key_without_id: false,
        binding: Binding::Nonce,
        device_flow: false,
        interactive: true,
        ca_certificates: None,
        label: None,
        string_booleans: false,
        sign_in: SignIn::default(),
    }
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}
