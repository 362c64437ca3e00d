//! Conditions that hold, conditions that refuse, and expressions that do not load.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::policy::{Ask, AuthMethod, Person};
use serde_json::json;

fn evaluate(source: &str) -> Result<bool, String> {
    let claims = json!({
        "groups": ["oncall", "sre"], "level": 3, "ratio": 1.5, "big": u64::MAX, "name": "alice",
        "admin": true, "nothing": null, "realm": { "roles": ["a"] }, "email": "alice@corp.com",
    });
    let ask = Ask {
        role: "shell".into(),
        params: [("unit".to_owned(), "nginx".to_owned())].into(),
        ..Ask::default()
    };
    let person = Person {
        issuer: "https://id.example.com",
        subject: "alice-1",
        claims: claims.as_object().unwrap(),
        auth_method: AuthMethod::Token,
    };
    let condition = Condition::compile(source)?;
    let patterns = unite([&condition].into_iter());
    condition.evaluate(&EvalContext::new(person, &ask, &patterns).unwrap())
}

#[test]
fn conditions_hold_or_not() {
    for (source, expected) in [
        ("\"oncall\" in claims.groups", true),
        ("'dba' in claims.groups", false),
        ("claims.level >= 3 && claims.admin", true),
        ("claims.level == 3.0", true),
        ("claims.ratio > 1.0", true),
        ("claims.big > 1u", true),
        ("claims.nothing == null", true),
        ("claims['name'] == 'alice'", true),
        ("'a' in claims.realm.roles", true),
        ("has(claims.name) && !has(claims.missing)", true),
        ("claims.groups.exists(g, g.startsWith('on'))", true),
        ("claims.groups.all(g, size(g) > 3)", false),
        (
            "claims.groups.exists(g, ['x', 'sre'].exists(w, w == g))",
            true,
        ),
        ("claims.groups.filter(g, g != 'sre').size() == 1", true),
        ("claims.name.matches('^al')", true),
        ("matches(claims.name, 'ice$')", true),
        ("claims.groups.exists(g, g.matches('^on[a-z]+$'))", true),
        (
            "issuer == 'https://id.example.com' && subject == 'alice-1'",
            true,
        ),
        ("ask.role == 'shell' && ask.params.unit == 'nginx'", true),
        ("has(ask.host) || has(ask.reason)", false),
        ("claims.missing == 'x' || claims.admin", true),
        ("claims.admin || claims.missing == 'x'", true),
        ("true", true),
    ] {
        assert_eq!(evaluate(source), Ok(expected), "{source}");
    }
}

#[test]
fn any_result_except_true_and_false_is_an_error() {
    for (source, why) in [
        ("claims.missing == 'x'", "no `missing`"),
        ("!(claims.missing == 'x')", "no `missing`"),
        ("claims.admin && claims.missing == 'x'", "no `missing`"),
        ("'x' in claims.missing", "no `missing`"),
        ("claims.realm.missing.deeper", "no `missing`"),
        ("ask.host == 'web-1'", "no `host`"),
        ("ask.params.other == ''", "no `other`"),
        ("claims.name", "gives a string"),
        ("claims.groups", "gives a list"),
        ("1", "gives a int"),
        ("claims.name + 1 == 'x'", "nsupported"),
        ("1 / 0 == 1", "zero"),
        ("claims.groups[9] == 'x'", "ndex"),
        ("9223372036854775807 + 1 > 0", "verflow"),
        ("claims.level.matches('3')", "strings only"),
        ("'x' in claims.name", "overload"),
        ("int(claims.name) == 1", "int"),
    ] {
        match evaluate(source) {
            Err(error) => assert!(error.contains(why), "{source}: {error}"),
            Ok(holds) => panic!("{source} gave {holds}"),
        }
    }
}

#[test]
fn expressions_outside_their_bounds_do_not_load() {
    let parentheses = "(".repeat(10_000) + "true" + &")".repeat(10_000);
    let few = "(".repeat(17) + "true" + &")".repeat(17);
    let cases = [
        ("10,000 parentheses", parentheses),
        ("17 parentheses", few),
        ("17 lists", "[".repeat(17) + &"]".repeat(17) + " == []"),
        (
            "17 indexes",
            "claims".to_owned() + &"[claims".repeat(17) + &"]".repeat(17),
        ),
        (
            "a long text",
            format!("claims.name == '{}'", "x".repeat(2048)),
        ),
        ("many nots", "!".repeat(1000) + "true"),
        ("many minus signs", "- ".repeat(1000) + "1 == 1"),
        (
            "many conditionals",
            "true ? ".repeat(100) + "true" + &": true".repeat(100),
        ),
        (
            "many conditionals after",
            "true".to_owned() + &" ? true : true".repeat(100),
        ),
        ("a long sum", "1".to_owned() + &"+1".repeat(500) + " == 1"),
        (
            "a long chain of fields",
            "claims".to_owned() + &".a".repeat(500),
        ),
        (
            "many calls",
            "claims.name".to_owned() + &".size()".repeat(200),
        ),
        (
            "a loop over claims in a loop over claims",
            "claims.a.all(x, claims.b.all(y, x == y))".into(),
        ),
        (
            "a loop hidden in a map",
            "claims.a.map(x, claims.b.map(y, x)) == []".into(),
        ),
        ("an unknown variable", "claim.groups == 'x'".into()),
        ("a bare word", "oncall in claims.groups".into()),
        (
            "a loop variable out of its loop",
            "claims.a.all(x, true) && x".into(),
        ),
        (
            "a loop variable that hides a name",
            "claims.a.all(claims, true)".into(),
        ),
        ("an unknown field of the ask", "ask.rol == 'x'".into()),
        (
            "an unknown field of the ask in has()",
            "has(ask.ttl)".into(),
        ),
        ("an unknown function", "claims.name.startswith('a')".into()),
        ("an unknown global function", "now() > 1".into()),
        ("optional values", "claims.?name == optional.of('x')".into()),
        ("a message", "claims{a: 1} == 1".into()),
        (
            "a pattern from a claim",
            "claims.name.matches(claims.level)".into(),
        ),
        ("a broken pattern", "claims.name.matches('(')".into()),
        (
            "a huge pattern",
            "claims.name.matches('(a{1000}){1000}')".into(),
        ),
        ("no pattern", "claims.name.matches()".into()),
        ("no expression", String::new()),
        ("blanks", "  \n".into()),
        ("a half expression", "claims.a ==".into()),
        ("two expressions", "true true".into()),
        ("an open string", "claims.a == 'x".into()),
        ("an assignment", "claims.admin = true".into()),
        ("garbage", "\u{0}\u{1}\u{ffff}".into()),
    ];
    for (case, source) in cases {
        let error = Condition::compile(&source)
            .err()
            .unwrap_or_else(|| panic!("{case} loads"));
        assert!(
            !error.contains('\n') && error.len() < 1000,
            "{case}: {error}"
        );
    }
}

#[test]
fn expressions_at_their_bounds_load_and_evaluate() {
    for (case, source) in [
        ("16 parentheses", "(".repeat(16) + "true" + &")".repeat(16)),
        (
            "60 alternatives",
            "claims.name == 'x' || ".repeat(60) + "true",
        ),
        (
            "brackets in strings",
            format!("claims.name != '{}'", "(".repeat(100)),
        ),
    ] {
        assert_eq!(evaluate(&source), Ok(true), "{case}");
    }
}

#[test]
fn claims_too_large_to_judge_are_refused() {
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    for (case, claims) in [
        ("a long list", json!({ "groups": vec!["g"; 513] })),
        ("many lists", json!({ "a": vec![vec!["g"; 512]; 100] })),
        ("deep lists", json!({ "a": deep })),
    ] {
        let person = Person {
            issuer: "i",
            subject: "s",
            claims: claims.as_object().unwrap(),
            auth_method: AuthMethod::Token,
        };
        let ask = Ask::default();
        let eval_context = EvalContext::new(person, &ask, &Arc::default());
        assert!(eval_context.is_err(), "{case}");
    }
}

#[test]
fn a_condition_splits_into_the_branches_that_decide() {
    for (source, join, parts) in [
        ("a in b", Join::None, vec!["a in b"]),
        ("((x || y))", Join::Any, vec!["x", "y"]),
        ("x && (y || z)", Join::All, vec!["x", "(y || z)"]),
        ("x && y || z", Join::Any, vec!["x && y", "z"]),
        ("(x) && (y)", Join::All, vec!["(x)", "(y)"]),
        ("a == '||' && b", Join::All, vec!["a == '||'", "b"]),
        ("a ? b || c : d", Join::None, vec!["a ? b || c : d"]),
        ("l.all(x, x || y)", Join::None, vec!["l.all(x, x || y)"]),
    ] {
        assert_eq!(syntax::branches(source), (join, parts), "{source}");
    }
}
