//! Invariant 3 for passes without a token: two registered people's keys signed the ask, over a
//! challenge that no other pass was issued for.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use ssh_encoding::Decode;
use ssh_key::{PublicKey, SshSig};

use super::{Found, Ledger, PROVEN, subject, text};
use crate::policies::{REGISTERED, registered_key};

/// The role that only registered keys get, and how many people it needs.
const ROLE: &str = "down";
const PEOPLE: usize = 2;

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Found) {
    let mut answered: BTreeMap<&str, u64> = BTreeMap::new();
    for (index, event) in &ledger.issued {
        let is_registered = text(event, "binding") == "emergency";
        if is_registered != (text(&event["ask"], "role") == ROLE) {
            found.add(
                PROVEN,
                format!(
                    "event {index} is of role {} with the binding {:?}",
                    event["ask"]["role"],
                    text(event, "binding")
                ),
            );
        }
        if !is_registered {
            continue;
        }
        let proof = &event["emergency_proof"];
        let challenge = text(proof, "challenge");
        if let Some(other) = answered.insert(challenge, *index) {
            found.add(
                PROVEN,
                format!("events {other} and {index} are of one challenge"),
            );
        }
        let people = signers(proof);
        if people.len() < PEOPLE || !people.contains(subject(event)) {
            found.add(
                PROVEN,
                format!(
                    "event {index} for {} is signed by {people:?}",
                    subject(event)
                ),
            );
        }
    }
}

/// The registered people whose signatures verify.
fn signers(proof: &Value) -> BTreeSet<&str> {
    let message = STANDARD.decode(text(proof, "message")).unwrap_or_default();
    let signatures = proof["signatures"].as_array().into_iter().flatten();
    let is_good = |one: &&Value| {
        let who = text(&one["who"], "subject");
        let place = REGISTERED.iter().position(|name| *name == who);
        let key = PublicKey::from_openssh(text(one, "key")).ok();
        let signature = STANDARD.decode(text(one, "signature")).unwrap_or_default();
        let signature = SshSig::decode(&mut signature.as_slice()).ok();
        match (place, key, signature) {
            (Some(place), Some(key), Some(signature)) => {
                key.key_data() == registered_key(place).public_key().key_data()
                    && key
                        .verify("daypass-emergency@v1", &message, &signature)
                        .is_ok()
            }
            _ => false,
        }
    };
    let good = signatures.filter(is_good);
    good.map(|one| text(&one["who"], "subject")).collect()
}
