//! A role, loaded: every name known, every pattern and condition compiled.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Map, Value};
use toml::Spanned;

use super::{
    Error,
    approval::{Approval, Emergency, OnBehalf},
    bastion::Bastions,
    command::Command,
    condition::Condition,
    file,
    hosts::Hosts,
    hours::Hours,
    limits::{self, Limits},
    parameter::{MAX_VALUE, Parameter, Rule},
    pattern::Pattern,
    require::Require,
    source::{self, Source},
    template::Template,
    text::Text,
};
use crate::ssh::{options::Extension, principal};

/// A role of the policy.
pub(crate) struct Role {
    /// The name, which is part of the key id of its passes.
    pub name: String,
    /// The author's description.
    pub about: String,
    /// Its host groups; empty if it is not tied to hosts.
    pub hosts: Vec<String>,
    /// The words of its command with `{name}` holes, as written; empty for none.
    pub command: Vec<String>,
    /// The lifetime of its passes, within `[limits]`.
    pub ttl: Duration,
    /// Whether its sessions have a terminal.
    pub pty: bool,
    pub(super) line: usize,
    pub(super) allow: Condition,
    pub(super) principals: Vec<Template>,
    pub(super) typed_command: Option<Command>,
    pub(super) parameters: BTreeMap<String, Parameter>,
    pub(super) source: Source,
    pub(super) extensions: BTreeSet<Extension>,
    /// Whether its passes are for security keys that verify their user at each login.
    pub verify_required: bool,
    pub(super) reason: Option<Pattern>,
    pub(super) hours: Option<Hours>,
    pub(super) require: Option<Require>,
    pub(super) approval: Option<Approval>,
    pub(super) emergency: Option<Emergency>,
    pub(super) on_behalf: Option<OnBehalf>,
    pub(super) written_ttl: Duration,
}

impl Role {
    pub(super) fn load(
        text: Text<'_>,
        raw: &file::Role,
        limits: &Limits,
        hosts: &Hosts,
        bastions: &Bastions,
    ) -> Result<Self, Error> {
        let typed_command = command(text, raw)?;
        let parameters = parameters(text, raw, typed_command.as_ref())?;
        let extensions = extensions(text, raw)?;
        let written_ttl = match &raw.ttl {
            None => limits.ttl(),
            Some(ttl) => text.parse(ttl, |ttl| limits::lifetime(ttl))?,
        };
        Ok(Self {
            name: text.parse(&raw.name, |name| role_name(name))?,
            about: about(text, raw)?,
            hosts: host_groups(text, raw, hosts)?,
            command: words(typed_command.as_ref()),
            ttl: written_ttl.min(limits.ttl()),
            pty: extensions.contains(&Extension::Pty),
            line: text.line(&raw.name.span()),
            allow: text.parse(&raw.allow, |allow| Condition::compile(allow))?,
            principals: principals(text, raw, limits)?,
            source: source::load(text, raw.source.as_ref(), || behind(bastions))?,
            reason: match &raw.reason {
                None => None,
                Some(reason) => Some(text.parse(reason, |reason| Pattern::compile(reason))?),
            },
            hours: match &raw.hours {
                None => None,
                Some(hours) => Some(text.parse(hours, Hours::load)?),
            },
            require: match &raw.require {
                None => None,
                Some(require) => Some(text.parse(require, Require::load)?),
            },
            approval: raw
                .approval
                .as_ref()
                .map(|approval| Approval::load(text, approval))
                .transpose()?,
            emergency: raw
                .emergency
                .as_ref()
                .map(|emergency| Emergency::load(text, emergency))
                .transpose()?,
            on_behalf: raw
                .on_behalf
                .as_ref()
                .map(|on_behalf| OnBehalf::load(text, on_behalf))
                .transpose()?,
            typed_command,
            parameters,
            extensions,
            verify_required: raw.verify_required,
            written_ttl,
        })
    }

    /// Its parameters: name, pattern and list of values. Exactly one of the two is set.
    pub(crate) fn params(&self) -> Vec<(&str, Option<&str>, &[String])> {
        self.parameters
            .values()
            .map(|parameter| (parameter.name(), parameter.pattern(), parameter.one_of()))
            .collect()
    }

    /// The number of approvals that a request needs; 0 if the role needs none.
    pub(crate) fn approvals(&self) -> u32 {
        self.approval.as_ref().map_or(0, |approval| approval.count)
    }

    /// The pattern that a reason must match as a whole; `None` if no reason is required.
    pub(crate) fn reason_pattern(&self) -> Option<&str> {
        self.reason.as_ref().map(Pattern::source)
    }

    /// The login names that these claims give, without host groups. Templates that do not expand
    /// are left out.
    pub(crate) fn logins(&self, claims: &Map<String, Value>) -> Vec<String> {
        let expanded = self.principals.iter().filter_map(|template| {
            let mut logins = template.expand(claims).ok()?;
            logins.retain(|login| principal::is_login(login) && template.may_give(login));
            Some(logins)
        });
        expanded.flatten().collect()
    }

    /// All conditions of the role.
    pub(super) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let by = self.approval.iter().map(|approval| &approval.by);
        let emergency = self.emergency.iter();
        let on_behalf = self.on_behalf.iter().map(|on_behalf| &on_behalf.by);
        [&self.allow]
            .into_iter()
            .chain(by)
            .chain(on_behalf)
            .chain(emergency.flat_map(|emergency| [&emergency.allow, &emergency.review]))
    }
}

fn role_name(name: &str) -> Result<String, String> {
    if principal::is_name(name) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "{name:?} is not a role name; use at most 64 letters, digits, `.`, `_` and `-`"
    ))
}

fn about(text: Text<'_>, raw: &file::Role) -> Result<String, Error> {
    let Some(about) = &raw.about else {
        return Ok(String::new());
    };
    text.parse(about, |about| {
        if about.chars().any(char::is_control) || about.len() > 512 {
            return Err("`about` is one line of at most 512 bytes; shorten it".to_owned());
        }
        Ok(about.clone())
    })
}

fn host_groups(text: Text<'_>, raw: &file::Role, hosts: &Hosts) -> Result<Vec<String>, Error> {
    text.parse_all(&raw.hosts, |group| hosts.known(group))
}

fn principals(text: Text<'_>, raw: &file::Role, limits: &Limits) -> Result<Vec<Template>, Error> {
    if raw.principals.get_ref().is_empty() {
        return Err(text.error(
            raw.principals.span(),
            "`principals` is empty, and a pass without principals would work for every user; name at least one",
        ));
    }
    text.parse_all(raw.principals.get_ref(), |template| {
        principal_template(template, limits)
    })
}

fn principal_template(text: &str, limits: &Limits) -> Result<Template, String> {
    let template = Template::parse(text)?;
    if template.parameters().next().is_some() {
        return Err(format!(
            "principal {text:?} takes a parameter, but a caller never chooses principals; use a literal or {{claims.NAME}}"
        ));
    }
    if template.holes() > 1 {
        return Err(format!(
            "principal {text:?} has several holes; use at most one"
        ));
    }
    match template.literal() {
        Some(login) if !principal::is_login(&login) => Err(format!(
            "{login:?} is not a login name; {}",
            limits::LOGIN_HELP
        )),
        Some(login) if !limits.allows_login(&login) => Err(format!(
            "principal {login:?} is not in `principals` of [limits]; add it there, or remove it here"
        )),
        _ => Ok(template),
    }
}

fn command(text: Text<'_>, raw: &file::Role) -> Result<Option<Command>, Error> {
    let Some(words) = &raw.command else {
        return Ok(None);
    };
    let templates = text.parse_all(words.get_ref(), |word| Template::parse(word))?;
    Command::of(templates)
        .map(Some)
        .map_err(|message| text.error(words.span(), message))
}

fn words(command: Option<&Command>) -> Vec<String> {
    let words = command.into_iter().flat_map(Command::words);
    words.map(|word| word.source().to_owned()).collect()
}

/// Parses `params`, and checks that holes and parameters name each other.
fn parameters(
    text: Text<'_>,
    raw: &file::Role,
    command: Option<&Command>,
) -> Result<BTreeMap<String, Parameter>, Error> {
    let holes: BTreeSet<&str> = command.into_iter().flat_map(Command::parameters).collect();
    let mut parameters = BTreeMap::new();
    for (name, raw_parameter) in &raw.params {
        let known = name.get_ref();
        if !holes.contains(known.as_str()) {
            return Err(text.error(
                name.span(),
                format!("parameter `{known}` has no hole; put {{{known}}} into `command`, or remove the parameter"),
            ));
        }
        let parameter = text.parse(raw_parameter, |raw| parameter(known, raw))?;
        parameters.insert(known.clone(), parameter);
    }
    let command_span = || raw.command.as_ref().map(Spanned::span).unwrap_or_default();
    if let Some(command) = command {
        let checked = command.check_parameters(&parameters);
        checked.map_err(|message| text.error(command_span(), message))?;
    }
    match holes.into_iter().find(|hole| !parameters.contains_key(*hole)) {
        None => Ok(parameters),
        Some(hole) => Err(text.error(
            command_span(),
            format!("the hole {{{hole}}} has no parameter; add `params.{hole} = {{ pattern = \"...\" }}`"),
        )),
    }
}

fn parameter(name: &str, raw: &file::Parameter) -> Result<Parameter, String> {
    let rule = match (&raw.pattern, &raw.one_of) {
        (Some(pattern), None) => Rule::Pattern(Pattern::compile(pattern)?),
        (None, Some(values)) => Rule::OneOf(allowed_values(name, values)?),
        _ => {
            return Err(format!(
                "parameter `{name}` needs either `pattern` or `one_of`, and not both"
            ));
        }
    };
    Ok(Parameter::new(name.to_owned(), rule, raw.option))
}

fn allowed_values(name: &str, values: &[String]) -> Result<Vec<String>, String> {
    let usable = |value: &String| value.len() <= MAX_VALUE && !value.chars().any(char::is_control);
    if values.is_empty() || !values.iter().all(usable) {
        return Err(format!(
            "parameter `{name}` needs at least one value, each of at most {MAX_VALUE} bytes and without control characters"
        ));
    }
    Ok(values.to_vec())
}

fn behind(bastions: &Bastions) -> Result<Source, String> {
    if bastions.all().is_empty() {
        return Err("`source = \"bastion\"` needs a bastion; add a [[bastion]]".to_owned());
    }
    Ok(Source::Bastion)
}

fn extensions(text: Text<'_>, raw: &file::Role) -> Result<BTreeSet<Extension>, Error> {
    let mut extensions: BTreeSet<_> =
        text.parse_all(&raw.extensions, |word| limits::extension(word))?;
    if raw.pty {
        extensions.insert(Extension::Pty);
    }
    Ok(extensions)
}
