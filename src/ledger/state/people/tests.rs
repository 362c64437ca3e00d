//! The names of an identity, and which names are close to one.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn who(issuer: &str, subject: &str, label: &str) -> Actor {
    Actor {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        label: label.to_owned(),
        claims: serde_json::Value::Null.into(),
    }
}

fn people(list: &[(&str, &str, &str)]) -> People {
    let mut people = People::default();
    for (issuer, subject, label) in list {
        people.learn(&who(issuer, subject, label));
    }
    people
}

#[test]
fn an_identity_keeps_every_name_that_it_was_seen_under() {
    let people = people(&[
        ("i", "u-1", "bob@example.com"),
        ("i", "u-1", "u-1"),
        ("i", "u-1", "robert@example.com"),
        ("j", "u-1", "eve@example.com"),
        ("i", "u-2", "robert@example.com"),
    ]);
    let bob = who("i", "u-1", "u-1");
    let bob = Applicant::new(&bob, None, None);
    for (name, is_bob) in [
        ("u-1", true),
        ("bob@example.com", true),
        ("robert@example.com", true),
        ("eve@example.com", false),
        ("bob", false),
        ("BOB@example.com", false),
        ("", false),
    ] {
        assert_eq!(people.is_called(&bob, name), is_bob, "{name}");
        assert_eq!(people.names(&bob).any(|own| own == name), is_bob, "{name}");
    }
    let called = |name: &str| {
        let called = people.called(name).into_iter();
        let called = called.map(|((issuer, subject), label)| format!("{issuer} {subject} {label}"));
        called.collect::<Vec<_>>()
    };
    assert_eq!(called("bob@example.com"), ["i u-1 robert@example.com"]);
    assert_eq!(
        called("u-1"),
        ["i u-1 robert@example.com", "j u-1 eve@example.com"]
    );
    assert_eq!(
        called("robert@example.com"),
        ["i u-1 robert@example.com", "i u-2 robert@example.com"]
    );
    assert!(called("nothing").is_empty());
}

#[test]
fn only_a_new_name_is_news() {
    let mut people = People::default();
    for (label, is_new) in [
        ("u-1", false),
        ("bob@example.com", true),
        ("bob@example.com", false),
        ("u-1", false),
        ("bob@example.com", false),
        ("robert@example.com", true),
    ] {
        assert_eq!(people.learn(&who("i", "u-1", label)), is_new, "{label}");
    }
}

#[test]
fn names_that_are_spelt_nearly_like_it_are_offered() {
    let people = people(&[
        ("i", "bob", "bob@example.com"),
        ("i", "robert", "robert@example.com"),
        ("i", "alice", "Alice@example.com"),
        ("i", "x", "x"),
    ]);
    for (name, expected) in [
        ("bbo", &["bob"][..]),
        ("bbo@example.com", &["bob@example.com"]),
        ("bob@exmaple.com", &["bob", "bob@example.com"]),
        ("alice@example.com", &["Alice@example.com", "alice"]),
        ("alicee", &["alice"]),
        ("bob@other.org", &["bob"]),
        ("bob", &["bob@example.com"]),
        ("y", &[]),
        ("", &[]),
        ("mallory", &[]),
        ("bobbert@example.com", &["robert@example.com"]),
    ] {
        assert_eq!(people.near(name), expected, "{name}");
    }
}
