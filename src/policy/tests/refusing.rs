//! The one reason of each denial.

use super::*;

#[test]
fn each_refusal_has_its_one_reason() {
    let with = |patch: Value| {
        let mut claims = alice();
        let fields = claims.as_object_mut().unwrap();
        fields.extend(patch.as_object().unwrap().clone());
        claims
    };
    let repair = || change(ask("repair"), |ask| ask.reason = Some("INC-1".into()));
    let huge = "x".repeat(1024 * 1024);
    let cases: Vec<(&str, Value, Ask, Reason)> = vec![
        ("no such role", alice(), ask("root"), Reason::UnknownRole),
        ("no role", alice(), Ask::default(), Reason::UnknownRole),
        (
            "a role in other letters",
            alice(),
            ask("SHELL"),
            Reason::UnknownRole,
        ),
        (
            "another group",
            with(json!({ "groups": ["dev"] })),
            ask("shell"),
            Reason::NotAllowed,
        ),
        (
            "a group with our name inside",
            with(json!({ "groups": ["sre-alumni"] })),
            ask("shell"),
            Reason::NotAllowed,
        ),
        (
            "no groups",
            json!({ "login": "alice" }),
            ask("shell"),
            Reason::Condition,
        ),
        (
            "groups as a string",
            with(json!({ "groups": "sre" })),
            ask("shell"),
            Reason::Condition,
        ),
        (
            "groups as null",
            with(json!({ "groups": null })),
            ask("shell"),
            Reason::Condition,
        ),
        (
            "a level as a string",
            with(json!({ "level": "3" })),
            repair(),
            Reason::Condition,
        ),
        (
            "a missing level",
            with(json!({ "level": null })),
            repair(),
            Reason::Condition,
        ),
        (
            "too many groups to judge",
            with(json!({ "groups": vec!["sre"; 100_000] })),
            ask("shell"),
            Reason::Condition,
        ),
        (
            "another host",
            alice(),
            change(logs(), |ask| ask.host = Some("mail-1".into())),
            Reason::Host,
        ),
        (
            "a host with a newline",
            alice(),
            change(logs(), |ask| ask.host = Some("web-1\n".into())),
            Reason::Host,
        ),
        (
            "a host that is an option",
            alice(),
            change(logs(), |ask| ask.host = Some("-oX".into())),
            Reason::Host,
        ),
        ("no parameter", alice(), ask("logs"), Reason::Parameter),
        (
            "an unknown parameter",
            alice(),
            change(logs(), |ask| {
                drop(ask.params.insert("x".into(), "y".into()))
            }),
            Reason::Parameter,
        ),
        (
            "a parameter where there are none",
            alice(),
            change(logs(), |ask| ask.role = "shell".into()),
            Reason::Parameter,
        ),
        (
            "a second command",
            alice(),
            with_unit("nginx; reboot"),
            Reason::Parameter,
        ),
        (
            "a substitution",
            alice(),
            with_unit("$(reboot)"),
            Reason::Parameter,
        ),
        ("quotes", alice(), with_unit("'nginx'"), Reason::Parameter),
        (
            "a newline",
            alice(),
            with_unit("nginx\n"),
            Reason::Parameter,
        ),
        ("a NUL", alice(), with_unit("nginx\0"), Reason::Parameter),
        (
            "a unicode space",
            alice(),
            with_unit("nginx\u{a0}x"),
            Reason::Parameter,
        ),
        (
            "a look-alike",
            alice(),
            with_unit("ngin\u{445}"),
            Reason::Parameter,
        ),
        (
            "an option",
            alice(),
            with_unit("--vacuum-size=0"),
            Reason::Parameter,
        ),
        ("an empty value", alice(), with_unit(""), Reason::Parameter),
        (
            "a value of 1 MB",
            alice(),
            with_unit(&huge),
            Reason::Parameter,
        ),
        ("no reason", alice(), ask("repair"), Reason::Unexplained),
        (
            "a reason of another form",
            alice(),
            change(repair(), |ask| ask.reason = Some("INC-1 or so".into())),
            Reason::Unexplained,
        ),
        (
            "a reason of two lines",
            alice(),
            change(repair(), |ask| ask.reason = Some("INC-1\nINC-2".into())),
            Reason::Unexplained,
        ),
        (
            "a reason of 1 MB",
            alice(),
            change(ask("shell"), |ask| ask.reason = Some(huge.clone())),
            Reason::Unexplained,
        ),
        (
            "no time",
            alice(),
            change(ask("shell"), |ask| ask.ttl = Some(Duration::ZERO)),
            Reason::Ttl,
        ),
        (
            "an extension the role lacks",
            alice(),
            change(ask("shell"), |ask| {
                ask.extensions = [Extension::AgentForwarding].into()
            }),
            Reason::Extension,
        ),
        (
            "addresses with host bits",
            alice(),
            change(ask("shell"), |ask| {
                ask.source = vec!["10.0.0.1/8".parse().unwrap()]
            }),
            Reason::Source,
        ),
        (
            "mapped addresses",
            alice(),
            change(ask("shell"), |ask| {
                ask.source = vec!["::ffff:10.0.0.0/104".parse().unwrap()]
            }),
            Reason::Source,
        ),
        (
            "addresses outside the role's",
            alice(),
            change(repair(), |ask| {
                ask.source = vec!["192.0.2.0/24".parse().unwrap()]
            }),
            Reason::Source,
        ),
        (
            "65 addresses",
            alice(),
            change(ask("shell"), |ask| {
                ask.source = vec!["10.0.0.0/8".parse().unwrap(); 65]
            }),
            Reason::Source,
        ),
        (
            "no principals left (CVE-2024-7594)",
            with(json!({ "logins": [] })),
            ask("team"),
            Reason::Principal,
        ),
        (
            "no claim for a principal",
            json!({}),
            ask("team"),
            Reason::Principal,
        ),
        (
            "a comma in a claim (GHSA-59w7-v8rr-pr4p)",
            with(json!({ "login": "alice,root" })),
            ask("shell"),
            Reason::Principal,
        ),
        (
            "a space in a claim",
            with(json!({ "login": "alice root" })),
            ask("shell"),
            Reason::Principal,
        ),
        (
            "a newline in a claim",
            with(json!({ "login": "alice\nroot" })),
            ask("shell"),
            Reason::Principal,
        ),
        (
            "a NUL in a claim",
            with(json!({ "login": "root\0" })),
            ask("shell"),
            Reason::Principal,
        ),
        (
            "a host group in a claim",
            with(json!({ "login": "root@web" })),
            ask("shell"),
            Reason::Principal,
        ),
        (
            "a star in a claim",
            with(json!({ "login": "*" })),
            ask("shell"),
            Reason::Principal,
        ),
        (
            "an empty claim",
            with(json!({ "login": "" })),
            ask("shell"),
            Reason::Principal,
        ),
        (
            "a number",
            with(json!({ "login": 0 })),
            ask("shell"),
            Reason::Principal,
        ),
        (
            "an object",
            with(json!({ "login": { "x": "alice" } })),
            ask("shell"),
            Reason::Principal,
        ),
        (
            "a claim beyond the limits",
            with(json!({ "login": "carol" })),
            ask("shell"),
            Reason::Principal,
        ),
        (
            "one bad name in a list",
            with(json!({ "logins": ["alice", "bob,root"] })),
            ask("team"),
            Reason::Principal,
        ),
        (
            "one name beyond the limits in a list",
            with(json!({ "logins": ["alice", "carol"] })),
            ask("team"),
            Reason::Principal,
        ),
        (
            "one number in a list",
            with(json!({ "logins": ["alice", 1] })),
            ask("team"),
            Reason::Principal,
        ),
    ];
    for (case, claims, ask, reason) in cases {
        match decide(&claims, &ask) {
            Ok(grant) => panic!("{case}: {grant:?}"),
            Err(denial) => {
                assert_eq!(denial.reason, reason, "{case}: {}", denial.detail);
                let fits =
                    denial.detail.len() < 1024 && !denial.detail.chars().any(char::is_control);
                assert!(fits, "{case}: {}", denial.detail);
            }
        }
    }
}

#[test]
fn the_first_check_that_fails_is_the_reason() {
    // An ask that is wrong in every way; each step corrects the first fault.
    let mut claims = json!({ "groups": [], "logins": [] });
    let mut ask = Ask {
        role: "none".into(),
        host: Some("mail-1".into()),
        ttl: Some(Duration::ZERO),
        ..Ask::default()
    };
    let mut reasons = Vec::new();
    for mend in 0..7 {
        reasons.push(
            decide(&claims, &ask)
                .map_err(|denial| denial.reason)
                .map(|_| ()),
        );
        match mend {
            0 => ask.role = "logs".into(),
            1 => claims = alice(),
            2 => ask.host = Some("web-1".into()),
            3 => drop(ask.params.insert("unit".into(), "nginx".into())),
            4 => ask.ttl = None,
            _ => ask.source = vec!["203.0.113.0/24".parse().unwrap()],
        }
    }
    let expected = [
        Err(Reason::UnknownRole),
        Err(Reason::NotAllowed),
        Err(Reason::Host),
        Err(Reason::Parameter),
        Err(Reason::Ttl),
        Ok(()),
        Err(Reason::Source),
    ];
    assert_eq!(reasons, expected);
}
