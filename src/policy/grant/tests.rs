//! Properties of narrowing, and the incidents that motivate them.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use proptest::prelude::*;

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn base() -> Grant {
    Grant::full(
        "shell",
        names(&["alice", "deploy"]),
        BTreeSet::from([Extension::Pty, Extension::PortForwarding]),
        Duration::from_secs(3600),
    )
}

#[test]
fn a_mandated_command_is_never_replaced_vault_10210() {
    let mandated = Restriction {
        command: Some("/usr/bin/true".into()),
        ..Restriction::default()
    };
    let wished = Restriction {
        command: Some("/bin/sh".into()),
        ..Restriction::default()
    };
    let grant = base().narrow(&mandated).unwrap();
    assert_eq!(grant.clone().narrow(&mandated).unwrap(), grant);
    let denial = grant.clone().narrow(&wished).unwrap_err();
    assert_eq!(denial.reason, Reason::Command);
    let kept = grant.narrow(&Restriction::default()).unwrap();
    assert_eq!(kept.command(), Some("/usr/bin/true"));
}

#[test]
fn merging_restrictions_loses_none_of_them_teleport_14711() {
    let from_office = Restriction {
        source: Some(BTreeSet::from(["10.0.0.0/8".parse().unwrap()])),
        ..Restriction::default()
    };
    let briefly = Restriction {
        ttl: Some(Duration::from_secs(60)),
        extensions: Some(BTreeSet::new()),
        ..Restriction::default()
    };
    let grant = base()
        .narrow(&from_office)
        .unwrap()
        .narrow(&briefly)
        .unwrap();
    assert_eq!(grant.source(), from_office.source.as_ref());
    assert_eq!(grant.ttl(), Duration::from_secs(60));
    assert!(grant.extensions().is_empty());
}

#[test]
fn nothing_left_is_a_denial() {
    for (case, restriction, reason) in [
        (
            "no principal (CVE-2024-7594)",
            Restriction {
                principals: Some(names(&["root"])),
                ..Restriction::default()
            },
            Reason::Principal,
        ),
        (
            "no address",
            Restriction {
                source: Some(BTreeSet::new()),
                ..Restriction::default()
            },
            Reason::Source,
        ),
        (
            "no time",
            Restriction {
                ttl: Some(Duration::from_millis(999)),
                ..Restriction::default()
            },
            Reason::Ttl,
        ),
    ] {
        assert_eq!(
            base().narrow(&restriction).unwrap_err().reason,
            reason,
            "{case}"
        );
    }
}

fn network() -> impl Strategy<Value = IpNet> {
    prop::sample::select(vec![
        "10.0.0.0/8",
        "10.0.0.0/9",
        "10.128.0.0/9",
        "10.1.0.0/16",
        "192.0.2.0/24",
        "2001:db8::/32",
    ])
    .prop_map(|text| text.parse().unwrap())
}

fn restriction() -> impl Strategy<Value = Restriction> {
    let principals = prop::collection::btree_set(
        prop::sample::select(vec!["alice".to_owned(), "deploy".into(), "root".into()]),
        1..3,
    );
    let extensions =
        prop::collection::btree_set(prop::sample::select(Extension::ALL.to_vec()), 0..4);
    (
        prop::option::of(principals),
        prop::option::of(prop::sample::select(vec!["a".to_owned(), "b".into()])),
        prop::option::of(prop::collection::btree_set(network(), 1..4)),
        prop::option::of(extensions),
        prop::option::of((1u64..7200).prop_map(Duration::from_secs)),
    )
        .prop_map(
            |(principals, command, source, extensions, ttl)| Restriction {
                principals,
                command,
                source,
                extensions,
                ttl,
                ..Restriction::default()
            },
        )
}

/// Whether `grant` allows nothing that `restriction` forbids.
fn within(grant: &Grant, restriction: &Restriction) -> bool {
    let source = match (&restriction.source, grant.source()) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(allowed), Some(held)) => source::meet(held, allowed) == *held,
    };
    source
        && restriction
            .principals
            .as_ref()
            .is_none_or(|allowed| grant.permissions.principals.is_subset(allowed))
        && restriction
            .command
            .as_ref()
            .is_none_or(|demanded| grant.command() == Some(demanded))
        && restriction
            .extensions
            .as_ref()
            .is_none_or(|allowed| grant.permissions.extensions.is_subset(allowed))
        && restriction.ttl.is_none_or(|most| grant.ttl <= most)
}

fn narrow_all(restrictions: &[&Restriction]) -> Option<Grant> {
    restrictions
        .iter()
        .try_fold(base(), |grant, restriction| grant.narrow(restriction))
        .ok()
}

proptest! {
    #[test]
    fn a_grant_is_within_every_restriction_in_any_order(
        restrictions in prop::collection::vec(restriction(), 0..4),
    ) {
        let forward: Vec<_> = restrictions.iter().collect();
        let backward: Vec<_> = restrictions.iter().rev().collect();
        let twice: Vec<_> = forward.iter().chain(&backward).copied().collect();
        let narrowed = narrow_all(&forward);
        prop_assert_eq!(&narrowed, &narrow_all(&backward));
        prop_assert_eq!(&narrowed, &narrow_all(&twice));
        if let Some(grant) = narrowed {
            for restriction in &restrictions {
                prop_assert!(within(&grant, restriction));
            }
            prop_assert!(grant.permissions.principals.is_subset(&base().permissions.principals));
            prop_assert!(grant.permissions.extensions.is_subset(&base().permissions.extensions));
            prop_assert!(grant.ttl <= base().ttl);
            prop_assert!(!grant.permissions.principals.is_empty());
        }
    }
}
