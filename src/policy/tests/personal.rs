//! Personal accounts: logins that claims give.

use proptest::prelude::*;

use super::*;
use crate::ssh::principal;

const ACCOUNTS: &str = r#"[limits]
principals = ["u-*", "alice", "deploy", "root"]

[[role]]
name = "own"
allow = 'true'
principals = ["u-{claims.email | local_part | lower}"]

[[role]]
name = "bare"
allow = 'true'
principals = ["{claims.email | local_part}"]

[[role]]
name = "upn"
allow = 'true'
principals = ["{claims.upn | lower}"]

[[role]]
name = "log"
allow = 'true'
principals = ["deploy"]
command = ["/usr/bin/touch", "/srv/{claims.email | local_part}"]
"#;

fn decide(role: &str, claims: &Value) -> Result<Vec<String>, Reason> {
    let grant = parse(ACCOUNTS)
        .unwrap()
        .judge(person(claims), &ask(role), context());
    match grant {
        Ok(grant) => Ok(grant.principals().iter().cloned().collect()),
        Err(denial) => Err(denial.reason),
    }
}

#[test]
fn a_personal_account_is_made_from_a_claim() {
    let claims = json!({ "email": "Alice@example.com", "upn": "U-Alice" });
    assert_eq!(decide("own", &claims), Ok(vec!["u-alice".to_owned()]));
    assert_eq!(decide("upn", &claims), Ok(vec!["u-alice".to_owned()]));
    let claims = json!({ "email": "alice@example.com" });
    assert_eq!(decide("bare", &claims), Ok(vec!["alice".to_owned()]));
}

#[test]
fn a_command_takes_a_filtered_claim_as_one_word() {
    let policy = parse(ACCOUNTS).unwrap();
    let claims = json!({ "email": "alice;id@example.com" });
    let grant = policy.judge(person(&claims), &ask("log"), context());
    let grant = grant.unwrap();
    assert_eq!(grant.command(), Some("/usr/bin/touch '/srv/alice;id'"));
}

/// `[limits]` lists root for a role that names it, and no claim reaches it.
#[test]
fn a_claim_that_becomes_root_or_leaves_the_grammar_is_a_denial() {
    for (role, claims) in [
        ("bare", json!({ "email": "root@evil.example" })),
        ("bare", json!({ "email": "alice,root@x" })),
        ("bare", json!({ "email": "alice root@x" })),
        ("bare", json!({ "email": "alice" })),
        ("bare", json!({ "email": "@x" })),
        ("bare", json!({ "email": "alice@x@y" })),
        ("bare", json!({ "email": "-oProxyCommand=x@y" })),
        ("bare", json!({ "email": "*@y" })),
        ("bare", json!({ "email": "ROOT@y" })),
        ("bare", json!({})),
        ("bare", json!({ "email": 7 })),
        ("bare", json!({ "email": "carol@example.com" })),
        ("own", json!({ "email": "a,root@x" })),
        ("own", json!({ "email": "al\u{456}ce@x" })),
        ("own", json!({ "email": format!("{}@x", "a".repeat(63)) })),
        ("upn", json!({ "upn": "ROOT" })),
        ("upn", json!({ "upn": "Root" })),
        ("upn", json!({ "upn": "root" })),
        ("upn", json!({ "upn": ["u-alice", "root"] })),
        ("upn", json!({ "upn": "u-" })),
        ("upn", json!({ "upn": "u-alice@web" })),
    ] {
        assert_eq!(
            decide(role, &claims),
            Err(Reason::Principal),
            "{role} {claims}"
        );
    }
}

#[test]
fn faults_of_filters_and_patterns_name_their_line() {
    for (fault, good, line, words) in [
        ("| upper}", "| lower}", 7, "not a filter"),
        ("\"u-**\"", "\"u-*\"", 2, "pattern of login names"),
        ("\"*\"", "\"u-*\"", 2, "pattern of login names"),
    ] {
        let text = ACCOUNTS.replacen(good, fault, 1);
        let error = parse(&text).err().unwrap();
        assert!(
            error.starts_with(&format!("policy.toml:{line}:")),
            "{error}"
        );
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn root_is_no_literal_of_a_role_if_only_a_pattern_covers_it() {
    for (limits, loads) in [("\"r*\"", false), ("\"*t\"", false), ("\"root\"", true)] {
        let text = format!(
            "[limits]\nprincipals = [{limits}]\n[[role]]\nname = \"r\"\nallow = 'claims.x'\n\
             principals = [\"root\"]\nreason = 'x'\n"
        );
        assert_eq!(parse(&text).is_ok(), loads, "{limits}");
    }
}

proptest! {
    /// Every principal of a grant is in the grammar and within the limits, and none is root.
    #[test]
    fn expanded_principals_are_in_the_grammar_and_the_limits(
        email in "\\PC{0,12}@?\\PC{0,6}|[Rr][Oo][Oo][Tt]@[a-z]{1,3}|[a-z,@ .*-]{0,10}",
        upn in "\\PC{0,12}|[Uu]-[A-Za-z.]{0,6}|[Rr][Oo][Oo][Tt]",
    ) {
        let claims = json!({ "email": email, "upn": upn });
        for role in ["own", "bare", "upn"] {
            for name in decide(role, &claims).unwrap_or_default() {
                prop_assert!(principal::is_login(&name), "{}", name);
                prop_assert!(name != "root");
                let is_allowed = name == "alice"
                    || name == "deploy"
                    || name.strip_prefix("u-").is_some_and(|rest| !rest.is_empty());
                prop_assert!(is_allowed, "{}", name);
            }
        }
    }

    /// A listing never shows what a decision would deny for its form.
    #[test]
    fn no_listing_shows_root_from_a_claim(upn in "[Rr][Oo][Oo][Tt]|[a-z-]{1,5}") {
        let policy = parse(ACCOUNTS).unwrap();
        let claims = json!({ "upn": upn });
        for role in policy.roles() {
            let logins = role.logins(claims.as_object().unwrap());
            prop_assert!(!logins.iter().any(|login| login == "root"));
        }
    }
}
