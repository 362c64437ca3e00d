//! `hours` and `require` among the other checks, in tests and explanations.

use super::*;

/// Two roles, one by the clock, one by the sign-in.
const TIMED: &str = r#"
[[role]]
name = "office"
allow = '"sre" in claims.groups'
principals = ["alice"]
ttl = "1h"
hours = { days = "mon-fri", from = "08:00", to = "18:00", zone = "Europe/Berlin" }

[[role]]
name = "prod"
allow = '"sre" in claims.groups'
principals = ["alice"]
reason = 'INC-[0-9]+'
require = { auth_age = "15m", amr = ["hwk"], acr = ["phr"] }
"#;

const BOUND: &str = r#"
[[role]]
name = "bound"
allow = '"sre" in claims.groups'
principals = ["alice"]
require = { bound = true }
"#;

#[test]
fn a_test_says_when_it_asks_and_how_the_person_signed_in() {
    let blocks = [
        (
            "as = { claims = { groups = ['sre'] } }\nat = '2026-01-05T09:00:00Z'\nask = { role = 'office' }\nexpect = 'granted'",
            true,
        ),
        (
            "as = { claims = { groups = ['sre'] } }\nat = '2026-01-05T18:00:00+01:00'\nask = { role = 'office' }\nexpect = 'denied: hours'",
            true,
        ),
        (
            "at = '2026-01-05T18:00:00+01:00'\nask = { role = 'office' }\nexpect = 'denied: condition'",
            true,
        ),
        (
            "as = { claims = { groups = ['sre'] }, auth_age = '15m', amr = ['hwk'], acr = 'phr' }\nask = { role = 'prod', reason = 'INC-1' }\nexpect = 'granted'",
            true,
        ),
        (
            "as = { claims = { groups = ['sre'] }, auth_age = '16m', amr = ['hwk'], acr = 'phr' }\nask = { role = 'prod', reason = 'INC-1' }\nexpect = 'denied: require'",
            true,
        ),
        (
            "as = { claims = { groups = ['sre'] }, auth_age = '1m', amr = ['pwd'], acr = 'phr' }\nask = { role = 'prod', reason = 'INC-1' }\nexpect = 'denied: require'",
            true,
        ),
        (
            "as = { claims = { groups = ['sre'] } }\nask = { role = 'bound' }\nexpect = 'granted'",
            true,
        ),
        (
            "as = { claims = { groups = ['sre'] }, bound = false }\nask = { role = 'bound' }\nexpect = 'denied: require'",
            true,
        ),
        // No user has to sign in again for an ask that would be denied anyway.
        (
            "as = { claims = { groups = ['sre'] } }\nask = { role = 'prod' }\nexpect = 'denied: reason'",
            true,
        ),
        (
            "as = { claims = { groups = ['sre'] } }\nask = { role = 'prod', reason = 'INC-1' }\nexpect = 'granted'",
            false,
        ),
    ];
    let text = blocks
        .iter()
        .fold(format!("{TIMED}{BOUND}"), |text, (block, _)| {
            format!("{text}\n[[test]]\n{block}\n")
        });
    let outcomes = parse(&text).unwrap().run_tests(OffsetDateTime::UNIX_EPOCH);
    for (outcome, (block, passed)) in outcomes.iter().zip(blocks) {
        assert_eq!(outcome.passed, passed, "{block}: {outcome:?}");
    }
}

#[test]
fn no_pass_outlives_the_hours_it_is_for() {
    let policy = parse(TIMED).unwrap();
    let claims = alice();
    for (seconds, ttl) in [
        (-3600, Ok(3600)),
        (-3599, Ok(3599)),
        (-1, Ok(1)),
        (0, Err("HOURS")),
    ] {
        // Closing time: a Monday, 18:00 in Berlin.
        let now = OffsetDateTime::from_unix_timestamp(1_767_632_400 + seconds).unwrap();
        let context = Context { now, ..context() };
        let decided = policy.judge(person(&claims), &ask("office"), context);
        let decided = decided
            .map(|grant| grant.ttl().as_secs())
            .map_err(|denial| denial.reason.code());
        assert_eq!(decided, ttl, "{seconds} s from closing time");
    }
}

#[test]
fn an_explanation_shows_both_with_what_they_demand() {
    let policy = parse(TIMED).unwrap();
    let claims = json!({ "groups": ["sre"], "auth_time": 0, "amr": ["hwk"], "acr": "phr" });
    let at = |seconds: i64| Context {
        now: OffsetDateTime::from_unix_timestamp(seconds).unwrap(),
        ..context()
    };
    for (role, seconds, name, passed, part) in [
        (
            "office",
            0,
            "hours",
            false,
            "opens next on thu 1970-01-01T08:00:00+01:00",
        ),
        (
            "office",
            8 * 3600,
            "hours",
            true,
            "mon-fri 08:00-18:00 Europe/Berlin",
        ),
        ("office", 0, "require", true, "any sign-in"),
        ("prod", 0, "hours", true, "any time"),
        (
            "prod",
            900,
            "require",
            true,
            "at most 15m old, with hwk, at phr",
        ),
        ("prod", 901, "require", false, "this one is 15m 1s"),
    ] {
        let explained = policy.explain(person(&claims), &ask(role), at(seconds));
        let check = explained[0]
            .checks
            .iter()
            .find(|check| check.name == name)
            .unwrap();
        assert_eq!(check.passed, passed, "{role} at {seconds}: {check:?}");
        assert!(
            check.detail.contains(part),
            "{role} at {seconds}: {check:?}"
        );
    }
}

#[test]
fn hours_and_ages_that_surprise_are_warned_of() {
    let undated = format!("{TIMED}\n[[test]]\nask = {{ role = 'office' }}\nexpect = 'denied'");
    let hasty = TIMED.replace("15m", "20s");
    for (text, part) in [
        (&undated, "the test on line 16 has no time"),
        (&hasty, "at least \"1m\""),
    ] {
        let warnings = parse(text).unwrap().warnings();
        assert_eq!(
            warnings
                .iter()
                .filter(|warning| warning.contains(part))
                .count(),
            1,
            "{warnings:?}"
        );
    }
    assert_eq!(parse(TIMED).unwrap().warnings(), Vec::<String>::new());
}

#[test]
fn hours_and_demands_are_refused_at_their_line() {
    refused(vec![
        (
            "a zone that is none",
            role("hours = { days = \"mon\", zone = \"Mars/Base\" }"),
            5,
            "not a time zone",
        ),
        (
            "days that are none",
            role("hours = { days = 5, zone = \"UTC\" }"),
            5,
            "expected days",
        ),
        (
            "a demand for nothing",
            role("require = {}"),
            5,
            "demands nothing",
        ),
        (
            "an unknown demand",
            role("require = { age = \"1m\" }"),
            5,
            "unknown field",
        ),
        (
            "a moment that is none",
            role("[[test]]\nask = { role = \"r\" }\nexpect = \"granted\"\nat = \"monday\""),
            8,
            "not a time",
        ),
    ]);
}
