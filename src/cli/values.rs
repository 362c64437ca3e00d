//! Values of options, with errors that say what to type. Pure.

use std::time::Duration;

use ssh_key::Fingerprint;

/// A duration, such as `10m`.
pub(in crate::cli) fn duration(word: &str) -> Result<Duration, String> {
    humantime::parse_duration(word).map_err(|_| "use a duration such as 90s, 10m or 7d".to_owned())
}

/// The fingerprint of a CA key.
pub(in crate::cli) fn ca_fingerprint(word: &str) -> Result<Fingerprint, String> {
    word.parse().map_err(|_| {
        "use the fingerprint that `ssh-keygen -l -f CA.pub` prints (SHA256:...)".to_owned()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// It said "expected number at 0".
    #[test]
    fn a_duration_that_is_none_says_what_one_is() {
        for word in ["", "x", "10", "10x", "-1d", "1e400s"] {
            let refused = duration(word);
            assert_eq!(
                refused,
                Err("use a duration such as 90s, 10m or 7d".to_owned()),
                "{word}"
            );
        }
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
    }

    /// It said "Base64 encoding error: invalid Base64 encoding".
    #[test]
    fn a_fingerprint_that_is_none_says_where_one_stands() {
        let good = format!("SHA256:{}", "A".repeat(43));
        assert!(ca_fingerprint(&good).is_ok());
        for word in ["", "SHA256:xyz", "SHA256:", "MD5:aa:bb", "ca.pub"] {
            let refused = ca_fingerprint(word).unwrap_err();
            assert!(refused.starts_with("use the fingerprint that"), "{word}");
        }
    }
}
