//! An administrator's order that hands a ledger over, given to its store.

use daypass::{
    ledger::{
        EventKind,
        checkpoint::{Signer, Verifier},
        event::Actor,
        handover::Handover,
        keyring::Keyring,
        order::{AdminOrder, Proof, Target, Verb},
    },
    store::{Error, Store},
};
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use time::OffsetDateTime;

use super::{files, server::ServerFiles};

/// The verifier key of a signer.
pub fn verifier_of(signer: &Signer, other: &Signer) -> Verifier {
    Handover::sign(other, signer, 0).unwrap().new
}

/// Hands the ledger of `server` over to the key `new`, by the first order of its kind.
pub async fn hand_over(
    store: &Store,
    server: &str,
    new: &Verifier,
    now: OffsetDateTime,
) -> Result<u64, Error> {
    let (issuer, subject, token) = ("https://id.example.com", "carol", [7; 32]);
    let target = Target::LedgerKey(new.to_string());
    let message = AdminOrder {
        server,
        issuer,
        subject,
        token: &token,
        verb: Verb::ChangeLedgerKey,
        target: &target,
        reason: "",
        after: 0,
    }
    .message();
    let key = files::new_key();
    let signature = key.sign("daypass-admin@v1", HashAlg::Sha512, &message);
    let armored = signature.unwrap().to_pem(LineEnding::LF).unwrap();
    let public = key.public_key().to_openssh().unwrap();
    let who = Actor {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        label: "carol@example.com".to_owned(),
        claims: serde_json::json!({}).into(),
    };
    let proof = Proof::new(public, &armored, &token, 0);
    store.hand_over(new.clone(), (who, None, proof), now).await
}

/// Gives a daemon that does not run a `next_key`, and hands its ledger over to it.
pub async fn hand_over_files(files: &ServerFiles) {
    files::write_key(&files.path("ledger_key_2"), &files::new_key());
    let (from, to) = (
        "key = \"ledger_key\"",
        "key = \"ledger_key\"\nnext_key = \"ledger_key_2\"",
    );
    files::edit(&files.configuration(), from, to);
    let signer = |name: &str| {
        let key = PrivateKey::read_openssh_file(&files.path(name)).unwrap();
        let seed = key.key_data().ed25519().unwrap().private.to_bytes();
        Signer::new("localhost/ledger", &seed).unwrap()
    };
    let new = verifier_of(&signer("ledger_key_2"), &signer("ledger_key"));
    let keys = Keyring::new(signer("ledger_key"), Some(signer("ledger_key_2"))).unwrap();
    let now = OffsetDateTime::now_utc();
    let started = EventKind::started("0.1.0", "localhost");
    let store = Store::open(&files.path("state"), keys, started, now)
        .await
        .unwrap();
    hand_over(&store, "localhost", &new, now).await.unwrap();
    store.close().await;
}

/// Takes the old key out of the configuration again.
pub fn take_old_key_out(files: &ServerFiles) {
    files::edit(
        &files.configuration(),
        "key = \"ledger_key\"\nnext_key",
        "key",
    );
}
