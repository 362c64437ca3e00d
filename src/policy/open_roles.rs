//! The roles that are open to an identity. Pure.

use time::OffsetDateTime;

use super::{
    Context, Person, Policy, Role,
    ask::{Ask, NOTHING},
    condition::EvalContext,
};
use crate::identity::Identity;

impl Policy {
    /// The roles that are open to this identity, in file order: `allow` holds. With a host: the
    /// role covers it, and a bastion leads to it if the role needs one.
    ///
    /// A condition that reads `ask.params` or `ask.reason` is judged as if none were given.
    pub(crate) fn roles_for(&self, identity: &Identity, host: Option<&str>) -> Vec<&Role> {
        self.open_roles(identity.into(), host)
    }

    pub(super) fn open_roles(&self, person: Person<'_>, host: Option<&str>) -> Vec<&Role> {
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
}
