//! One certificate in plain terms, with warnings about what is dangerous in it. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use ssh_key::{Algorithm, Certificate, HashAlg, certificate::CertType};

use crate::ssh::options::CriticalOption;

/// Seconds; a pass that lives longer outlives any working day.
const LONG: u64 = 24 * 60 * 60;

/// A certificate in plain terms.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Inspection {
    /// The serial.
    pub serial: u64,
    /// `user` or `host`.
    pub kind: &'static str,
    /// The key id, which sshd logs.
    pub key_id: String,
    /// Login names, or `login@group`.
    pub principals: Vec<String>,
    /// Start of the validity, Unix seconds.
    pub valid_after: u64,
    /// End of the validity, Unix seconds.
    pub valid_before: u64,
    /// Whether it is valid now.
    pub valid: bool,
    /// The critical options.
    pub critical_options: BTreeMap<String, String>,
    /// The names of the extensions.
    pub extensions: Vec<String>,
    /// The fingerprint of the certified key.
    pub key: String,
    /// The fingerprint of the CA key that signed it.
    pub ca: String,
    /// The CA key's algorithm.
    pub ca_algorithm: String,
    /// Warnings: what is dangerous in it, or does not work.
    pub warnings: Vec<String>,
}

/// Inspects a certificate as of `now` (Unix seconds). Does not check that the CA is trusted.
pub(crate) fn inspect(certificate: &Certificate, now: u64) -> Inspection {
    let options = certificate.critical_options();
    Inspection {
        serial: certificate.serial(),
        kind: match certificate.cert_type() {
            CertType::User => "user",
            CertType::Host => "host",
        },
        key_id: certificate.key_id().to_owned(),
        principals: certificate.valid_principals().to_vec(),
        valid_after: certificate.valid_after(),
        valid_before: certificate.valid_before(),
        valid: (certificate.valid_after()..certificate.valid_before()).contains(&now),
        critical_options: options
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        extensions: certificate.extensions().keys().cloned().collect(),
        key: certificate
            .public_key()
            .fingerprint(HashAlg::Sha256)
            .to_string(),
        ca: certificate
            .signature_key()
            .fingerprint(HashAlg::Sha256)
            .to_string(),
        ca_algorithm: certificate.signature_key().algorithm().to_string(),
        warnings: warnings(certificate, now),
    }
}

fn warnings(certificate: &Certificate, now: u64) -> Vec<String> {
    let all = [
        signature(certificate),
        validity(certificate, now),
        names(certificate),
        options(certificate),
    ];
    all.into_iter().flatten().collect()
}

fn signature(certificate: &Certificate) -> Vec<String> {
    let ca = certificate.signature_key().fingerprint(HashAlg::Sha256);
    let middle = certificate.valid_after();
    let warnings = [
        (
            certificate.validate_at(middle, [&ca]).is_err(),
            "its signature is wrong, or its validity is empty: sshd refuses it",
        ),
        (
            certificate.signature().algorithm() == Algorithm::Rsa { hash: None },
            "it is signed with SHA-1 (ssh-rsa): sshd refuses it",
        ),
        (
            certificate.public_key() == certificate.signature_key(),
            "it certifies the CA's own key",
        ),
    ];
    those_that_hold(&warnings)
}

fn validity(certificate: &Certificate, now: u64) -> Vec<String> {
    let (after, before) = (certificate.valid_after(), certificate.valid_before());
    let warnings = [
        (before <= now, "it has expired"),
        (after > now, "it is not valid yet, or a clock is wrong"),
        (
            before.saturating_sub(after) > LONG,
            "it is valid for longer than a day, and so is a stolen copy",
        ),
        (
            certificate.serial() == 0,
            "its serial is 0: it cannot be revoked by serial",
        ),
    ];
    those_that_hold(&warnings)
}

fn names(certificate: &Certificate) -> Vec<String> {
    let principals = certificate.valid_principals();
    let odd = |text: &String| {
        text.is_empty()
            || text.contains([',', '*', '"', '\''])
            || !text.chars().all(|c| c.is_ascii_graphic())
    };
    let key_id = certificate.key_id();
    let warnings = [
        (
            principals.is_empty(),
            "it has no principal: if its CA is in an authorized_keys file, it opens every account",
        ),
        (
            principals.iter().any(odd),
            "a principal has a character at which some versions of sshd split or cut the name",
        ),
        (
            key_id.chars().any(char::is_control),
            "its key id has control characters: it can forge lines in sshd's log",
        ),
    ];
    those_that_hold(&warnings)
}

fn options(certificate: &Certificate) -> Vec<String> {
    let (critical, extensions) = (certificate.critical_options(), certificate.extensions());
    let mut warnings = Vec::new();
    for name in CriticalOption::ALL
        .map(CriticalOption::name)
        .into_iter()
        .filter(|name| extensions.contains_key(*name))
    {
        warnings.push(format!(
            "{name} is among the extensions, where sshd ignores it: it restricts nothing"
        ));
    }
    for name in critical
        .keys()
        .filter(|name| CriticalOption::from_name(name).is_none())
    {
        warnings.push(format!(
            "the critical option {name} is unknown: sshd refuses it"
        ));
    }
    if critical.contains_key(CriticalOption::VerifyRequired.name())
        && !matches!(
            certificate.algorithm(),
            Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256
        )
    {
        warnings.push(
            "it has verify-required, but its key is not a FIDO key: sshd ignores the option"
                .to_owned(),
        );
    }
    if critical
        .get(CriticalOption::ForceCommand.name())
        .is_some_and(|command| command.chars().any(char::is_control))
    {
        warnings.push(
            "its force-command has control characters: it may run as several lines".to_owned(),
        );
    }
    warnings
}

fn those_that_hold(warnings: &[(bool, &str)]) -> Vec<String> {
    let held = warnings.iter().filter(|(holds, _)| *holds);
    held.map(|(_, text)| (*text).to_owned()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use ssh_key::{PrivateKey, certificate::Builder, rand_core::OsRng};

    fn made(change: impl FnOnce(&mut Builder)) -> Certificate {
        let key = || PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        let public = key().public_key().key_data().clone();
        let mut builder = Builder::new_with_random_nonce(&mut OsRng, public, 1000, 4600).unwrap();
        change(&mut builder);
        builder.sign(&key()).unwrap()
    }

    fn root(builder: &mut Builder) {
        named(builder, "alice/shell");
        builder.serial(7).unwrap();
    }

    fn named(builder: &mut Builder, key_id: &str) {
        builder.key_id(key_id).unwrap();
        builder.valid_principal("root").unwrap();
    }

    #[test]
    fn a_good_pass_has_no_warnings() {
        let inspection = inspect(&made(root), 2000);
        assert!(inspection.valid);
        assert_eq!(inspection.warnings, Vec::<String>::new());
        assert_eq!((inspection.serial, inspection.kind), (7, "user"));
    }

    type Change = fn(&mut Builder);

    #[test]
    fn what_is_dangerous_is_a_warning() {
        let cases: [(&str, Change, u64, &str); 8] = [
            (
                "every principal",
                |b| {
                    b.all_principals_valid().unwrap();
                },
                2000,
                "no principal",
            ),
            (
                "two names in one",
                |b| {
                    b.valid_principal("x,root").unwrap();
                },
                2000,
                "split or cut",
            ),
            (
                "a forged log line",
                |b| {
                    named(b, "x\nAccepted");
                },
                2000,
                "forge lines",
            ),
            (
                "no serial",
                |b| {
                    named(b, "alice/shell");
                },
                2000,
                "cannot be revoked",
            ),
            (
                "a restriction among the extensions",
                |b| {
                    root(b);
                    b.extension("force-command", "x").unwrap();
                },
                2000,
                "restricts nothing",
            ),
            (
                "an unknown restriction",
                |b| {
                    root(b);
                    b.critical_option("x@y", "").unwrap();
                },
                2000,
                "unknown",
            ),
            ("expired", root, 4600, "expired"),
            ("too early", root, 999, "not valid yet"),
        ];
        for (case, change, now, expected) in cases {
            let warnings = inspect(&made(change), now).warnings.join("\n");
            assert!(warnings.contains(expected), "{case}: {warnings}");
        }
    }
}
