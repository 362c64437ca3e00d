//! The fingerprint of a TLS certificate as text.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

/// The SHA-256 of a certificate's DER.
///
/// Written as OpenSSH writes fingerprints, `SHA256:` and base64. Read also as other tools write it:
/// 64 hexadecimal digits, with colons between the bytes or without.
///
/// ```
/// use daypass::outbound::CertificateFingerprint;
///
/// let fingerprint = CertificateFingerprint::of(b"certificate");
/// let text = fingerprint.to_string();
/// assert_eq!(text, "SHA256:A9Zt0Ig1wco/EozOrNHzGslBYwlrIPRFroQoW8CDLXI");
/// assert_eq!(text.parse(), Ok(fingerprint));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateFingerprint([u8; 32]);

/// The text is not a SHA-256 fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use SHA256: and 43 base64 characters, or 64 hexadecimal digits")]
pub struct InvalidFingerprint;

impl CertificateFingerprint {
    /// The fingerprint of a certificate (DER).
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for CertificateFingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SHA256:{}", STANDARD_NO_PAD.encode(self.0))
    }
}

impl FromStr for CertificateFingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        // 32 bytes as hexadecimal digits with colons, and the prefix.
        if text.len() > 7 + 95 {
            return Err(InvalidFingerprint);
        }
        let text = text.trim();
        let prefix = text
            .get(..7)
            .filter(|it| it.eq_ignore_ascii_case("sha256:"));
        let rest = if prefix.is_some() { &text[7..] } else { text };
        let bytes = match (prefix, rest.len()) {
            (Some(_), 43) => STANDARD_NO_PAD.decode(rest).ok(),
            (_, 64) => base16ct::mixed::decode_vec(rest).ok(),
            (_, 95) => colons(rest),
            (Some(_) | None, _) => None,
        };
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(InvalidFingerprint)
    }
}

/// Reads `AB:CD:...`, as openssl writes it.
fn colons(text: &str) -> Option<Vec<u8>> {
    let bytes = text.split(':').map(|byte| match byte.len() {
        2 => base16ct::mixed::decode_vec(byte).ok()?.first().copied(),
        _ => None,
    });
    bytes.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_of_other_tools_are_read() {
        let fingerprint = CertificateFingerprint::of(b"x");
        let hex = base16ct::lower::encode_string(&fingerprint.0);
        let pairs: Vec<&str> = (0..32).map(|at| &hex[2 * at..2 * at + 2]).collect();
        let colons = pairs.join(":");
        for text in [
            fingerprint.to_string(),
            format!(" {fingerprint}\n"),
            hex.clone(),
            hex.to_uppercase(),
            format!("sha256:{hex}"),
            colons.to_uppercase(),
        ] {
            assert_eq!(text.parse(), Ok(fingerprint), "{text}");
        }
        let base64 = fingerprint.to_string();
        for text in [
            "",
            "SHA256:",
            &base64[7..],
            &base64[..base64.len() - 1],
            &format!("{base64}="),
            &format!("MD5:{}", &base64[7..]),
            &hex[1..],
            &colons.replacen(':', "", 1),
            "ß256:ßßßßßßß",
        ] {
            assert!(text.parse::<CertificateFingerprint>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,120}") {
            if let Ok(fingerprint) = text.parse::<CertificateFingerprint>() {
                prop_assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
            }
        }

        #[test]
        fn a_fingerprint_comes_back(bytes: [u8; 32]) {
            let fingerprint = CertificateFingerprint(bytes);
            prop_assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        }
    }
}
