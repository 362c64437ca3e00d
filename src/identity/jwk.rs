//! One signing key of an issuer (RFC 7517), parsed once into aws-lc-rs, and its adapter for
//! `openidconnect`.

use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::{
    JsonWebKey, JsonWebKeyAlgorithm, JsonWebKeyId, SignatureVerificationError,
    core::{CoreJsonWebKeyType, CoreJsonWebKeyUse, CoreJwsSigningAlgorithm},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};

use super::{
    algorithm::{Algorithm, Scheme},
    token::is_key_id,
};

/// Bytes of an RSA modulus: 2048 to 8192 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// Members that only private or symmetric keys have. A published private key is compromised.
const PRIVATE: [&str; 2] = ["d", "k"];

/// A public key that may verify ID tokens, by exactly one algorithm.
#[derive(Debug)]
pub(super) struct Key {
    /// Absent only if the issuer's configuration allows it.
    id: Option<JsonWebKeyId>,
    algorithm: Algorithm,
    public: ParsedPublicKey,
}

impl Key {
    /// The key in a member of a key set. `None` if it cannot verify ID tokens: for encryption, of
    /// an algorithm that is not among the `configured` ones, private, weak or malformed. RFC 7517,
    /// section 5, says to ignore such keys.
    ///
    /// A key that names no algorithm is for the first configured one that it fits: an RSA key never
    /// verifies by two.
    pub(super) fn from_members(
        members: &Map<String, Value>,
        configured: &[Algorithm],
    ) -> Option<Self> {
        let id = match members.get("kid") {
            None => None,
            Some(id) => Some(id.as_str().filter(|id| is_key_id(id))?),
        };
        if !is_for_signatures(members) || PRIVATE.iter().any(|name| members.contains_key(*name)) {
            return None;
        }
        let algorithm = configured.iter().find(|it| it.fits(members)).copied()?;
        Some(Self {
            id: id.map(|id| JsonWebKeyId::new(id.to_owned())),
            algorithm,
            public: public(members, algorithm.scheme())?,
        })
    }

    /// The `kid`.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_ref().map(|id| id.as_str())
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

fn public(members: &Map<String, Value>, scheme: Scheme) -> Option<ParsedPublicKey> {
    let bytes = |name: &str| {
        let text = members.get(name).and_then(Value::as_str)?;
        URL_SAFE_NO_PAD.decode(text).ok()
    };
    match scheme {
        Scheme::Rsa(parameters) => rsa(&bytes("n")?, &bytes("e")?, parameters),
        // SEC 1, section 2.3.4: an uncompressed point of two coordinates of full width.
        Scheme::Ecdsa {
            width,
            verification,
            ..
        } => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            let is_whole = x.len() == width && y.len() == width;
            let point = is_whole.then(|| [&[4], x.as_slice(), &y].concat())?;
            ParsedPublicKey::new(verification, point).ok()
        }
        Scheme::Ed25519 => ParsedPublicKey::new(&ED25519, bytes("x")?).ok(),
    }
}

fn rsa(
    modulus: &[u8],
    exponent: &[u8],
    parameters: &'static RsaParameters,
) -> Option<ParsedPublicKey> {
    let n = without_leading_zeros(modulus);
    let e = without_leading_zeros(exponent);
    let is_odd = e.last().is_some_and(|byte| byte & 1 == 1);
    if !MODULUS.contains(&n.len()) || !is_odd || e == [1] {
        return None;
    }
    let components = RsaPublicKeyComponents { n, e };
    components.to_parsed_public_key(parameters).ok()
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

impl Algorithm {
    /// Whether a key's `kty`, `crv` and `alg` are those of this algorithm.
    fn fits(self, members: &Map<String, Value>) -> bool {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let expected = match self.scheme() {
            Scheme::Rsa(_) => ("RSA", None),
            Scheme::Ecdsa { curve, .. } => ("EC", Some(curve)),
            Scheme::Ed25519 => ("OKP", Some("Ed25519")),
        };
        let agrees = match members.get("alg") {
            None => true,
            Some(value) => value.as_str() == Some(self.name()),
        };
        agrees && text("kty") == Some(expected.0) && text("crv") == expected.1
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
        self.0.as_ref().and_then(|key| key.id.as_ref())
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
