//! Which role a command means, where its user named none. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::Error;
use crate::{proto::v1, reason};

/// What the user said.
#[derive(Clone, Debug, Default)]
pub struct PassRequest {
    /// The role, where it was named.
    pub role: Option<String>,
    /// The host, as spelt.
    pub host: Option<String>,
    /// The login name, where it was named.
    pub user: Option<String>,
    /// Values for the role's parameters.
    pub params: BTreeMap<String, String>,
    /// Why.
    pub reason: Option<String>,
    /// Seconds; none: the role's own.
    pub ttl_seconds: Option<u64>,
    /// CIDRs to narrow to.
    pub source_addresses: Vec<String>,
    /// The approved request that it redeems.
    pub request: Option<u64>,
    /// Without waiting, by the role's `emergency`.
    pub emergency: bool,
}

impl PassRequest {
    /// The ask for `role`.
    pub fn ask(&self, role: &str) -> v1::Ask {
        v1::Ask {
            role: role.to_owned(),
            host: self.host.clone().unwrap_or_default(),
            params: self.params.clone().into_iter().collect(),
            reason: self.reason.clone().unwrap_or_default(),
            ttl_seconds: self.ttl_seconds.unwrap_or_default(),
            source_addresses: self.source_addresses.clone(),
            request: self.request.unwrap_or_default(),
            emergency: self.emergency,
            ..v1::Ask::default()
        }
    }

    /// Whether only the host (and perhaps the login name) was said, so that a host's own pass serves.
    pub fn is_plain(&self) -> bool {
        self.role.is_none()
            && self.params.is_empty()
            && self.reason.is_none()
            && self.ttl_seconds.is_none()
            && self.source_addresses.is_empty()
            && !self.emergency
    }
}

/// Picks from the roles that are open to the caller: those that demand exactly what was given and let the user in;
/// of these the first interactive one, else the first.
///
/// # Errors
/// [`Error::Denied`] where no role is open; [`Error::Usage`] where each demands something else, saying what.
pub fn choose<'a>(
    roles: &'a [v1::Role],
    pass_request: &PassRequest,
) -> Result<&'a v1::Role, Error> {
    let fitting: Vec<&v1::Role> = roles
        .iter()
        .filter(|role| fits(role, pass_request))
        .collect();
    let interactive = fitting.iter().find(|role| is_interactive(role));
    if let Some(role) = interactive.or(fitting.first()) {
        return Ok(role);
    }
    let place = pass_request
        .host
        .as_deref()
        .map(|host| format!(" for {host}"))
        .unwrap_or_default();
    if roles.is_empty() {
        return Err(Error::Denied {
            reason: reason::NOT_ALLOWED.to_owned(),
            message: format!("no role{place} is open to you"),
        });
    }
    let commands: Vec<String> = roles
        .iter()
        .map(|role| format!("  {}", command(role, pass_request.host.as_deref())))
        .collect();
    Err(Error::Usage(format!(
        "no role{place} fits what you said; say one of these:\n{}",
        commands.join("\n")
    )))
}

/// The command a user types for a role.
pub fn command(role: &v1::Role, host: Option<&str>) -> String {
    let mut words = match (host, is_interactive(role) || !role.logins.is_empty()) {
        (Some(host), _) => format!("daypass ssh {host}"),
        (None, true) => "daypass ssh HOST".to_owned(),
        (None, false) => "daypass pass".to_owned(),
    };
    words.push_str(&format!(" --role {}", role.name));
    for parameter in &role.params {
        words.push_str(&format!(
            " --param {}={}",
            parameter.name,
            values(parameter)
        ));
    }
    if !role.reason_pattern.is_empty() {
        words.push_str(" --reason '...'");
    }
    words
}

/// What a parameter takes, short.
fn values(parameter: &v1::role::Parameter) -> String {
    if parameter.one_of.is_empty() {
        "...".to_owned()
    } else {
        parameter.one_of.join("|")
    }
}

/// A terminal and no forced command: what people expect of ssh.
fn is_interactive(role: &v1::Role) -> bool {
    role.pty && role.command.is_empty()
}

fn fits(role: &v1::Role, pass_request: &PassRequest) -> bool {
    let demanded: BTreeSet<&str> = role.params.iter().map(|p| p.name.as_str()).collect();
    let given: BTreeSet<&str> = pass_request.params.keys().map(String::as_str).collect();
    let user = pass_request.user.as_ref();
    demanded == given
        && (role.reason_pattern.is_empty() || pass_request.reason.is_some())
        && user.is_none_or(|user| role.logins.is_empty() || role.logins.contains(user))
}

/// The login names a pass is for: its principals without host groups.
pub fn logins(principals: &[String]) -> Vec<&str> {
    let mut logins: Vec<&str> = principals
        .iter()
        .map(|principal| principal.split('@').next().unwrap_or(principal))
        .collect();
    logins.dedup();
    logins
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn role(name: &str) -> v1::Role {
        v1::Role {
            name: name.into(),
            logins: vec!["root".into()],
            ..v1::Role::default()
        }
    }

    fn shell() -> v1::Role {
        v1::Role {
            pty: true,
            ..role("shell")
        }
    }

    fn logs() -> v1::Role {
        v1::Role {
            command: vec!["echo".into(), "{unit}".into()],
            params: vec![v1::role::Parameter {
                name: "unit".into(),
                ..Default::default()
            }],
            ..role("logs")
        }
    }

    fn guarded() -> v1::Role {
        v1::Role {
            reason_pattern: "INC-[0-9]+".into(),
            pty: true,
            ..role("guarded")
        }
    }

    #[test]
    fn the_role_that_demands_what_was_given_is_chosen() {
        let unit = || PassRequest {
            params: [("unit".to_owned(), "nginx".to_owned())].into(),
            ..PassRequest::default()
        };
        let cases = [
            (
                "an interactive one goes first",
                vec![role("copy"), shell()],
                PassRequest::default(),
                Some("shell"),
            ),
            (
                "one with a parameter needs it",
                vec![logs(), shell()],
                unit(),
                Some("logs"),
            ),
            (
                "one that needs a reason waits for it",
                vec![guarded(), role("copy")],
                PassRequest::default(),
                Some("copy"),
            ),
            (
                "a reason opens it",
                vec![guarded()],
                PassRequest {
                    reason: Some("INC-1".into()),
                    ..PassRequest::default()
                },
                Some("guarded"),
            ),
            (
                "the login name counts",
                vec![shell()],
                PassRequest {
                    user: Some("bob".into()),
                    ..PassRequest::default()
                },
                None,
            ),
            ("nothing fits", vec![logs()], PassRequest::default(), None),
        ];
        for (case, roles, pass_request, expected) in cases {
            let chosen = choose(&roles, &pass_request)
                .ok()
                .map(|role| role.name.as_str());
            assert_eq!(chosen, expected, "{case}");
        }
    }

    #[test]
    fn no_role_at_all_is_a_denial_and_no_fitting_one_says_what_to_type() {
        let pass_request = PassRequest {
            host: Some("web-1".into()),
            ..PassRequest::default()
        };
        assert_eq!(choose(&[], &pass_request).unwrap_err().exit_code(), 3);
        let error = choose(&[logs()], &pass_request).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(
            error
                .to_string()
                .contains("daypass ssh web-1 --role logs --param unit=...")
        );
    }

    #[test]
    fn logins_are_principals_without_their_groups() {
        let principals = ["root@web", "root@db", "deploy"].map(String::from);
        assert_eq!(logins(&principals), ["root", "deploy"]);
    }
}
