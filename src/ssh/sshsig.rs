//! SSHSIG signatures (PROTOCOL.sshsig): what a key signs outside of the SSH protocol. Pure.
//!
//! `ssh-keygen -Y sign` and `-Y verify` make and check the same bytes. Private keys stay with the
//! caller: this module makes the bytes to sign and puts the signature into its frame.

use base64::{Engine, engine::general_purpose::STANDARD};
use ssh_encoding::{Decode, Encode};
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};

use super::signed_by::{SECURITY_KEY_TRAILER, is_signed_by};

/// HTTP header with the base64 of a signature's binary form over the body.
pub(crate) const HEADER: &str = "daypass-signature";

/// Longest armored signature in bytes; one by a 16,384-bit RSA key takes about 6 KiB.
const MAX_ARMORED: usize = 8 * 1024;

/// Longest header value in bytes: base64 of an armored signature.
const MAX_HEADER: usize = MAX_ARMORED * 4 / 3 + 4;

/// The hash that Daypass signs with, of the two that SSHSIG has.
const HASH: HashAlg = HashAlg::Sha512;

/// Flag of a security key's signature: a person touched it, PROTOCOL.u2f.
const USER_PRESENT: u8 = 0x01;

/// The purpose of a signature. A signature for one purpose does not count for another.
///
/// ```
/// use daypass::ssh::sshsig::Namespace;
///
/// // ssh-keygen -Y verify -n daypass-krl@v1 ...
/// assert_eq!(Namespace::Krl.as_str(), "daypass-krl@v1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Namespace {
    /// A subject key proves its possession for an ask.
    Issue,
    /// An approver, reviewer or requester decides about a request.
    Approve,
    /// An administrator locks, unlocks or revokes.
    Admin,
    /// Registered keys ask for an emergency pass.
    Emergency,
    /// A user consents to a pass that another identity asks for on their behalf.
    Consent,
    /// The subject key of such a pass proves its possession.
    OnBehalf,
    /// The CA signs the list of revoked passes.
    Krl,
    /// The CA signs its list of public keys.
    CaKeys,
    /// An administrator accepts a restored ledger.
    Restore,
    /// The CA signs its document about administrators' keys and restored ledgers.
    Recovery,
    /// A host proves that it holds its keys.
    Host,
}

impl Namespace {
    /// Every namespace.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 11] = [
        Self::Issue,
        Self::Approve,
        Self::Admin,
        Self::Emergency,
        Self::Consent,
        Self::OnBehalf,
        Self::Krl,
        Self::CaKeys,
        Self::Restore,
        Self::Recovery,
        Self::Host,
    ];

    /// The name that is signed with the message.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issue => "daypass-issue@v1",
            Self::Approve => "daypass-approve@v1",
            Self::Admin => "daypass-admin@v1",
            Self::Emergency => "daypass-emergency@v1",
            Self::Consent => "daypass-consent@v1",
            Self::OnBehalf => "daypass-on-behalf@v1",
            Self::Krl => "daypass-krl@v1",
            Self::CaKeys => "daypass-ca@v1",
            Self::Restore => "daypass-restore@v1",
            Self::Recovery => "daypass-recovery@v1",
            Self::Host => "daypass-host@v1",
        }
    }

    /// [`Namespace::as_str`] as bytes: the first part of most messages that are signed in it.
    pub(crate) const fn as_bytes(self) -> &'static [u8] {
        self.as_str().as_bytes()
    }
}

/// Returns the bytes that a key signs for `message` in `namespace`.
///
/// # Errors
/// Returns [`Error::Malformed`] if they cannot be encoded, which these namespaces always can.
pub(crate) fn signed_data(namespace: Namespace, message: &[u8]) -> Result<Vec<u8>, Error> {
    SshSig::signed_data(namespace.as_str(), HASH, message).map_err(Error::Malformed)
}

/// An SSHSIG, parsed. It counts only after [`Signature::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature(SshSig);

impl Signature {
    /// Signs `message` with a private key that is in memory. RSA keys cannot sign here.
    ///
    /// # Errors
    /// Returns [`Error::Malformed`] if the key does not sign.
    pub(crate) fn sign(
        key: &PrivateKey,
        namespace: Namespace,
        message: &[u8],
    ) -> Result<Self, Error> {
        let signature = key.sign(namespace.as_str(), HASH, message);
        signature.map(Self).map_err(Error::Malformed)
    }

    /// Frames a signature over [`signed_data`] that `key` made elsewhere.
    ///
    /// # Errors
    /// Returns [`Error::Malformed`] if the signature is not of the key's algorithm.
    pub(crate) fn frame(
        key: &PublicKey,
        namespace: Namespace,
        signature: ssh_key::Signature,
    ) -> Result<Self, Error> {
        let key = key.key_data().clone();
        let framed = SshSig::new(key, namespace.as_str(), HASH, signature);
        framed.map(Self).map_err(Error::Malformed)
    }

    /// Reads `-----BEGIN SSH SIGNATURE-----`, as `ssh-keygen -Y sign` writes it, of at most 8 KiB.
    ///
    /// # Errors
    /// Returns [`Error::TooLong`] or [`Error::Malformed`].
    pub(crate) fn from_armored(armored: impl AsRef<[u8]>) -> Result<Self, Error> {
        if armored.as_ref().len() > MAX_ARMORED {
            return Err(Error::TooLong);
        }
        if let Some(blob) = as_openssh_writes(armored.as_ref()) {
            let mut rest = &*blob;
            if let (Ok(signature), []) = (SshSig::decode(&mut rest), rest) {
                return Ok(Self(signature));
            }
        }
        SshSig::from_pem(armored)
            .map(Self)
            .map_err(Error::Malformed)
    }

    /// Reads the binary form, without anything after it.
    ///
    /// # Errors
    /// Returns [`Error::Malformed`], [`Error::Trailing`], or [`Error::Encoding`] for other bytes
    /// than OpenSSH writes for this signature: the decoder takes a length that is too large.
    pub(crate) fn from_blob(blob: &[u8]) -> Result<Self, Error> {
        let mut rest = blob;
        let signature = Self(SshSig::decode(&mut rest).map_err(Error::Malformed)?);
        match rest {
            [] if signature.to_blob()? == blob => Ok(signature),
            [] => Err(Error::Encoding),
            _ => Err(Error::Trailing),
        }
    }

    /// Reads base64 of the binary form, on one line: [`compact`].
    ///
    /// # Errors
    /// Returns [`Error::Base64`] or [`Error::Malformed`].
    pub(crate) fn from_compact(compact: &str) -> Result<Self, Error> {
        Self::from_blob(&STANDARD.decode(compact).map_err(|_| Error::Base64)?)
    }

    /// Reads a value of [`HEADER`]: base64 of the binary form, or of the armored one.
    ///
    /// # Errors
    /// Returns [`Error::TooLong`], [`Error::Base64`] or [`Error::Malformed`].
    pub(crate) fn from_header(value: &str) -> Result<Self, Error> {
        if value.len() > MAX_HEADER {
            return Err(Error::TooLong);
        }
        let bytes = STANDARD.decode(value.trim()).map_err(|_| Error::Base64)?;
        match bytes.starts_with(b"-----BEGIN") {
            true => Self::from_armored(bytes),
            false => Self::from_blob(&bytes),
        }
    }

    /// The armored form, as `ssh-keygen -Y verify` reads it.
    ///
    /// # Errors
    /// Returns [`Error::Malformed`] if it cannot be encoded.
    pub(crate) fn to_armored(&self) -> Result<String, Error> {
        self.0.to_pem(LineEnding::LF).map_err(Error::Malformed)
    }

    /// The binary form.
    ///
    /// # Errors
    /// Returns [`Error::Malformed`] if it cannot be encoded.
    pub(crate) fn to_blob(&self) -> Result<Vec<u8>, Error> {
        let mut blob = Vec::new();
        let encoded = self.0.encode(&mut blob);
        encoded.map_err(|error| Error::Malformed(error.into()))?;
        Ok(blob)
    }

    /// The key that claims to have signed.
    pub(crate) fn unverified_key(&self) -> PublicKey {
        PublicKey::from(self.0.public_key().clone())
    }

    /// Checks that `key` signed `message` in `namespace`, and that a security key was touched.
    ///
    /// # Errors
    /// Returns [`Error::Version`], [`Error::Reserved`] or [`Error::NotTouched`] if it is a
    /// signature that does not count, and [`Error::NotSigned`] if it is by another key, over
    /// another message or in another namespace.
    pub(crate) fn verify(
        &self,
        key: &PublicKey,
        namespace: Namespace,
        message: &[u8],
    ) -> Result<(), Error> {
        // ssh-key refuses later versions, but not earlier ones, and ignores reserved content.
        if self.0.version() != SshSig::VERSION {
            return Err(Error::Version);
        }
        if !self.0.reserved().is_empty() {
            return Err(Error::Reserved);
        }
        if is_security_key(&self.0.algorithm()) && !self.is_touched() {
            return Err(Error::NotTouched);
        }
        if self.0.public_key() != key.key_data() || self.0.namespace() != namespace.as_str() {
            return Err(Error::NotSigned);
        }
        let signed = SshSig::signed_data(namespace.as_str(), self.0.hash_alg(), message);
        let signed = signed.map_err(Error::Malformed)?;
        match is_signed_by(key.key_data(), &signed, self.0.signature()) {
            true => Ok(()),
            false => Err(Error::NotSigned),
        }
    }

    /// The algorithm of the signature itself.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.0.signature().algorithm()
    }

    fn is_touched(&self) -> bool {
        let signature = self.0.signature_bytes();
        let flags = signature
            .len()
            .checked_sub(SECURITY_KEY_TRAILER)
            .and_then(|at| signature.get(at));
        flags.is_some_and(|flags| flags & USER_PRESENT != 0)
    }
}

/// Returns the base64 of an armored signature on one line, as the ledger keeps it.
///
/// It does not parse the signature: the caller has verified it.
///
/// ```
/// use daypass::ssh::sshsig::compact;
///
/// let armored = "-----BEGIN SSH SIGNATURE-----\nU1NI\nU0lH\n-----END SSH SIGNATURE-----\n";
/// assert_eq!(compact(armored), "U1NIU0lH");
/// ```
pub fn compact(armored: &str) -> String {
    let lines = armored.lines().map(str::trim);
    lines.filter(|line| !line.starts_with("-----")).collect()
}

fn is_security_key(algorithm: &Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256
    )
}

/// A signature that cannot be read, or does not count.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Longer than a signature by any key.
    #[error("it is too large")]
    TooLong,
    /// Not base64.
    #[error("it is not base64")]
    Base64,
    /// Not an SSHSIG.
    #[error("it is not an SSH signature")]
    Malformed(#[source] ssh_key::Error),
    /// Bytes after its end.
    #[error("it is followed by other bytes")]
    Trailing,
    /// Other bytes than OpenSSH writes for the same signature.
    #[error("it is not in the form that OpenSSH writes")]
    Encoding,
    /// A version other than 1.
    #[error("its version is unknown")]
    Version,
    /// Content in the field that has no meaning yet.
    #[error("it has reserved content")]
    Reserved,
    /// By a security key that signed without a person's touch.
    #[error("the security key was not touched")]
    NotTouched,
    /// By another key, over another message or in another namespace.
    #[error("it is not by this key over this message")]
    NotSigned,
}

/// The binary form, if the armor is exactly as OpenSSH and Daypass write it. The general decoder of
/// PEM hides the text from the timing of the caches, which a signature does not need, and takes
/// much longer for that.
fn as_openssh_writes(armored: &[u8]) -> Option<Vec<u8>> {
    const LINE: usize = 70;
    let body = armored.strip_prefix(b"-----BEGIN SSH SIGNATURE-----\n")?;
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    let body = body.strip_suffix(b"\n-----END SSH SIGNATURE-----")?;
    let (mut text, mut rest) = (Vec::with_capacity(body.len()), body);
    while let Some((line, more)) = rest.split_at_checked(LINE) {
        text.extend_from_slice(line);
        rest = match more {
            [] => more,
            [b'\n', more @ ..] if !more.is_empty() => more,
            _ => return None,
        };
    }
    text.extend_from_slice(rest);
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests;
