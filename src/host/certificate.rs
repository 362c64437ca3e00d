//! The check of a host certificate before it is written. Pure.
//!
//! sshd reads any certificate of its key. So what a user's ssh would refuse is refused here, where
//! the administrator sees it.

use ssh_key::{Certificate, Fingerprint, HashAlg, PublicKey, certificate::CertType};

use super::keys::CaKeys;
use crate::unix_seconds::{UnixSeconds, moment};

/// What a certificate must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    /// The host key.
    pub key: &'a PublicKey,
    /// The names of this host, each a principal.
    pub names: &'a [&'a str],
    /// The keys that sign host certificates.
    pub authorities: &'a [PublicKey],
    /// The keys that sign passes, which must not be among them.
    pub user_keys: &'a CaKeys,
    /// Unix seconds.
    pub now: UnixSeconds,
}

/// Reads a certificate, and checks all that a user's ssh checks.
///
/// # Errors
/// Returns the fault.
pub(crate) fn check(text: &str, expected: &Expected<'_>) -> Result<Certificate, String> {
    let certificate = Certificate::from_openssh(text.trim())
        .map_err(|error| format!("it is no certificate: {error}"))?;
    if certificate.cert_type() != CertType::Host {
        return Err("it is a user's certificate".to_owned());
    }
    if certificate.public_key() != expected.key.key_data() {
        return Err("it is for another host key".to_owned());
    }
    let mut names: Vec<&str> = expected.names.to_vec();
    let mut principals: Vec<&str> = certificate
        .valid_principals()
        .iter()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    principals.sort_unstable();
    if principals.is_empty() || principals != names {
        return Err(format!(
            "it is for the names {principals:?}, and this host is {names:?}"
        ));
    }
    check_authority(&certificate, expected)?;
    check_time(&certificate, expected.now)?;
    Ok(certificate)
}

/// Checks the signature, that a host CA made it, and that there are no critical options: OpenSSH
/// knows none for hosts.
fn check_authority(certificate: &Certificate, expected: &Expected<'_>) -> Result<(), String> {
    let signer = certificate.signature_key();
    if expected
        .user_keys
        .iter()
        .any(|key| key.key_data() == signer)
    {
        return Err("a key that signs passes has signed it".to_owned());
    }
    let authorities = expected.authorities.iter();
    let authorities: Vec<Fingerprint> = authorities
        .map(|key| key.fingerprint(HashAlg::Sha256))
        .collect();
    let middle = middle(certificate);
    let is_valid = certificate.validate_at(middle, &authorities).is_ok();
    match is_valid && certificate.critical_options().is_empty() {
        true => Ok(()),
        false => Err("no host CA key that the server publishes has signed it".to_owned()),
    }
}

fn check_time(certificate: &Certificate, now: UnixSeconds) -> Result<(), String> {
    let (after, before) = (certificate.valid_after(), certificate.valid_before());
    if (after..before).contains(&now.get()) {
        return Ok(());
    }
    Err(format!(
        "it is valid from {} to {}, and the clock of this host says {}: correct the clock",
        moment(after),
        moment(before),
        moment(now.get())
    ))
}

/// A time at which the certificate is valid, if there is one.
fn middle(certificate: &Certificate) -> u64 {
    let (after, before) = (certificate.valid_after(), certificate.valid_before());
    after.saturating_add(before.saturating_sub(after) / 2)
}

/// The time from which a certificate is to be renewed: two thirds of its lifetime.
pub(crate) fn renewal(certificate: &Certificate) -> UnixSeconds {
    let (after, before) = (certificate.valid_after(), certificate.valid_before());
    let lifetime = before.saturating_sub(after);
    UnixSeconds(after.saturating_add(lifetime / 3 * 2))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ssh_key::{Algorithm, PrivateKey, certificate::Builder, rand_core::OsRng};

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn key() -> PrivateKey {
        PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap()
    }

    fn made(host: &PrivateKey, ca: &PrivateKey, change: impl FnOnce(&mut Builder)) -> String {
        of_type(CertType::Host, host, ca, change)
    }

    fn of_type(
        kind: CertType,
        host: &PrivateKey,
        ca: &PrivateKey,
        change: impl FnOnce(&mut Builder),
    ) -> String {
        let public = host.public_key().key_data().clone();
        let (from, to) = (NOW.get() - 300, NOW.get() + 900);
        let mut builder = Builder::new_with_random_nonce(&mut OsRng, public, from, to).unwrap();
        builder.cert_type(kind).unwrap();
        builder.key_id("host/web-1").unwrap();
        change(&mut builder);
        builder.sign(ca).unwrap().to_openssh().unwrap()
    }

    fn named(builder: &mut Builder) {
        builder.valid_principal("web-1").unwrap();
        builder.valid_principal("www").unwrap();
    }

    #[test]
    fn only_a_host_certificate_of_this_key_with_these_names_by_a_host_ca_is_taken() {
        let (host, other, ca, users) = (key(), key(), key(), key());
        let authorities = [ca.public_key().clone(), users.public_key().clone()];
        let user_keys = users.public_key().to_openssh().unwrap();
        let user_keys = CaKeys::parse(user_keys.as_bytes()).unwrap();
        let expected = Expected {
            key: host.public_key(),
            names: &["www", "web-1"],
            authorities: &authorities,
            user_keys: &user_keys,
            now: NOW,
        };
        let good = made(&host, &ca, named);
        assert!(check(&good, &expected).is_ok());
        let too_late = Expected {
            now: UnixSeconds(NOW.get() + 900),
            ..expected
        };
        assert!(check(&good, &too_late).unwrap_err().contains("clock"));
        let too_early = Expected {
            now: UnixSeconds(NOW.get() - 301),
            ..expected
        };
        assert!(check(&good, &too_early).unwrap_err().contains("clock"));
        for (case, text, fault) in [
            ("garbage", "ssh-ed25519 AAAA".to_owned(), "no certificate"),
            ("nothing", String::new(), "no certificate"),
            (
                "a pass",
                of_type(CertType::User, &host, &ca, named),
                "a user's",
            ),
            ("another key", made(&other, &ca, named), "another host key"),
            (
                "one name of two",
                made(&host, &ca, |it| {
                    it.valid_principal("web-1").unwrap();
                }),
                "names",
            ),
            (
                "one name more",
                made(&host, &ca, |it| {
                    named(it);
                    it.valid_principal("web-2").unwrap();
                }),
                "names",
            ),
            (
                "any name",
                made(&host, &ca, |it| {
                    it.all_principals_valid().unwrap();
                }),
                "names",
            ),
            ("by the CA of passes", made(&host, &users, named), "passes"),
            ("by a stranger", made(&host, &other, named), "no host CA"),
            (
                "with a critical option",
                made(&host, &ca, |it| {
                    named(it);
                    it.critical_option("force-command", "x").unwrap();
                }),
                "no host CA",
            ),
        ] {
            let refused = check(&text, &expected).unwrap_err();
            assert!(refused.contains(fault), "{case}: {refused}");
        }
        let mut forged = Certificate::from_openssh(&good)
            .unwrap()
            .to_bytes()
            .unwrap();
        let last = forged.len() - 1;
        *forged.get_mut(last).unwrap() ^= 1;
        let forged = Certificate::from_bytes(&forged).unwrap();
        assert!(check(&forged.to_openssh().unwrap(), &expected).is_err());
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_lifetime() {
        let (host, ca) = (key(), key());
        let certificate = Certificate::from_openssh(&made(&host, &ca, named)).unwrap();
        assert_eq!(renewal(&certificate), UnixSeconds(NOW.get() - 300 + 800));
    }
}
