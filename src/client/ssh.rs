//! The `ssh` command line for a pass. Pure but for the look at the user's name.

use std::{ffi::OsString, path::Path};

use super::{Error, cache::Place, choose::logins};
use crate::reason;

/// Where to, as the user said it: `[USER@]HOST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The login name, where one was said.
    pub user: Option<String>,
    /// The host, as spelt.
    pub host: String,
}

impl Destination {
    /// Splits `[USER@]HOST` at the last `@`.
    ///
    /// # Errors
    /// Where either half cannot stand on a command line.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (user, host) = match text.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, text),
        };
        super::cache::check_host(host)?;
        if user.as_deref().is_some_and(|user| !is_word(user)) {
            return Err(Error::Usage(format!("{text:?} is no [USER@]HOST")));
        }
        Ok(Self {
            user,
            host: host.to_owned(),
        })
    }

    /// The same destination with the login of `-l`, if one was given.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is invalid, or the destination names another one.
    pub fn with_login(self, login: Option<String>) -> Result<Self, Error> {
        let Some(login) = login else {
            return Ok(self);
        };
        if !is_word(&login) {
            return Err(Error::Usage(format!("invalid login name {login:?}")));
        }
        match &self.user {
            Some(user) if *user != login => Err(Error::Usage(format!(
                "two logins, -l {login} and {user}@{}: give one",
                self.host
            ))),
            _ => Ok(Self {
                user: Some(login),
                host: self.host,
            }),
        }
    }
}

/// Whether `user` is one word for a command line, and for the shells behind it.
fn is_word(user: &str) -> bool {
    !user.is_empty()
        && !user.starts_with('-')
        && user
            .chars()
            .all(|c| c.is_ascii_graphic() && !"'\"`$\\;&<>|(){}".contains(c))
}

/// The login name for a pass: the one said, else its only one, else the local user's own where the pass has it.
///
/// # Errors
/// [`Error::Denied`] where the pass is not for the name that was said.
pub fn login_name(
    said: Option<&str>,
    principals: &[String],
    local: Option<&str>,
) -> Result<Option<String>, Error> {
    let logins = logins(principals);
    if let Some(said) = said {
        if logins.contains(&said) {
            return Ok(Some(said.to_owned()));
        }
        return Err(Error::Denied {
            reason: reason::PRINCIPAL.to_owned(),
            message: format!("the pass is not for {said}, but for {}", logins.join(", ")),
        });
    }
    let own = logins.iter().find(|login| Some(**login) == local);
    Ok(own.or(logins.first()).map(|login| (*login).to_owned()))
}

/// Whether `text` is a login name that may stand on a command line and in an ssh configuration.
pub(super) fn is_login(text: &str) -> bool {
    let mut login = text.chars();
    let opens_well = |c: char| c.is_ascii_alphanumeric() || c == '_';
    login.next().is_some_and(opens_well)
        && login.all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c))
}

/// The arguments for `ssh`: only this pass is offered; what `config`, `options` and the user's own file say stays.
///
/// # Errors
/// Where the pass's path cannot be written into an ssh option.
pub fn arguments(
    destination: &Destination,
    login: Option<&str>,
    place: &Place,
    config: Option<&Path>,
    options: &[String],
    command: &[OsString],
) -> Result<Vec<OsString>, Error> {
    let mut words: Vec<OsString> = Vec::new();
    if let Some(config) = config {
        words.extend(["-F".into(), config.into()]);
    }
    for option in options {
        words.extend(["-o".into(), option.into()]);
    }
    let own = [
        format!("IdentityFile={}", quote(place.key())?),
        format!("CertificateFile={}", quote(&place.certificate())?),
        "IdentitiesOnly=yes".to_owned(),
    ];
    for option in own {
        words.extend(["-o".into(), option.into()]);
    }
    if let Some(login) = login {
        words.extend(["-l".into(), login.into()]);
    }
    words.extend(["--".into(), destination.host.clone().into()]);
    words.extend(command.iter().cloned());
    Ok(words)
}

/// A path as an ssh_config argument: in quotes, `%` doubled, for ssh expands it.
///
/// # Errors
/// Where it holds what cannot be quoted there.
pub fn quote(path: &Path) -> Result<String, Error> {
    let text = path.to_str().unwrap_or("\"");
    if text.contains(['"', '\'', '\\', '$']) || text.chars().any(char::is_control) {
        return Err(Error::Usage(format!(
            "the path {path:?} cannot stand in an ssh configuration: choose another with DAYPASS_STATE_DIR"
        )));
    }
    Ok(format!("\"{}\"", text.replace('%', "%%")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::client::state::State;

    #[test]
    fn destinations_are_split_and_checked() {
        let cases = [
            ("web-1", Some((None, "web-1"))),
            ("root@web-1", Some((Some("root"), "web-1"))),
            ("a@b@web-1", Some((Some("a@b"), "web-1"))),
            ("@web-1", None),
            ("-oProxyCommand=x", None),
            ("-l@web-1", None),
            ("root@-x", None),
            ("$(id)@web-1", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let parsed = Destination::parse(text).ok();
            let parsed = parsed
                .as_ref()
                .map(|d| (d.user.as_deref(), d.host.as_str()));
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn a_login_by_option_is_the_same_as_one_before_the_host() {
        let cases = [
            ("web-1", Some("root"), Some(Some("root"))),
            ("root@web-1", Some("root"), Some(Some("root"))),
            ("root@web-1", None, Some(Some("root"))),
            ("web-1", None, Some(None)),
            ("root@web-1", Some("deploy"), None),
            ("web-1", Some(""), None),
            ("web-1", Some("-oProxyCommand=x"), None),
            ("web-1", Some("$(id)"), None),
        ];
        for (text, login, expected) in cases {
            let destination = Destination::parse(text).unwrap();
            let destination = destination.with_login(login.map(str::to_owned)).ok();
            let user = destination.as_ref().map(|it| it.user.as_deref());
            assert_eq!(user, expected, "{text} -l {login:?}");
        }
    }

    #[test]
    fn the_login_name_comes_from_the_pass() {
        let principals = ["deploy@web", "root@web"].map(String::from);
        let name = |said, local| login_name(said, &principals, local).ok().flatten();
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

    #[test]
    fn only_the_pass_is_offered_and_nothing_after_the_host_is_an_option() {
        let state = State::new(Path::new("/state dir/50%")).unwrap();
        let place = Place::of_host(&state, "web-1").unwrap();
        let destination = Destination::parse("web-1").unwrap();
        let words = arguments(
            &destination,
            Some("root"),
            &place,
            Some(Path::new("/c")),
            &["Port=22".to_owned()],
            &["-v".into()],
        )
        .unwrap();
        let expected = [
            "-F",
            "/c",
            "-o",
            "Port=22",
            "-o",
            "IdentityFile=\"/state dir/50%%/hosts/web-1/pass\"",
            "-o",
            "CertificateFile=\"/state dir/50%%/hosts/web-1/pass-cert.pub\"",
            "-o",
            "IdentitiesOnly=yes",
            "-l",
            "root",
            "--",
            "web-1",
            "-v",
        ];
        assert_eq!(words, expected);
    }
}
