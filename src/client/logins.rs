//! The login names that a pass opens, and the one to use. Pure.

use super::Error;
use crate::reason;

/// The login names a pass is for: its principals without their host groups, each once if adjacent.
pub(crate) fn logins(principals: &[String]) -> Vec<&str> {
    let mut logins: Vec<&str> = principals
        .iter()
        .map(|principal| principal.split('@').next().unwrap_or(principal))
        .collect();
    logins.dedup();
    logins
}

/// Picks the login name for a pass: the `requested` one, else the local user's own if the pass has
/// it, else the pass's first. None if the pass has no login.
///
/// # Errors
/// Returns [`Error::Denied`] if the pass is not for the requested name.
pub(crate) fn login_name(
    requested: Option<&str>,
    principals: &[String],
    local: Option<&str>,
) -> Result<Option<String>, Error> {
    let logins = logins(principals);
    if let Some(requested) = requested {
        if logins.contains(&requested) {
            return Ok(Some(requested.to_owned()));
        }
        return Err(Error::Denied {
            reason: reason::PRINCIPAL.to_owned(),
            message: format!(
                "the pass is not for {requested}, but for {}",
                logins.join(", ")
            ),
        });
    }
    let own = logins.iter().find(|login| Some(**login) == local);
    Ok(own.or(logins.first()).map(|login| (*login).to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn logins_are_principals_without_their_groups() {
        let principals = ["root@web", "root@db", "deploy"].map(String::from);
        assert_eq!(logins(&principals), ["root", "deploy"]);
    }

    #[test]
    fn the_login_name_comes_from_the_pass() {
        let principals = ["deploy@web", "root@web"].map(String::from);
        let name = |requested, local| login_name(requested, &principals, local).ok().flatten();
        assert_eq!(name(None, None).as_deref(), Some("deploy"));
        assert_eq!(name(None, Some("root")).as_deref(), Some("root"));
        assert_eq!(name(Some("root"), None).as_deref(), Some("root"));
        assert_eq!(
            login_name(Some("bob"), &principals, None)
                .unwrap_err()
                .exit_code(),
            3
        );
    }
}
