//! Invariants 2 and 3 for passes on behalf of a user: the user consented to one pass for this
//! bastion, and it works from the bastion's address alone.

use std::collections::BTreeMap;

use serde_json::json;
use ssh_key::{HashAlg, PublicKey};

use super::{Found, Ledger, PROVEN, WITHIN, subject, tag, text};
use crate::history::{Asked, Outcome, What};

/// The role that bastions get for their users.
const ROLE: &str = "via";

/// The address of every caller of a run.
const ADDRESS: &str = "127.0.0.1/32";

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Found) {
    let mut asked: BTreeMap<&str, &Asked> = BTreeMap::new();
    for operation in &ledger.evidence.operations {
        if let What::Ask(ask) = &operation.what {
            asked.insert(&ask.tag, ask);
            if let Outcome::Pass(pass) = &operation.outcome {
                let is_pinned = pass.sources.as_deref() == Some(ADDRESS);
                if is_pinned != ask.by.is_some() {
                    found.add(
                        WITHIN,
                        format!("pass {} works from {:?}", pass.serial, pass.sources),
                    );
                }
            }
        }
    }
    let mut consents: BTreeMap<&str, u64> = BTreeMap::new();
    for (index, event) in &ledger.issued {
        let by = asked.get(tag(event)).and_then(|ask| ask.by.as_ref());
        let proof = &event["on_behalf"];
        if by.is_some() == proof.is_null() || by.is_some() != (text(&event["ask"], "role") == ROLE)
        {
            let what = format!("event {index}: {} consented to {by:?}", subject(event));
            found.add(PROVEN, what);
            continue;
        }
        let Some(by) = by else {
            continue;
        };
        if text(&proof["by"], "subject") != by.by || fingerprint(text(proof, "key")) != by.key {
            found.add(
                PROVEN,
                format!("event {index} is by another bastion or consent than {by:?}"),
            );
        }
        if let Some(other) = consents.insert(text(proof, "signature"), *index) {
            found.add(
                PROVEN,
                format!("events {other} and {index} are of one consent"),
            );
        }
        let name = |subject: &str| format!("{subject}@example.com");
        let key_id = format!("{}~via~{}/{ROLE}", name(subject(event)), name(&by.by));
        if text(event, "key_id") != key_id {
            found.add(
                PROVEN,
                format!("event {index} has the key id {}", event["key_id"]),
            );
        }
        if event["source_addresses"] != json!([ADDRESS]) {
            found.add(
                WITHIN,
                format!("event {index} works from {}", event["source_addresses"]),
            );
        }
    }
}

fn fingerprint(text: &str) -> String {
    let key = PublicKey::from_openssh(text);
    key.map_or_else(
        |_| text.to_owned(),
        |key| key.fingerprint(HashAlg::Sha256).to_string(),
    )
}
