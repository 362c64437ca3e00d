//! What a proven identity may have. Pure: no clock, no files, no network.
//!
//! One TOML file ([`Policy::parse`]) names roles. [`Policy::decide`] is the one way from an [`Identity`] and an [`Ask`]
//! to a [`Grant`]; `checks` lists its checks in order. A grant changes only by [`Grant::narrow`]. Everything else
//! here ([`Policy::explain`], [`Policy::run_tests`], [`Policy::warnings`]) reasons about decisions and grants nothing.

pub mod approval;
mod approving;
mod ask;
pub mod bastion;
pub mod check;
mod checks;
pub mod command;
pub mod condition;
mod decision;
mod denial;
mod error;
pub mod explain;
mod file;
pub mod grant;
pub mod hosts;
pub mod hours;
pub mod limits;
pub mod paging;
pub mod parameter;
pub mod pattern;
mod person;
mod privileges;
mod quorum;
pub mod registered;
pub mod replay;
pub mod require;
pub mod role;
pub mod sight;
pub mod source;
pub mod template;
pub mod testing;

use std::{collections::BTreeSet, sync::Arc};

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::identity::{Identity, emergency::Registry};
use condition::{Condition, EvalContext, Patterns};
use decision::Evaluation;
use file::Text;

pub use approval::Pending;
use ask::NOTHING;
pub use ask::{Ask, Context};
pub use denial::{Denial, Reason};
pub use error::Error;
pub use grant::{Grant, Restriction};
pub use paging::timing::PageTiming;
pub use person::{AuthMethod, Person};
pub use require::expect_bound;
pub use role::Role;

/// The answer to an ask.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Within every restriction that applies.
    Granted(Grant),
    /// Once somebody else has said yes.
    NeedsApproval(Pending),
    /// Not at all.
    Denied(Denial),
}

/// One loaded policy file.
pub struct Policy {
    hash: String,
    origin: String,
    limits: limits::Limits,
    hosts: hosts::Hosts,
    bastions: bastion::Bastions,
    privileges: privileges::Privileges,
    registry: Registry,
    named_issuers: Vec<registered::NamedIssuer>,
    roles: Vec<Role>,
    tests: Vec<testing::block::Test>,
    patterns: Arc<Patterns>,
}

impl Policy {
    /// Reads a policy. `origin` is the file's name, for errors (`origin:line: ...`).
    ///
    /// # Errors
    /// The first fault in the file, with its line and what to do about it.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        let lines = Text::new(text, origin);
        let file = lines.read()?;
        let limits = limits::Limits::load(lines, &file.limits)?;
        let hosts = hosts::Hosts::load(lines, &file)?;
        let bastions = bastion::Bastions::load(lines, &file, &limits, &hosts)?;
        let roles = load_roles(lines, &file, &limits, &hosts, &bastions)?;
        let privileges = privileges::Privileges::load(lines, &file)?;
        let conditions = roles.iter().flat_map(Role::conditions);
        let patterns = condition::unite(conditions.chain(privileges.conditions()));
        let registry = registered::load(lines, &file)?;
        let named_issuers = registered::issuers(lines, &file);
        let tests = testing::block::load(lines, file.tests, &roles, &bastions)?;
        Ok(Self {
            hash: base16ct::lower::encode_string(&Sha256::digest(text)),
            origin: origin.to_owned(),
            limits,
            hosts,
            bastions,
            privileges,
            registry,
            named_issuers,
            roles,
            tests,
            patterns,
        })
    }

    /// Hex SHA-256 of the file's bytes.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The roles, in file order.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// The one way from an identity and an ask to a grant.
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

    /// [`Policy::judge`], and whether the grant waits for others.
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
            _ => Decision::Granted(grant),
        }
    }

    /// The roles open to this identity (`allow` holds), optionally on one host (which they cover, and to which there is a
    /// way), in file order.
    ///
    /// A condition that reads `ask.params` or `ask.reason` is judged as if none were given.
    pub fn roles_for(&self, identity: &Identity, host: Option<&str>) -> Vec<&Role> {
        self.open_roles(identity.into(), host)
    }

    /// Whether there is such a role, and it has such a parameter.
    pub fn has_parameter(&self, role: &str, parameter: &str) -> bool {
        let mut roles = self.roles.iter();
        roles.any(|it| it.name == role && it.parameters.contains_key(parameter))
    }

    /// All host-name patterns of `[hosts]`.
    pub fn host_patterns(&self) -> Vec<&str> {
        self.hosts.patterns().collect()
    }

    /// The bastions, in file order.
    pub fn bastions(&self) -> &[bastion::Bastion] {
        self.bastions.all()
    }

    /// Decides over claims, proven or not. Only [`Policy::decide`] lets the grant out.
    fn judge(&self, person: Person<'_>, ask: &Ask, context: Context) -> Result<Grant, Denial> {
        let role = self.role(&ask.role)?;
        let eval_context = EvalContext::new(person, ask, &self.patterns);
        checks::decide(&self.case(role, person, ask, context, &eval_context))
    }

    /// `[audit] allow`: who may read the ledger; nobody where it is absent.
    pub fn may_audit(&self, identity: &Identity) -> bool {
        self.is_permitted(self.privileges.audit.as_ref(), identity)
    }

    /// `[admin] allow`: who may lock, unlock and revoke; nobody where it is absent.
    pub fn may_administer(&self, identity: &Identity) -> bool {
        self.is_permitted(self.privileges.admin.as_ref(), identity)
    }

    fn is_permitted(&self, privilege: Option<&Condition>, identity: &Identity) -> bool {
        let ask = Ask::default();
        let eval_context = EvalContext::new(identity.into(), &ask, &self.patterns);
        match (privilege, eval_context) {
            (Some(allow), Ok(eval_context)) => allow.evaluate(&eval_context) == Ok(true),
            (None, _) | (_, Err(_)) => false,
        }
    }

    fn open_roles(&self, person: Person<'_>, host: Option<&str>) -> Vec<&Role> {
        let asks = self.roles.iter().map(|role| Ask {
            role: role.name.clone(),
            host: host.map(str::to_owned),
            ..Ask::default()
        });
        let asks: Vec<_> = asks.collect();
        let mut eval_context = EvalContext::new(person, &NOTHING, &self.patterns);
        let context = Context {
            now: OffsetDateTime::UNIX_EPOCH,
            caller: None,
        };
        let mut open = Vec::new();
        for (role, ask) in self.roles.iter().zip(&asks) {
            if let Ok(eval_context) = &mut eval_context {
                eval_context.ask(ask);
            }
            let case = self.case(role, person, ask, context, &eval_context);
            if case.allowed().is_ok() && case.groups().is_ok() && case.has_way() {
                open.push(role);
            }
        }
        open
    }

    fn role(&self, name: &str) -> Result<&Role, Denial> {
        self.roles
            .iter()
            .find(|role| role.name == name)
            .ok_or_else(|| {
                Denial::new(
                    Reason::UnknownRole,
                    format!(
                        "there is no role {}; `daypass roles` lists yours",
                        decision::quoted(name)
                    ),
                )
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

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
