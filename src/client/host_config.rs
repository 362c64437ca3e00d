//! The ssh configuration of one host, written by `daypass ensure` for the `ssh` that runs it.
//!
//! The block of [`super::ssh_config`] runs `ensure` by `Match exec`, then includes the files of all
//! hosts; each file applies to its own host and login only. `ssh` reads included files after the
//! `exec` has ended, so already the first login uses the new file (OpenSSH 9.2). If `ensure` fails,
//! the `Match` does not apply, and no older pass is used.
//!
//! `ControlPath none`: a connection that another pass has opened, perhaps one that is revoked by
//! now, is not used. A `ControlPath` on the command line or above the block still counts.

use std::{fmt::Write as _, path::Path};

use super::{
    Client, Error,
    cache::{self, HOSTS, LOGIN, PassFiles},
    choose::PassRequest,
    clock::now,
    jump,
    logins::login_name,
    ssh::caller,
    state::State,
    words::{self, check_host, is_login, quote},
};

/// The file, in the folder of the host's pass.
const FILE: &str = "ssh_config";

impl Client {
    /// Makes sure that a usable pass for this `ssh` is on disk, and writes the configuration that
    /// makes it use the pass: login name (as [`login_name`] picks it), key, certificate and,
    /// through a bastion, the `ProxyCommand`.
    ///
    /// # Errors
    /// As [`Client::obtain`]; also [`Error::File`] if the configuration cannot be written.
    pub(crate) async fn ensure(
        &self,
        plain_ssh: &PlainSsh<'_>,
        program: &Path,
    ) -> Result<(), Error> {
        self.mind_old_block(plain_ssh);
        if let Some(text) = self.as_jump_host(plain_ssh)? {
            return self.write_config(plain_ssh, &text);
        }
        let (host, login) = (plain_ssh.host, plain_ssh.named_login());
        let pass_request = PassRequest {
            host: Some(host.to_owned()),
            user: login.map(str::to_owned),
            ..PassRequest::default()
        };
        let (pass, certificate) = self.obtain(&pass_request).await?;
        let login = login_name(login, certificate.valid_principals(), plain_ssh.local)?;
        let text = text(plain_ssh, login.as_deref(), &pass, program)?;
        self.write_config(plain_ssh, &text)
    }

    fn write_config(&self, plain_ssh: &PlainSsh<'_>, text: &str) -> Result<(), Error> {
        // One file for a host, of any server: two would both apply.
        let root = self.state.root();
        let path = plain_ssh.files(&root)?.sibling(FILE);
        if root.read(&path)?.as_deref() == Some(text) {
            return Ok(());
        }
        root.write(&path, text.as_bytes())
    }

    /// The configuration for a host that is a bastion of the policy: that of the newest jump pass.
    /// None if a pass for the host itself is wanted.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if the host is a bastion and nothing else, and no jump pass for
    /// this login is usable.
    fn as_jump_host(&self, plain_ssh: &PlainSsh<'_>) -> Result<Option<String>, Error> {
        let host = plain_ssh.host;
        let is_host = self.is_host_of_a_server(host)?;
        // `ssh -J` logs in to the jump host only to reach the next host.
        if is_host && !plain_ssh.is_jump {
            return Ok(None);
        }
        let mut passes = cache::jump_hosts(&self.state)?;
        passes.retain(|(_, bastion)| bastion.host.eq_ignore_ascii_case(host));
        let is_bastion = self.is_bastion(host)?;
        let named = plain_ssh.named_login();
        let usable = passes.into_iter().find(|(files, bastion)| {
            named.is_none_or(|login| login == bastion.login) && files.valid(now()).is_some()
        });
        match usable {
            Some((files, bastion)) => {
                let port = format!("    Port {}\n", bastion.port);
                let head = head(plain_ssh, Some(&bastion.login), &files)?;
                Ok(Some(format!("{head}{port}")))
            }
            None if is_bastion && !is_host => Err(Error::Usage(format!(
                "{host} is a bastion of the policy: go straight to a host behind it, with: ssh HOST"
            ))),
            None => Ok(None),
        }
    }

    /// Renews the block that an earlier version wrote, or says how to.
    fn mind_old_block(&self, plain_ssh: &PlainSsh<'_>) {
        if plain_ssh.login.is_some() || !plain_ssh.is_found {
            return;
        }
        if !matches!(self.renew_ssh_config(), Ok(true)) {
            self.say(
                "daypass: the `Match` line of an earlier version stands in your ssh configuration; renew it with: \
                 daypass ssh-config install (or take the lines of: daypass ssh-config print)",
            );
        }
    }
}

/// What an `ssh` says of itself to the `ensure` that it runs.
pub(crate) struct PlainSsh<'a> {
    /// The host, as the policy names it.
    pub(crate) host: &'a str,
    /// The host, as the user typed it (`%n`), if that is another name.
    pub(crate) alias: Option<&'a str>,
    /// The login (`%r`): the one that the user named, else the local user's name. None if an
    /// earlier version wrote the `Match` line.
    pub(crate) login: Option<&'a str>,
    /// The local user's name.
    pub(crate) local: Option<&'a str>,
    /// Whether the command line of this ssh was found.
    pub(crate) is_found: bool,
    /// Whether the user named the login there.
    pub(crate) is_login_named: bool,
    /// Whether this ssh only forwards to the next host, as for `-J`.
    pub(crate) is_jump: bool,
    /// Whether this ssh may ask the user: it logs in, and was not told to ask nothing.
    pub(crate) may_ask: bool,
}

impl<'a> PlainSsh<'a> {
    /// An ssh that said this of itself. Its command line tells the rest, if it can be found.
    pub(crate) fn new(
        host: &'a str,
        alias: Option<&'a str>,
        login: Option<&'a str>,
        local: Option<&'a str>,
    ) -> Self {
        let line = caller::command_line(alias.unwrap_or(host));
        let line = line.as_ref();
        Self {
            host,
            alias,
            login,
            local,
            is_found: line.is_some(),
            is_login_named: line.is_some_and(|line| line.login().is_some()),
            is_jump: line.is_some_and(|line| line.has(&['W'])),
            may_ask: !line.is_some_and(|line| line.is_batch() || !line.logs_in()),
        }
    }

    /// The login that the user named. `%r` does not tell the local user's own name from none.
    fn named_login(&self) -> Option<&'a str> {
        let is_own = self.login == self.local;
        self.login.filter(|_| !is_own || self.is_login_named)
    }

    /// The host, as the user typed it.
    fn typed(&self) -> &'a str {
        self.alias.unwrap_or(self.host)
    }

    /// The files beside which the configuration lies. For ssh the local user's name is the same
    /// whether it was typed or not, so both have one file.
    fn files(&self, state: &State) -> Result<PassFiles, Error> {
        let login = self.login.filter(|login| Some(*login) != self.local);
        PassFiles::of_login(state, self.typed(), login)
    }
}

/// The lines that include the files of all hosts. Those for a named login come first: the file of a
/// host sets `User`, after which one of that login would match too.
///
/// # Errors
/// As [`included`].
pub(super) fn includes(state: &State) -> Result<[String; 2], Error> {
    let hosts = state.path(HOSTS);
    let logins = hosts.join("*").join(format!("{LOGIN}*")).join(FILE);
    let others = hosts.join("*").join(FILE);
    Ok([
        format!("Include {}", included(&logins, state)?),
        format!("Include {}", included(&others, state)?),
    ])
}

/// A path for `Include`, in quotes.
///
/// # Errors
/// Returns [`Error::Usage`] if the state folder's path has a wildcard or a `%`. `Include` expands
/// wildcards in every version of OpenSSH and `%` in newer ones only, so no spelling of such a path
/// works with all of them.
pub(super) fn included(path: &Path, state: &State) -> Result<String, Error> {
    words::included(path, state.folder())
}

/// The file's text.
///
/// # Errors
/// Returns the error if the host, the login or a path cannot be written into an ssh configuration.
fn text(
    plain_ssh: &PlainSsh<'_>,
    login: Option<&str>,
    pass: &PassFiles,
    program: &Path,
) -> Result<String, Error> {
    let mut text = head(plain_ssh, login, pass)?;
    if pass.jump_host().is_some() {
        let (name, command) = jump::proxy_command(pass, program)?;
        let _ = writeln!(text, "    {name} {command}");
    }
    Ok(text)
}

/// The file's text up to the way to the host.
fn head(plain_ssh: &PlainSsh<'_>, login: Option<&str>, pass: &PassFiles) -> Result<String, Error> {
    let host = plain_ssh.typed();
    check_host(host)?;
    // Another `ssh` reads the file too, perhaps with another login.
    let guard = match plain_ssh.login {
        Some(login) if is_login(login) => format!(" user \"{login}\""),
        Some(_) | None => String::new(),
    };
    let login = login.filter(|login| is_login(login)).ok_or_else(|| {
        Error::Untrusted(format!(
            "the pass for {host} has no login name that can be written into an ssh configuration"
        ))
    })?;
    Ok(format!(
        "# Written by `daypass ensure`.\nMatch originalhost \"{host}\"{guard}\n    User {login}\n    \
         IdentityFile {}\n    CertificateFile {}\n    IdentitiesOnly yes\n    ControlPath none\n",
        quote(pass.key())?,
        quote(&pass.certificate())?,
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn written(host: &str, login: Option<&str>) -> Result<String, Error> {
        let state = State::new(Path::new("/home/a b/daypass")).unwrap();
        let pass = PassFiles::of_host(&state, host)?;
        let plain_ssh = PlainSsh::new(host, None, Some("ada"), Some("ada"));
        text(&plain_ssh, login, &pass, Path::new("/opt/day pass"))
    }

    #[test]
    fn a_named_login_has_a_file_of_its_own_and_the_local_name_counts_as_none() {
        let state = State::new(Path::new("/home/daypass")).unwrap();
        for (login, local, folder) in [
            (Some("ops"), Some("ada"), "web-1/login-ops"),
            (Some("ops"), None, "web-1/login-ops"),
            (Some("ada"), Some("ada"), "web-1"),
            (None, Some("ada"), "web-1"),
        ] {
            let plain_ssh = PlainSsh::new("web-1", None, login, local);
            let path = plain_ssh.files(&state).unwrap().sibling(FILE);
            let expected = format!("hosts/{folder}/ssh_config");
            assert!(path.ends_with(expected), "{login:?} {local:?}: {path:?}");
        }
    }

    #[test]
    fn the_login_and_the_files_are_named_for_this_host_alone() {
        assert_eq!(
            written("Web-1.example.com", Some("deploy")).unwrap(),
            "# Written by `daypass ensure`.\n\
             Match originalhost \"Web-1.example.com\" user \"ada\"\n\
             \x20   User deploy\n\
             \x20   IdentityFile \"/home/a b/daypass/hosts/web-1.example.com/pass\"\n\
             \x20   CertificateFile \"/home/a b/daypass/hosts/web-1.example.com/pass-cert.pub\"\n\
             \x20   IdentitiesOnly yes\n\
             \x20   ControlPath none\n"
        );
    }

    #[test]
    fn a_host_of_any_spelling_stays_in_its_folder_and_in_its_line() {
        let longest = "a".repeat(255);
        for (host, folder) in [
            ("::1", "hosts/::1/pass\""),
            ("2001:DB8::10", "hosts/2001:db8::10/pass\""),
            ("fe80::1%eth0", "hosts/fe80::1%%eth0/pass\""),
            ("192.0.2.1", "hosts/192.0.2.1/pass\""),
            ("WEB_1", "hosts/web_1/pass\""),
            (&longest, "a/pass\""),
        ] {
            let text = written(host, Some("deploy")).unwrap();
            assert!(text.contains(folder), "{host}: {text}");
            assert_eq!(text.lines().count(), 7, "{host}: {text}");
        }
        for host in [
            "../x",
            "..",
            ".ssh",
            "a/b",
            "/etc",
            "-oProxyCommand=x",
            "a\nUser root",
            "a\"b",
            "web-*",
            "web-?",
            "a,b",
            "!a",
            "",
            &"a".repeat(256),
        ] {
            assert!(written(host, Some("deploy")).is_err(), "{host}");
        }
    }

    #[test]
    fn a_hostile_name_of_the_local_user_is_in_no_line() {
        let state = State::new(Path::new("/home/daypass")).unwrap();
        let pass = PassFiles::of_host(&state, "web-1").unwrap();
        for name in [
            "$(touch x)",
            "`touch x`",
            "a\"b",
            "a'b",
            "a\nProxyCommand touch x",
            "a\\",
            "*",
            "!a",
            "a,b",
            "a b",
            "-x",
            "",
        ] {
            let plain_ssh = PlainSsh::new("web-1", None, Some(name), Some(name));
            let text = text(&plain_ssh, Some("deploy"), &pass, Path::new("/bin/x")).unwrap();
            let line = "Match originalhost \"web-1\"\n";
            assert!(text.contains(line), "{name}: {text}");
            assert_eq!(text.lines().count(), 7, "{name}: {text}");
        }
    }

    #[test]
    fn a_login_that_would_be_more_than_a_login_is_refused() {
        for login in [
            None,
            Some(""),
            Some("a b"),
            Some("a\nUser root"),
            Some("%r"),
            Some("-x"),
        ] {
            let refused = written("web-1", login);
            assert!(matches!(refused, Err(Error::Untrusted(_))), "{login:?}");
        }
    }
}
