//! Signatures by the Standard Webhooks scheme (standardwebhooks.com, version 1, symmetric). Pure.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};

/// The prefix of a secret's base64.
const PREFIX: &str = "whsec_";

/// The length of a secret in bytes (Standard Webhooks: 24 to 64).
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// The most secrets of one webhook: the new one and those that a receiver still knows.
const MOST: usize = 4;

/// A secret that a receiver shares. `Debug` shows the algorithm.
#[derive(Clone, Debug)]
pub struct Secret(hmac::Key);

impl Secret {
    /// Reads `whsec_` and base64.
    ///
    /// # Errors
    /// Returns the problem, without a byte of the secret.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let encoded = text
            .strip_prefix(PREFIX)
            .ok_or("does not begin with `whsec_`")?;
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| "is not base64 after `whsec_`")?;
        if !LENGTH.contains(&bytes.len()) {
            return Err(format!(
                "has {} bytes instead of 24 to 64: make one with `echo whsec_$(openssl rand -base64 32)`",
                bytes.len()
            ));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// Reads one secret a line. The first is the newest. All of them sign, so that a receiver may
    /// change to a new one later.
    ///
    /// # Errors
    /// Returns the line that is invalid and why, or an error if there is no secret.
    pub(crate) fn parse_lines(text: &str) -> Result<Vec<Self>, String> {
        let lines = (1..).zip(text.lines()).map(|(at, line)| (at, line.trim()));
        let secrets = lines
            .filter(|(_, line)| !line.is_empty())
            .map(|(at, line)| Self::parse(line).map_err(|problem| format!("line {at} {problem}")))
            .collect::<Result<Vec<_>, _>>()?;
        match secrets.len() {
            0 => Err("holds no secret: write `whsec_` and base64 of 32 random bytes".to_owned()),
            1..=MOST => Ok(secrets),
            many => Err(format!("holds {many} secrets: keep at most {MOST}")),
        }
    }

    /// True if `tag` is by this secret over a delivery.
    pub(crate) fn verifies(&self, id: &str, timestamp: i64, body: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.0, &signed_bytes(id, timestamp, body), tag).is_ok()
    }
}

/// The value of `webhook-signature`: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`, for
/// each secret.
pub(crate) fn header(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let message = signed_bytes(id, timestamp, body);
    let signatures = secrets.iter().map(|secret| {
        let tag = hmac::sign(&secret.0, &message);
        format!("v1,{}", STANDARD.encode(tag))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

fn signed_bytes(id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
    [format!("{id}.{timestamp}.").as_bytes(), body].concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification, made by its own library.
    #[test]
    fn the_specifications_example_comes_out() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, at) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
        let body = br#"{"test": 2432232314}"#;
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(
            header(std::slice::from_ref(&secret), id, at, body),
            expected
        );
        let tag = STANDARD
            .decode(expected.split_once(',').unwrap().1)
            .unwrap();
        assert!(secret.verifies(id, at, body, &tag));
        assert!(!secret.verifies(id, at + 1, body, &tag));
        let two = header(&[secret.clone(), secret], id, at, body);
        assert_eq!(two, format!("{expected} {expected}"));
    }

    #[test]
    fn a_secret_that_is_none_is_refused_without_being_shown() {
        let good = format!("whsec_{}", STANDARD.encode([7; 32]));
        for (case, text, problem) in [
            ("no prefix", "c2VjcmV0c2VjcmV0", "line 1 does not begin"),
            ("no base64", "whsec_c2Vj*", "line 1 is not base64"),
            ("too short", "whsec_c2Vj", "line 1 has 3 bytes"),
            ("nothing", "\n \n", "holds no secret"),
            (
                "a second line that is none",
                &format!("{good}\nx\n"),
                "line 2 does not begin",
            ),
            ("many", &format!("{good}\n").repeat(5), "holds 5 secrets"),
        ] {
            let said = Secret::parse_lines(text).unwrap_err();
            assert!(said.contains(problem), "{case}: {said}");
            assert!(!said.contains("c2Vj"), "{case}: {said}");
        }
        let two = Secret::parse_lines(&format!("{good}\n\n{good}\r\n")).unwrap();
        assert_eq!(two.len(), 2);
        assert!(!format!("{two:?}").contains("7, 7"));
    }
}
