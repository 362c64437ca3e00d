//! Stored spelling, certificates, and the order of permissions.
#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use ssh_key::{Algorithm, PrivateKey, certificate::Builder, rand_core::OsRng};

use super::*;

fn set<T: Ord>(items: &[&str], read: impl Fn(&str) -> T) -> BTreeSet<T> {
    items.iter().map(|item| read(item)).collect()
}

fn names(items: &[&str]) -> BTreeSet<String> {
    set(items, str::to_owned)
}

fn networks_of(items: &[&str]) -> Option<BTreeSet<IpNet>> {
    Some(set(items, |item| item.parse().unwrap()))
}

fn full() -> Permissions {
    Permissions {
        principals: names(&["deploy@web", "root"]),
        force_command: Some("/bin/echo 'logs of' nginx".to_owned()),
        source_addresses: networks_of(&["9.0.0.0/8", "10.0.0.0/8", "2001:db8::/32"]),
        extensions: BTreeSet::from(Extension::ALL),
        verify_required: true,
    }
}

fn certificate(change: impl FnOnce(&mut Builder)) -> Certificate {
    let key = || PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    let public = key().public_key().key_data().clone();
    let mut builder = Builder::new_with_random_nonce(&mut OsRng, public, 1000, 4600).unwrap();
    builder.key_id("alice/shell").unwrap();
    change(&mut builder);
    builder.sign(&key()).unwrap()
}

#[test]
fn stored_fields_have_their_names_and_order_and_absent_ones_are_left_out() {
    let stored = r#"{"principals":["deploy@web","root"],"command":"/bin/echo 'logs of' nginx","source_addresses":["9.0.0.0/8","10.0.0.0/8","2001:db8::/32"],"extensions":["agent-forwarding","port-forwarding","pty","user-rc","x11-forwarding"],"verify_required":true}"#;
    assert_eq!(serde_json::to_string(&full()).unwrap(), stored);
    assert_eq!(serde_json::from_str::<Permissions>(stored).unwrap(), full());
    let least = r#"{"principals":["root"],"extensions":["permit-pty"]}"#;
    let read: Permissions = serde_json::from_str(least).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), least);
}

#[test]
fn a_flattened_struct_is_stored_as_if_its_fields_were_spelled_out() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Stored {
        key_id: String,
        #[serde(flatten)]
        permissions: Permissions,
        valid_after: u64,
    }
    let stored = r#"{"key_id":"alice/shell","principals":["root"],"source_addresses":["203.0.113.7/32"],"extensions":[],"valid_after":7}"#;
    let read: Stored = serde_json::from_str(stored).unwrap();
    assert_eq!(
        read.permissions.source_addresses,
        networks_of(&["203.0.113.7/32"])
    );
    assert_eq!(serde_json::to_string(&read).unwrap(), stored);
}

#[test]
fn permissions_are_read_from_the_certificate_that_says_them() {
    let written = full();
    let certificate = certificate(|builder| {
        for principal in &written.principals {
            builder.valid_principal(principal).unwrap();
        }
        for (option, value) in written.critical_options() {
            builder.critical_option(option.name(), value).unwrap();
        }
        for name in written.extension_names() {
            builder.extension(name, "").unwrap();
        }
    });
    assert_eq!(Permissions::of(&certificate), Ok(written));
}

#[test]
fn a_certificate_that_is_more_than_its_permissions_say_is_unreadable() {
    let unknown = certificate(|builder| {
        builder.valid_principal("root").unwrap();
        builder.critical_option("force-commands", "x").unwrap();
    });
    let option = Unreadable::Option("force-commands".to_owned());
    assert_eq!(Permissions::of(&unknown), Err(option));
    for list in [
        "",
        "10.0.0.0",
        "10.0.0.0/8,",
        "10.0.0.0/8 ,10.0.0.0/8",
        "host",
    ] {
        let source = certificate(|builder| {
            builder.valid_principal("root").unwrap();
            builder.critical_option("source-address", list).unwrap();
        });
        let source = Permissions::of(&source);
        assert_eq!(source, Err(Unreadable::Source(list.to_owned())), "{list:?}");
    }
}

#[test]
fn a_foreign_extension_is_kept_and_is_no_permission_of_ours() {
    let foreign = certificate(|builder| {
        builder.valid_principal("root").unwrap();
        builder.extension("no-touch-required", "").unwrap();
        builder.extension("permit-pty", "").unwrap();
    });
    let permissions = Permissions::of(&foreign).unwrap();
    let unknown = Extension::Unknown("no-touch-required".into());
    assert_eq!(
        permissions.extensions,
        BTreeSet::from([Extension::Pty, unknown])
    );
    let ours = Permissions {
        extensions: BTreeSet::from(Extension::ALL),
        ..permissions.clone()
    };
    assert!(!permissions.is_subset_of(&ours));
}

#[test]
fn each_permission_more_makes_it_no_subset() {
    type Change = fn(&mut Permissions);
    let narrower: [(&str, Change); 6] = [
        ("the same", |_| {}),
        ("a principal less", |it| {
            it.principals.remove("root");
        }),
        ("a network less", |it| {
            it.source_addresses = networks_of(&["9.0.0.0/8"]);
        }),
        ("a part of a network", |it| {
            it.source_addresses = networks_of(&["10.1.0.0/16"]);
        }),
        ("an extension less", |it| {
            it.extensions.remove(&Extension::Pty);
        }),
        ("an extension by its other name", |it| {
            it.extensions = BTreeSet::from([Extension::Unknown("permit-pty".into())]);
        }),
    ];
    for (case, change) in narrower {
        let mut permissions = full();
        change(&mut permissions);
        assert!(permissions.is_subset_of(&full()), "{case}");
    }
    let wider: [(&str, Change); 9] = [
        ("a principal more", |it| {
            it.principals.insert("alice".to_owned());
        }),
        ("no principal, which is any user", |it| {
            it.principals.clear()
        }),
        ("another command", |it| {
            it.force_command = Some("/bin/sh".to_owned());
        }),
        ("no command", |it| it.force_command = None),
        ("any address", |it| it.source_addresses = None),
        ("no address", |it| it.source_addresses = networks_of(&[])),
        ("a wider network", |it| {
            it.source_addresses = networks_of(&["8.0.0.0/7"]);
        }),
        ("another family", |it| {
            it.source_addresses = networks_of(&["::/0"]);
        }),
        ("an unknown extension", |it| {
            it.extensions.insert(Extension::Unknown("x".into()));
        }),
    ];
    for (case, change) in wider {
        let mut permissions = full();
        change(&mut permissions);
        assert!(!permissions.is_subset_of(&full()), "{case}");
    }
}

#[test]
fn a_command_is_a_restriction() {
    let free = Permissions {
        force_command: None,
        ..full()
    };
    assert!(full().is_subset_of(&free));
    assert!(!free.is_subset_of(&full()));
}

#[test]
fn neighbouring_networks_cover_what_lies_over_both() {
    let halves = networks_of(&["192.0.2.0/25", "192.0.2.128/25"]);
    let whole = networks_of(&["192.0.2.0/24"]);
    assert!(covers(halves.as_ref(), whole.as_ref()));
    assert!(covers(None, whole.as_ref()));
    assert!(covers(None, None));
    assert!(!covers(whole.as_ref(), None));
}

fn permissions() -> impl Strategy<Value = Permissions> {
    let principals = prop::collection::btree_set("[ab]", 1..3);
    let command = prop::option::of("[xy]");
    let network = prop::sample::select(vec!["10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "::/0"]);
    let network = network.prop_map(|text| text.parse().unwrap());
    let source = prop::option::of(prop::collection::btree_set(network, 1..3));
    let extension = prop::sample::select(Extension::ALL.to_vec());
    let extensions = prop::collection::btree_set(extension, 0..3);
    (principals, command, source, extensions, any::<bool>()).prop_map(
        |(principals, force_command, source_addresses, extensions, verify_required)| Permissions {
            principals,
            force_command,
            source_addresses,
            extensions,
            verify_required,
        },
    )
}

proptest! {
    #[test]
    fn being_a_subset_is_an_order(
        one in permissions(),
        two in permissions(),
        three in permissions(),
    ) {
        prop_assert!(one.is_subset_of(&one));
        if one.is_subset_of(&two) && two.is_subset_of(&three) {
            prop_assert!(one.is_subset_of(&three));
        }
    }

    #[test]
    fn what_is_stored_is_read_back(permissions in permissions()) {
        let stored = serde_json::to_string(&permissions).unwrap();
        prop_assert_eq!(serde_json::from_str::<Permissions>(&stored).unwrap(), permissions);
    }
}
