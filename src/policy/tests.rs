//! Loading and deciding over one example policy, with one difference per case.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod bastions;
mod deciding;
mod faults;
mod loading;
mod personal;
mod reasoning;
mod refusing;
mod timing;
mod values;

use std::{collections::BTreeSet, time::Duration};

use ipnet::IpNet;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::*;
use crate::ssh::options::Extension;

/// A policy that uses most features.
const EXAMPLE: &str = r#"
[limits]
ttl = "2h"
principals = ["alice", "bob", "deploy", "weblogs", "root"]

[hosts]
web = ["web-*", "www.example.com"]
db = ["db-?"]

[audit]
allow = '"security" in claims.groups'

[[role]]
name = "shell"
about = "A shell of one's own"
allow = '"sre" in claims.groups'
principals = ["{claims.login}"]
pty = true
extensions = ["port-forwarding"]
ttl = "8h"

[[role]]
name = "logs"
allow = '"oncall" in claims.groups || "sre" in claims.groups'
hosts = ["web", "db"]
principals = ["weblogs"]
command = ["/usr/bin/journalctl", "--follow", "--unit", "{unit}"]
params.unit = { pattern = "[a-z][a-z0-9@._-]{0,63}" }
source = "caller"
ttl = "30m"

[[role]]
name = "repair"
allow = '"sre" in claims.groups && claims.level >= 3'
principals = ["root", "deploy"]
reason = '(INC|CHG)-[0-9]+'
source = ["10.0.0.0/8", "2001:db8::/32"]
ttl = "15m"

[[role]]
name = "team"
allow = 'true'
principals = ["{claims.logins}"]
ttl = "10m"
"#;

fn parse(text: &str) -> Result<Policy, String> {
    Policy::parse(text, "policy.toml").map_err(|error| error.to_string())
}

fn example() -> Policy {
    parse(EXAMPLE).unwrap()
}

/// An on-call engineer.
fn alice() -> Value {
    json!({ "login": "alice", "logins": ["alice"], "groups": ["sre", "oncall"], "level": 3 })
}

fn context() -> Context {
    Context {
        now: OffsetDateTime::UNIX_EPOCH,
        caller: "192.0.2.7".parse().ok(),
    }
}

fn person(claims: &Value) -> Person<'_> {
    Person {
        issuer: "https://id.example.com",
        subject: "alice-1",
        claims: claims.as_object().unwrap(),
        auth_method: AuthMethod::Token,
    }
}

fn ask(role: &str) -> Ask {
    Ask {
        role: role.to_owned(),
        ..Ask::default()
    }
}

/// An ask for `logs` of nginx.
fn logs() -> Ask {
    with_unit("nginx")
}

fn with_unit(unit: &str) -> Ask {
    Ask {
        params: [("unit".to_owned(), unit.to_owned())].into(),
        ..ask("logs")
    }
}

fn principals(grant: &Grant) -> Vec<&str> {
    grant.principals().iter().map(String::as_str).collect()
}

/// The smallest role, with `extra` keys.
fn role(extra: &str) -> String {
    format!("[[role]]\nname = \"r\"\nallow = 'true'\nprincipals = [\"alice\"]\n{extra}")
}

/// Checks that each text is refused at its line, in one line that holds the fragment.
fn refused(cases: Vec<(&str, String, usize, &str)>) {
    let wrong = cases
        .into_iter()
        .filter_map(|(case, text, line, fragment)| {
            let error = parse(&text).err().unwrap_or_default();
            let place = format!("policy.toml:{line}: ");
            let fits =
                error.starts_with(&place) && error.contains(fragment) && !error.contains('\n');
            (!fits).then(|| format!("{case}: {error:?}"))
        });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn decide(claims: &Value, ask: &Ask) -> Result<Grant, Denial> {
    example().judge(person(claims), ask, context())
}

fn change(mut ask: Ask, change: impl FnOnce(&mut Ask)) -> Ask {
    change(&mut ask);
    ask
}
