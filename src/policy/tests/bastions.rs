//! Bastions: loading, the jump host of an ask, and the bounds of a jump pass.

use proptest::prelude::*;

use super::*;
use crate::policy::bastion::JumpHostLimit;

const BEHIND: &str = r#"
[limits]
ttl = "2h"
principals = ["root", "jump", "hop"]

[hosts]
db = ["db-*"]
edge = ["bastion.example.com"]

[[bastion]]
name = "edge"
host = "bastion.example.com"
login = "jump"
group = "edge"
addresses = ["192.0.2.10", "2001:db8::10"]
hosts = ["db-*"]
source = "caller"

[[bastion]]
name = "west"
host = "198.51.100.7"
port = 2222
login = "hop"
addresses = ["198.51.100.0/28"]
hosts = ["DB-9*", "cache-?"]

[[role]]
name = "db"
allow = '"dba" in claims.groups'
principals = ["root"]
source = "bastion"
ttl = "30m"
emergency = { allow = '"oncall" in claims.groups', ttl = "5m", review = 'true' }

[[role]]
name = "direct"
allow = 'true'
principals = ["root"]
source = ["10.0.0.0/8"]
"#;

/// The smallest bastion, with one line changed.
fn bastion(from: &str, to: &str) -> String {
    let text = "[limits]\nprincipals = [\"jump\"]\n[[bastion]]\nname = \"edge\"\nhost = \"b.example.com\"\n\
                login = \"jump\"\naddresses = [\"192.0.2.10\"]\nhosts = [\"db-*\"]\nport = 22";
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

fn db(host: &str) -> Ask {
    Ask {
        host: Some(host.to_owned()),
        ..ask("db")
    }
}

fn dba() -> Value {
    json!({ "groups": ["dba", "oncall"] })
}

fn judged(policy: &str, ask: &Ask) -> Result<Grant, Denial> {
    parse(policy).unwrap().judge(person(&dba()), ask, context())
}

fn networks(grant: &Grant) -> Vec<String> {
    let networks = grant.source().into_iter().flatten();
    networks.map(ToString::to_string).collect()
}

#[test]
fn a_bastion_that_is_not_one_is_refused_with_its_line() {
    let line = |from: &str, to: &str| bastion(from, to);
    let many = |count: u8| {
        let all: Vec<_> = (0..count).map(|n| format!("\"192.0.2.{n}\"")).collect();
        format!("addresses = [{}]", all.join(","))
    };
    let one = bastion("x", "x");
    let (_, table) = one.split_once("[[bastion]]\n").unwrap();
    let twice = format!("{one}\n[[bastion]]\n{table}");
    refused(vec![
        (
            "an unknown key",
            line("port = 22", "ports = 22"),
            9,
            "unknown field `ports`",
        ),
        (
            "no login",
            line("login = \"jump\"\n", ""),
            3,
            "missing field `login`",
        ),
        (
            "no addresses",
            line("addresses = [\"192.0.2.10\"]\n", ""),
            3,
            "missing field `addresses`",
        ),
        (
            "a name with a slash",
            line("\"edge\"", "\"a/b\""),
            4,
            "not a bastion name",
        ),
        (
            "a host with a space",
            line("b.example.com", "b example"),
            5,
            "not a host name",
        ),
        (
            "a host that is an option",
            line("b.example.com", "-oProxyCommand=x"),
            5,
            "not a host name",
        ),
        (
            "a login of a group",
            line("\"jump\"\naddresses", "\"jump@x\"\naddresses"),
            6,
            "not a login name",
        ),
        (
            "a login beyond the limits",
            line("\"jump\"\naddresses", "\"root\"\naddresses"),
            6,
            "[limits]",
        ),
        (
            "no address",
            line("[\"192.0.2.10\"]", "[]"),
            7,
            "names 0 networks",
        ),
        (
            "65 addresses",
            line("addresses = [\"192.0.2.10\"]", &many(65)),
            7,
            "names 65 networks",
        ),
        (
            "an address with host bits",
            line("192.0.2.10", "192.0.2.10/24"),
            7,
            "write 192.0.2.0/24",
        ),
        (
            "an address of version 4 in 6",
            line("192.0.2.10", "::ffff:192.0.2.10"),
            7,
            "write 192.0.2.10/32",
        ),
        (
            "a name for an address",
            line("192.0.2.10", "b.example.com"),
            7,
            "not a network",
        ),
        ("no hosts", line("[\"db-*\"]", "[]"), 8, "leads nowhere"),
        (
            "a host pattern with a comma",
            line("db-*", "db-*,x"),
            8,
            "not a host-name pattern",
        ),
        ("port 0", line("22", "0"), 9, "1 to 65535"),
        ("port 65536", line("22", "65536"), 9, "1 to 65535"),
        (
            "a group that there is not",
            line("port = 22", "group = \"edge\""),
            9,
            "[hosts]",
        ),
        (
            "behind another one",
            line("port = 22", "source = \"bastion\""),
            9,
            "cannot be behind a bastion",
        ),
        (
            "a source of no kind",
            line("port = 22", "source = \"callers\""),
            9,
            "is not a source",
        ),
        ("two of one name", twice, 11, "a second bastion"),
        (
            "a test through one that there is not",
            format!(
                "{BEHIND}\n[[test]]\nask = {{ role = \"db\" }}\nexpect = \"granted\"\nbastion = \"east\""
            ),
            44,
            "not in this file",
        ),
    ]);
}

#[test]
fn the_first_bastion_that_leads_to_the_host_is_the_only_way_there() {
    for (host, bastion, expected) in [
        ("db-1", "edge", vec!["192.0.2.10/32", "2001:db8::10/128"]),
        ("DB-1", "edge", vec!["192.0.2.10/32", "2001:db8::10/128"]),
        ("db-91", "edge", vec!["192.0.2.10/32", "2001:db8::10/128"]),
        ("cache-1", "west", vec!["198.51.100.0/28"]),
    ] {
        let grant = judged(BEHIND, &db(host)).unwrap();
        assert_eq!(grant.jump_host().unwrap().bastion, bastion, "{host}");
        assert_eq!(networks(&grant), expected, "{host}");
    }
    let direct = judged(BEHIND, &ask("direct")).unwrap();
    assert!(direct.jump_host().is_none() && direct.jump().is_none());
}

#[test]
fn the_jump_pass_forwards_and_does_nothing_else() {
    let grant = judged(BEHIND, &db("db-1")).unwrap();
    let (jump_host, jump) = grant.jump().unwrap();
    assert_eq!(
        (
            jump_host.host.as_str(),
            jump_host.port,
            jump_host.login.as_str()
        ),
        ("bastion.example.com", 22, "jump")
    );
    assert_eq!(principals(&jump), ["jump@edge"]);
    assert_eq!(networks(&jump), ["192.0.2.7/32"]);
    assert_eq!(
        jump.command(),
        Some("echo 'this pass only forwards' >&2; exit 1")
    );
    let forwarding = BTreeSet::from([Extension::PortForwarding]);
    assert_eq!(jump.extensions(), &forwarding);
    assert_eq!((jump.role(), jump.ttl()), ("db", grant.ttl()));
    assert!(jump.jump().is_none());

    let grant = judged(BEHIND, &db("cache-1")).unwrap();
    let (jump_host, jump) = grant.jump().unwrap();
    assert_eq!((jump_host.port, principals(&jump)), (2222, vec!["hop"]));
    assert_eq!(jump.source(), None);
}

#[test]
fn a_role_behind_bastions_is_open_on_the_hosts_they_lead_to() {
    let policy = parse(BEHIND).unwrap();
    for (host, expected) in [
        (None, vec!["db", "direct"]),
        (Some("db-1"), vec!["db", "direct"]),
        (Some("web-1"), vec!["direct"]),
    ] {
        let open = policy.open_roles(person(&dba()), host, None);
        let names: Vec<_> = open.iter().map(|open| open.role.name.as_str()).collect();
        assert_eq!(names, expected, "{host:?}");
    }
}

#[test]
fn what_shortens_the_pass_shortens_its_jump_pass() {
    let ttl = |ask: &Ask| judged(BEHIND, ask).unwrap().jump().unwrap().1.ttl();
    assert_eq!(ttl(&db("db-1")), Duration::from_secs(1800));
    let wished = change(db("db-1"), |ask| ask.ttl = Some(Duration::from_secs(60)));
    assert_eq!(ttl(&wished), Duration::from_secs(60));
    let emergency = change(db("db-1"), |ask| {
        ask.emergency = true;
        ask.reason = Some("fire".to_owned());
    });
    assert_eq!(ttl(&emergency), Duration::from_secs(300));
}

#[test]
fn no_way_is_a_denial_that_says_what_to_do() {
    let limited = |limits: &str| BEHIND.replace("ttl = \"2h\"", &format!("ttl = \"2h\"\n{limits}"));
    let elsewhere = change(db("db-1"), |ask| {
        ask.source = vec!["10.0.0.0/8".parse().unwrap()]
    });
    for (case, policy, ask, reason, fragment) in [
        (
            "no host",
            BEHIND.to_owned(),
            ask("db"),
            Reason::Source,
            "name the host",
        ),
        (
            "a host behind none",
            BEHIND.to_owned(),
            db("web-1"),
            Reason::Source,
            "no bastion leads to web-1",
        ),
        (
            "a wish from elsewhere",
            BEHIND.to_owned(),
            elsewhere,
            Reason::Source,
            "no address is left",
        ),
        (
            "limits without forwarding",
            limited("extensions = [\"pty\"]"),
            db("db-1"),
            Reason::Extension,
            "does not allow port-forwarding",
        ),
        (
            "limits that leave the bastion no address",
            limited("source = [\"10.0.0.0/8\"]"),
            db("db-1"),
            Reason::Source,
            "no address is left",
        ),
        (
            "limits that leave the caller no way to the bastion",
            limited("source = [\"192.0.2.10\"]"),
            db("db-1"),
            Reason::Source,
            "bastion \"edge\"",
        ),
    ] {
        let denial = judged(&policy, &ask).unwrap_err();
        assert_eq!(denial.reason, reason, "{case}");
        assert!(
            denial.detail.contains(fragment),
            "{case}: {}",
            denial.detail
        );
    }
    let limited = limited("source = [\"192.0.2.0/24\"]");
    let grant = judged(&limited, &db("db-1")).unwrap();
    assert_eq!(networks(&grant), ["192.0.2.10/32"]);
}

#[test]
fn tests_warnings_and_explanations_know_bastions() {
    let test = |bastion: &str| {
        format!(
            "{BEHIND}\n[[test]]\nas = {{ claims = {{ groups = [\"dba\"] }} }}\nask = {{ role = \"db\", host = \"db-1\" }}\n\
             expect = \"granted\"\nbastion = \"{bastion}\""
        )
    };
    for (bastion, expected) in [("edge", true), ("west", false)] {
        let outcome = &parse(&test(bastion)).unwrap().run_tests(context().now)[0];
        assert_eq!(outcome.passed, expected, "{outcome:?}");
        assert_eq!(outcome.got, "granted, through bastion edge");
    }
    let explained = parse(BEHIND).unwrap();
    let explained = &explained.explain(person(&dba()), &db("db-1"), context())[0];
    assert!(
        explained
            .summary
            .contains("through bastion edge as jump@edge"),
        "{explained:?}"
    );
    let source = explained.checks.iter().find(|check| check.name == "source");
    assert!(source.unwrap().detail.contains("which is bastion edge"));

    let idle = bastion("x", "x")
        + "\n[[role]]\nname = \"r\"\nallow = '\"a\" in claims.groups'\nprincipals = [\"jump\"]";
    let warnings = parse(&idle).unwrap().warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("policy.toml:4: bastion \"edge\" is unused"));
    let forbidden = BEHIND.replace("ttl = \"2h\"", "ttl = \"2h\"\nextensions = []");
    let warnings = parse(&forbidden).unwrap().warnings();
    assert!(
        warnings
            .iter()
            .any(|it| it.contains("needs port-forwarding")),
        "{warnings:?}"
    );
}

fn through(bastion: &str, principals: &[&str], source: Option<&str>) -> Restriction {
    Restriction {
        jump_host: JumpHostLimit::Through {
            bastion: bastion.to_owned(),
            principals: principals.iter().map(|&name| name.to_owned()).collect(),
            source: source.map(|network| BTreeSet::from([network.parse().unwrap()])),
        },
        ..Restriction::default()
    }
}

#[test]
fn a_bastion_that_changed_since_the_approval_gives_no_more() {
    let grant = || judged(BEHIND, &db("db-1")).unwrap();
    let direct = Restriction {
        jump_host: JumpHostLimit::Direct,
        ..Restriction::default()
    };
    for (case, approved, expected) in [
        (
            "as it was",
            through("edge", &["jump@edge"], Some("192.0.2.7/32")),
            true,
        ),
        (
            "from more places then",
            through("edge", &["jump@edge"], None),
            true,
        ),
        (
            "another bastion",
            through("west", &["jump@edge"], None),
            false,
        ),
        ("another login", through("edge", &["jump"], None), false),
        (
            "from elsewhere",
            through("edge", &["jump@edge"], Some("10.0.0.0/8")),
            false,
        ),
        ("no bastion", direct.clone(), false),
    ] {
        assert_eq!(grant().narrow(&approved).is_ok(), expected, "{case}");
    }
    // An ask that no longer needs a bastion can only become narrower.
    let now = judged(BEHIND, &ask("direct")).unwrap();
    let approved = through("edge", &["jump@edge"], None);
    assert_eq!(now.clone().narrow(&approved).unwrap(), now);
}

fn network() -> impl Strategy<Value = IpNet> {
    let texts = vec![
        "192.0.2.0/24",
        "192.0.2.7/32",
        "192.0.2.10/32",
        "10.0.0.0/8",
        "2001:db8::/32",
    ];
    prop::sample::select(texts).prop_map(|text| text.parse().unwrap())
}

fn restriction() -> impl Strategy<Value = Restriction> {
    let source = prop::option::of(prop::collection::btree_set(network(), 1..4));
    let ttl = prop::option::of((1u64..7200).prop_map(Duration::from_secs));
    let jump_host = prop_oneof![
        Just(JumpHostLimit::Any),
        Just(JumpHostLimit::Direct),
        (
            prop::sample::select(vec!["edge", "west"]),
            prop::option::of(network())
        )
            .prop_map(|(bastion, source)| JumpHostLimit::Through {
                bastion: bastion.to_owned(),
                principals: BTreeSet::from(["jump@edge".to_owned()]),
                source: source.map(|network| BTreeSet::from([network])),
            }),
    ];
    (source, ttl, jump_host).prop_map(|(source, ttl, jump_host)| Restriction {
        source,
        ttl,
        jump_host,
        ..Restriction::default()
    })
}

/// Whether every address of `inner` is in `outer`.
fn lies_in(inner: Option<&BTreeSet<IpNet>>, outer: Option<&BTreeSet<IpNet>>) -> bool {
    match (inner, outer) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => source::meet(inner, outer) == *inner,
    }
}

proptest! {
    #[test]
    fn a_jump_pass_is_within_its_bastion_and_every_restriction_in_any_order(
        restrictions in prop::collection::vec(restriction(), 0..4),
    ) {
        let base = judged(BEHIND, &db("db-1")).unwrap();
        let narrow = |all: Vec<&Restriction>| {
            all.into_iter().try_fold(base.clone(), |grant, one| grant.narrow(one)).ok()
        };
        let narrowed = narrow(restrictions.iter().collect());
        prop_assert_eq!(&narrowed, &narrow(restrictions.iter().rev().collect()));
        if let Some(grant) = narrowed {
            let (_, jump) = grant.jump().unwrap();
            let (_, full) = base.jump().unwrap();
            prop_assert!(jump.ttl() <= grant.ttl());
            prop_assert!(lies_in(jump.source(), full.source()));
            prop_assert_eq!(jump.principals(), full.principals());
            prop_assert_eq!(jump.extensions(), full.extensions());
            prop_assert_eq!(jump.command(), full.command());
            for restriction in &restrictions {
                prop_assert!(lies_in(grant.source(), restriction.source.as_ref()));
                prop_assert!(restriction.ttl.is_none_or(|most| jump.ttl() <= most));
                match &restriction.jump_host {
                    JumpHostLimit::Any => {}
                    JumpHostLimit::Direct => prop_assert!(false, "a way through a bastion is not direct"),
                    JumpHostLimit::Through { bastion, source, .. } => {
                        prop_assert_eq!(bastion, "edge");
                        prop_assert!(lies_in(jump.source(), source.as_ref()));
                    }
                }
            }
        }
    }
}
