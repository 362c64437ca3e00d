//! The `ssh` command line for a pass. Pure.

use std::{ffi::OsString, path::Path};

use super::{
    Error,
    cache::PassFiles,
    words::{check_host, is_user_word, quote},
};

/// The destination of an `ssh`, as the user wrote it: `[USER@]HOST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The login name, if one was given.
    pub user: Option<String>,
    /// The host, as the user spelled it.
    pub host: String,
}

impl Destination {
    /// Splits `[USER@]HOST` at the last `@`.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if either half is invalid.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let (user, host) = match text.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, text),
        };
        check_host(host)?;
        if user.as_deref().is_some_and(|user| !is_user_word(user)) {
            return Err(Error::Usage(format!(
                "invalid destination {text:?}: use [USER@]HOST"
            )));
        }
        Ok(Self {
            user,
            host: host.to_owned(),
        })
    }

    /// The same destination with the login of `-l`, if one was given.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if the login is invalid, or the destination names another one.
    pub(crate) fn with_login(self, login: Option<String>) -> Result<Self, Error> {
        let Some(login) = login else {
            return Ok(self);
        };
        if !is_user_word(&login) {
            return Err(Error::Usage(format!("invalid login name {login:?}")));
        }
        match &self.user {
            Some(user) if *user != login => Err(Error::Usage(format!(
                "two login names, -l {login} and {user}@{}: give only one",
                self.host
            ))),
            Some(_) | None => Ok(Self {
                user: Some(login),
                host: self.host,
            }),
        }
    }
}

/// The arguments for `ssh`. Only this pass is offered to the host; `config`, `options` and the
/// user's own configuration stay in force.
///
/// # Errors
/// Returns [`Error::Usage`] if a path of the pass cannot be written into an ssh option.
pub(crate) fn arguments(
    destination: &Destination,
    login: Option<&str>,
    pass: &PassFiles,
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
        format!("IdentityFile={}", quote(pass.key())?),
        format!("CertificateFile={}", quote(&pass.certificate())?),
        "IdentitiesOnly=yes".to_owned(),
        // A shared connection would have the rights of another pass, also of a revoked one.
        "ControlPath=none".to_owned(),
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
    fn only_the_pass_is_offered_and_nothing_after_the_host_is_an_option() {
        let state = State::new(Path::new("/state dir/50%")).unwrap();
        let pass = PassFiles::of_host(&state, "web-1").unwrap();
        let destination = Destination::parse("web-1").unwrap();
        let words = arguments(
            &destination,
            Some("root"),
            &pass,
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
            "-o",
            "ControlPath=none",
            "-l",
            "root",
            "--",
            "web-1",
            "-v",
        ];
        assert_eq!(words, expected);
    }
}
