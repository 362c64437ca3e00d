//! Invariants 1, 3 and 5 for known hosts: codes join one host each, each certificate has its event,
//! and a removed host has none that counts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use ssh_key::{HashAlg, PublicKey};

use super::{CERTIFIED, Found, JOINED, LINTED, Ledger, REMOVED, UNIQUE, at, host_lists, set, text};
use crate::history::{Expected, HeldPass, HostCall, HostVerb, Operation, Outcome, What};

/// A join code by its hash.
struct Code<'a> {
    host: &'a str,
    until: u64,
    joined: Option<u64>,
    is_void: bool,
}

/// A host that was added, and perhaps joined.
#[derive(Default)]
struct Host {
    aliases: BTreeSet<String>,
    /// Fingerprints; none before it joined.
    keys: BTreeSet<String>,
    is_behind: bool,
}

/// The hosts at a place of the ledger.
#[derive(Default)]
pub(super) struct Hosts<'a> {
    codes: BTreeMap<&'a str, Code<'a>>,
    known: BTreeMap<&'a str, Host>,
    /// Host and key of each certificate that users accept.
    out: BTreeMap<u64, (&'a str, &'a str)>,
    /// Certificates that users refuse.
    pub(super) revoked: BTreeSet<u64>,
}

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Found) {
    let mut hosts = Hosts::default();
    let mut signed: BTreeMap<&str, u64> = BTreeMap::new();
    for (index, event) in (0..).zip(&ledger.evidence.events) {
        if let Err((invariant, why)) = hosts.apply(index, event) {
            found.add(invariant, format!("event {index}: {why}"));
        }
        if text(event, "type") == "host_certified"
            && let Some(other) = signed.insert(text(event, "to_be_signed"), index)
        {
            found.add(
                CERTIFIED,
                format!("events {other} and {index} are of one certificate"),
            );
        }
    }
    held(ledger, found);
    answers(ledger, found);
    host_lists::check(ledger, &hosts.revoked, found);
}

type Wrong = Result<(), (&'static str, String)>;

impl<'a> Hosts<'a> {
    fn apply(&mut self, index: u64, event: &'a Value) -> Wrong {
        let name = text(event, "host");
        match text(event, "type") {
            "host_added" => self.add(name, event),
            "host_joined" => self.join(index, name, event),
            "host_certified" => self.certify(index, name, event),
            "host_removed" => {
                for code in self.codes.values_mut().filter(|it| it.host == name) {
                    code.is_void = true;
                }
                self.known.remove(name);
                self.revoke(|(host, _)| host == name);
                Ok(())
            }
            "signing_failed" => {
                let serial = event["serial"].as_u64().unwrap_or_default();
                if self.out.remove(&serial).is_some() {
                    self.revoked.insert(serial);
                }
                Ok(())
            }
            kind @ ("host_behind" | "host_current") => {
                let is_behind = kind == "host_behind";
                match self.known.get_mut(name) {
                    Some(host) if !host.keys.is_empty() && host.is_behind != is_behind => {
                        host.is_behind = is_behind;
                        Ok(())
                    }
                    _ => Err((JOINED, format!("{kind} does not follow for host {name}"))),
                }
            }
            _ => Ok(()),
        }
    }

    fn revoke(&mut self, is_it: impl Fn((&str, &str)) -> bool) {
        let gone = self.out.iter().filter(|(_, it)| is_it(**it));
        let gone: Vec<u64> = gone.map(|(serial, _)| *serial).collect();
        for serial in gone {
            self.out.remove(&serial);
            self.revoked.insert(serial);
        }
    }

    fn add(&mut self, name: &'a str, event: &'a Value) -> Wrong {
        let open = self.codes.values_mut();
        for code in open.filter(|it| it.host == name && it.joined.is_none()) {
            code.is_void = true;
        }
        let code = Code {
            host: name,
            until: event["expires_at"].as_u64().unwrap_or_default(),
            joined: None,
            is_void: false,
        };
        if self.codes.insert(text(event, "code"), code).is_some() {
            return Err((JOINED, "its code is not new".to_owned()));
        }
        let has_joined = self.known.get(name).is_some_and(|it| !it.keys.is_empty());
        if has_joined != (event["rekey"] == true) {
            return Err((JOINED, format!("host {name} joined before: {has_joined}")));
        }
        if has_joined {
            return Ok(());
        }
        let aliases = set(&event["aliases"]);
        let mut names = aliases.iter().map(String::as_str).chain([name]);
        let taken = names.find_map(|it| self.called(it).filter(|other| *other != name));
        self.known.entry(name).or_default().aliases = aliases.clone();
        match taken {
            Some(other) => Err((JOINED, format!("{name} has a name of host {other}"))),
            None => Ok(()),
        }
    }

    /// The host with this name or alias.
    fn called(&self, name: &str) -> Option<&'a str> {
        let mut known = self.known.iter();
        let found = known.find(|(other, host)| **other == name || host.aliases.contains(name));
        found.map(|(other, _)| *other)
    }

    fn join(&mut self, index: u64, name: &'a str, event: &'a Value) -> Wrong {
        let wrong = |what: String| Err((JOINED, what));
        let keys = event["keys"].as_array().into_iter().flatten();
        let keys: BTreeSet<String> = keys.map(|it| fingerprint(text(it, "key"))).collect();
        let other = self.known.iter().find(|(other, host)| {
            **other != name && host.keys.iter().any(|key| keys.contains(key))
        });
        let other = other.map(|(other, _)| *other);
        let host = self.known.entry(name).or_default();
        (host.keys, host.is_behind) = (keys.clone(), false);
        let has_alias = set(&event["aliases"]) == host.aliases;
        self.revoke(|(host, key)| host == name && !keys.contains(key));
        if let Some(other) = other {
            return wrong(format!("host {name} has a key of host {other}"));
        }
        match self.codes.get_mut(text(event, "digest")) {
            None => wrong(format!("host {name} joins without a code")),
            Some(code) if code.host != name || !has_alias => {
                wrong(format!("{name} joins by the code of {}", code.host))
            }
            Some(code) if code.is_void => wrong(format!("{name} joins by a code that is void")),
            Some(code) if code.until <= at(event) => {
                wrong(format!("{name} joins by a code that has expired"))
            }
            Some(code) => match code.joined.replace(index) {
                Some(before) => wrong(format!("the code of event {before} joins {name} again")),
                None => Ok(()),
            },
        }
    }

    fn certify(&mut self, index: u64, name: &'a str, event: &'a Value) -> Wrong {
        let key = text(event, "key");
        let Some(host) = self.known.get(name).filter(|it| !it.keys.is_empty()) else {
            return Err((REMOVED, format!("host {name} is not known")));
        };
        let mut names = host.aliases.clone();
        names.insert(name.to_owned());
        let is_its = host.keys.contains(key) && set(&event["principals"]) == names;
        self.out.insert(index, (name, key));
        match is_its && text(event, "key_id") == format!("host/{name}") {
            true => Ok(()),
            false => Err((JOINED, format!("host {name} has other names or keys"))),
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

fn calls<'a>(ledger: &Ledger<'a>) -> impl Iterator<Item = (&'a Operation, &'a HostCall)> {
    let operations = ledger.evidence.operations.iter();
    operations.filter_map(|operation| match &operation.what {
        What::Host(call) => Some((operation, call)),
        _ => None,
    })
}

/// Each certificate that a host holds is exactly what its event says.
fn held(ledger: &Ledger<'_>, found: &mut Found) {
    let mut seen: BTreeMap<u64, &str> = BTreeMap::new();
    for (operation, call) in calls(ledger) {
        let Outcome::Certified(certificates) = &operation.outcome else {
            continue;
        };
        for held in certificates {
            let (serial, name) = (held.serial, &call.name);
            let mut wrong = |invariant: &str, what: &str| {
                found.add(invariant, format!("certificate {serial} of {name}: {what}"));
            };
            if seen.insert(serial, &held.signed).is_some() {
                wrong(UNIQUE, "it was given out twice");
            }
            for flaw in &held.flaws {
                wrong(LINTED, flaw);
            }
            if !call.keys.contains(&held.key) {
                wrong(JOINED, "it is for a key that the host did not show");
            }
            if let Some(what) = difference(held, ledger.event(serial), name) {
                wrong(CERTIFIED, what);
            }
        }
    }
}

fn difference(held: &HeldPass, event: &Value, name: &str) -> Option<&'static str> {
    let is_signed = held.is_signed_by_ca && text(event, "ca") == held.ca;
    [
        ("it has no event", text(event, "type") == "host_certified"),
        ("its event is of another host", text(event, "host") == name),
        (
            "other bytes were signed",
            text(event, "to_be_signed") == held.signed,
        ),
        ("it is not signed by the CA", is_signed),
        ("its event has another key", text(event, "key") == held.key),
        (
            "its event has another key id",
            text(event, "key_id") == held.key_id,
        ),
        (
            "its event has other names",
            set(&event["principals"]) == held.principals,
        ),
        (
            "its event has another validity",
            event["valid_after"] == held.valid_after && event["valid_before"] == held.valid_before,
        ),
    ]
    .into_iter()
    .find_map(|(what, is_same)| (!is_same).then_some(what))
}

/// What no host may be answered.
fn answers(ledger: &Ledger<'_>, found: &mut Found) {
    let mut joined: BTreeMap<&str, &BTreeSet<String>> = BTreeMap::new();
    for (operation, call) in calls(ledger) {
        let Outcome::Certified(certificates) = &operation.outcome else {
            continue;
        };
        if call.expected != Expected::Anything {
            found.add(
                JOINED,
                format!("{:?} of {} was answered", call.verb, call.name),
            );
        }
        if call.verb == HostVerb::Join
            && *joined.entry(&call.code).or_insert(&call.keys) != &call.keys
        {
            found.add(
                JOINED,
                format!("a code of {} joins two machines", call.name),
            );
        }
        let removals = calls(ledger).filter(|(removal, of)| {
            of.verb == HostVerb::Remove && of.name == call.name && removal.ended < operation.begun
        });
        for (removal, _) in removals {
            if let Outcome::Ordered {
                index: Some(index), ..
            } = removal.outcome
                && certificates.iter().any(|it| it.serial < index)
            {
                found.add(
                    REMOVED,
                    format!("{} got a certificate after its removal {index}", call.name),
                );
            }
        }
    }
}
