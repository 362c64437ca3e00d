//! The dev issuer's signing keys, one per algorithm, and their JSON Web Keys (RFC 7517, RFC 8037).

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{dev::Error, identity::issuer::Algorithm};

/// One generation of keys: RS256, ES256 and EdDSA.
pub(super) struct Keys {
    generation: u32,
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

impl Keys {
    /// Fresh keys; `generation` goes into their `kid`s.
    pub(super) fn generate(generation: u32) -> Result<Self, Error> {
        Ok(Self {
            generation,
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| Error::Key("RSA"))?,
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .map_err(|_| Error::Key("P-256"))?,
            ed25519: Ed25519KeyPair::generate().map_err(|_| Error::Key("Ed25519"))?,
        })
    }

    /// The next generation.
    pub(super) fn next(&self) -> Result<Self, Error> {
        Self::generate(self.generation + 1)
    }

    /// The `kid` of one key: `RS256-1`.
    pub(super) fn id(&self, algorithm: Algorithm) -> String {
        format!("{algorithm:?}-{}", self.generation)
    }

    /// The signature over `input` in the form of JWS (RFC 7518 3.3 and 3.4, RFC 8037 3.1); empty if
    /// the key fails.
    pub(super) fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match algorithm {
            Algorithm::RS256 => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                match self
                    .rsa
                    .sign(&RSA_PKCS1_SHA256, &random, input, &mut signature)
                {
                    Ok(()) => signature,
                    Err(_) => Vec::new(),
                }
            }
            Algorithm::ES256 => match self.p256.sign(&random, input) {
                Ok(signature) => signature.as_ref().to_vec(),
                Err(_) => Vec::new(),
            },
            Algorithm::EdDSA => self.ed25519.sign(input).as_ref().to_vec(),
        }
    }

    /// The public halves, as the `keys` member of a JWK set.
    pub(super) fn jwks(&self) -> Vec<Value> {
        vec![self.rsa_jwk(), self.p256_jwk(), self.ed25519_jwk()]
    }

    /// The public key for `algorithm` as SubjectPublicKeyInfo DER. Attackers use it as an HMAC
    /// secret.
    pub(super) fn public_der(&self, algorithm: Algorithm) -> Vec<u8> {
        let der = match algorithm {
            Algorithm::RS256 => self.rsa.public_key().as_der(),
            Algorithm::ES256 => self.p256.public_key().as_der(),
            Algorithm::EdDSA => self.ed25519.public_key().as_der(),
        };
        der.map(|der| der.as_ref().to_vec()).unwrap_or_default()
    }

    fn rsa_jwk(&self) -> Value {
        // RSAPublicKey of a 2048-bit key (RFC 8017 A.1.1): 9 bytes of headers, the modulus, then
        // the exponent 65537.
        let modulus = self.rsa.public_key().as_ref().get(9..265);
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id(Algorithm::RS256),
            "n": URL_SAFE_NO_PAD.encode(modulus.unwrap_or_default()), "e": "AQAB",
        })
    }

    fn p256_jwk(&self) -> Value {
        // Uncompressed point (SEC 1, 2.3.3): 0x04, x, y.
        let point = self.p256.public_key().as_ref();
        json!({
            "kty": "EC", "use": "sig", "alg": "ES256", "kid": self.id(Algorithm::ES256), "crv": "P-256",
            "x": URL_SAFE_NO_PAD.encode(point.get(1..33).unwrap_or_default()),
            "y": URL_SAFE_NO_PAD.encode(point.get(33..65).unwrap_or_default()),
        })
    }

    fn ed25519_jwk(&self) -> Value {
        json!({
            "kty": "OKP", "use": "sig", "alg": "EdDSA", "kid": self.id(Algorithm::EdDSA), "crv": "Ed25519",
            "x": URL_SAFE_NO_PAD.encode(self.ed25519.public_key().as_ref()),
        })
    }
}
