//! The check of the jump pass that comes with a pass for a host behind a bastion. Pure.

use ssh_key::{Certificate, Fingerprint, PublicKey};

use super::certificate;
use crate::{
    client::{jump_host::JumpHostAddress, logins::logins},
    proto::v1,
};

/// A jump pass that has been checked.
#[derive(Clone, Debug)]
pub struct JumpPass {
    /// The bastion it is for.
    pub host: JumpHostAddress,
    /// The certificate.
    pub certificate: Certificate,
}

/// Checks a jump pass as its `main` pass was checked, and that it only forwards connections.
///
/// # Errors
/// Returns what is wrong, as a sentence.
pub(super) fn check(
    jump: &v1::Jump,
    main: &Certificate,
    role: &str,
    key: &PublicKey,
    trusted: &[Fingerprint],
    now: u64,
) -> Result<JumpPass, String> {
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
    let certificate = certificate::check(&answer, role, key, trusted, now)
        .map_err(|fault| format!("for the jump pass, {fault}"))?;
    let host = JumpHostAddress {
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
        (host.is_valid(), "the bastion's address or login is invalid"),
        (
            logins(principals) == [host.login.as_str()],
            "it is not for the login named",
        ),
        (
            source.map_or("", String::as_str) == jump.source_addresses.join(","),
            "its source addresses are not those named",
        ),
        (
            extensions == ["permit-port-forwarding"] && !jump.force_command.is_empty(),
            "it allows more than forwarding",
        ),
        (
            certificate.serial() != main.serial(),
            "it has the serial of the pass itself",
        ),
        (
            certificate.key_id() == main.key_id(),
            "its key id is not that of the pass",
        ),
        (
            certificate.valid_before() <= main.valid_before(),
            "it is valid for longer than the pass",
        ),
    ];
    match checks.iter().find(|(good, _)| !good) {
        Some((_, fault)) => Err(format!("the jump pass is wrong: {fault}")),
        None => Ok(JumpPass { host, certificate }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::client::key::Key;
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
        assert_eq!(checked(&good).unwrap().host.port, 22);

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
}
