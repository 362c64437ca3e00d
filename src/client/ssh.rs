//! The `ssh` command line for a pass.
//!
//! [`command_line`] reads the user's, [`alias`] finds the policy's name of the host, [`jumps`] goes
//! through jump hosts, [`sharing`] leaves out shared connections, [`watched`] runs ssh and sees a
//! refusal, [`caller`] finds the ssh that runs `daypass ensure`.

pub(crate) mod alias;
pub(super) mod caller;
pub(crate) mod command_line;
mod destination;
pub(crate) mod jumps;
mod options;
mod sharing;
pub(crate) mod watched;

use std::ffi::OsString;

use super::{Error, cache::PassFiles, words::quote};
use command_line::CommandLine;

/// The arguments for `ssh`. Only this pass is offered to the host, besides keys that the user
/// names; the user's options and configuration stay in force. `more` are settings of Daypass.
///
/// # Errors
/// Returns [`Error::Usage`] if a path of the pass cannot be written into an ssh option.
pub(crate) fn arguments(
    line: &CommandLine,
    login: Option<&str>,
    pass: &PassFiles,
    more: &[String],
) -> Result<Vec<OsString>, Error> {
    let mut line = line.clone();
    let own = [
        format!("IdentityFile={}", quote(pass.key())?),
        format!("CertificateFile={}", quote(&pass.certificate())?),
        "IdentitiesOnly=yes".to_owned(),
        // A shared connection would have the rights of another pass, also of a revoked one.
        "ControlPath=none".to_owned(),
    ];
    for setting in own.iter().chain(more) {
        line.add('o', setting);
    }
    if let Some(login) = login.filter(|_| line.login().is_none()) {
        line.add('l', login);
    }
    Ok(line.words())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::client::{ssh::command_line::Takes, state::State};

    #[test]
    fn only_the_pass_is_offered_and_nothing_after_the_host_is_an_option() {
        let state = State::new(Path::new("/state dir/50%")).unwrap();
        let pass = PassFiles::of_host(&state, "web-1").unwrap();
        let words = ["-F", "/c", "-oPort=22", "web-1", "--", "-v"].map(OsString::from);
        let line = CommandLine::parse(&words, |_| Takes::Nothing).unwrap();
        let words = arguments(&line, Some("root"), &pass, &[]).unwrap();
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
