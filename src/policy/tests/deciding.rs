//! What asks get, and the one reason that refuses them.

use super::*;

fn decide(claims: &Value, ask: &Ask) -> Result<Grant, Denial> {
    example().judge(person(claims), ask, context())
}

fn change(mut ask: Ask, change: impl FnOnce(&mut Ask)) -> Ask {
    change(&mut ask);
    ask
}

#[test]
fn a_grant_is_all_that_the_role_gives() {
    let grant = decide(&alice(), &logs()).unwrap();
    assert_eq!(grant.role(), "logs");
    assert_eq!(principals(&grant), ["weblogs@db", "weblogs@web"]);
    assert_eq!(
        grant.command(),
        Some("/usr/bin/journalctl --follow --unit nginx")
    );
    assert_eq!(
        grant.source(),
        Some(&BTreeSet::from(["192.0.2.7/32".parse().unwrap()]))
    );
    assert!(grant.extensions().is_empty());
    assert_eq!(grant.ttl(), Duration::from_secs(1800));

    let grant = decide(&alice(), &ask("shell")).unwrap();
    assert_eq!(principals(&grant), ["alice"]);
    assert_eq!((grant.command(), grant.source()), (None, None));
    let extensions = BTreeSet::from([Extension::PortForwarding, Extension::Pty]);
    assert_eq!(grant.extensions(), &extensions);
    assert_eq!(grant.ttl(), Duration::from_secs(2 * 3600));
}

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
        ("no reason", alice(), ask("repair"), Reason::ReasonMissing),
        (
            "a reason of another form",
            alice(),
            change(repair(), |ask| ask.reason = Some("INC-1 or so".into())),
            Reason::ReasonMissing,
        ),
        (
            "a reason of two lines",
            alice(),
            change(repair(), |ask| ask.reason = Some("INC-1\nINC-2".into())),
            Reason::ReasonMissing,
        ),
        (
            "a reason of 1 MB",
            alice(),
            change(ask("shell"), |ask| ask.reason = Some(huge.clone())),
            Reason::ReasonMissing,
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
    // Wrong in every way; each step mends the first fault.
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

#[test]
fn wishes_narrow_and_never_widen() {
    let repair = |source: &[&str]| {
        let ask = Ask {
            reason: Some("INC-1".into()),
            source: source.iter().map(|text| text.parse().unwrap()).collect(),
            ..ask("repair")
        };
        let grant = decide(&alice(), &ask).unwrap();
        let networks = grant.source().unwrap().iter();
        networks.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(repair(&[]), ["10.0.0.0/8", "2001:db8::/32"]);
    assert_eq!(repair(&["0.0.0.0/0"]), ["10.0.0.0/8"]);
    assert_eq!(repair(&["10.1.0.0/16", "192.0.2.0/24"]), ["10.1.0.0/16"]);

    for (wished, expected) in [(60, 60), (1_000_000, 7200)] {
        let ask = change(ask("shell"), |ask| {
            ask.ttl = Some(Duration::from_secs(wished))
        });
        assert_eq!(
            decide(&alice(), &ask).unwrap().ttl(),
            Duration::from_secs(expected)
        );
    }
    let only_pty = BTreeSet::from([Extension::Pty]);
    let ask = change(ask("shell"), |ask| ask.extensions = only_pty.clone());
    assert_eq!(decide(&alice(), &ask).unwrap().extensions(), &only_pty);
}

#[test]
fn a_host_leaves_only_its_own_groups() {
    for (host, expected) in [
        ("web-1", vec!["weblogs@web"]),
        ("WWW.example.com", vec!["weblogs@web"]),
        ("db-1", vec!["weblogs@db"]),
    ] {
        let ask = change(logs(), |ask| ask.host = Some(host.into()));
        assert_eq!(
            principals(&decide(&alice(), &ask).unwrap()),
            expected,
            "{host}"
        );
    }
    let anywhere = change(ask("shell"), |ask| ask.host = Some("mail-1".into()));
    assert_eq!(principals(&decide(&alice(), &anywhere).unwrap()), ["alice"]);
}

#[test]
fn a_list_claim_gives_all_its_principals() {
    let claims = json!({ "logins": ["bob", "alice", "alice"] });
    assert_eq!(
        principals(&decide(&claims, &ask("team")).unwrap()),
        ["alice", "bob"]
    );
}

#[test]
fn a_role_tied_to_the_caller_needs_an_address() {
    let claims = alice();
    for (caller, expected) in [
        (None, Err(Reason::Source)),
        (Some("::ffff:192.0.2.7"), Ok("192.0.2.7/32")),
        (Some("2001:db8::7"), Ok("2001:db8::7/128")),
    ] {
        let context = Context {
            caller: caller.map(|caller| caller.parse().unwrap()),
            ..context()
        };
        let got = example().judge(person(&claims), &logs(), context);
        let got = got.map(|grant| {
            grant
                .source()
                .unwrap()
                .iter()
                .map(ToString::to_string)
                .collect::<String>()
        });
        assert_eq!(
            got.map_err(|denial| denial.reason),
            expected.map(str::to_owned)
        );
    }
}

#[test]
fn open_roles_follow_claims_and_host() {
    let policy = example();
    let names = |claims: &Value, host| {
        let roles = policy.open_roles(person(claims), host);
        roles
            .iter()
            .map(|role| role.name.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&alice(), None), ["shell", "logs", "repair", "team"]);
    assert_eq!(names(&alice(), Some("mail-1")), ["shell", "repair", "team"]);
    assert_eq!(
        names(&json!({ "groups": ["oncall"] }), Some("web-1")),
        ["logs", "team"]
    );
    assert_eq!(names(&json!({}), None), ["team"]);
}

#[test]
fn a_condition_sees_the_ask_and_the_issuer() {
    let policy = parse(
        "[hosts]\nweb = [\"web-*\"]\n[[role]]\nname = \"r\"\nprincipals = [\"alice\"]\n\
         allow = 'issuer == \"https://id.example.com\" && subject == \"alice-1\" && ask.host == \"web-1\" && ask.role == \"r\"'",
    )
    .unwrap();
    let claims = alice();
    let at = |host: Option<&str>| {
        let ask = change(ask("r"), |ask| ask.host = host.map(str::to_owned));
        policy
            .judge(person(&claims), &ask, context())
            .map_err(|denial| denial.reason)
            .map(|_| ())
    };
    assert_eq!(at(Some("web-1")), Ok(()));
    assert_eq!(at(Some("web-2")), Err(Reason::NotAllowed));
    assert_eq!(at(None), Err(Reason::Condition));
    assert_eq!(policy.open_roles(person(&claims), Some("web-1")).len(), 1);
}
