//! Machines that join as known hosts: `[[host]]`. Pure.

use toml::Spanned;

use super::{
    Error,
    condition::{Condition, EvalContext},
    file,
    host_keys::Names,
    hosts::Hosts,
    template::Template,
    text::Text,
};
use crate::{identity::Identity, ssh::host_name::is_host_name};

/// The most `[[host]]` sections.
const MOST: usize = 256;

/// The most names of one section.
const MOST_NAMES: usize = 16;

/// One `[[host]]`.
pub(super) struct Machines {
    allow: Condition,
    names: Vec<Template>,
    group: String,
}

impl Machines {
    pub(super) fn load(
        text: Text<'_>,
        file: &file::File,
        hosts: &Hosts,
    ) -> Result<Vec<Self>, Error> {
        if let Some(raw) = file.machines.get(MOST) {
            let message = format!("there are more than {MOST} [[host]] sections; unite some");
            return Err(text.error(raw.allow.span(), message));
        }
        let one = |raw: &file::Host| {
            let one;
            let names = match raw.names.get_ref() {
                Names::One(name) => {
                    one = [Spanned::new(raw.names.span(), name.clone())];
                    &one[..]
                }
                Names::List(names) => names,
            };
            if names.is_empty() || names.len() > MOST_NAMES {
                let message = format!("`names` has 1 to {MOST_NAMES} names");
                return Err(text.error(raw.names.span(), message));
            }
            Ok(Self {
                allow: text.parse(&raw.allow, |cel| Condition::compile(cel))?,
                names: text.parse_all(names, |source| template(source))?,
                group: text.parse(&raw.group, |group| hosts.known(group))?,
            })
        };
        file.machines.iter().map(one).collect()
    }

    pub(super) fn condition(&self) -> &Condition {
        &self.allow
    }

    /// Whether a machine with this identity may have the name.
    pub(super) fn gives(
        &self,
        identity: &Identity,
        context: &EvalContext<'_>,
        wanted: &str,
    ) -> bool {
        let is_it = |name: &Template| {
            let names = name.expand(identity.claims());
            names.is_ok_and(|names| names.iter().any(|it| it == wanted))
        };
        self.allow.evaluate(context) == Ok(true) && self.names.iter().any(is_it)
    }

    /// The host group.
    pub(super) fn group(&self) -> &str {
        &self.group
    }
}

fn template(source: &str) -> Result<Template, String> {
    let template = Template::parse(source)?;
    let problem = match template.literal() {
        _ if template.parameters().next().is_some() => "has a parameter: use {claims.NAME}",
        None if template.holes() > 1 => "has more than one hole; use one",
        Some(name) if !is_host_name(&name) => "is not an exact host name in lower case",
        None | Some(_) => return Ok(template),
    };
    Err(format!("{source:?} {problem}"))
}
