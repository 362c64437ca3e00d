//! One ask against one role: each check's rule and its denial.
//!
//! [`super::checks`] puts them in order. None of them grants anything.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Ask, AuthMethod, Context, Denial, Grant, Person, Reason, Restriction,
    approval::Emergency,
    bastion::{Bastion, Bastions, JumpHost},
    condition::{Condition, EvalContext},
    hosts::{self, Hosts},
    hours,
    limits::Limits,
    role::Role,
    source::{self, Source},
    template::Template,
};
use crate::ssh::principal::{self, MAX_COUNT};

/// Largest reason, in bytes.
pub(super) const MAX_REASON: usize = 1024;

/// One ask against one role.
pub(super) struct Evaluation<'a> {
    pub(super) role: &'a Role,
    pub(super) limits: &'a Limits,
    pub(super) hosts: &'a Hosts,
    pub(super) bastions: &'a Bastions,
    pub(super) person: Person<'a>,
    pub(super) ask: &'a Ask,
    pub(super) context: Context,
    /// The claims as conditions see them, or why they cannot be evaluated.
    pub(super) eval_context: &'a Result<EvalContext<'a>, String>,
}

impl<'a> Evaluation<'a> {
    /// The condition for this ask: the role's `allow`, or that of its emergency.
    pub(super) fn condition(&self) -> Result<&'a Condition, Denial> {
        match (self.ask.emergency, self.emergency()) {
            (false, _) => Ok(&self.role.allow),
            (true, Some(emergency)) => Ok(&emergency.allow),
            (true, None) => Err(Denial::new(
                Reason::NotAllowed,
                format!(
                    "role {:?} has no `emergency`; ask for it as usual",
                    self.role.name
                ),
            )),
        }
    }

    /// Refuses an identity that does not satisfy the condition.
    pub(super) fn allowed(&self) -> Result<(), Denial> {
        let (role, allow) = (&self.role.name, self.condition()?);
        let outcome = match self.eval_context {
            Ok(eval_context) => allow.evaluate(eval_context),
            Err(error) => Err(error.clone()),
        };
        match outcome {
            Ok(true) => Ok(()),
            Ok(false) => Err(Denial::new(
                Reason::NotAllowed,
                format!(
                    "role {role:?} is for identities with {}",
                    shorten(allow.source(), 256)
                ),
            )),
            Err(error) => Err(Denial::new(
                Reason::Condition,
                format!(
                    "the condition of role {role:?} has no result for this identity: {}",
                    shorten(&error, 256)
                ),
            )),
        }
    }

    /// The role's emergency rules, if the ask is an emergency.
    fn emergency(&self) -> Option<&'a Emergency> {
        let rules = self.role.emergency.as_ref();
        rules.filter(|_| self.ask.emergency)
    }

    /// The host groups of the pass; empty for a role without hosts.
    pub(super) fn groups(&self) -> Result<Vec<&'a str>, Denial> {
        let groups = self.role.hosts.iter().map(String::as_str);
        let Some(host) = &self.ask.host else {
            return Ok(groups.collect());
        };
        hosts::check_host(host).map_err(|error| Denial::new(Reason::Host, error))?;
        let matching: Vec<_> = groups
            .filter(|group| self.hosts.belongs(host, group))
            .collect();
        if matching.is_empty() && !self.role.hosts.is_empty() {
            return Err(Denial::new(
                Reason::Host,
                format!(
                    "role {:?} is for hosts of {}, and {host} is not one; see `daypass roles`",
                    self.role.name,
                    self.role.hosts.join(", ")
                ),
            ));
        }
        Ok(matching)
    }

    /// The exact force-command, from checked parameters.
    pub(super) fn command(&self) -> Result<Option<String>, Denial> {
        let refuse = |detail: String| Denial::new(Reason::Parameter, detail);
        let parameters = &self.role.parameters;
        if let Some(unknown) = self
            .ask
            .params
            .keys()
            .find(|name| !parameters.contains_key(*name))
        {
            let known: Vec<_> = parameters.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            return Err(refuse(format!(
                "role {:?} has no parameter {}; it has {known}",
                self.role.name,
                quoted(unknown)
            )));
        }
        for parameter in parameters.values() {
            if let Some(value) = self.ask.params.get(parameter.name()) {
                parameter.check(value).map_err(refuse)?;
            }
        }
        let Some(command) = &self.role.typed_command else {
            return Ok(None);
        };
        command
            .line(parameters, &self.ask.params, self.person.claims)
            .map(Some)
            .map_err(refuse)
    }

    /// Checks the reason against the role's pattern.
    pub(super) fn reason(&self) -> Result<(), Denial> {
        let refuse = |detail: String| Err(Denial::new(Reason::Unexplained, detail));
        let reason = self.ask.reason.as_deref().unwrap_or_default();
        if reason.len() > MAX_REASON {
            return refuse(format!(
                "the reason has {} bytes; shorten it to {MAX_REASON}",
                reason.len()
            ));
        }
        if self.ask.emergency && reason.trim().is_empty() {
            return refuse("an emergency always has a reason; pass --reason".to_owned());
        }
        match &self.role.reason {
            Some(pattern) if !pattern.matches(reason) => refuse(format!(
                "role {:?} demands a reason that matches {} as a whole; pass --reason",
                self.role.name,
                pattern.source()
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// The caller's wishes as a restriction, which can only narrow.
    pub(super) fn wishes(&self) -> Result<Restriction, Denial> {
        if self.ask.ttl.is_some_and(|ttl| ttl.as_secs() == 0) {
            return Err(Denial::new(
                Reason::Ttl,
                "the lifetime asked for is under a second; ask for a longer one, or for none to get the role's own",
            ));
        }
        self.wished_extensions()?;
        Ok(Restriction {
            ttl: self.ask.ttl,
            extensions: (!self.ask.extensions.is_empty()).then(|| self.ask.extensions.clone()),
            source: self.wished_source()?,
            ..Restriction::default()
        })
    }

    fn wished_extensions(&self) -> Result<(), Denial> {
        match self.ask.extensions.difference(&self.role.extensions).next() {
            None => Ok(()),
            Some(extension) => Err(Denial::new(
                Reason::Extension,
                format!(
                    "role {:?} does not give {}; ask without it",
                    self.role.name,
                    extension.as_str()
                ),
            )),
        }
    }

    fn wished_source(&self) -> Result<Option<BTreeSet<ipnet::IpNet>>, Denial> {
        let refuse = |detail: String| Denial::new(Reason::Source, detail);
        let wished = &self.ask.source;
        if wished.len() > source::MAX_NETWORKS {
            return Err(refuse(format!(
                "ask for at most {} source addresses",
                source::MAX_NETWORKS
            )));
        }
        if wished.is_empty() {
            return Ok(None);
        }
        let networks: Result<Vec<_>, _> = wished
            .iter()
            .map(|network| source::canonical(*network))
            .collect();
        networks.map(source::aggregate).map(Some).map_err(refuse)
    }

    /// The principals for these host groups. If one is outside the grammar or the limits, the whole
    /// ask is refused.
    pub(super) fn principals(&self, groups: &[&str]) -> Result<BTreeSet<String>, Denial> {
        let refuse = |detail: String| Denial::new(Reason::Principal, detail);
        let mut principals = BTreeSet::new();
        for template in &self.role.principals {
            for login in template.expand(self.person.claims).map_err(refuse)? {
                #[cfg(feature = "deliberate-bugs")]
                if crate::deliberate::skips_second_principal() && !principals.is_empty() {
                    principals.insert(login);
                    continue;
                }
                self.check_login(&login, template)?;
                if groups.is_empty() {
                    principals.insert(login);
                } else {
                    principals.extend(groups.iter().map(|group| format!("{login}@{group}")));
                }
            }
        }
        match principals.len() {
            0 => Err(refuse(format!(
                "this identity's claims give role {:?} no principal, and a pass needs at least one",
                self.role.name
            ))),
            1..=MAX_COUNT => Ok(principals),
            count => Err(refuse(format!(
                "the pass would have {count} principals; at most {MAX_COUNT} work"
            ))),
        }
    }

    fn check_login(&self, login: &str, template: &Template) -> Result<(), Denial> {
        let source = template.source();
        let detail = match () {
            () if !principal::is_login(login) => {
                format!("{} from {source} is not a login name", quoted(login))
            }
            () if !template.may_give(login) => format!(
                "{login:?} from {source} is refused: no claim gives it, only a role that lists it"
            ),
            () if !self.limits.allows_login(login) => {
                format!("{login:?} from {source} is not in `principals` of [limits]")
            }
            () => return Ok(()),
        };
        Err(Denial::new(Reason::Principal, detail))
    }

    /// Time until the role closes, which bounds the pass's lifetime; `None` if it never closes.
    ///
    /// An emergency ignores the hours; it has a lifetime of its own.
    pub(super) fn closes_in(&self) -> Result<Option<Duration>, Denial> {
        if let Some(emergency) = self.emergency() {
            return Ok(Some(emergency.ttl));
        }
        let (Some(hours), now) = (&self.role.hours, self.context.now) else {
            return Ok(None);
        };
        if hours.contains(now) {
            let left = hours.closes(now).map(|closes| closes - now);
            return Ok(left.and_then(|left| left.try_into().ok()));
        }
        let closed = format!("role {:?} is open {hours}", self.role.name);
        let denial = |detail| Denial::new(Reason::Hours, detail);
        Err(match hours.opens(now) {
            None => denial(closed),
            Some(opens) => {
                let (day, at) = (hours::weekday(opens), hours::rfc3339(opens));
                denial(format!("{closed}; it opens next on {day} {at}")).with("opens", at)
            }
        })
    }

    /// Checks the sign-in against the role's `require`.
    pub(super) fn signed_in_well(&self) -> Result<(), Denial> {
        // A registered key comes without a token, so there is no sign-in to check.
        if self.person.auth_method == AuthMethod::RegisteredKey {
            return Ok(());
        }
        match &self.role.require {
            None => Ok(()),
            Some(require) => require.check(&self.role.name, self.person, self.context.now),
        }
    }

    /// The source networks that the role allows.
    pub(super) fn source(&self) -> Result<Option<BTreeSet<ipnet::IpNet>>, Denial> {
        if let Some(bastion) = self.bastion()? {
            return Ok(Some(bastion.addresses().clone()));
        }
        self.role
            .source
            .networks(self.context.caller)
            .map_err(|error| Denial::new(Reason::Source, error))
    }

    /// The bastion in front of the host, if the role demands one.
    pub(super) fn bastion(&self) -> Result<Option<&Bastion>, Denial> {
        if self.role.source != Source::Bastion {
            return Ok(None);
        }
        let host = self.ask.host.as_deref();
        self.bastions.to(&self.role.name, host).map(Some)
    }

    /// Whether a bastion leads to the named host, if the role demands one.
    pub(super) fn has_way(&self) -> bool {
        self.ask.host.is_none() || self.bastion().is_ok()
    }

    /// The jump host for this grant.
    pub(super) fn jump_host(&self, grant: &Grant) -> Result<Option<JumpHost>, Denial> {
        let (role, caller) = (&self.role.name, self.context.caller);
        let bastion = self.bastion()?;
        let jump_host =
            bastion.map(|bastion| bastion.jump_host(role, grant.ttl(), caller, self.limits));
        jump_host.transpose()
    }
}

/// Quotes foreign text for a sentence: escaped and shortened.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", shorten(text, 64))
}

/// Shortens a text to at most `most` characters on one line.
pub(super) fn shorten(text: &str, most: usize) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(most) {
        words.truncate(end);
        words.push_str("...");
    }
    words
}
