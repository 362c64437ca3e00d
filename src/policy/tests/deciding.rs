//! Grants, narrowed by wishes, hosts and callers.

use super::*;

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
        let roles = policy.open_roles(person(claims), host, None);
        roles
            .iter()
            .map(|open| open.role.name.as_str())
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
    assert_eq!(
        policy
            .open_roles(person(&claims), Some("web-1"), None)
            .len(),
        1
    );
}
