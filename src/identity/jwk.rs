//! One signing key of an issuer (RFC 7517), parsed once into aws-lc-rs, and its adapter for
//! `openidconnect`.

use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::{
    JsonWebKey, JsonWebKeyAlgorithm, JsonWebKeyId, SignatureVerificationError,
    core::{CoreJsonWebKeyType, CoreJsonWebKeyUse, CoreJwsSigningAlgorithm},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};

use super::{settings::Algorithm, token::is_key_id};

/// Bytes of an RSA modulus: 2048 to 8192 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// Members that only private or symmetric keys have. A published private key is compromised.
const PRIVATE: [&str; 2] = ["d", "k"];

/// A public key that may verify ID tokens, by exactly one algorithm.
#[derive(Debug)]
pub(super) struct Key {
    id: JsonWebKeyId,
    algorithm: Algorithm,
    public: ParsedPublicKey,
}

impl Key {
    /// The key in a member of a key set. `None` if it cannot verify ID tokens: for encryption, of
    /// another algorithm, without a `kid`, private, weak or malformed. RFC 7517, section 5, says to
    /// ignore such keys.
    pub(super) fn from_members(members: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let id = text("kid").filter(|id| is_key_id(id))?;
        if !is_for_signatures(members) || PRIVATE.iter().any(|name| members.contains_key(*name)) {
            return None;
        }
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let (algorithm, public) = match (text("kty")?, text("crv")) {
            ("RSA", None) => (Algorithm::RS256, rsa(bytes("n")?, bytes("e")?)?),
            ("EC", Some("P-256")) => (Algorithm::ES256, p256(&bytes("x")?, &bytes("y")?)?),
            ("OKP", Some("Ed25519")) => (
                Algorithm::EdDSA,
                ParsedPublicKey::new(&ED25519, bytes("x")?).ok()?,
            ),
            _ => return None,
        };
        let agrees = match members.get("alg") {
            None => true,
            Some(value) => value.as_str() == Some(algorithm.name()),
        };
        let id = JsonWebKeyId::new(id.to_owned());
        agrees.then_some(Self {
            id,
            algorithm,
            public,
        })
    }

    /// The `kid`.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The one algorithm it verifies.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// Whether `use` and `key_ops` (RFC 7517, sections 4.2 and 4.3), if present, allow verifying.
fn is_for_signatures(members: &Map<String, Value>) -> bool {
    let usage = members.get("use").is_none_or(|value| value == "sig");
    let operations = members.get("key_ops").is_none_or(|value| {
        let list = value.as_array();
        list.is_some_and(|list| list.iter().any(|operation| operation == "verify"))
    });
    usage && operations
}

fn rsa(modulus: Vec<u8>, exponent: Vec<u8>) -> Option<ParsedPublicKey> {
    let n = without_leading_zeros(&modulus);
    let e = without_leading_zeros(&exponent);
    let is_odd = e.last().is_some_and(|byte| byte & 1 == 1);
    if !MODULUS.contains(&n.len()) || !is_odd || e == [1] {
        return None;
    }
    RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .ok()
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// SEC 1, section 2.3.4: an uncompressed point of two coordinates with 32 bytes each.
fn p256(x: &[u8], y: &[u8]) -> Option<ParsedPublicKey> {
    if x.len() != 32 || y.len() != 32 {
        return None;
    }
    let point = [&[4], x, y].concat();
    ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()
}

impl Algorithm {
    /// Its name in `alg`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Its name in `openidconnect`.
    pub(super) fn core(self) -> &'static CoreJwsSigningAlgorithm {
        match self {
            Self::RS256 => &CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            Self::ES256 => &CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            Self::EdDSA => &CoreJwsSigningAlgorithm::EdDsa,
        }
    }

    fn key_type(self) -> &'static CoreJsonWebKeyType {
        match self {
            Self::RS256 => &CoreJsonWebKeyType::RSA,
            Self::ES256 => &CoreJsonWebKeyType::EllipticCurve,
            Self::EdDSA => &CoreJsonWebKeyType::OctetKeyPair,
        }
    }
}

/// A [`Key`] in the form that `openidconnect` takes. `None` is the symmetric key that its trait
/// demands. It verifies nothing.
#[derive(Clone, Debug)]
pub(super) struct VerifyingKey(pub(super) Option<Arc<Key>>);

impl JsonWebKey for VerifyingKey {
    type KeyUse = CoreJsonWebKeyUse;
    type SigningAlgorithm = CoreJwsSigningAlgorithm;

    fn key_id(&self) -> Option<&JsonWebKeyId> {
        self.0.as_ref().map(|key| &key.id)
    }

    fn key_type(&self) -> &CoreJsonWebKeyType {
        let symmetric = &CoreJsonWebKeyType::Symmetric;
        self.0
            .as_ref()
            .map_or(symmetric, |key| key.algorithm.key_type())
    }

    fn key_use(&self) -> Option<&CoreJsonWebKeyUse> {
        Some(&CoreJsonWebKeyUse::Signature)
    }

    fn signing_alg(&self) -> JsonWebKeyAlgorithm<&CoreJwsSigningAlgorithm> {
        match &self.0 {
            Some(key) => JsonWebKeyAlgorithm::Algorithm(key.algorithm.core()),
            None => JsonWebKeyAlgorithm::Unsupported,
        }
    }

    fn new_symmetric(_key: Vec<u8>) -> Self {
        Self(None)
    }

    fn verify_signature(
        &self,
        algorithm: &CoreJwsSigningAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureVerificationError> {
        let suits = |key: &&Arc<Key>| key.algorithm.core() == algorithm;
        let key = self.0.as_ref().filter(suits).ok_or_else(|| {
            SignatureVerificationError::InvalidKey("the key is for another algorithm".to_owned())
        })?;
        key.public.verify_sig(message, signature).map_err(|_| {
            SignatureVerificationError::CryptoError("the signature is not by this key".to_owned())
        })
    }

    fn hash_bytes(
        &self,
        _bytes: &[u8],
        _algorithm: &CoreJwsSigningAlgorithm,
    ) -> Result<Vec<u8>, String> {
        Err("no access token comes with these ID tokens".to_owned())
    }
}

/// Demanded by the trait, never called: [`super::key_set`] reads key sets, and is stricter.
impl<'de> Deserialize<'de> for VerifyingKey {
    fn deserialize<D: Deserializer<'de>>(_deserializer: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("keys are read from a key set"))
    }
}

/// Demanded by the trait, never called: keys are not passed on.
impl Serialize for VerifyingKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}
