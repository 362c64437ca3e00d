//! The CA's public keys that this host trusts, and signatures by them (PROTOCOL.sshsig). Pure.

use std::{collections::BTreeSet, fmt::Write as _};

use ssh_key::{Fingerprint, HashAlg, PublicKey};

use super::error::InvalidAnswer;
use crate::ssh::{
    ca_keys::{version_line, version_of},
    key,
    key::fingerprint,
    sshsig::{Namespace, Signature},
};

/// Keys at most; a CA publishes only a few.
const MOST: usize = 64;

/// A non-empty set of CA keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CaKeys {
    /// The version, which grows with each change of keys; 0 if the list has none.
    pub version: u64,
    keys: Vec<PublicKey>,
}

impl CaKeys {
    /// Parses one key a line (`algorithm base64 [comment]`). Empty lines and `#` comments are
    /// ignored.
    ///
    /// # Errors
    /// Returns [`InvalidAnswer::Keys`] if a line is anything else, or there is no key, or there are
    /// too many.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, InvalidAnswer> {
        let wrong = |why: String| InvalidAnswer::Keys(why);
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is not text".to_owned()))?;
        let lines = text.lines().map(str::trim);
        let mut keys: Vec<PublicKey> = Vec::new();
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut key = PublicKey::from_openssh(line)
                .map_err(|error| wrong(format!("a line is not a public key: {error}")))?;
            key::check(&key).map_err(|error| wrong(format!("invalid CA key: {error}")))?;
            key.set_comment("");
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        match keys.len() {
            0 => Err(wrong("it has no key".to_owned())),
            1..=MOST => Ok(Self {
                version: version_of(text),
                keys,
            }),
            _ => Err(wrong(format!("it has more than {MOST} keys"))),
        }
    }

    /// The text for `TrustedUserCAKeys`: the version and one key a line, without the server's
    /// comments.
    ///
    /// # Errors
    /// Returns [`InvalidAnswer::Keys`] if a key cannot be encoded; a parsed key always can.
    pub(crate) fn to_text(&self) -> Result<String, InvalidAnswer> {
        let mut text = match self.version {
            0 => String::new(),
            version => version_line(version),
        };
        for key in &self.keys {
            let line = key.to_openssh();
            let line = line.map_err(|error| InvalidAnswer::Keys(error.to_string()))?;
            let _ = writeln!(text, "{line}");
        }
        Ok(text)
    }

    /// The keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter()
    }

    /// The keys' fingerprints.
    pub(crate) fn fingerprints(&self) -> BTreeSet<String> {
        self.keys.iter().map(fingerprint).collect()
    }

    /// The keys with these fingerprints; none if there is no such key.
    pub(crate) fn only(&self, fingerprints: &[Fingerprint]) -> Option<Self> {
        let listed = |key: &&PublicKey| fingerprints.contains(&key.fingerprint(HashAlg::Sha256));
        let keys: Vec<PublicKey> = self.keys.iter().filter(listed).cloned().collect();
        let version = self.version;
        (!keys.is_empty()).then_some(Self { version, keys })
    }

    /// Checks that one of these keys signed `body` for `namespace`: one of `signatures` is by it.
    /// Each is the base64 of an SSHSIG, bare or armored; `path` names the file in errors.
    ///
    /// # Errors
    /// Returns [`InvalidAnswer::Unsigned`] if there is no signature, and
    /// [`InvalidAnswer::Signature`] with the fault of the first one if none counts.
    pub(crate) fn verify(
        &self,
        path: &'static str,
        namespace: Namespace,
        body: &[u8],
        signatures: &[String],
    ) -> Result<(), InvalidAnswer> {
        let mut fault = InvalidAnswer::Unsigned { path };
        // The last fault that is kept is that of the first signature, the active key's.
        for signature in signatures.iter().take(MOST).rev() {
            match self.verify_one(path, namespace, body, signature) {
                Ok(()) => return Ok(()),
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }

    fn verify_one(
        &self,
        path: &'static str,
        namespace: Namespace,
        body: &[u8],
        signature: &str,
    ) -> Result<(), InvalidAnswer> {
        let wrong = |cause: String| InvalidAnswer::Signature { path, cause };
        let signature =
            Signature::from_header(signature).map_err(|error| wrong(error.to_string()))?;
        let signer = signature.unverified_key();
        let mut keys = self.keys.iter();
        let key = keys
            .find(|key| key.key_data() == signer.key_data())
            .ok_or_else(|| {
                let signer = fingerprint(&signer);
                wrong(format!(
                    "it is by {signer}. If the server's CA key was replaced, ask an administrator for the new one's fingerprint, \
                     not by way of this server. If it is the same one, run: daypass host setup --ca-fingerprint {signer}"
                ))
            })?;
        signature
            .verify(key, namespace, body)
            .map_err(|error| wrong(error.to_string()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use ssh_key::{Algorithm, LineEnding, PrivateKey, rand_core::OsRng};

    use super::*;

    const VERSION: &str = "# daypass CA keys, version ";

    fn key() -> PrivateKey {
        PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap()
    }

    fn keys(of: &[&PrivateKey]) -> CaKeys {
        let lines = of.iter().map(|key| key.public_key().to_openssh().unwrap());
        CaKeys::parse(lines.collect::<Vec<_>>().join("\n").as_bytes()).unwrap()
    }

    fn signed(key: &PrivateKey, namespace: Namespace, body: &[u8]) -> String {
        let signature = key.sign(namespace.as_str(), HashAlg::Sha512, body).unwrap();
        STANDARD.encode(signature.to_pem(LineEnding::LF).unwrap())
    }

    fn bare(key: &PrivateKey, namespace: Namespace, body: &[u8]) -> String {
        let signature = key.sign(namespace.as_str(), HashAlg::Sha512, body).unwrap();
        let mut bytes = Vec::new();
        ssh_encoding::Encode::encode(&signature, &mut bytes).unwrap();
        STANDARD.encode(bytes)
    }

    /// After the active key was lost, the message led nowhere.
    #[test]
    fn a_list_by_a_new_key_names_what_an_administrator_runs() {
        let (known, new) = (key(), key());
        let header = signed(&new, Namespace::CaKeys, b"list");
        let refused = keys(&[&known]).verify("/ca.pub", Namespace::CaKeys, b"list", &[header]);
        let told = refused.unwrap_err().to_string();
        let new = fingerprint(new.public_key());
        let command = format!("daypass host setup --ca-fingerprint {new}");
        assert!(told.ends_with(&command), "{told}");
    }

    #[test]
    fn only_a_trusted_key_over_these_bytes_for_this_purpose_counts() {
        let (ca, other) = (key(), key());
        let trusted = keys(&[&ca]);
        let good = bare(&ca, Namespace::Krl, b"body");
        let mut cut = good.clone();
        cut.truncate(good.len() - 8);
        for (case, signature, expected) in [
            ("bare", Some(good), true),
            ("armored", Some(signed(&ca, Namespace::Krl, b"body")), true),
            ("none", None, false),
            ("an empty one", Some(String::new()), false),
            ("no base64", Some("*".to_owned()), false),
            ("cut short", Some(cut), false),
            (
                "another key's",
                Some(bare(&other, Namespace::Krl, b"body")),
                false,
            ),
            (
                "over other bytes",
                Some(bare(&ca, Namespace::Krl, b"Body")),
                false,
            ),
            (
                "for another purpose",
                Some(bare(&ca, Namespace::CaKeys, b"body")),
                false,
            ),
        ] {
            let signatures: Vec<String> = signature.into_iter().collect();
            let checked = trusted.verify("/krl", Namespace::Krl, b"body", &signatures);
            assert_eq!(checked.is_ok(), expected, "{case}: {checked:?}");
            // It counts no more and no less beside one by a key that this host does not know.
            let both = [vec![bare(&other, Namespace::Krl, b"body")], signatures].concat();
            let checked = trusted.verify("/krl", Namespace::Krl, b"body", &both);
            assert_eq!(checked.is_ok(), expected, "{case}: {checked:?}");
        }
    }

    #[test]
    fn an_invalid_list_of_keys_is_refused() {
        let line = key().public_key().to_openssh().unwrap();
        let many = (0..=MOST).map(|_| key().public_key().to_openssh().unwrap());
        let many = many.collect::<Vec<_>>().join("\n");
        for (case, text, expected) in [
            ("one key", line.clone(), true),
            (
                "a comment beside it",
                format!("# CA\n\n{line} the ca\n"),
                true,
            ),
            ("nothing", String::new(), false),
            ("a comment only", "# none".to_owned(), false),
            ("a page of HTML", "<html></html>".to_owned(), false),
            (
                "an option before the key",
                format!("cert-authority {line}"),
                false,
            ),
            ("garbage after a key", format!("{line}\ngarbage"), false),
            ("too many", many, false),
        ] {
            assert_eq!(CaKeys::parse(text.as_bytes()).is_ok(), expected, "{case}");
        }
    }

    #[test]
    fn only_the_version_line_has_the_version() {
        let line = key().public_key().to_openssh().unwrap();
        for (case, comment, expected) in [
            ("none", String::new(), 0),
            ("a version", format!("{VERSION}17\n"), 17),
            ("no number", format!("{VERSION}17a\n"), 0),
            ("another comment", "# version 17\n".to_owned(), 0),
            ("behind a key", format!("{line} {VERSION}17\n"), 0),
        ] {
            let keys = CaKeys::parse(format!("{comment}{line}\n").as_bytes()).unwrap();
            assert_eq!(keys.version, expected, "{case}");
            let again = CaKeys::parse(keys.to_text().unwrap().as_bytes()).unwrap();
            assert_eq!(again, keys, "{case}");
        }
    }

    #[test]
    fn comments_of_the_server_never_reach_the_file() {
        let text = format!(
            "{} a\u{1b}comment\n",
            key().public_key().to_openssh().unwrap()
        );
        let written = CaKeys::parse(text.as_bytes()).unwrap().to_text().unwrap();
        assert_eq!(written.split(' ').count(), 2, "{written}");
        assert!(written.ends_with('\n'));
    }
}
