//! Reads a policy file into a [`Policy`]. Pure.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::{
    Error, Policy, Role, bastion, condition, file, hosts, limits, machines, presence, privileges,
    registered, testing,
    text::{self, Text},
};

impl Policy {
    /// Reads a policy. `origin` is the file's name, for errors (`origin:line: ...`).
    ///
    /// # Errors
    /// Returns the first fault in the file, with its line and what to do about it.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        let starts = text::lines(text);
        let lines = Text::new(text, origin, &starts);
        let file = lines.read()?;
        let limits = limits::Limits::load(lines, &file.limits)?;
        let hosts = hosts::Hosts::load(lines, &file)?;
        let bastions = bastion::Bastions::load(lines, &file, &limits, &hosts)?;
        let roles = load_roles(lines, &file, &limits, &hosts, &bastions)?;
        let privileges = privileges::Privileges::load(lines, &file)?;
        let machines = machines::Machines::load(lines, &file, &hosts)?;
        let conditions = roles.iter().flat_map(Role::conditions);
        let conditions = conditions.chain(privileges.conditions());
        let of_machines = machines.iter().map(machines::Machines::condition);
        let patterns = condition::unite(conditions.chain(of_machines));
        let registry = registered::load(lines, &file)?;
        let presence_keys = presence::PresenceKeys::load(lines, &file)?;
        let named_issuers = registered::issuers(lines, &file);
        let tests = testing::block::load(lines, file.tests, &roles, &bastions)?;
        Ok(Self {
            hash: base16ct::lower::encode_string(&Sha256::digest(text)),
            text: text.to_owned(),
            origin: origin.to_owned(),
            limits,
            hosts,
            bastions,
            privileges,
            machines,
            registry,
            presence_keys,
            named_issuers,
            roles,
            tests,
            patterns,
        })
    }
}

fn load_roles(
    text: Text<'_>,
    file: &file::File,
    limits: &limits::Limits,
    hosts: &hosts::Hosts,
    bastions: &bastion::Bastions,
) -> Result<Vec<Role>, Error> {
    let mut names = BTreeSet::new();
    file.roles
        .iter()
        .map(|raw| {
            let role = Role::load(text, raw, limits, hosts, bastions)?;
            if !names.insert(role.name.clone()) {
                return Err(text.error(
                    raw.name.span(),
                    format!(
                        "a second role is called {:?}; rename one of them",
                        role.name
                    ),
                ));
            }
            Ok(role)
        })
        .collect()
}
