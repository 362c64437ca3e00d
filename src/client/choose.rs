//! The role for a command whose user named none. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::Error;
use crate::{
    proto::{
        usage::{command, is_interactive},
        v1,
    },
    reason,
};

/// The user's words about the pass they want.
#[derive(Clone, Debug, Default)]
pub struct PassRequest {
    /// The role, if named.
    pub role: Option<String>,
    /// The host, as the user spelled it.
    pub host: Option<String>,
    /// The login name, if named.
    pub user: Option<String>,
    /// Values for the role's parameters.
    pub params: BTreeMap<String, String>,
    /// The reason.
    pub reason: Option<String>,
    /// The lifetime in seconds; none: the role's own.
    pub ttl_seconds: Option<u64>,
    /// CIDRs to narrow to.
    pub source_addresses: Vec<String>,
    /// The approved request to redeem.
    pub request: Option<u64>,
    /// Asks for an emergency pass, without waiting for approval.
    pub emergency: bool,
    /// Asks the server also if a valid pass is on disk.
    pub fresh: bool,
}

impl PassRequest {
    /// The ask for `role`.
    pub(crate) fn ask(&self, role: &str) -> v1::Ask {
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

    /// Whether nothing but the host and the login name was given, so that the host's own pass fits.
    pub(crate) fn is_plain(&self) -> bool {
        self.role.is_none()
            && self.params.is_empty()
            && self.reason.is_none()
            && self.ttl_seconds.is_none()
            && self.source_addresses.is_empty()
            && !self.emergency
    }
}

/// Chooses from the roles that the caller may use.
///
/// A role fits if it demands exactly the given parameters, its reason is given, and it opens the
/// login name. Of the fitting roles the first interactive one is chosen, else the first.
///
/// # Errors
/// Returns [`Error::Denied`] if there is no role, and [`Error::Usage`] if none fits, with the
/// command for each.
pub(crate) fn choose<'a>(
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
            message: format!("no role{place} is open to you; list your roles with: daypass roles"),
        });
    }
    let commands: Vec<String> = roles
        .iter()
        .map(|role| format!("  {}", command(role, pass_request.host.as_deref())))
        .collect();
    Err(Error::Usage(format!(
        "no role{place} fits this command; use one of these:\n{}",
        commands.join("\n")
    )))
}

fn fits(role: &v1::Role, pass_request: &PassRequest) -> bool {
    let demanded: BTreeSet<&str> = role.params.iter().map(|p| p.name.as_str()).collect();
    let given: BTreeSet<&str> = pass_request.params.keys().map(String::as_str).collect();
    let user = pass_request.user.as_ref();
    demanded == given
        && (role.reason_pattern.is_empty() || pass_request.reason.is_some())
        && user.is_none_or(|user| role.logins.is_empty() || role.logins.contains(user))
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
    fn no_role_is_a_denial_and_no_fitting_role_says_what_to_type() {
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
}
