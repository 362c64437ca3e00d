//! The check of the jump pass that comes with a pass for a host behind a bastion. Pure.

use ssh_key::Certificate;

use super::{certificate::Expected, fault::first_fault};
use crate::{
    client::{jump_host::JumpHostAddress, logins::logins},
    proto::v1,
    ssh::options::Extension,
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
    expected: &Expected<'_>,
) -> Result<JumpPass, String> {
    let (certificate, permissions) = expected.check(&jump.certificate)?;
    let login = match logins(certificate.valid_principals()).as_slice() {
        [login] => (*login).to_owned(),
        // Not valid, as the check of the address finds.
        _ => String::new(),
    };
    let host = JumpHostAddress {
        bastion: jump.bastion.clone(),
        host: jump.host.clone(),
        port: u16::try_from(jump.port).unwrap_or(0),
        login,
    };
    let command = permissions.force_command.as_deref();
    first_fault(&[
        (host.is_valid(), "the bastion's address or login is invalid"),
        (
            permissions.extensions == [Extension::PortForwarding].into()
                && command.is_some_and(|command| !command.is_empty()),
            "it allows more than forwarding",
        ),
        (
            expected.fits_source(&permissions),
            "it is valid from addresses that were not asked for",
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
    ])?;
    Ok(JumpPass { host, certificate })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::client::{key::Key, pass::certificate::Known};
    use ssh_key::{
        Algorithm, HashAlg, PrivateKey, PublicKey,
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
        restricted(builder);
        builder.extension("permit-port-forwarding", "").unwrap();
    }

    fn restricted(builder: &mut Builder) {
        builder.critical_option("force-command", "exit 1").unwrap();
        let source = "192.0.2.0/24";
        builder.critical_option("source-address", source).unwrap();
    }

    fn answer(certificate: &Certificate) -> v1::Jump {
        v1::Jump {
            bastion: "edge".into(),
            host: "bastion.example.com".into(),
            port: 22,
            certificate: certificate.to_openssh().unwrap(),
        }
    }

    type Change = fn(&mut v1::Jump);
    type Build = fn(&mut Builder);

    #[test]
    fn a_jump_pass_that_is_not_what_it_should_be_is_refused() {
        let key = Key::fresh().unwrap().public();
        let ca = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        let main = certificate(&key, &ca, 7, |it| {
            it.valid_principal("root").unwrap();
        });
        let ask = v1::Ask {
            role: "db".into(),
            source_addresses: vec!["192.0.2.0/24".into()],
            ..v1::Ask::default()
        };
        let expected = Expected {
            ask: &ask,
            known: &Known::Nothing,
            login: None,
            key: &key,
            trusted: &[ca.fingerprint(HashAlg::Sha256)],
            now: 2000,
        };
        let checked = |jump: &v1::Jump| check(jump, &main, &expected);
        let good = answer(&certificate(&key, &ca, 8, only_forwards));
        let jump = checked(&good).unwrap();
        assert_eq!((jump.host.port, &*jump.host.login), (22, "jump"));

        let said: [(&str, Change); 4] = [
            ("garbage", |it| it.certificate = "x".into()),
            ("an option for a host", |it| {
                it.host = "-oProxyCommand=id".into()
            }),
            ("a shell for a host", |it| it.host = "$(id)".into()),
            ("a port out of range", |it| it.port = 65_558),
        ];
        for (case, change) in said {
            let mut jump = good.clone();
            change(&mut jump);
            assert!(checked(&jump).is_err(), "{case}");
        }

        let signed: [(&str, u64, Build); 9] = [
            ("the same pass again", 7, only_forwards),
            ("serial 0", 0, only_forwards),
            ("a terminal too", 8, |it| {
                only_forwards(it);
                it.extension("permit-pty", "").unwrap();
            }),
            ("no forwarding", 8, |it| {
                it.valid_principal("jump").unwrap();
                restricted(it);
            }),
            ("a second login", 8, |it| {
                only_forwards(it);
                it.valid_principal("root@edge").unwrap();
            }),
            ("an option for a login", 8, |it| {
                it.valid_principal("-l").unwrap();
                restricted(it);
                it.extension("permit-port-forwarding", "").unwrap();
            }),
            ("a shell", 8, |it| {
                it.valid_principal("jump").unwrap();
                it.critical_option("source-address", "192.0.2.0/24")
                    .unwrap();
                it.extension("permit-port-forwarding", "").unwrap();
            }),
            ("from any address", 8, |it| {
                it.valid_principal("jump").unwrap();
                it.critical_option("force-command", "exit 1").unwrap();
                it.extension("permit-port-forwarding", "").unwrap();
            }),
            ("an unknown restriction", 8, |it| {
                only_forwards(it);
                it.critical_option("x@example.com", "").unwrap();
            }),
        ];
        for (case, serial, build) in signed {
            let jump = answer(&certificate(&key, &ca, serial, build));
            assert!(checked(&jump).is_err(), "{case}");
        }

        let other = Key::fresh().unwrap().public();
        let theirs = answer(&certificate(&other, &ca, 8, only_forwards));
        assert!(checked(&theirs).is_err(), "for another key");
        let stranger = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        let forged = answer(&certificate(&key, &stranger, 8, only_forwards));
        assert!(checked(&forged).is_err(), "of another CA");

        let mut builder = Builder::new(vec![7; 32], &key, 1000, 6000).unwrap();
        builder.cert_type(CertType::User).unwrap();
        builder.serial(8).unwrap();
        builder.key_id(KEY_ID).unwrap();
        only_forwards(&mut builder);
        let longer = answer(&builder.sign(&ca).unwrap());
        assert!(checked(&longer).is_err(), "another end");
    }
}
