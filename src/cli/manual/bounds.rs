//! The bounds that the manual says of each key, against the real loader: the last value within a
//! bound loads, and the first one past it is refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod configuration;
mod policies;
mod table;

use super::tests::{example, private_file};
use crate::{
    config::{self, Config, Surroundings},
    policy::{self, Policy},
    reference::Section,
};
use table::Bounds;

fn about(sections: &[Section], it: &Bounds) -> &'static str {
    let section = sections
        .iter()
        .find(|section| section.heading == it.section);
    let key = section.and_then(|section| section.keys.iter().find(|key| key.name == it.key));
    key.unwrap_or_else(|| panic!("{} {}", it.section, it.key))
        .about
}

/// Compares the bounds with the manual and with what `load` says of a file.
fn compare(sections: &[Section], all: &[Bounds], load: impl Fn(&str) -> Result<(), String>) {
    for it in all {
        let (section, key, said) = (it.section, it.key, it.said);
        let about = about(sections, it);
        assert!(
            about.contains(said),
            "{section} {key} is not {said:?}: {about}"
        );
        let (loads, refused) = it.values.tried();
        for value in &loads {
            let answer = load(&it.file(value));
            assert_eq!(answer, Ok(()), "{section} {key} = {value}");
        }
        for value in &refused {
            let answer = load(&it.file(value));
            assert!(
                answer.is_err(),
                "{section} {key} = {value} is past {said:?}, and loads"
            );
        }
    }
}

/// Each bound that the manual says with numbers is in a table here.
fn expect_complete(sections: &[Section], all: &[Bounds]) {
    let number =
        regex::Regex::new(r"(?i)`?\x22?[0-9]+[a-z]?\x22?`? to |at most `?\x22?[0-9]").unwrap();
    for section in sections {
        for key in section.keys {
            let is_tried = |it: &Bounds| it.section == section.heading && it.key == key.name;
            let is_bound = number.is_match(key.about) && !ELSEWHERE.contains(&key.name);
            assert!(
                !is_bound || all.iter().any(is_tried),
                "{} {}: {}",
                section.heading,
                key.name,
                key.about
            );
        }
    }
}

/// Tried by a test of its own: 64 keys are long.
const ELSEWHERE: [&str; 1] = ["keys"];

#[test]
fn the_bounds_of_the_configuration_are_those_of_its_loader() {
    let folder = tempfile::tempdir().unwrap();
    let secret = format!("whsec_{}\n", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=");
    private_file(folder.path(), "secret", &secret);
    let around = Surroundings {
        folder: folder.path().to_owned(),
        ..Surroundings::default()
    };
    let load = |text: &str| {
        // A key of the top level stands before the first section.
        let text = match text.starts_with('[') {
            true => format!("{}\n{text}", example()),
            false => format!("{text}\n{}", example()),
        };
        Config::parse(&text, "daypass.toml", &around)
            .map(drop)
            .map_err(|it| it.to_string())
    };
    let all = configuration::ALL;
    let sections = config::reference();
    compare(&sections, all, load);
    expect_complete(&sections, all);
    let webhooks = |count: usize| {
        let one = |at: usize| {
            format!(
                "[[webhook]]\nname = \"w{at}\"\nurl = \"https://a.example.com\"\nsecret_file = \"secret\"\n"
            )
        };
        load(&(0..count).map(one).collect::<String>())
    };
    let section = sections
        .iter()
        .find(|it| it.heading == "[[webhook]]")
        .unwrap();
    assert!(section.about.contains("16 at most"));
    assert_eq!(webhooks(16), Ok(()));
    assert!(webhooks(17).is_err());
}

#[test]
fn the_bounds_of_the_policy_are_those_of_its_loader() {
    let load = |text: &str| {
        let parsed = Policy::parse(text, "policy.toml");
        parsed.map(drop).map_err(|it| it.to_string())
    };
    let all = policies::ALL;
    let sections = policy::reference();
    compare(&sections, all, load);
    expect_complete(&sections, all);
    let admins = |count: u8| {
        let one = |at: u8| {
            let key = ssh_key::private::Ed25519Keypair::from_seed(&[at; 32]).public;
            let key = ssh_key::PublicKey::from(ssh_key::public::KeyData::Ed25519(key));
            format!("{:?}", key.to_openssh().unwrap())
        };
        let keys: Vec<String> = (0..count).map(one).collect();
        load(&format!(
            "[admin]\nallow = \"true\"\nkeys = [{}]\n",
            keys.join(", ")
        ))
    };
    let admin = sections.iter().find(|it| it.heading == "[admin]").unwrap();
    let keys = admin.keys.iter().find(|it| it.name == "keys").unwrap();
    assert!(keys.about.contains("at most 64"));
    assert_eq!(admins(64), Ok(()));
    assert!(admins(65).is_err());
}
