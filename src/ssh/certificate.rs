//! Certificates of users and hosts (PROTOCOL.certkeys): the names, grammar and constants that the
//! side that writes one and the side that checks it share. Pure.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use ssh_key::Certificate;

/// Time by which a certificate's validity is backdated, for hosts whose clock is behind.
pub(crate) const BACKDATE: Duration = Duration::from_secs(60);

/// `SSH_CERT_TYPE_USER`.
pub(crate) const USER: u32 = 1;

/// `SSH_CERT_TYPE_HOST`.
pub(crate) const HOST: u32 = 2;

/// Time by which a host certificate's validity is backdated, for users whose clock is behind.
pub(crate) const HOST_BACKDATE: Duration = Duration::from_secs(300);

/// The key id of a host's certificates.
pub(crate) fn host_key_id(name: &str) -> String {
    format!("host/{name}")
}

/// Longest key id in bytes.
pub(crate) const MAX_KEY_ID: usize = 256;

/// Returns the type name of a certificate for a key of this algorithm.
///
/// ```
/// use daypass::ssh::certificate::type_name;
///
/// assert_eq!(type_name("ssh-ed25519"), "ssh-ed25519-cert-v01@openssh.com");
/// assert_eq!(
///     type_name("sk-ssh-ed25519@openssh.com"), // one domain, not two
///     "sk-ssh-ed25519-cert-v01@openssh.com"
/// );
/// ```
pub fn type_name(algorithm: &str) -> String {
    let name = algorithm.strip_suffix("@openssh.com").unwrap_or(algorithm);
    format!("{name}-cert-v01@openssh.com")
}

/// The line of a `-cert.pub` file, without comment and newline.
///
/// # Errors
/// Returns the error of a certificate that cannot be encoded, which each one that was read can.
pub(crate) fn line(certificate: &Certificate) -> ssh_key::Result<String> {
    let name = certificate.algorithm().to_certificate_type();
    let mut line = format!("{name} ");
    STANDARD.encode_string(certificate.to_bytes()?, &mut line);
    Ok(line)
}

/// Whether `text` is within the grammar of key ids: `LABEL/ROLE` in printable ASCII without spaces,
/// quotes and backslashes, at most [`MAX_KEY_ID`] bytes.
///
/// sshd writes the key id into its log as it is, so a newline would forge a line.
///
/// ```
/// use daypass::ssh::certificate::is_key_id;
///
/// assert!(is_key_id("alice@example.com/web-logs"));
/// assert!(!is_key_id("eve\nAccepted publickey for root/x"));
/// ```
pub fn is_key_id(text: &str) -> bool {
    (3..=MAX_KEY_ID).contains(&text.len())
        && text.contains('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.contains(['"', '\\'])
}

/// The role in a key id `LABEL/ROLE`; none if it has no slash. A role's name has none.
pub(crate) fn role_of(key_id: &str) -> Option<&str> {
    key_id.rsplit_once('/').map(|(_, role)| role)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_line_of_a_certificate_is_the_one_of_ssh_keygen() {
        for text in [
            include_str!("../../tests/golden/certificates/subject-ed25519-cert.pub"),
            include_str!("../../tests/golden/certificates/signed-by-p256-cert.pub"),
        ] {
            let certificate = Certificate::from_openssh(text).unwrap();
            let words: Vec<_> = text.split_whitespace().take(2).collect();
            assert_eq!(line(&certificate).unwrap(), words.join(" "));
        }
    }
}
