//! What a TLS certificate says about itself: names and validity (RFC 5280).

use std::net::IpAddr;

use time::OffsetDateTime;
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

/// The names and the validity of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    hosts: Vec<String>,
    addresses: Vec<IpAddr>,
    /// The first second at which it is valid.
    pub(crate) not_before: OffsetDateTime,
    /// The last second at which it is valid.
    pub(crate) not_after: OffsetDateTime,
}

impl Facts {
    /// Reads a certificate (DER).
    ///
    /// # Errors
    /// Returns the fault if it is not a certificate.
    pub(super) fn of(der: &[u8]) -> Result<Self, String> {
        let (_, certificate) = parse_x509_certificate(der)
            .map_err(|error| format!("not an X.509 certificate: {error}"))?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|error| format!("its names cannot be read: {error}"))?;
        let (mut hosts, mut addresses) = (Vec::new(), Vec::new());
        for name in names.iter().flat_map(|it| &it.value.general_names) {
            match name {
                GeneralName::DNSName(host) => hosts.push(host.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
        Ok(Self {
            hosts,
            addresses,
            not_before: certificate.validity().not_before.to_datetime(),
            not_after: certificate.validity().not_after.to_datetime(),
        })
    }

    /// Whether clients that dial this host accept the certificate. The common name does not count
    /// (RFC 9110, section 4.3.4).
    pub(crate) fn is_for(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let host = host.to_ascii_lowercase();
        let mut hosts = self.hosts.iter();
        hosts.any(|name| match name.strip_prefix("*.") {
            None => *name == host,
            // A wildcard is for one label.
            Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
        })
    }

    /// All names, for messages.
    pub(crate) fn names(&self) -> Vec<String> {
        let addresses = self.addresses.iter().map(ToString::to_string);
        let names: Vec<String> = self.hosts.iter().cloned().chain(addresses).collect();
        match names.is_empty() {
            true => vec!["no name".to_owned()],
            false => names,
        }
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_for_the_names_in_it() {
        let names = [
            "ca.example.com",
            "*.web.example.com",
            "192.0.2.1",
            "2001:db8::1",
        ];
        let names: Vec<String> = names.map(str::to_owned).to_vec();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_after = OffsetDateTime::UNIX_EPOCH + time::Duration::days(30_000);
        let certificate = params.self_signed(&key).unwrap();
        let facts = Facts::of(certificate.der()).unwrap();
        assert_eq!(facts.not_after, params.not_after);
        for (host, expected) in [
            ("ca.example.com", true),
            ("CA.Example.com", true),
            ("example.com", false),
            ("x.ca.example.com", false),
            ("a.web.example.com", true),
            ("a.b.web.example.com", false),
            ("web.example.com", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("[2001:db8::1]", true),
        ] {
            assert_eq!(facts.is_for(host), expected, "{host}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = Facts::of(&bytes);
        }
    }
}
