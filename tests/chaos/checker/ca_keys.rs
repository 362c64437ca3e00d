//! Invariant 7 for the CA's keys: at each place of the ledger one key is active and signs, no
//! other.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;
use ssh_key::{HashAlg, PublicKey};

use super::{ACTIVE, Found, Ledger, at, text};
use crate::history::{CaKeyCall, HostVerb, Operation, Outcome, What};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Staged,
    Active,
    Retiring,
    Retired,
}

struct Keys {
    states: BTreeMap<String, State>,
    is_ordered: bool,
    /// Passes that were issued, with their keys and the seconds at which they end.
    passes: BTreeMap<u64, (String, u64)>,
}

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Found) {
    let mut keys = Keys {
        states: [(ledger.evidence.first_ca.clone(), State::Active)].into(),
        is_ordered: false,
        passes: BTreeMap::new(),
    };
    for (index, event) in (0..).zip(&ledger.evidence.events) {
        match text(event, "type") {
            "issued" => keys.issue(index, event, found),
            "ca_key_ordered" => {
                if let Err(why) = keys.order(event) {
                    found.add(ACTIVE, format!("event {index}: {why}"));
                }
            }
            "key_activated" if keys.is_ordered || keys.active() != Some(text(event, "key")) => {
                let why = "a configuration activates a key";
                found.add(ACTIVE, format!("event {index}: {why}"));
            }
            _ => {}
        }
        let revoked = event["serials"].as_array().into_iter().flatten();
        for serial in revoked.filter_map(Value::as_u64) {
            keys.passes.remove(&serial);
        }
    }
    patience(ledger, found);
}

impl Keys {
    fn active(&self) -> Option<&str> {
        let mut all = self.states.iter();
        let active = all.find(|(_, state)| **state == State::Active);
        active.map(|(key, _)| key.as_str())
    }

    fn issue(&mut self, index: u64, event: &Value, found: &mut Found) {
        let ca = text(event, "ca");
        if self.active() != Some(ca) {
            found.add(
                ACTIVE,
                format!(
                    "event {index} is signed by {ca}, which is {:?}; {:?} is active",
                    self.states.get(ca),
                    self.active()
                ),
            );
        }
        let until = event["valid_before"].as_u64().unwrap_or_default();
        self.passes.insert(index, (ca.to_owned(), until));
    }

    /// Takes an order in. Returns what is wrong with it.
    fn order(&mut self, event: &Value) -> Result<(), String> {
        let from = event["from"].as_array().into_iter().flatten();
        let from: BTreeMap<String, State> = from
            .map(|it| (fingerprint(it), state(text(it, "state"))))
            .collect();
        if !self.is_ordered {
            let active = self.active().map(str::to_owned);
            self.states = from;
            let count = self
                .states
                .values()
                .filter(|it| **it == State::Active)
                .count();
            if count != 1 || self.active().map(str::to_owned) != active {
                return Err(format!("{count} keys were active before the first order"));
            }
        } else if !from.is_empty() {
            return Err("a later order names the keys before it".to_owned());
        }
        self.is_ordered = true;
        let key = fingerprint(event);
        let was = self.states.get(&key).copied();
        let (step, anyway) = (text(event, "step"), event["anyway"] == true);
        let next = match (step, was) {
            ("stage", None) => State::Staged,
            ("activate", Some(State::Staged | State::Retiring)) => State::Active,
            ("retire", Some(State::Staged | State::Retiring)) => State::Retired,
            _ => return Err(format!("it is to {step} a key that is {was:?}")),
        };
        if next == State::Active
            && let Some(active) = self.active().map(str::to_owned)
        {
            self.states.insert(active, State::Retiring);
        }
        self.states.insert(key.clone(), next);
        let is_out = |(ca, until): &(String, u64)| *ca == key && *until > at(event);
        match next == State::Retired && !anyway && self.passes.values().any(is_out) {
            true => Err(format!("{key} retires while a pass of it is valid")),
            false => Ok(()),
        }
    }
}

fn fingerprint(of: &Value) -> String {
    let key = PublicKey::from_openssh(text(of, "key"));
    key.map_or_else(
        |_| text(of, "key").to_owned(),
        |key| key.fingerprint(HashAlg::Sha256).to_string(),
    )
}

fn state(text: &str) -> State {
    match text {
        "staged" => State::Staged,
        "active" => State::Active,
        "retiring" => State::Retiring,
        _ => State::Retired,
    }
}

/// An activation that waits for hosts: each one that had joined had reported the key.
fn patience(ledger: &Ledger<'_>, found: &mut Found) {
    let operations = &ledger.evidence.operations;
    for operation in operations {
        if let What::CaKey(call) = &operation.what
            && let Outcome::Ordered {
                index: Some(index), ..
            } = operation.outcome
            && call.step == "activate"
            && !call.anyway
        {
            for host in joined(ledger, index) {
                if host.known_since(operations, operation.begun)
                    && !host.has_reported(operations, call, operation.ended)
                {
                    found.add(
                        ACTIVE,
                        format!("event {index} did not wait for host {}", host.name),
                    );
                }
            }
        }
    }
}

struct Host<'a> {
    name: &'a str,
    keys: BTreeSet<String>,
    code: &'a str,
}

/// The hosts that had joined at this place of the ledger.
fn joined<'a>(ledger: &Ledger<'a>, index: u64) -> Vec<Host<'a>> {
    let mut hosts: BTreeMap<&str, Host<'_>> = BTreeMap::new();
    for event in ledger.evidence.events.iter().take(index as usize) {
        let name = text(event, "host");
        match text(event, "type") {
            "host_joined" => {
                let keys = event["keys"].as_array().into_iter().flatten();
                let host = Host {
                    name,
                    keys: keys.map(fingerprint).collect(),
                    code: text(event, "digest"),
                };
                hosts.insert(name, host);
            }
            "host_removed" => drop(hosts.remove(name)),
            _ => {}
        }
    }
    hosts.into_values().collect()
}

impl Host<'_> {
    /// Whether its join was acknowledged before: another one may be recorded at the same time.
    fn known_since(&self, operations: &[Operation], begun: Duration) -> bool {
        operations.iter().any(|it| {
            let is_it = matches!(&it.what, What::Host(call) if call.code == self.code && call.keys == self.keys);
            is_it && it.ended < begun && matches!(it.outcome, Outcome::Certified(_))
        })
    }

    fn has_reported(&self, operations: &[Operation], order: &CaKeyCall, ended: Duration) -> bool {
        operations.iter().any(|it| match &it.what {
            What::Host(call) if call.verb == HostVerb::Sync => {
                call.name == self.name
                    && call.keys == self.keys
                    && call.trusted.contains(&order.key)
                    && it.begun < ended
            }
            _ => false,
        })
    }
}
