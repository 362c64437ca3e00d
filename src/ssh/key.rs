//! The keys that passes are for, and those that never get one. Pure.
//!
//! Everything is refused by size and shape, before any mathematics is done with a stranger's
//! numbers.

use base64::{Engine, engine::general_purpose::STANDARD};
use ssh_encoding::Encode as _;
use ssh_key::{Algorithm, HashAlg, PublicKey};

use super::wire::Reader;

/// The longest text that is looked at; an RSA key of 8192 bits takes 1.4 KiB.
const MAX_TEXT: usize = 8 * 1024;

/// The most bits of an RSA modulus. Longer ones cost every host that verifies them.
const MAX_RSA_BITS: usize = 8192;

/// The least bits of an RSA key that a pass is for.
pub(crate) const MIN_RSA_BITS: usize = 3072;

/// The same of a host key: long-lived hosts have such keys, and users' `ssh` takes them.
const MIN_HOST_RSA_BITS: usize = 2048;

/// The smallest public exponent, 65537; every key generator of this century uses it.
const MIN_RSA_EXPONENT: u64 = 65537;

/// The algorithms of the keys that passes are for, by their names in SSH.
pub(crate) const ALGORITHMS: [&str; 7] = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
];

/// Reason why a key is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Over 8 KiB of text.
    #[error("it is longer than any key")]
    TooLong,
    /// Not one line of `ALGORITHM BASE64 [COMMENT]`, or not that algorithm's fields exactly.
    #[error("it is not an OpenSSH public key")]
    Malformed,
    /// A certificate in place of a key (CVE-2025-49825).
    #[error("it is a certificate, not a key")]
    Certificate,
    /// DSA, or nothing OpenSSH knows.
    #[error("its algorithm is not one of Ed25519, ECDSA, RSA and their security-key forms")]
    Algorithm,
    /// Under this number of bits or over 8192.
    #[error("an RSA key has {0} to 8192 bits")]
    RsaSize(usize),
    /// Even, below 65537, or over 32 bits; or an even modulus.
    #[error("its RSA numbers are not those of a sound key")]
    RsaNumbers,
    /// A point for which anyone can make signatures.
    #[error("anyone can sign for this key")]
    Weak,
    /// A key of the CA itself.
    #[error("it is a key of this CA")]
    CaKey,
    /// Not a security key, although the role demands that the key verifies its user.
    #[error(
        "the role demands a security key that verifies its user (PIN or biometric): make one with \
         `ssh-keygen -t ed25519-sk -O verify-required` and name it with --key"
    )]
    VerifyRequired,
}

/// Whether the key is kept in a security key (FIDO U2F or FIDO2), which can verify its user.
pub(crate) fn is_security_key(key: &PublicKey) -> bool {
    matches!(
        key.algorithm(),
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256
    )
}

/// Reads a subject key from its OpenSSH text (`ssh-ed25519 AAAA... comment`). The key's comment is
/// dropped.
///
/// # Errors
/// A [`InvalidKey`] for every key that no pass is for.
pub(crate) fn parse(text: &str) -> Result<PublicKey, InvalidKey> {
    parse_as(text, Fields::of)
}

/// Reads a host key, as [`parse`] does. Security keys are refused, and RSA keys may have 2048 bits.
///
/// # Errors
/// A [`InvalidKey`] for every key that no host certificate is for.
pub(crate) fn parse_host(text: &str) -> Result<PublicKey, InvalidKey> {
    parse_as(text, Fields::of_host)
}

fn parse_as(
    text: &str,
    fields: impl Fn(&str) -> Result<Fields, InvalidKey>,
) -> Result<PublicKey, InvalidKey> {
    if text.len() > MAX_TEXT {
        return Err(InvalidKey::TooLong);
    }
    let (algorithm, encoded) = split_line(text.trim_end()).ok_or(InvalidKey::Malformed)?;
    let fields = fields(algorithm)?;
    let blob = STANDARD
        .decode(encoded)
        .map_err(|_| InvalidKey::Malformed)?;
    check_blob(&blob, algorithm, fields)?;
    let key = PublicKey::from_bytes(&blob).map_err(|_| InvalidKey::Malformed)?;
    match blob_of(&key) {
        Ok(canonical) if canonical == blob => Ok(key),
        _ => Err(InvalidKey::Malformed),
    }
}

/// Returns the blob of a key. ssh-key's `to_bytes` is the same, and grows its buffer several times,
/// which a pass would pay for eight times.
pub(crate) fn blob_of(key: &PublicKey) -> ssh_key::Result<Vec<u8>> {
    let mut blob = Vec::with_capacity(key.key_data().encoded_len()?);
    key.key_data().encode(&mut blob)?;
    Ok(blob)
}

/// Returns the fingerprint of a key as OpenSSH and the ledger name it (`SHA256:...`).
pub(crate) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Checks a key that is already parsed, and returns its blob.
///
/// # Errors
/// Returns [`InvalidKey`] as [`parse`] does.
pub(crate) fn check(key: &PublicKey) -> Result<Vec<u8>, InvalidKey> {
    let blob = blob_of(key).map_err(|_| InvalidKey::Malformed)?;
    let algorithm = Reader::new(&blob).text().ok_or(InvalidKey::Malformed)?;
    check_blob(&blob, algorithm, Fields::of(algorithm)?)?;
    Ok(blob)
}

/// [`check`] of a host key.
///
/// # Errors
/// Returns [`InvalidKey`] as [`parse_host`] does.
pub(crate) fn check_host(key: &PublicKey) -> Result<Vec<u8>, InvalidKey> {
    let blob = blob_of(key).map_err(|_| InvalidKey::Malformed)?;
    let algorithm = Reader::new(&blob).text().ok_or(InvalidKey::Malformed)?;
    check_blob(&blob, algorithm, Fields::of_host(algorithm)?)?;
    Ok(blob)
}

/// [`check_fields`] of a host key.
pub(crate) fn check_host_fields(
    algorithm: &str,
    reader: &mut Reader<'_>,
) -> Result<(), InvalidKey> {
    Fields::of_host(algorithm)?.check(reader)
}

/// Takes the fields of a key of this algorithm off `reader`, or refuses them.
pub(crate) fn check_fields(algorithm: &str, reader: &mut Reader<'_>) -> Result<(), InvalidKey> {
    Fields::of(algorithm)?.check(reader)
}

/// The algorithm's word and the base64 of a one-line public key.
fn split_line(line: &str) -> Option<(&str, &str)> {
    if line.chars().any(char::is_control) {
        return None;
    }
    let mut words = line.splitn(3, ' ');
    Some((words.next()?, words.next()?))
}

/// Fields after the algorithm's name in a key's blob (RFC 4253 section 6.6, RFC 5656, RFC 8709,
/// PROTOCOL.u2f).
#[derive(Clone, Copy, Debug)]
enum Fields {
    Ed25519,
    SkEd25519,
    /// The curve's name and the length of one coordinate in bytes.
    Ecdsa(&'static str, usize),
    SkEcdsa,
    /// The least bits of the modulus.
    Rsa(usize),
}

impl Fields {
    fn of(algorithm: &str) -> Result<Self, InvalidKey> {
        match algorithm {
            "ssh-ed25519" => Ok(Self::Ed25519),
            "sk-ssh-ed25519@openssh.com" => Ok(Self::SkEd25519),
            "ecdsa-sha2-nistp256" => Ok(Self::Ecdsa("nistp256", 32)),
            "ecdsa-sha2-nistp384" => Ok(Self::Ecdsa("nistp384", 48)),
            "ecdsa-sha2-nistp521" => Ok(Self::Ecdsa("nistp521", 66)),
            "sk-ecdsa-sha2-nistp256@openssh.com" => Ok(Self::SkEcdsa),
            "ssh-rsa" => Ok(Self::Rsa(MIN_RSA_BITS)),
            other if other.contains("-cert-v") => Err(InvalidKey::Certificate),
            _ => Err(InvalidKey::Algorithm),
        }
    }

    fn of_host(algorithm: &str) -> Result<Self, InvalidKey> {
        match Self::of(algorithm)? {
            Self::SkEd25519 | Self::SkEcdsa => Err(InvalidKey::Algorithm),
            Self::Rsa(_) => Ok(Self::Rsa(MIN_HOST_RSA_BITS)),
            other @ (Self::Ed25519 | Self::Ecdsa(..)) => Ok(other),
        }
    }

    fn check(self, reader: &mut Reader<'_>) -> Result<(), InvalidKey> {
        match self {
            Self::Ed25519 => check_edwards_point(reader),
            Self::SkEd25519 => {
                check_edwards_point(reader)?;
                check_application(reader)
            }
            Self::Ecdsa(curve, coordinate) => check_curve_point(reader, curve, coordinate),
            Self::SkEcdsa => {
                check_curve_point(reader, "nistp256", 32)?;
                check_application(reader)
            }
            Self::Rsa(least) => check_rsa(reader, least),
        }
    }
}

fn check_blob(blob: &[u8], algorithm: &str, fields: Fields) -> Result<(), InvalidKey> {
    let mut reader = Reader::new(blob);
    match reader.text().ok_or(InvalidKey::Malformed)? {
        named if named == algorithm => {}
        named if named.contains("-cert-v") => return Err(InvalidKey::Certificate),
        _ => return Err(InvalidKey::Malformed),
    }
    fields.check(&mut reader)?;
    if reader.is_empty() {
        Ok(())
    } else {
        Err(InvalidKey::Malformed)
    }
}

fn check_edwards_point(reader: &mut Reader<'_>) -> Result<(), InvalidKey> {
    let point: &[u8; 32] = reader
        .string()
        .and_then(|point| point.try_into().ok())
        .ok_or(InvalidKey::Malformed)?;
    let mut ordinate = *point;
    if let Some(last) = ordinate.last_mut() {
        *last &= 0x7f;
    }
    if is_small_order(&ordinate) {
        return Err(InvalidKey::Weak);
    }
    Ok(())
}

fn check_curve_point(
    reader: &mut Reader<'_>,
    curve: &str,
    coordinate: usize,
) -> Result<(), InvalidKey> {
    if reader.text() != Some(curve) {
        return Err(InvalidKey::Malformed);
    }
    match reader.string() {
        Some([4, coordinates @ ..]) if coordinates.len() == 2 * coordinate => Ok(()),
        _ => Err(InvalidKey::Malformed),
    }
}

fn check_application(reader: &mut Reader<'_>) -> Result<(), InvalidKey> {
    let application = reader.text().ok_or(InvalidKey::Malformed)?;
    let is_valid = application.starts_with("ssh:")
        && application.len() <= 255
        && application.bytes().all(|byte| byte.is_ascii_graphic());
    if is_valid {
        Ok(())
    } else {
        Err(InvalidKey::Malformed)
    }
}

fn check_rsa(reader: &mut Reader<'_>, least: usize) -> Result<(), InvalidKey> {
    let exponent = reader.positive().ok_or(InvalidKey::Malformed)?;
    let modulus = reader.positive().ok_or(InvalidKey::Malformed)?;
    if !(least..=MAX_RSA_BITS).contains(&bits(modulus)) {
        return Err(InvalidKey::RsaSize(least));
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    let is_valid = is_odd(modulus)
        && is_odd(exponent)
        && exponent.len() <= 4
        && big_endian(exponent) >= MIN_RSA_EXPONENT;
    if is_valid {
        Ok(())
    } else {
        Err(InvalidKey::RsaNumbers)
    }
}

fn bits(magnitude: &[u8]) -> usize {
    let leading = magnitude.first().map_or(0, |first| first.leading_zeros());
    (magnitude.len() * 8).saturating_sub(leading as usize)
}

fn big_endian(magnitude: &[u8]) -> u64 {
    magnitude
        .iter()
        .fold(0, |number, &byte| (number << 8) | u64::from(byte))
}

/// Whether a point's y coordinate (without the sign bit) is that of a point whose order divides 8,
/// spelled canonically or not. Signatures for such points can be made without a private key, and
/// RFC 8032 section 5.1.7 lets verifiers take them.
fn is_small_order(ordinate: &[u8; 32]) -> bool {
    match ordinate {
        [0 | 1, rest @ ..] if *rest == [0; 31] => true,
        // p - 1, p and p + 1 for p = 2^255 - 19.
        [0xec..=0xee, middle @ .., 0x7f] if *middle == [0xff; 30] => true,
        _ => ORDER_EIGHT.contains(ordinate),
    }
}

/// The two y coordinates of the four points of order 8.
const ORDER_EIGHT: [[u8; 32]; 2] = [
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

#[cfg(test)]
mod tests;
