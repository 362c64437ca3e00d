//! Sign-ins against demands.
#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use super::*;
use crate::policy::AuthMethod;

fn require(text: &str) -> Result<Require, String> {
    let raw: file::Require = toml::from_str(text).map_err(|error| error.to_string())?;
    Require::load(&raw)
}

fn check(text: &str, claims: &Value) -> Result<(), Denial> {
    check_by(AuthMethod::Token, text, claims)
}

fn check_by(auth_method: AuthMethod, text: &str, claims: &Value) -> Result<(), Denial> {
    let person = Person {
        issuer: "https://id.example.com",
        subject: "alice",
        claims: claims.as_object().unwrap(),
        auth_method,
    };
    let now = OffsetDateTime::from_unix_timestamp(10_000).unwrap();
    require(text).unwrap().check("prod", person, now)
}

const ALL: &str = "auth_age = '15m'\namr = ['hwk', 'pin']\nacr = ['phrh', 'phr']";

#[test]
fn a_sign_in_meets_all_of_a_demand_or_is_told_what_would() {
    let good = json!({"auth_time": 9_100, "amr": ["pin", "hwk", "x"], "acr": "phr"});
    let change = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims
            .as_object_mut()
            .unwrap()
            .insert(name.to_owned(), value);
        claims
    };
    for (case, claims, unmet) in [
        ("to the second", good.clone(), ""),
        (
            "a clock that is ahead",
            change("auth_time", json!(10_020)),
            "",
        ),
        (
            "a second too old",
            change("auth_time", json!(9_099)),
            "auth_age",
        ),
        ("no time", change("auth_time", Value::Null), "auth_age"),
        (
            "a time as text",
            change("auth_time", json!("9999")),
            "auth_age",
        ),
        ("one method of two", change("amr", json!(["hwk"])), "amr"),
        ("a method as text", change("amr", json!("hwk pin")), "amr"),
        ("another level", change("acr", json!("pwd")), "acr"),
        ("a list of levels", change("acr", json!(["phr"])), "acr"),
        ("nothing at all", json!({}), "auth_age amr acr"),
    ] {
        let got = check(ALL, &claims).err();
        let metadata = got.map(|denial| {
            assert_eq!(denial.reason, Reason::StepUp, "{case}");
            denial.metadata
        });
        if unmet.is_empty() {
            assert_eq!(metadata, None, "{case}");
            continue;
        }
        let expected = [
            ("max_age", "900"),
            ("amr", "hwk pin"),
            ("acr_values", "phrh phr"),
            ("unmet", unmet),
        ];
        let expected = expected.map(|(name, value)| (name, value.to_owned()));
        assert_eq!(metadata, Some(expected.into()), "{case}");
    }
}

#[test]
fn only_what_is_demanded_is_told() {
    let denial = check("acr = ['phr']", &json!({})).unwrap_err();
    assert_eq!(
        denial.metadata.keys().copied().collect::<Vec<_>>(),
        ["acr_values", "unmet"]
    );
    assert_eq!(
        require(ALL).unwrap().to_string(),
        "at most 15m old, with hwk and pin, at phrh or phr"
    );
}

#[test]
fn a_token_that_is_bound_to_no_key_is_told_how_to_get_one_that_is() {
    let check = |auth_method, text| check_by(auth_method, text, &json!({}));
    for auth_method in [AuthMethod::Token, AuthMethod::RegisteredKey] {
        assert_eq!(
            check(auth_method, "bound = true"),
            Ok(()),
            "{auth_method:?}"
        );
    }
    let denial = check(AuthMethod::UnboundToken, "bound = true").unwrap_err();
    assert_eq!(denial.reason, Reason::StepUp);
    let expected = [("bound", "true".to_owned()), ("unmet", "bound".to_owned())];
    assert_eq!(denial.metadata, expected.into());
    assert!(
        denial.detail.contains("`daypass login` without --device"),
        "{}",
        denial.detail
    );
    assert_eq!(
        require("bound = true").unwrap().to_string(),
        "bound to the key"
    );
    // Other demands do not ask for it.
    let denial = check(AuthMethod::UnboundToken, "acr = ['phr']").unwrap_err();
    assert_eq!(
        denial.metadata.get("unmet").map(String::as_str),
        Some("acr")
    );
}

#[test]
fn demands_that_mean_nothing_do_not_load() {
    for (case, text, part) in [
        ("nothing", "", "demands nothing"),
        ("no age", "auth_age = '0s'", "auth_age"),
        ("no duration", "auth_age = 'soon'", "auth_age"),
        ("no methods", "amr = []", "1 to 16 names"),
        ("an empty name", "amr = ['']", "1 to 16 names"),
        ("a name with a space", "acr = ['a b']", "1 to 16 names"),
        (
            "a name with a newline",
            "acr = [\"a\\nb\"]",
            "1 to 16 names",
        ),
        ("a text", "amr = 'hwk'", "invalid type"),
        (
            "a demand for no binding",
            "bound = false",
            "`bound` is true or left out",
        ),
        ("a binding as text", "bound = 'nonce'", "invalid type"),
        ("an unknown key", "age = '1m'", "age"),
    ] {
        let error = require(text).unwrap_err();
        assert!(error.contains(part), "{case}: {error}");
    }
}
