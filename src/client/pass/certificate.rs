//! The check of one certificate in a server's answer. Pure.

use ssh_key::{Certificate, Fingerprint, PublicKey, certificate::CertType};

use crate::proto::v1;

/// Seconds that the server's clock may be ahead of ours before its fresh pass is refused.
const SKEW: u64 = 60;

/// Checks the certificate in an answer: a user certificate for `key`, signed by one of the
/// `trusted` CA keys, valid at `now` (Unix seconds), that says what the answer says about it.
///
/// # Errors
/// Returns what is wrong, as a sentence.
pub(super) fn check(
    answer: &v1::IssueResponse,
    role: &str,
    key: &PublicKey,
    trusted: &[Fingerprint],
    now: u64,
) -> Result<Certificate, String> {
    let certificate = Certificate::from_openssh(&answer.certificate)
        .map_err(|error| format!("the certificate does not parse: {error}"))?;
    // Our clock may be behind, so the start may be a little ahead of it; the end must not be past.
    let at = now.max(certificate.valid_after().min(now.saturating_add(SKEW)));
    certificate.validate_at(at, trusted).map_err(|_| {
        "the certificate is not valid now, or not signed by a CA key of this server (is this machine's clock right?)"
            .to_owned()
    })?;
    let options = certificate.critical_options();
    let same_command =
        options.get("force-command").map_or("", String::as_str) == answer.force_command;
    let known = ["force-command", "source-address", "verify-required"];
    let checks = [
        (
            certificate.public_key() == key.key_data(),
            "it is for another key",
        ),
        (
            certificate.cert_type() == CertType::User,
            "it is not a user certificate",
        ),
        (answer.role == role, "it is for another role"),
        (
            certificate.serial() == answer.serial && answer.serial != 0,
            "its serial is not the one named",
        ),
        (
            certificate.key_id() == answer.key_id,
            "its key id is not the one named",
        ),
        (
            !certificate.valid_principals().is_empty(),
            "it names no principal",
        ),
        (
            certificate.valid_principals() == answer.principals,
            "its principals are not those named",
        ),
        (same_command, "its force-command is not the one named"),
        (
            options.keys().all(|name| known.contains(&name.as_str())),
            "it has an unknown critical option",
        ),
        (
            certificate.valid_after() == answer.valid_after
                && certificate.valid_before() == answer.valid_before,
            "its validity is not the one named",
        ),
    ];
    match checks.iter().find(|(good, _)| !good) {
        Some((_, fault)) => Err(format!("the pass is wrong: {fault}")),
        None => Ok(certificate),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::client::{cache::fixture::pass, key::Key};
    use ssh_key::HashAlg;

    fn answer(certificate: &Certificate) -> v1::IssueResponse {
        v1::IssueResponse {
            pending: None,
            certificate: certificate.to_openssh().unwrap(),
            serial: 7,
            key_id: "alice@example.com/shell".into(),
            role: "shell".into(),
            principals: vec!["root".into()],
            valid_after: 1000,
            valid_before: 5000,
            ..Default::default()
        }
    }

    type Change = fn(&mut v1::IssueResponse);

    #[test]
    fn an_answer_that_is_not_what_was_asked_for_is_refused() {
        let key = Key::fresh().unwrap();
        let (certificate, ca) = pass(&key, 1000, 5000);
        let trusted = [ca.fingerprint(HashAlg::Sha256)];
        let base = answer(&certificate);
        check(&base, "shell", &key.public(), &trusted, 2000).unwrap();
        check(&base, "shell", &key.public(), &trusted, 950).unwrap();

        let differences: [(&str, Change); 8] = [
            ("garbage", |answer| answer.certificate = "x".into()),
            ("another serial", |answer| answer.serial = 8),
            ("another key id", |answer| {
                answer.key_id = "bob/shell".into()
            }),
            ("another role", |answer| answer.role = "logs".into()),
            ("another principal", |answer| {
                answer.principals = vec!["bob".into()]
            }),
            ("a command that is not in it", |answer| {
                answer.force_command = "x".into()
            }),
            ("another end", |answer| answer.valid_before = 6000),
            ("another start", |answer| answer.valid_after = 1),
        ];
        for (case, change) in differences {
            let mut answer = base.clone();
            change(&mut answer);
            assert!(
                check(&answer, "shell", &key.public(), &trusted, 2000).is_err(),
                "{case}"
            );
        }

        let other = Key::fresh().unwrap().public();
        assert!(check(&base, "shell", &other, &trusted, 2000).is_err());
        assert!(check(&base, "shell", &key.public(), &[], 2000).is_err());
        assert!(check(&base, "shell", &key.public(), &trusted, 5000).is_err());
        assert!(check(&base, "shell", &key.public(), &trusted, 900).is_err());
    }
}
