//! Connecting through a bastion: the `ssh` command that forwards with the jump pass.
//!
//! `ssh`'s own `ProxyJump` takes another key for the bastion only from a separate configuration
//! file, and then ignores the user's. So `ProxyCommand` runs `daypass jump`, which becomes `ssh
//! -W`. The bastion keeps the name that the user's configuration and known hosts have for it; only
//! key, login and port are ours.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use super::{
    Error,
    cache::PassFiles,
    jump_host::JumpHostAddress,
    known_hosts,
    ssh::alias::settings,
    words::{quote, shell_word},
};

/// Opens the jump pass whose private key is at `path`, as `daypass jump --pass PATH` names it.
///
/// # Errors
/// Returns [`Error::Usage`] if there is no jump pass.
pub(crate) fn open(path: &Path) -> Result<(PassFiles, JumpHostAddress), Error> {
    let files = PassFiles::at(path)?;
    let mut address_file: OsString = path.into();
    address_file.push(".json");
    let address = JumpHostAddress::read(&PathBuf::from(address_file)).ok_or_else(|| {
        Error::Usage(format!(
            "there is no jump pass at {}: get the pass for the host again with: daypass ssh HOST",
            path.display()
        ))
    })?;
    Ok((files, address))
}

/// Name and value of the ssh option for a pass that is used through a bastion.
///
/// # Errors
/// Returns [`Error::Usage`] if a path cannot be written into an ssh option.
pub(crate) fn proxy_command(
    pass: &PassFiles,
    program: &Path,
) -> Result<(&'static str, String), Error> {
    let (program, jump) = (shell_word(program)?, shell_word(pass.jump().key())?);
    let command = format!("{program} jump --pass {jump} '%h' '%p'");
    Ok(("ProxyCommand", command))
}

impl JumpHostAddress {
    /// The settings by which the ssh to the bastion, whose jump pass is at `jump`, accepts its host
    /// certificate, and refuses one that was revoked. Empty if there is nothing to add.
    pub(crate) fn known_hosts(
        &self,
        jump: &PassFiles,
        config: Option<&Path>,
        environment: (&str, &OsStr),
    ) -> Vec<String> {
        let Some(file) = known_hosts::above(jump.key()) else {
            return Vec::new();
        };
        let mut words = config_option(config);
        words.extend(["-p", &self.port.to_string(), "--", &self.host].map(OsString::from));
        let Some(settings) = settings(&words, environment) else {
            return Vec::new();
        };
        let folder = file.parent().unwrap_or(&file);
        let revoked = known_hosts::revoked(&settings, folder);
        let known = known_hosts::with_file(&settings, &file);
        known.into_iter().chain(revoked).collect()
    }

    /// The arguments for an `ssh` that forwards to `target` (`[HOST]:PORT`) with the jump pass at
    /// `jump`.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if a path cannot be written into an ssh option.
    pub(crate) fn arguments(
        &self,
        jump: &PassFiles,
        config: Option<&Path>,
        known_hosts: Vec<String>,
        target: &str,
    ) -> Result<Vec<OsString>, Error> {
        let mut words = config_option(config);
        let options = [
            format!("IdentityFile={}", quote(jump.key())?),
            format!("CertificateFile={}", quote(&jump.certificate())?),
            "IdentitiesOnly=yes".to_owned(),
            // A shared connection would have the rights of another pass.
            "ControlPath=none".to_owned(),
        ];
        words.extend(
            options
                .into_iter()
                .chain(known_hosts)
                .flat_map(|option| ["-o".into(), option.into()]),
        );
        words.extend(["-l".into(), self.login.clone().into()]);
        words.extend(["-p".into(), self.port.to_string().into()]);
        words.extend(["-W".into(), target.into(), "--".into()]);
        words.push(self.host.clone().into());
        Ok(words)
    }
}

fn config_option(config: Option<&Path>) -> Vec<OsString> {
    let config = config.into_iter();
    config
        .flat_map(|config| ["-F".into(), config.into()])
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_ssh_to_a_bastion_has_its_own_key_and_every_word_in_its_place() {
        let jump = PassFiles::at(Path::new("/a b/50%/jump")).unwrap();
        let address = JumpHostAddress {
            bastion: "edge".into(),
            host: "bastion.example.com".into(),
            port: 2222,
            login: "jump".into(),
        };
        let words = address.arguments(&jump, Some(Path::new("/c")), Vec::new(), "[db-1]:22");
        let expected = [
            "-F",
            "/c",
            "-o",
            "IdentityFile=\"/a b/50%%/jump\"",
            "-o",
            "CertificateFile=\"/a b/50%%/jump-cert.pub\"",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "ControlPath=none",
            "-l",
            "jump",
            "-p",
            "2222",
            "-W",
            "[db-1]:22",
            "--",
            "bastion.example.com",
        ];
        assert_eq!(words.unwrap(), expected);
    }
}
