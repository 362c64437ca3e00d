//! Certificates that the check accepts, and certificates that it refuses.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use ssh_key::{Algorithm, PrivateKey, certificate::Builder, rand_core::OsRng};

use super::*;
use crate::ssh::options::Extension;
use crate::{
    client::key::Key,
    ledger::event::{Actor, RequestDetails},
};

const NOW: u64 = 2_000;

/// Fields that a CA writes into a certificate.
#[derive(Clone)]
struct Plan {
    kind: CertType,
    serial: u64,
    key_id: &'static str,
    valid: (u64, u64),
    principals: Vec<&'static str>,
    options: Vec<(&'static str, &'static str)>,
    extensions: Vec<&'static str>,
}

/// The pass that an honest server answers with.
fn honest() -> Plan {
    Plan {
        kind: CertType::User,
        serial: 7,
        key_id: "alice@example.com/logs",
        valid: (NOW - BACKDATE.as_secs(), NOW + 600),
        principals: vec!["weblogs@web"],
        options: vec![
            ("force-command", "/usr/bin/uptime"),
            ("source-address", "10.1.0.0/16"),
            ("verify-required", ""),
        ],
        extensions: vec!["permit-pty"],
    }
}

fn ask() -> v1::Ask {
    v1::Ask {
        role: "logs".into(),
        ttl_seconds: 600,
        source_addresses: vec!["10.0.0.0/8".into()],
        extensions: vec!["pty".into()],
        ..v1::Ask::default()
    }
}

struct World {
    key: PublicKey,
    ca: PrivateKey,
}

impl World {
    fn new() -> Self {
        Self {
            key: Key::fresh().unwrap().public(),
            ca: PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap(),
        }
    }

    fn certificate(&self, plan: &Plan, key: &PublicKey, ca: &PrivateKey) -> String {
        let (after, before) = plan.valid;
        let mut builder = Builder::new(vec![7; 32], key, after, before).unwrap();
        builder.cert_type(plan.kind).unwrap();
        builder.serial(plan.serial).unwrap();
        builder.key_id(plan.key_id).unwrap();
        for principal in &plan.principals {
            builder.valid_principal(*principal).unwrap();
        }
        if plan.principals.is_empty() {
            builder.all_principals_valid().unwrap();
        }
        for (name, value) in &plan.options {
            builder.critical_option(*name, *value).unwrap();
        }
        for name in &plan.extensions {
            builder.extension(*name, "").unwrap();
        }
        builder.sign(ca).unwrap().to_openssh().unwrap()
    }

    fn check(&self, text: &str, known: &Known) -> Result<Certificate, String> {
        let expected = Expected {
            ask: &ask(),
            known,
            login: Some("weblogs"),
            key: &self.key,
            trusted: &[self.ca.fingerprint(HashAlg::Sha256)],
            now: NOW,
        };
        expected.check_pass(text, true)
    }

    fn check_plan(&self, plan: &Plan, known: &Known) -> Result<Certificate, String> {
        self.check(&self.certificate(plan, &self.key, &self.ca), known)
    }
}

fn role() -> Known {
    Known::Role(Box::new(v1::Role {
        name: "logs".into(),
        logins: vec!["weblogs".into()],
        command: vec!["/usr/bin/uptime".into()],
        hosts: vec!["web".into()],
        ttl_seconds: 600,
        verify_required: true,
        extensions: vec!["pty".into()],
        source_addresses: vec!["10.1.0.0/16".into()],
        ..v1::Role::default()
    }))
}

fn request(key: &PublicKey) -> Known {
    Known::Request(Box::new(RequestContent {
        who: Actor {
            issuer: "https://id.example.com".into(),
            subject: "alice".into(),
            label: "alice@example.com".into(),
            claims: serde_json::json!({}).into(),
        },
        ask: RequestDetails::default(),
        key: key.fingerprint(HashAlg::Sha256).to_string(),
        needed: 1,
        permissions: Permissions {
            principals: ["weblogs@web".into()].into(),
            force_command: Some("/usr/bin/uptime".into()),
            source_addresses: Some(["10.1.0.0/16".parse().unwrap()].into()),
            extensions: [Extension::Pty].into(),
            verify_required: true,
        },
        ttl_seconds: 600,
        is_review: false,
        through: None,
    }))
}

type Change = fn(&mut Plan);

#[test]
fn an_honest_answer_is_accepted() {
    let world = World::new();
    let narrower: [(&str, Change); 4] = [
        ("as it was asked for", |_| {}),
        ("shorter", |plan| plan.valid.1 -= 300),
        ("by a clock that is ahead", |plan| plan.valid.0 = NOW + SKEW),
        ("from fewer addresses", |plan| {
            plan.options[1].1 = "10.1.2.0/24";
        }),
    ];
    for known in [Known::Nothing, role(), request(&world.key)] {
        for (case, change) in narrower {
            let mut plan = honest();
            change(&mut plan);
            world.check_plan(&plan, &known).expect(case);
        }
    }
}

#[test]
fn a_pass_that_was_not_asked_for_is_refused() {
    let world = World::new();
    let lies: [(&str, &str, Change); 16] = [
        ("a host certificate", "not a user certificate", |plan| {
            plan.kind = CertType::Host;
        }),
        ("no serial", "serial is 0", |plan| plan.serial = 0),
        ("another role", "another role", |plan| {
            plan.key_id = "alice@example.com/root";
        }),
        ("the role in another place", "another role", |plan| {
            plan.key_id = "logs";
        }),
        ("a role that ends the same", "another role", |plan| {
            plan.key_id = "alice/web-logs";
        }),
        ("no principal", "names no principal", |plan| {
            plan.principals.clear();
        }),
        ("not yet valid", "not valid now", |plan| {
            plan.valid.0 = NOW + SKEW + 1;
        }),
        ("expired", "not valid now", |plan| plan.valid = (1_000, NOW)),
        ("a longer life", "longer than was asked for", |plan| {
            plan.valid.1 += 1;
        }),
        (
            "from any address",
            "addresses that were not asked for",
            |plan| {
                plan.options.remove(1);
            },
        ),
        (
            "from more addresses",
            "addresses that were not asked for",
            |plan| {
                plan.options[1].1 = "0.0.0.0/0";
            },
        ),
        (
            "an extension more",
            "extensions that were not asked for",
            |plan| {
                plan.extensions.push("permit-port-forwarding");
            },
        ),
        (
            "an unknown restriction",
            "unknown critical option",
            |plan| {
                plan.options.push(("zz@example.com", ""));
            },
        ),
        (
            "addresses that are names",
            "invalid source addresses",
            |plan| {
                plan.options[1].1 = "example.com";
            },
        ),
        (
            "a restriction without effect",
            "among its extensions",
            |plan| {
                plan.extensions.insert(0, "force-command");
            },
        ),
        ("valid for ever", "longer than was asked for", |plan| {
            plan.valid.1 = i64::MAX as u64;
        }),
    ];
    for (case, fault, change) in lies {
        let mut plan = honest();
        change(&mut plan);
        let refused = world.check_plan(&plan, &Known::Nothing).expect_err(case);
        assert!(refused.contains(fault), "{case}: {refused}");
    }
}

#[test]
fn a_pass_for_another_key_or_by_another_ca_is_refused() {
    let (world, other) = (World::new(), World::new());
    let plan = honest();
    let mut damaged = world.certificate(&plan, &world.key, &world.ca).into_bytes();
    // A byte of the signature, which is last.
    let at = damaged.len() - 8;
    damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
    let lies = [
        (
            "for another key",
            world.certificate(&plan, &other.key, &world.ca),
            "for another key",
        ),
        (
            "by another CA",
            world.certificate(&plan, &world.key, &other.ca),
            "not a CA key of this server",
        ),
        (
            "a forged signature",
            String::from_utf8(damaged).unwrap(),
            "signature does not verify",
        ),
        ("no certificate", "x".to_owned(), "cannot be read"),
        (
            "a bare key",
            world.key.to_openssh().unwrap(),
            "cannot be read",
        ),
    ];
    for (case, text, fault) in lies {
        let refused = world.check(&text, &Known::Nothing).expect_err(case);
        assert!(refused.contains(fault), "{case}: {refused}");
    }
}

#[test]
fn a_pass_that_is_not_the_role_s_or_not_what_was_approved_is_refused() {
    let world = World::new();
    let lies: [(&str, &str, &str, Change); 5] = [
        (
            "another login",
            "a login that the role does not have",
            "more than was approved",
            |plan| plan.principals.push("root@web"),
        ),
        (
            "no force-command",
            "force-command is not the role's",
            "not the one that was approved",
            |plan| {
                plan.options.remove(0);
            },
        ),
        (
            "another force-command",
            "force-command is not the role's",
            "not the one that was approved",
            |plan| plan.options[0].1 = "/bin/sh",
        ),
        (
            "no verify-required",
            "does not demand that the security key verifies its user",
            "more than was approved",
            |plan| {
                plan.options.pop();
            },
        ),
        (
            "other addresses",
            "addresses that the role",
            "more than was approved",
            |plan| plan.options[1].1 = "10.2.0.0/16",
        ),
    ];
    for (case, by_role, by_request, change) in lies {
        let mut plan = honest();
        change(&mut plan);
        for (known, fault) in [(role(), by_role), (request(&world.key), by_request)] {
            let checked = world.check_plan(&plan, &known);
            let refused = checked.expect_err(case);
            assert!(refused.contains(fault), "{case}: {refused}");
        }
    }
}
