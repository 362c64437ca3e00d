//! Decides what a proven identity may have. Pure: no clock, no files, no network.
//!
//! One TOML file ([`Policy::parse`]) names the roles. [`Policy::decide`] is the only way from an
//! [`Identity`] and an [`Ask`] to a [`Grant`]; `checks` lists its checks in order. A grant changes
//! only by [`Grant::narrow`]. [`Policy::explain`], [`Policy::run_tests`] and [`Policy::warnings`]
//! reason about decisions and grant nothing.

pub(crate) mod approval;
mod approving;
mod ask;
pub(crate) mod bastion;
pub(crate) mod check;
mod checks;
pub(crate) mod command;
pub(crate) mod condition;
mod decision;
mod denial;
mod error;
pub(crate) mod explain;
mod file;
pub(crate) mod grant;
mod host_keys;
pub(crate) mod hosts;
pub(crate) mod hours;
pub(crate) mod limits;
mod load;
mod machine_group;
mod machines;
mod on_behalf;
pub(crate) mod open_roles;
pub(crate) mod paging;
pub(crate) mod parameter;
pub(crate) mod pattern;
mod permitted;
mod person;
pub(crate) mod presence;
mod privileges;
mod quorum;
pub(crate) mod registered;
pub(crate) mod replay;
pub(crate) mod require;
pub(crate) mod role;
pub(crate) mod sight;
pub(crate) mod source;
pub(crate) mod template;
mod test_keys;
pub(crate) mod testing;
mod text;

use std::sync::Arc;

use crate::{
    identity::{Identity, emergency::Registry},
    reference::Section,
};
use condition::{EvalContext, Patterns};
use decision::Evaluation;

pub(crate) use approval::Pending;
pub use ask::{Ask, Context};
pub(crate) use denial::{Denial, Reason};
pub use error::Error;
pub use grant::{Grant, Restriction};
pub(crate) use paging::timing::PageTiming;
pub use person::{AuthMethod, Person};
pub(crate) use require::expect_bound;
pub(crate) use role::Role;

/// The sections of the policy file, for the manual.
pub(crate) fn reference() -> Vec<Section> {
    file::reference()
}

/// The answer to an ask.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Granted, within every restriction that applies.
    Granted(Grant),
    /// Granted once other people have approved.
    NeedsApproval(Pending),
    /// Denied.
    Denied(Denial),
}

/// One loaded policy file.
///
/// Each file of this module that reasons about decisions adds its methods: `load`, `open_roles`,
/// `permitted`, `approving`, `on_behalf`, `quorum`, [`explain`], [`replay`], [`testing`],
/// [`check`] and [`sight`].
pub struct Policy {
    hash: String,
    text: String,
    origin: String,
    limits: limits::Limits,
    hosts: hosts::Hosts,
    bastions: bastion::Bastions,
    privileges: privileges::Privileges,
    machines: Vec<machines::Machines>,
    registry: Registry,
    presence_keys: presence::PresenceKeys,
    named_issuers: Vec<registered::NamedIssuer>,
    roles: Vec<Role>,
    tests: Vec<testing::block::Test>,
    patterns: Arc<Patterns>,
}

impl Policy {
    /// Hex SHA-256 of the file's bytes.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The file's text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The roles, in file order.
    pub(crate) fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// Decides: the one way from an identity and an ask to a grant.
    ///
    /// An identity by registered keys gets emergencies only, and needs enough people's signatures.
    pub fn decide(&self, identity: &Identity, ask: &Ask, context: Context) -> Decision {
        if let Err(denial) = self.expect_emergency(identity, ask) {
            return Decision::Denied(denial);
        }
        match (
            self.consider(identity.into(), ask, context),
            self.expect_quorum(identity, ask),
        ) {
            (Decision::Denied(denial), _) | (_, Err(denial)) => Decision::Denied(denial),
            (decision, Ok(())) => decision,
        }
    }

    /// [`Policy::judge`], and whether the grant waits for approval.
    fn consider(&self, person: Person<'_>, ask: &Ask, context: Context) -> Decision {
        let grant = match self.judge(person, ask, context) {
            Ok(grant) => grant,
            Err(denial) => return Decision::Denied(denial),
        };
        let role = self.role(&ask.role).ok();
        match role.and_then(|role| role.approval.as_ref()) {
            Some(approval) if !ask.emergency => Decision::NeedsApproval(Pending {
                grant,
                count: approval.count,
                within: approval.within,
            }),
            Some(_) | None => Decision::Granted(grant),
        }
    }

    /// Whether there is such a role, and it has such a parameter.
    pub(crate) fn has_parameter(&self, role: &str, parameter: &str) -> bool {
        let mut roles = self.roles.iter();
        roles.any(|it| it.name == role && it.parameters.contains_key(parameter))
    }

    /// Checks that `[hosts]` has this group, if it has any.
    ///
    /// # Errors
    /// Returns a sentence that says what to add.
    pub(crate) fn expect_group(&self, group: &str) -> Result<(), String> {
        match self.hosts.patterns().next() {
            Some(_) => self.hosts.known(group).map(drop),
            None => Ok(()),
        }
    }

    /// The host groups.
    pub(crate) fn hosts(&self) -> &hosts::Hosts {
        &self.hosts
    }

    /// All host-name patterns of `[hosts]`.
    pub(crate) fn host_patterns(&self) -> Vec<&str> {
        self.hosts.patterns().collect()
    }

    /// The bastions, in file order.
    pub(crate) fn bastions(&self) -> &[bastion::Bastion] {
        self.bastions.all()
    }

    /// Decides over claims, proven or not. Outside, only [`Policy::decide`] returns the grant.
    fn judge(&self, person: Person<'_>, ask: &Ask, context: Context) -> Result<Grant, Denial> {
        let role = self.role(&ask.role)?;
        let eval_context = EvalContext::new(person, ask, &self.patterns);
        checks::decide(&self.case(role, person, ask, context, &eval_context))
    }

    fn role(&self, name: &str) -> Result<&Role, Denial> {
        let found = self.roles.iter().find(|role| role.name == name);
        found.ok_or_else(|| {
            let name = decision::quoted(name);
            let detail = format!("there is no role {name}; `daypass roles` lists yours");
            Denial::new(Reason::UnknownRole, detail)
        })
    }

    fn case<'a>(
        &'a self,
        role: &'a Role,
        person: Person<'a>,
        ask: &'a Ask,
        context: Context,
        eval_context: &'a Result<EvalContext<'a>, String>,
    ) -> Evaluation<'a> {
        Evaluation {
            role,
            limits: &self.limits,
            hosts: &self.hosts,
            bastions: &self.bastions,
            person,
            ask,
            context,
            eval_context,
        }
    }
}

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
