//! One provider: the manual's block for it, and an issuer with its habits.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use daypass::dev::issuer::{CLIENT_ID, Issuer, Profile};
use serde::Deserialize;

use crate::support::{
    command::Terminal,
    env::{EnvOptions, TestEnv},
    policy,
    ports::free_port,
};

const MANUAL: &str = include_str!("../../src/cli/manual/providers.md");

/// Every provider of the manual, by the name in its block.
pub(crate) const ALL: [(&str, &str); 10] = [
    ("google", include_str!("habits/google.toml")),
    ("entra", include_str!("habits/entra.toml")),
    ("okta", include_str!("habits/okta.toml")),
    ("auth0", include_str!("habits/auth0.toml")),
    ("keycloak", include_str!("habits/keycloak.toml")),
    ("zitadel", include_str!("habits/zitadel.toml")),
    ("dex", include_str!("habits/dex.toml")),
    ("cognito", include_str!("habits/cognito.toml")),
    ("gitlab", include_str!("habits/gitlab.toml")),
    ("github", include_str!("habits/github.toml")),
];

/// A file of `habits/`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Habits {
    label: String,
    allow: String,
    /// Settings beside those of the manual.
    #[serde(default)]
    issuer: toml::Table,
    profile: Profile,
}

/// A running provider, and an environment whose daemon knows it beside the issuer of people.
pub(crate) struct Provider {
    pub(crate) issuer: Issuer,
    pub(crate) env: TestEnv,
    /// The label of its person.
    pub(crate) label: String,
}

impl Provider {
    pub(crate) async fn start(name: &'static str) -> Self {
        Self::start_with(name, |_| ()).await
    }

    /// The provider after this change of its file.
    pub(crate) async fn start_with(
        name: &'static str,
        change: impl FnOnce(&mut toml::Table),
    ) -> Self {
        let (_, text) = ALL.into_iter().find(|(it, _)| *it == name).unwrap();
        let port = free_port();
        let text = text.replace("PORT", &port.to_string());
        let mut table: toml::Table = toml::from_str(&text).unwrap();
        change(&mut table);
        let habits: Habits = table.try_into().unwrap_or_else(|it| panic!("{name}: {it}"));
        let issuer = Issuer::start().await.unwrap();
        issuer.imitate(habits.profile);
        let env = TestEnv::new().policy(format!(
            "{}{}[[role]]\nname = \"shell\"\nallow = '{allow}'\nprincipals = [\"deploy\"]\n\
             [[role]]\nname = \"prod\"\nallow = '{allow}'\nprincipals = [\"deploy\"]\n{}\n",
            policy::limits(&["deploy"]),
            policy::AUDIT_AND_ADMIN,
            policy::APPROVAL,
            allow = habits.allow,
        ));
        let mut settings = block(name);
        let members = settings.as_table_mut().unwrap();
        members.extend(habits.issuer);
        let block = configuration(settings, &issuer.identifier(), port, &env);
        Self {
            issuer,
            env: env.configuration(block).start().await,
            label: habits.label,
        }
    }

    /// A terminal at which alice has signed in at this provider, of this name.
    pub(crate) async fn signed_in(&self, name: &str) -> Terminal {
        let terminal = self.env.own_terminal();
        let words = ["login", "--browser", "--issuer", name, "--as", "alice"];
        terminal.run(&words).await.exits(name, 0);
        terminal
    }
}

/// The settings of a provider, at this address, with a free port and a secret that is there.
fn configuration(mut issuer: toml::Value, url: &str, port: u16, env: &EnvOptions) -> String {
    let members = issuer.as_table_mut().unwrap();
    members.insert("url".into(), url.into());
    if members.contains_key("redirect_ports") {
        members.insert("redirect_ports".into(), vec![i64::from(port)].into());
    }
    if members.contains_key("client_secret_file") {
        write(&env.folder().join("secret"), "GOCSPX-example\n");
        members.insert("client_secret_file".into(), "../secret".into());
    }
    let sections = toml::Table::from_iter([("issuer".to_owned(), vec![issuer].into())]);
    toml::to_string(&sections).unwrap()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

/// The `[[issuer]]` of the manual with this name.
pub(crate) fn block(name: &str) -> toml::Value {
    let mut found = blocks().into_iter();
    let named = found.find(|issuer| issuer.get("name") == Some(&name.into()));
    named.unwrap_or_else(|| panic!("the manual has no block for {name}"))
}

fn blocks() -> Vec<toml::Value> {
    let fences = MANUAL.split("```toml config\n").skip(1);
    let texts = fences.map(|rest| rest.split_once("```").unwrap().0);
    let parsed = texts.map(|text| toml::from_str::<toml::Table>(text).unwrap());
    parsed
        .flat_map(|table| table["issuer"].as_array().unwrap().clone())
        .collect()
}

#[test]
fn every_block_of_the_manual_has_its_habits() {
    let named = blocks().into_iter();
    let mut named: Vec<String> = named
        .map(|issuer| issuer["name"].as_str().unwrap().to_owned())
        .filter(|name| name != "other")
        .collect();
    let mut ours = ALL.map(|(name, _)| name.to_owned()).to_vec();
    named.sort();
    ours.sort();
    assert_eq!(named, ours);
    for issuer in blocks()
        .iter()
        .filter(|it| it["name"].as_str() != Some("github"))
    {
        assert_eq!(issuer["client_id"].as_str(), Some(CLIENT_ID), "{issuer}");
    }
}
