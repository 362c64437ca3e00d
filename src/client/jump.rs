//! The way through a bastion: the jump pass that comes with a pass, its files, and the `ssh` that goes through with it.
//!
//! ssh's own `ProxyJump` cannot be told another key for the bastion but by a configuration of its own, and reads no other
//! one then. So `ProxyCommand` runs `daypass jump`, which becomes `ssh -W`: the bastion keeps the name that the user's
//! own configuration and known hosts know it by, and only key, login and port are ours.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use ssh_key::{Certificate, Fingerprint, PublicKey};

use super::{
    Error,
    cache::{self, Place, lives},
    key::{Key, KeyPlace},
    pass::{self, Pass},
    ssh::{is_login, quote},
    state::write_atomically,
};
use crate::proto::v1;

/// Which bastion, and as whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JumpHostAddress {
    /// Its name in the policy.
    pub bastion: String,
    /// What to dial.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// The login name there.
    pub login: String,
}

/// A jump pass that has been checked.
#[derive(Clone, Debug)]
pub struct Jump {
    /// Where it leads through.
    pub via: JumpHostAddress,
    /// The certificate.
    pub certificate: Certificate,
}

impl JumpHostAddress {
    /// What the file at `path` says, where it is one of ours.
    pub fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let via: Self = serde_json::from_str(&text).ok()?;
        via.is_valid().then_some(via)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec(self).map_err(|error| Error::other(error.to_string()))?;
        write_atomically(path, &text, 0o600)
    }

    /// Whether all of it may stand on a command line.
    fn is_valid(&self) -> bool {
        cache::check_host(&self.host).is_ok() && self.port > 0 && is_login(&self.login)
    }

    /// The arguments for an `ssh` that forwards to `target` (`[HOST]:PORT`) with the jump pass at `jump`.
    ///
    /// # Errors
    /// Where its path cannot be written into an ssh option.
    pub fn arguments(
        &self,
        jump: &Place,
        config: Option<&Path>,
        target: &str,
    ) -> Result<Vec<OsString>, Error> {
        let config = config.into_iter();
        let mut words: Vec<OsString> = config
            .flat_map(|config| ["-F".into(), config.into()])
            .collect();
        let options = [
            format!("IdentityFile={}", quote(jump.key())?),
            format!("CertificateFile={}", quote(&jump.certificate())?),
            "IdentitiesOnly=yes".to_owned(),
            // No connection is shared: one under this pass does nothing but forward, and another one has other rights.
            "ControlPath=none".to_owned(),
        ];
        words.extend(
            options
                .into_iter()
                .flat_map(|option| ["-o".into(), option.into()]),
        );
        words.extend(["-l".into(), self.login.clone().into()]);
        words.extend(["-p".into(), self.port.to_string().into()]);
        words.extend(["-W".into(), target.into(), "--".into()]);
        words.push(self.host.clone().into());
        Ok(words)
    }
}

impl Place {
    /// Writes a pass as [`Place::write`] does, and its jump pass before it; where it has none, an older one goes.
    /// With `copy` it is a place of the user's, where another file may have come meanwhile.
    ///
    /// # Errors
    /// Where a file cannot be written or removed.
    pub fn keep(&self, key: &Key, place: &KeyPlace, pass: &Pass, copy: bool) -> Result<(), Error> {
        if copy {
            self.check_named()?;
        }
        let (jump, via) = (self.jump(), self.via_file());
        match &pass.jump {
            Some(new) => {
                jump.write(key, place, &new.certificate, copy)?;
                new.via.write(&via)?;
            }
            // Somebody else's file of that name is not ours to remove.
            None if JumpHostAddress::read(&via).is_some() => {
                for old in [
                    &via,
                    &jump.certificate(),
                    &jump.public(),
                    &jump.key().to_owned(),
                ] {
                    cache::remove(old)?;
                }
            }
            None => {}
        }
        self.write(key, place, &pass.certificate, copy)
    }

    /// The way that the pass here takes, where that is through a bastion.
    pub fn via(&self) -> Option<JumpHostAddress> {
        JumpHostAddress::read(&self.via_file())
    }

    /// The jump pass here.
    pub fn jump_pass(&self) -> Option<(JumpHostAddress, Certificate)> {
        let text = fs::read_to_string(self.jump().certificate()).ok()?;
        let certificate = Certificate::from_openssh(text.trim()).ok()?;
        Some((self.via()?, certificate))
    }

    /// Whether the way is open: there is no bastion on it, or a jump pass with life left.
    pub(super) fn is_open(&self, now: u64) -> bool {
        let has_key = || self.jump().key().exists() || self.jump().public().exists();
        !self.via_file().exists()
            || self
                .jump_pass()
                .is_some_and(|(_, certificate)| has_key() && lives(&certificate, now))
    }

    /// The name and the value of the ssh option for the way that the pass here takes: `ProxyCommand`, and what it runs.
    ///
    /// # Errors
    /// If a path cannot be written into an ssh option.
    pub fn proxy_command(&self, program: &Path) -> Result<(&'static str, String), Error> {
        let (program, jump) = (word(program)?, word(self.jump().key())?);
        let command = format!("{program} jump --pass {jump} '%h' '%p'");
        Ok(("ProxyCommand", command))
    }
}

/// A path as a word for the shell that runs an ssh option.
///
/// # Errors
/// Where it holds what cannot be quoted there.
pub(super) fn word(path: &Path) -> Result<String, Error> {
    Ok(format!("'{}'", quote(path)?.trim_matches('"')))
}

/// The jump pass beside the place of a host's pass, by the path of its key.
pub fn place(path: &Path) -> Result<(Place, JumpHostAddress), Error> {
    let jump = Place::at(path)?;
    let mut file: OsString = path.into();
    file.push(".json");
    let via = JumpHostAddress::read(&PathBuf::from(file));
    let via = via.ok_or_else(|| {
        Error::Usage(format!(
            "{} is no jump pass: get the pass for the host anew",
            path.display()
        ))
    })?;
    Ok((jump, via))
}

/// Looks at a jump pass as hard as at the pass that it came with, and that it only forwards.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(
    jump: &v1::Jump,
    main: &Certificate,
    role: &str,
    key: &PublicKey,
    trusted: &[Fingerprint],
    now: u64,
) -> Result<Jump, String> {
    let answer = v1::IssueResponse {
        certificate: jump.certificate.clone(),
        serial: jump.serial,
        key_id: jump.key_id.clone(),
        role: role.to_owned(),
        principals: jump.principals.clone(),
        force_command: jump.force_command.clone(),
        valid_after: jump.valid_after,
        valid_before: jump.valid_before,
        ..v1::IssueResponse::default()
    };
    let certificate = pass::check(&answer, role, key, trusted, now)
        .map_err(|fault| format!("on the way through the bastion, {fault}"))?;
    let via = JumpHostAddress {
        bastion: jump.bastion.clone(),
        host: jump.host.clone(),
        port: u16::try_from(jump.port).unwrap_or(0),
        login: jump.login.clone(),
    };
    let principals = certificate.valid_principals();
    let source = certificate.critical_options().get("source-address");
    let extensions: Vec<&str> = certificate
        .extensions()
        .keys()
        .map(String::as_str)
        .collect();
    let checks = [
        (via.is_valid(), "the bastion's address or login is none"),
        (
            super::choose::logins(principals) == [via.login.as_str()],
            "it is not for the login named",
        ),
        (
            source.map_or("", String::as_str) == jump.source_addresses.join(","),
            "its source addresses are not those named",
        ),
        (
            extensions == ["permit-port-forwarding"] && !jump.force_command.is_empty(),
            "it does more than forward",
        ),
        (
            certificate.serial() != main.serial(),
            "it is no second pass",
        ),
        (certificate.key_id() == main.key_id(), "it is another's"),
        (
            certificate.valid_before() <= main.valid_before(),
            "it outlives the pass that it belongs to",
        ),
    ];
    match checks.iter().find(|(good, _)| !good) {
        Some((_, fault)) => Err(format!("the jump pass is wrong: {fault}")),
        None => Ok(Jump { via, certificate }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use ssh_key::{
        Algorithm, HashAlg, PrivateKey,
        certificate::{Builder, CertType},
        rand_core::OsRng,
    };

    const KEY_ID: &str = "alice@example.com/db";

    /// A certificate of this serial, with one difference.
    fn certificate(
        key: &PublicKey,
        ca: &PrivateKey,
        serial: u64,
        change: impl FnOnce(&mut Builder),
    ) -> Certificate {
        let mut builder = Builder::new(vec![7; 32], key, 1000, 5000).unwrap();
        builder.cert_type(CertType::User).unwrap();
        builder.serial(serial).unwrap();
        builder.key_id(KEY_ID).unwrap();
        change(&mut builder);
        builder.sign(ca).unwrap()
    }

    fn only_forwards(builder: &mut Builder) {
        builder.valid_principal("jump@edge").unwrap();
        builder.critical_option("force-command", "exit 1").unwrap();
        builder.extension("permit-port-forwarding", "").unwrap();
    }

    fn answer(certificate: &Certificate) -> v1::Jump {
        v1::Jump {
            bastion: "edge".into(),
            host: "bastion.example.com".into(),
            port: 22,
            login: "jump".into(),
            certificate: certificate.to_openssh().unwrap(),
            serial: certificate.serial(),
            key_id: KEY_ID.into(),
            valid_after: 1000,
            valid_before: 5000,
            principals: certificate.valid_principals().to_vec(),
            force_command: "exit 1".into(),
            ..v1::Jump::default()
        }
    }

    type Change = fn(&mut v1::Jump);
    type Build = fn(&mut Builder);
    type Spoil = fn(&mut JumpHostAddress);

    #[test]
    fn a_jump_pass_that_is_not_what_it_should_be_is_refused() {
        let key = Key::fresh().unwrap().public();
        let ca = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        let trusted = [ca.fingerprint(HashAlg::Sha256)];
        let main = certificate(&key, &ca, 7, |it| {
            it.valid_principal("root").unwrap();
        });
        let checked = |jump: &v1::Jump| check(jump, &main, "db", &key, &trusted, 2000);
        let good = answer(&certificate(&key, &ca, 8, only_forwards));
        assert_eq!(checked(&good).unwrap().via.port, 22);

        let said: [(&str, Change); 11] = [
            ("garbage", |it| it.certificate = "x".into()),
            ("another serial", |it| it.serial = 9),
            ("another end", |it| it.valid_before = 6000),
            ("another principal", |it| {
                it.principals = vec!["root".into()]
            }),
            ("another command", |it| it.force_command = "id".into()),
            ("another login", |it| it.login = "root".into()),
            ("addresses that are not in it", |it| {
                it.source_addresses = vec!["192.0.2.0/24".into()];
            }),
            ("an option for a host", |it| {
                it.host = "-oProxyCommand=id".into()
            }),
            ("a shell for a host", |it| it.host = "$(id)".into()),
            ("an option for a login", |it| it.login = "-l".into()),
            ("a port out of range", |it| it.port = 65_558),
        ];
        for (case, change) in said {
            let mut jump = good.clone();
            change(&mut jump);
            assert!(checked(&jump).is_err(), "{case}");
        }

        let signed: [(&str, u64, Build); 4] = [
            ("the same pass again", 7, only_forwards),
            ("a terminal too", 8, |it| {
                only_forwards(it);
                it.extension("permit-pty", "").unwrap();
            }),
            ("no forwarding", 8, |it| {
                it.valid_principal("jump").unwrap();
                it.critical_option("force-command", "exit 1").unwrap();
            }),
            ("a second login", 8, |it| {
                only_forwards(it);
                it.valid_principal("root@edge").unwrap();
            }),
        ];
        for (case, serial, build) in signed {
            let jump = answer(&certificate(&key, &ca, serial, build));
            assert!(checked(&jump).is_err(), "{case}");
        }
        let free = answer(&certificate(&key, &ca, 8, |it| {
            it.valid_principal("jump").unwrap();
            it.extension("permit-port-forwarding", "").unwrap();
        }));
        let free = v1::Jump {
            force_command: String::new(),
            ..free
        };
        assert!(checked(&free).is_err(), "a shell");

        let other = Key::fresh().unwrap().public();
        let theirs = answer(&certificate(&other, &ca, 8, only_forwards));
        assert!(checked(&theirs).is_err(), "for another key");
        let stranger = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        let forged = answer(&certificate(&key, &stranger, 8, only_forwards));
        assert!(checked(&forged).is_err(), "of another CA");
    }

    #[test]
    fn a_file_that_names_what_is_no_bastion_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jump.json");
        let good = JumpHostAddress {
            bastion: "edge".into(),
            host: "2001:db8::10".into(),
            port: 22,
            login: "jump".into(),
        };
        good.write(&path).unwrap();
        assert_eq!(JumpHostAddress::read(&path), Some(good.clone()));
        let bad: [(&str, Spoil); 4] = [
            ("an option", |via| via.host = "-oProxyCommand=id".into()),
            ("no host", |via| via.host.clear()),
            ("port 0", |via| via.port = 0),
            ("no login", |via| via.login.clear()),
        ];
        for (case, change) in bad {
            let mut via = good.clone();
            change(&mut via);
            via.write(&path).unwrap();
            assert_eq!(JumpHostAddress::read(&path), None, "{case}");
        }
    }

    #[test]
    fn the_ssh_to_a_bastion_has_its_own_key_and_every_word_in_its_place() {
        let jump = Place::at(Path::new("/a b/50%/jump")).unwrap();
        let via = JumpHostAddress {
            bastion: "edge".into(),
            host: "bastion.example.com".into(),
            port: 2222,
            login: "jump".into(),
        };
        let words = via.arguments(&jump, Some(Path::new("/c")), "[db-1]:22");
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
