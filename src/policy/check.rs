//! Warnings of `daypass policy check`: rules that load but are broader than intended, or never
//! apply.

use serde_json::Map;

use super::{
    Ask, AuthMethod, Person, Policy,
    condition::{Condition, EvalContext},
    parameter::{Parameter, Rule},
    require::Require,
    role::Role,
    source::{self, Source},
};
use crate::ssh::options::Extension;

/// Longest lifetime without a warning.
const LONG: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// Shortest `auth_age` without a warning.
const HASTE: std::time::Duration = std::time::Duration::from_secs(60);

impl Policy {
    /// The warnings of `policy check`, as `file:line: message`, in file order.
    pub fn warnings(&self) -> Vec<String> {
        if self.roles.is_empty() {
            return vec![format!(
                "{}:1: there are no roles, so the policy grants no pass; add a [[role]]",
                self.origin
            )];
        }
        let roles = self.roles.iter().flat_map(|role| {
            self.role_warnings(role).into_iter().map(move |warning| {
                format!(
                    "{}:{}: role {:?} {warning}",
                    self.origin, role.line, role.name
                )
            })
        });
        roles.chain(self.idle_bastions()).collect()
    }

    /// Warns about bastions that no role uses.
    fn idle_bastions(&self) -> Vec<String> {
        if self.roles.iter().any(|role| role.source == Source::Bastion) {
            return Vec::new();
        }
        let bastions = self.bastions().iter();
        let warnings = bastions.map(|bastion| {
            format!(
                "{}:{}: bastion {:?} is unused: no role has `source = \"bastion\"`",
                self.origin, bastion.line, bastion.name
            )
        });
        warnings.collect()
    }

    fn role_warnings(&self, role: &Role) -> Vec<String> {
        let mut warnings = Vec::new();
        warnings.extend(self.broad_condition(role));
        warnings.extend(self.broad_on_behalf(role));
        warnings.extend(loose_patterns(role));
        warnings.extend(free_root(role));
        warnings.extend(self.open_principals(role));
        warnings.extend(self.beyond_limits(role));
        warnings.extend(self.clockwork_tests(role));
        warnings.extend(role.require.as_ref().and_then(hasty));
        warnings.extend(role.parameters.values().filter_map(loose_parameter));
        warnings
    }

    /// The result of a condition for an identity without claims.
    fn for_a_stranger(&self, condition: &Condition) -> Option<bool> {
        let (claims, ask) = (Map::new(), Ask::default());
        let stranger = Person {
            issuer: "",
            subject: "",
            claims: &claims,
            auth_method: AuthMethod::Token,
        };
        let eval_context = EvalContext::new(stranger, &ask, &self.patterns).ok()?;
        condition.evaluate(&eval_context).ok()
    }

    /// Warns about passes on behalf that any identity may ask for, or that none gets.
    fn broad_on_behalf(&self, role: &Role) -> Option<String> {
        let rule = role.on_behalf.as_ref()?;
        if role.approval.is_some() {
            return Some(
                "has `approval`, so it gives no pass on behalf of its users; remove `on_behalf`"
                    .to_owned(),
            );
        }
        if role.hosts.is_empty() {
            return Some(
                "has no `hosts`, so a bastion's pass on behalf of its users opens every host that trusts this CA; name a \
                 host group"
                    .to_owned(),
            );
        }
        let is_broad = self.for_a_stranger(&rule.by) == Some(true);
        is_broad.then(|| {
            "lets every identity ask on behalf of its users, because `by` holds without any claim; name the bastion"
                .to_owned()
        })
    }

    /// Warns about a condition that holds for an identity without claims.
    fn broad_condition(&self, role: &Role) -> Option<String> {
        match self.for_a_stranger(&role.allow) {
            Some(true) => Some(
                "is open to every user who can sign in, because its condition holds without any claim; name a group"
                    .to_owned(),
            ),
            Some(false) if role.allow.source() == "false" => {
                Some("is open to no identity, because its condition is false; remove the role, or name a group".to_owned())
            }
            Some(false) | None => None,
        }
    }

    fn open_principals(&self, role: &Role) -> Option<String> {
        let template = role
            .principals
            .iter()
            .find(|template| template.holes() > 0)?;
        (!self.limits.names_logins()).then(|| {
            format!(
                "takes principals from {}, and nothing limits them: a user who controls that claim can name any login \
                 but root; list `principals` in [limits], such as \"u-*\"",
                template.source()
            )
        })
    }

    /// Warns about a test without a time for a role with hours: its result depends on the day.
    fn clockwork_tests(&self, role: &Role) -> Option<String> {
        role.hours.as_ref()?;
        let line = self
            .tests
            .iter()
            .find_map(|test| test.undated(&role.name))?;
        Some(format!(
            "has hours, and the test on line {line} has no time; add `at = \"2026-01-05T09:00:00Z\"`"
        ))
    }

    fn beyond_limits(&self, role: &Role) -> Vec<String> {
        let mut warnings = Vec::new();
        let limits = self.limits.restriction();
        if role.written_ttl > role.ttl {
            warnings.push(format!(
                "has a ttl of {}, and [limits] cuts it to {}",
                humantime::format_duration(role.written_ttl),
                humantime::format_duration(role.ttl)
            ));
        }
        if role.ttl > LONG {
            warnings.push(
                "gives passes for more than a day; a pass should last as long as the job"
                    .to_owned(),
            );
        }
        if let Some(allowed) = &limits.extensions {
            if role.source == Source::Bastion && !allowed.contains(&Extension::PortForwarding) {
                warnings.push(
                    "can never be granted: its bastion needs port-forwarding, which [limits] does not allow"
                        .to_owned(),
                );
            }
            for extension in role.extensions.difference(allowed) {
                warnings.push(format!(
                    "names {}, which [limits] does not allow",
                    extension.as_str()
                ));
            }
        }
        if let (Source::Networks(own), Some(allowed)) = (&role.source, &limits.source)
            && source::meet(own, allowed).is_empty()
        {
            warnings
                .push("can never be granted: its source lies outside that of [limits]".to_owned());
        }
        warnings
    }
}

/// Warns about unanchored patterns: they match anywhere in a text (CVE-2026-22772).
fn loose_patterns(role: &Role) -> Vec<String> {
    let loose = role.allow.patterns().keys().filter(|pattern| {
        !(pattern.starts_with('^') || pattern.starts_with(r"\A"))
            || !(pattern.ends_with('$') || pattern.ends_with(r"\z"))
    });
    let mut warnings: Vec<_> = loose
        .map(|pattern| {
            format!("matches {pattern:?} anywhere in a text; write '^...$' to match the whole")
        })
        .collect();
    warnings.sort();
    warnings
}

fn free_root(role: &Role) -> Option<String> {
    let is_root = role
        .principals
        .iter()
        .any(|template| template.literal().as_deref() == Some("root"));
    let is_free =
        role.typed_command.is_none() && role.source == Source::Any && role.reason.is_none();
    (is_root && is_free)
        .then(|| "gives root any command, from any address, without a reason; add `command`, `source` or `reason`".to_owned())
}

/// Warns about an `auth_age` that is too short to sign in and ask.
fn hasty(require: &Require) -> Option<String> {
    let age = require.auth_age().filter(|age| *age < HASTE)?;
    Some(format!(
        "demands a sign-in at most {} old, which is too short to sign in and ask; write at least \"1m\"",
        humantime::format_duration(age)
    ))
}

fn loose_parameter(parameter: &Parameter) -> Option<String> {
    let Rule::Pattern(pattern) = parameter.rule() else {
        return None;
    };
    let taken = ["; reboot", "../../etc/shadow", "\n"]
        .into_iter()
        .find(|odd| pattern.matches(odd))?;
    Some(format!(
        "lets parameter `{}` be {taken:?}; it reaches the program as one word, but narrow the pattern if it can",
        parameter.name()
    ))
}
