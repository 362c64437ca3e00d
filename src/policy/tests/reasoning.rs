//! Explanations, `[[test]]` blocks and warnings, which grant nothing.

use super::*;

#[test]
fn an_explanation_says_what_would_have_been_needed() {
    let claims = json!({ "groups": ["dev"], "login": "carol" });
    let explanations = example().explain(person(&claims), &Ask::default(), context());
    let [shell, logs, repair, team] = explanations.as_slice() else {
        panic!("four roles");
    };
    let detail = |explanation: &explain::Explanation, name: &str| {
        let check = explanation
            .checks
            .iter()
            .find(|check| check.name == name)
            .unwrap();
        assert!(!check.passed);
        check.detail.clone()
    };
    assert!(explanations.iter().all(|explanation| !explanation.granted));
    assert_eq!(
        detail(shell, "allow"),
        r#"needs "sre" in claims.groups -- here claims.groups is ["dev"]"#
    );
    assert_eq!(
        detail(logs, "allow"),
        r#"needs one of: "oncall" in claims.groups; "sre" in claims.groups -- here claims.groups is ["dev"]"#
    );
    let missing = detail(repair, "allow");
    assert!(
        missing.contains("claims.level >= 3 (there is no `level`)"),
        "{missing}"
    );
    assert!(missing.contains("claims.level is absent"), "{missing}");
    assert!(
        detail(shell, "principal").contains("\"carol\""),
        "later checks are shown too"
    );
    assert!(detail(logs, "parameter").contains("--param unit="));
    assert!(detail(repair, "reason").contains("(INC|CHG)-[0-9]+"));
    assert!(
        team.summary.starts_with("denied: principal: "),
        "{}",
        team.summary
    );
}

#[test]
fn an_explanation_of_one_role_agrees_with_the_decision() {
    let claims = alice();
    let [granted] = example()
        .explain(person(&claims), &logs(), context())
        .try_into()
        .unwrap();
    assert!(granted.granted && granted.checks.iter().all(|check| check.passed));
    assert_eq!(granted.summary, "granted: weblogs@db, weblogs@web for 30m");
    let command = granted
        .checks
        .iter()
        .find(|check| check.name == "parameter")
        .unwrap();
    assert_eq!(command.detail, "/usr/bin/journalctl --follow --unit nginx");

    let [unknown] = example()
        .explain(person(&claims), &ask("x"), context())
        .try_into()
        .unwrap();
    assert!(!unknown.granted && unknown.checks[0].detail.contains("shell, logs"));
}

/// A role that is closed at the time of [`context`], and has an emergency for others.
const CLOSED: &str = r#"
[[role]]
name = "prod"
allow = '"sre" in claims.groups'
principals = ["deploy"]
source = ["10.0.0.0/8"]
hours = { days = "mon-sun", from = "08:00", to = "09:00", zone = "UTC" }
emergency = { allow = '"oncall" in claims.groups', ttl = "15m", review = '"sec" in claims.groups' }
"#;

/// The name and result of each check of [`CLOSED`]'s role.
fn checks_of(ask: &Ask, groups: &[&str]) -> (String, Vec<(String, bool)>) {
    let claims = json!({ "groups": groups });
    let policy = parse(CLOSED).unwrap();
    let [explanation] = policy
        .explain(person(&claims), ask, context())
        .try_into()
        .unwrap();
    let checks = explanation.checks.into_iter();
    let checks = checks.map(|check| (check.name, check.passed)).collect();
    (explanation.summary, checks)
}

#[test]
fn an_explanation_shows_the_checks_of_a_decision_in_its_order() {
    let ask = Ask {
        source: vec!["192.0.2.0/24".parse().unwrap()],
        emergency: true,
        reason: Some("the site is down".to_owned()),
        ..ask("prod")
    };
    let usual = Ask {
        emergency: false,
        ..ask.clone()
    };
    let names = |failing: &[&str], last: Option<&str>| {
        let names = [
            "allow",
            "host",
            "parameter",
            "reason",
            "wishes",
            "principal",
            "source",
            "hours",
        ];
        let names = names.into_iter().chain(last).chain(["require"]);
        let named = names.map(|name| (name.to_owned(), !failing.contains(&name)));
        named.collect::<Vec<_>>()
    };
    let (summary, checks) = checks_of(&usual, &[]);
    assert!(summary.starts_with("denied: allow: "), "{summary}");
    assert_eq!(checks, names(&["allow", "hours"], None));
    let (summary, checks) = checks_of(&usual, &["sre"]);
    assert!(summary.starts_with("denied: hours: "), "{summary}");
    assert_eq!(checks, names(&["hours"], None));
    // An emergency has its own condition and ignores the hours. The remaining addresses are a
    // check, too.
    let (summary, checks) = checks_of(&ask, &["oncall"]);
    assert!(summary.starts_with("denied: source: "), "{summary}");
    let mut expected = names(&[], Some("source"));
    expected[8].1 = false;
    assert_eq!(checks, expected);
}

#[test]
fn tests_in_the_file_pass_or_say_what_they_got() {
    let blocks = [
        (
            "as = { claims = { groups = [\"oncall\"] } }\nask = { role = \"logs\", params = { unit = \"nginx; reboot\" } }\nexpect = \"denied: parameter\"",
            true,
        ),
        (
            "as = { claims = { groups = [\"oncall\"] } }\nask = { role = \"logs\", params = { unit = \"nginx\" } }\nexpect = \"granted\"\nprincipals = [\"weblogs@web\", \"weblogs@db\"]\ncommand = \"/usr/bin/journalctl --follow --unit nginx\"",
            true,
        ),
        (
            "as = { claims = { groups = [\"oncall\"] } }\nask = { role = \"logs\", host = \"web-1\", params = { unit = \"nginx\" } }\nexpect = \"granted\"\nprincipals = [\"weblogs\"]",
            false,
        ),
        (
            "as = { claims = { groups = [\"oncall\"] } }\nask = { role = \"logs\", params = { unit = \"nginx\" } }\nexpect = \"granted\"\ncommand = \"/bin/sh\"",
            false,
        ),
        (
            "ask = { role = \"shell\" }\nexpect = \"denied: condition\"",
            true,
        ),
        ("ask = { role = \"shell\" }\nexpect = \"denied\"", true),
        ("ask = { role = \"shell\" }\nexpect = \"granted\"", false),
        (
            "as = { claims = { logins = [\"bob\"] } }\nask = { role = \"team\" }\nexpect = \"denied\"",
            false,
        ),
        ("ask = { role = \"gone\" }\nexpect = \"denied: role\"", true),
        (
            "as = { claims = { groups = [\"sre\"], level = 3 } }\nask = { role = \"repair\", reason = \"INC-1\", source = [\"192.0.2.0/24\"], ttl = \"5m\" }\nexpect = \"denied: source\"",
            true,
        ),
    ];
    let text = blocks.iter().fold(EXAMPLE.to_owned(), |text, (block, _)| {
        format!("{text}\n[[test]]\n{block}\n")
    });
    let outcomes = parse(&text).unwrap().run_tests(OffsetDateTime::UNIX_EPOCH);
    assert_eq!(outcomes.len(), blocks.len());
    for (outcome, (block, passed)) in outcomes.iter().zip(blocks) {
        assert_eq!(outcome.passed, passed, "{block}: {outcome:?}");
    }
    let third = &outcomes[2];
    assert_eq!(third.expected, "granted, principals weblogs");
    assert_eq!(third.got, "granted, principals weblogs@web");
}

#[test]
fn doubtful_roles_are_warned_of() {
    let role = |keys: &str| format!("[[role]]\nname = \"r\"\n{keys}");
    for (case, text, fragment) in [
        ("no roles", String::new(), "no roles"),
        (
            "every user",
            role("allow = 'true'\nprincipals = [\"a\"]"),
            "every user",
        ),
        (
            "everyone, hidden",
            role("allow = '!has(claims.banned)'\nprincipals = [\"a\"]"),
            "every user",
        ),
        (
            "stranger",
            role("allow = 'false'\nprincipals = [\"a\"]"),
            "no identity",
        ),
        (
            "free root",
            role("allow = 'claims.x'\nprincipals = [\"root\"]"),
            "gives root any command",
        ),
        (
            "open templates",
            role("allow = 'claims.x'\nprincipals = [\"{claims.y}\"]"),
            "any login but root",
        ),
        (
            "long passes",
            format!(
                "[limits]\nttl = \"3d\"\n{}",
                role("allow = 'claims.x'\nprincipals = [\"a\"]")
            ),
            "more than a day",
        ),
        (
            "cut lifetime",
            format!(
                "[limits]\nttl = \"1h\"\n{}",
                role("allow = 'claims.x'\nprincipals = [\"a\"]\nttl = \"2h\"")
            ),
            "cuts it to 1h",
        ),
        (
            "dead extension",
            format!(
                "[limits]\nextensions = []\n{}",
                role("allow = 'claims.x'\nprincipals = [\"a\"]\npty = true")
            ),
            "does not allow",
        ),
        (
            "dead source",
            format!(
                "[limits]\nsource = [\"10.0.0.0/8\"]\n{}",
                role("allow = 'claims.x'\nprincipals = [\"a\"]\nsource = [\"192.0.2.0/24\"]")
            ),
            "never be granted",
        ),
        (
            "loose pattern",
            role("allow = 'claims.mail.matches(\"@corp.com$\")'\nprincipals = [\"a\"]"),
            "anywhere",
        ),
        (
            "loose parameter",
            role(
                "allow = 'claims.x'\nprincipals = [\"a\"]\ncommand = [\"/x\", \"{u}\"]\nparams.u = { pattern = \".*\" }",
            ),
            "; reboot",
        ),
    ] {
        let warnings = parse(&text).unwrap().warnings();
        assert!(
            warnings.iter().any(|warning| warning.contains(fragment)),
            "{case}: {warnings:?}"
        );
        assert!(
            warnings
                .iter()
                .all(|warning| warning.starts_with("policy.toml:")),
            "{case}: {warnings:?}"
        );
    }
    let team = example().warnings();
    assert_eq!(team.len(), 2, "{team:?}");
}
