//! The fault of a TLS certificate that was refused, in words that say what helps.

use std::{error::Error, io};

use rustls::{CertificateError, InvalidMessage};

use crate::unix_seconds::UnixSeconds;

/// A fault of the server's certificate, by what a person can do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CertificateFault {
    /// No root that counts here has issued it.
    Issuer,
    /// It is for other names than the one in the address.
    Name(String),
    /// It is too old, or not valid yet, by this machine's clock.
    Time(String),
    /// Any other fault of the certificate, in the TLS library's words.
    Other(String),
    /// The other side does not speak TLS on this port.
    NoTls,
}

impl CertificateFault {
    /// The fault, and what helps. `by_hand` is the command that makes this machine trust a private
    /// certificate.
    pub(crate) fn explain(&self, by_hand: &str) -> String {
        match self {
            Self::Issuer => format!(
                "its TLS certificate is not trusted: neither the system nor a remembered file has its CA. If the server \
                 has a new private certificate, ask its operators for the fingerprint, then: {by_hand}"
            ),
            Self::Name(fault) => format!(
                "its TLS certificate is for another name ({fault}): use the name that it is for, or ask the server's \
                 operators for a certificate with this one"
            ),
            Self::Time(fault) => format!(
                "its TLS certificate {fault}: check this machine's clock (date); if it is right, the server's operators \
                 must renew the certificate"
            ),
            Self::Other(fault) => format!("its TLS certificate is refused ({fault})"),
            Self::NoTls => "the port does not speak TLS: check the address and its port".to_owned(),
        }
    }
}

/// Finds a certificate's fault in an error and its causes; none if the error has another cause.
pub(crate) fn certificate_fault(error: &(dyn Error + 'static)) -> Option<CertificateFault> {
    let mut next = Some(error);
    while let Some(error) = next {
        // `source` of an I/O error skips the error in it.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(|error| error.get_ref())
            .and_then(|inner| inner.downcast_ref());
        if let Some(fault) = inner.or_else(|| error.downcast_ref()).and_then(of_tls) {
            return Some(fault);
        }
        next = match error.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

fn of_tls(error: &rustls::Error) -> Option<CertificateFault> {
    match error {
        rustls::Error::InvalidCertificate(error) => Some(of_certificate(error)),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Some(CertificateFault::NoTls)
        }
        // An enum of rustls, with many other faults.
        _ => None,
    }
}

fn of_certificate(error: &CertificateError) -> CertificateFault {
    match error {
        // A root of the same name with another key: a private certificate that was made again.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            CertificateFault::Issuer
        }
        CertificateError::NotValidForName => CertificateFault::Name(error.to_string()),
        CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::Name(error.to_string())
        }
        CertificateError::Expired => CertificateFault::Time("has expired".to_owned()),
        CertificateError::ExpiredContext { not_after, .. } => {
            CertificateFault::Time(format!("expired at {}", shown(not_after.as_secs())))
        }
        CertificateError::NotValidYet => CertificateFault::Time("is not valid yet".to_owned()),
        CertificateError::NotValidYetContext { not_before, .. } => {
            CertificateFault::Time(format!("is valid from {} on", shown(not_before.as_secs())))
        }
        // An enum of rustls, with many other faults.
        other => CertificateFault::Other(other.to_string()),
    }
}

fn shown(seconds: u64) -> String {
    let format =
        time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    let time = UnixSeconds(seconds).to_utc();
    let text = time.and_then(|time| time.format(format).ok());
    text.unwrap_or_else(|| format!("{seconds} (Unix)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_found_however_deep_it_is() {
        let fault = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let once = io::Error::other(fault());
        let twice = io::Error::other(io::Error::other(fault()));
        for error in [once, twice] {
            assert_eq!(certificate_fault(&error), Some(CertificateFault::Issuer));
        }
        assert_eq!(certificate_fault(&fault()), Some(CertificateFault::Issuer));
        let none = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(certificate_fault(&none), None);
    }

    #[test]
    fn each_fault_says_what_helps() {
        let time = rustls_pki_types::UnixTime::since_unix_epoch;
        let seconds = std::time::Duration::from_secs;
        for (fault, said) in [
            (CertificateError::UnknownIssuer, "then: daypass login"),
            (CertificateError::NotValidForName, "another name"),
            (
                CertificateError::ExpiredContext {
                    time: time(seconds(10)),
                    not_after: time(seconds(1)),
                },
                "expired at 1970-01-01 00:00:01 UTC",
            ),
            (CertificateError::NotValidYet, "clock"),
            (CertificateError::BadSignature, "then: daypass login"),
            (CertificateError::Revoked, "Revoked"),
        ] {
            let text = of_certificate(&fault).explain("daypass login");
            assert!(text.contains(said), "{text}");
        }
    }
}
