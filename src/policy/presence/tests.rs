//! Loading of registered keys, and which approvals they count for.
#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::{Map, json};
use ssh_key::{
    Algorithm, EcdsaCurve, PrivateKey, PublicKey,
    public::{EcdsaPublicKey, KeyData, SkEcdsaSha2NistP256, SkEd25519},
    rand_core::OsRng,
};

use crate::policy::{Ask, AuthMethod, Person, Policy};

const ISSUER: &str = "https://id.example.com";

fn line(data: KeyData) -> String {
    PublicKey::from(data).to_openssh().unwrap()
}

fn security_key() -> String {
    let pair = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    let point = *pair.public_key().key_data().ed25519().unwrap();
    line(KeyData::SkEd25519(SkEd25519::new(point, "ssh:")))
}

fn passkey_without_id() -> String {
    let algorithm = Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    };
    let pair = PrivateKey::random(&mut OsRng, algorithm).unwrap();
    let Some(EcdsaPublicKey::NistP256(point)) = pair.public_key().key_data().ecdsa() else {
        unreachable!("it was made so")
    };
    line(KeyData::SkEcdsaSha2NistP256(SkEcdsaSha2NistP256::new(
        *point,
        "ca.example.com",
    )))
}

fn passkey() -> String {
    format!("{} passkey:{} phone", passkey_without_id(), "A".repeat(43))
}

fn person(subject: &str, keys: &[&str]) -> String {
    format!(
        "[[presence_identity]]\nissuer = \"{ISSUER}\"\nsubject = \"{subject}\"\nkeys = {keys:?}\n"
    )
}

const ROLES: &str = r#"
[[role]]
name = "prod"
allow = "true"
principals = ["root"]
approval = { count = 1, by = '"lead" in claims.groups', within = "30m", presence = true }
[[role]]
name = "test"
allow = "true"
principals = ["root"]
approval = { count = 1, by = '"lead" in claims.groups', within = "30m" }
"#;

fn policy(more: &str) -> Result<Policy, String> {
    Policy::parse(&format!("{ROLES}{more}"), "policy.toml").map_err(|error| error.to_string())
}

fn ask(role: &str) -> Ask {
    Ask {
        role: role.to_owned(),
        ..Ask::default()
    }
}

fn claims(group: &str) -> Map<String, serde_json::Value> {
    [("groups".to_owned(), json!([group]))]
        .into_iter()
        .collect()
}

#[test]
fn an_approval_counts_with_a_key_of_the_approver_if_the_role_demands_it() {
    let (carols, daves) = (security_key(), passkey());
    let keys = [person("carol", &[&carols]), person("dave", &[&daves])];
    let policy = policy(&keys.concat()).unwrap();
    let lead = claims("lead");
    let who = |subject| Person {
        issuer: ISSUER,
        subject,
        claims: &lead,
        auth_method: AuthMethod::Token,
    };
    for (case, subject, role, key, counts) in [
        ("her key", "carol", "prod", Some(&carols), true),
        ("his passkey", "dave", "prod", Some(&daves), true),
        ("another's key", "carol", "prod", Some(&daves), false),
        ("no key", "carol", "prod", None, false),
        (
            "a person without keys",
            "erin",
            "prod",
            Some(&carols),
            false,
        ),
        ("a role that demands none", "carol", "test", None, true),
        ("no role", "carol", "none", Some(&carols), false),
    ] {
        let counted = policy.counts(who(subject), &ask(role), key.map(String::as_str));
        assert_eq!(counted, counts, "{case}");
    }
    let other_issuer = Person {
        issuer: "https://other.example.com",
        ..who("carol")
    };
    assert!(!policy.counts(other_issuer, &ask("prod"), Some(&carols)));
    let none = claims("none");
    let no_lead = Person {
        claims: &none,
        ..who("carol")
    };
    assert!(!policy.counts(no_lead, &ask("prod"), Some(&carols)));
}

#[test]
fn a_refusal_says_what_to_do() {
    let policy = policy(&person("carol", &[&security_key()])).unwrap();
    let lead = claims("lead");
    let told = |subject, key: Option<String>| {
        let who = Person {
            issuer: ISSUER,
            subject,
            claims: &lead,
            auth_method: AuthMethod::Token,
        };
        let key = key.map(|key| PublicKey::from_openssh(&key).unwrap());
        let denial = policy.expect_presence(who, &ask("prod"), key.as_ref());
        let denial = denial.unwrap_err();
        assert_eq!(denial.reason.code(), "PRESENCE_REQUIRED");
        denial.detail
    };
    for (subject, key, expected) in [
        ("carol", None, "--security-key"),
        ("carol", Some(security_key()), "is not registered for you"),
        ("dave", None, "/web/passkey"),
    ] {
        let detail = told(subject, key);
        assert!(detail.contains(expected), "{detail}");
    }
}

#[test]
fn a_fault_in_the_tables_is_told_with_its_line() {
    let (one, plain) = (security_key(), passkey_without_id());
    let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    let many = [(); 9].map(|()| security_key());
    for (case, tables, expected) in [
        ("no key at all", String::new(), ":6: no key is registered"),
        ("no keys", person("carol", &[]), ":15: write 1 to 8"),
        (
            "nine keys",
            person("carol", &many.each_ref().map(String::as_str)),
            "write 1 to 8",
        ),
        (
            "a key in a file",
            person("carol", &[ssh]),
            "not a key that shows presence",
        ),
        (
            "a passkey without its id",
            person("carol", &[&plain]),
            "goes on with passkey:",
        ),
        (
            "a short id",
            person("carol", &[&format!("{plain} passkey:AAAA")]),
            "goes on with passkey:",
        ),
        (
            "a key of two people",
            format!(
                "{}{}",
                person("carol", &[&one]),
                person("dave", &[&format!("{one} comment")])
            ),
            "already registered",
        ),
        (
            "two tables of a person",
            format!(
                "{}{}",
                person("carol", &[&one]),
                person("carol", &[&security_key()])
            ),
            "has a table already",
        ),
        (
            "no subject",
            person("", &[&security_key()]),
            "`subject` is one line",
        ),
    ] {
        let Err(error) = policy(&tables) else {
            unreachable!("{case} loads")
        };
        assert!(error.contains(expected), "{case}: {error}");
    }
    let unknown = policy(&person("carol", &[&security_key()])).unwrap();
    assert!(
        unknown
            .expect_issuers(&["https://other.example.com"])
            .is_err()
    );
    assert!(unknown.expect_issuers(&[ISSUER]).is_ok());
}
