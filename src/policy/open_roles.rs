//! The roles that are open to an identity, and what their passes allow. Pure.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use ipnet::IpNet;
use time::OffsetDateTime;

use super::{
    Context, Person, Policy, Role,
    ask::{Ask, NOTHING},
    condition::EvalContext,
    decision::Evaluation,
    grant::{narrow_extensions, narrow_source},
};
use crate::{identity::Identity, ssh::options::Extension};

/// A role that is open to an identity, and what its passes allow within `[limits]`.
pub(crate) struct OpenRole<'a> {
    /// The role.
    pub(crate) role: &'a Role,
    /// The extensions of its passes.
    pub(crate) extensions: BTreeSet<Extension>,
    /// The networks that its passes work from. `None`: any address, or they depend on a host and
    /// none was named.
    pub(crate) source: Option<BTreeSet<IpNet>>,
    /// The lifetime of its emergency passes; `None` without an emergency rule.
    pub(crate) emergency_ttl: Option<Duration>,
}

impl Policy {
    /// The roles that are open to this identity, in file order: `allow` holds. With a host: the
    /// role covers it, and a bastion leads to it if the role needs one.
    ///
    /// A condition that reads `ask.params` or `ask.reason` is judged as if none were given.
    pub(crate) fn roles_for(
        &self,
        identity: &Identity,
        host: Option<&str>,
        caller: Option<IpAddr>,
    ) -> Vec<OpenRole<'_>> {
        self.open_roles(identity.into(), host, caller)
    }

    pub(super) fn open_roles(
        &self,
        person: Person<'_>,
        host: Option<&str>,
        caller: Option<IpAddr>,
    ) -> Vec<OpenRole<'_>> {
        let asks = self.roles.iter().map(|role| Ask {
            role: role.name.clone(),
            host: host.map(str::to_owned),
            ..Ask::default()
        });
        let asks: Vec<_> = asks.collect();
        let mut eval_context = EvalContext::new(person, &NOTHING, &self.patterns);
        let context = Context {
            now: OffsetDateTime::UNIX_EPOCH,
            caller,
        };
        let mut open = Vec::new();
        for (role, ask) in self.roles.iter().zip(&asks) {
            if let Ok(eval_context) = &mut eval_context {
                eval_context.ask(ask);
            }
            let case = self.case(role, person, ask, context, &eval_context);
            if case.allowed().is_ok() && case.groups().is_ok() && case.has_way() {
                open.push(self.open_role(role, &case));
            }
        }
        open
    }

    fn open_role<'a>(&'a self, role: &'a Role, case: &Evaluation<'_>) -> OpenRole<'a> {
        let limits = self.limits.restriction();
        // Without an answer the ask itself is denied, so no pass has these addresses.
        let source = case.source().unwrap_or_default();
        OpenRole {
            role,
            extensions: narrow_extensions(role.extensions.clone(), limits.extensions.as_ref()),
            source: narrow_source(source, limits.source.as_ref()).unwrap_or_default(),
            emergency_ttl: role
                .emergency
                .as_ref()
                .map(|emergency| emergency.ttl.min(role.ttl)),
        }
    }
}
