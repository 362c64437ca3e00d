//! The dev issuer's signing keys, and their JSON Web Keys (RFC 7517, RFC 8037), one for each
//! algorithm. One RSA key serves every RSA algorithm, under several `kid`s.

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::members::set;
use crate::{dev::Error, identity::issuer::Algorithm};

/// One generation of keys.
pub(super) struct Keys {
    generation: u32,
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

/// The key of an algorithm.
enum Pair<'a> {
    Rsa(&'a RsaKeyPair, &'static dyn RsaEncoding),
    Ecdsa(&'a EcdsaKeyPair, &'static str),
    Ed25519(&'a Ed25519KeyPair),
}

impl Keys {
    /// Fresh keys; `generation` goes into their `kid`s.
    pub(super) fn generate(generation: u32) -> Result<Self, Error> {
        Ok(Self {
            generation,
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| Error::Key("RSA"))?,
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .map_err(|_| Error::Key("P-256"))?,
            p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING)
                .map_err(|_| Error::Key("P-384"))?,
            ed25519: Ed25519KeyPair::generate().map_err(|_| Error::Key("Ed25519"))?,
        })
    }

    /// The next generation.
    pub(super) fn next(&self) -> Result<Self, Error> {
        Self::generate(self.generation + 1)
    }

    /// The `kid` of one key: `RS256-1`.
    pub(super) fn id(&self, algorithm: Algorithm) -> String {
        format!("{}-{}", algorithm.name(), self.generation)
    }

    /// The signature over `input` in the form of JWS (RFC 7518, sections 3.3 to 3.5; RFC 8037,
    /// section 3.1); empty if the key fails.
    pub(super) fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self.pair(algorithm) {
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                match pair.sign(encoding, &random, input, &mut signature) {
                    Ok(()) => signature,
                    Err(_) => Vec::new(),
                }
            }
            Pair::Ecdsa(pair, _) => match pair.sign(&random, input) {
                Ok(signature) => signature.as_ref().to_vec(),
                Err(_) => Vec::new(),
            },
            Pair::Ed25519(pair) => pair.sign(input).as_ref().to_vec(),
        }
    }

    /// The public halves, as the `keys` member of a JWK set.
    pub(super) fn jwks(&self) -> Vec<Value> {
        Algorithm::ALL.map(|algorithm| self.jwk(algorithm)).to_vec()
    }

    /// The public half of one key.
    pub(super) fn jwk(&self, algorithm: Algorithm) -> Value {
        let mut jwk = match self.pair(algorithm) {
            // RSAPublicKey of a 2048-bit key (RFC 8017 A.1.1): 9 bytes of headers, the modulus,
            // then the exponent 65537.
            Pair::Rsa(pair, _) => {
                let modulus = pair.public_key().as_ref().get(9..265);
                let modulus = URL_SAFE_NO_PAD.encode(modulus.unwrap_or_default());
                json!({"kty": "RSA", "n": modulus, "e": "AQAB"})
            }
            // Uncompressed point (SEC 1, 2.3.3): 0x04, x, y.
            Pair::Ecdsa(pair, curve) => {
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
                json!({"kty": "EC", "crv": curve, "x": x, "y": y})
            }
            Pair::Ed25519(pair) => {
                let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "x": x})
            }
        };
        set(&mut jwk, "use", json!("sig"));
        set(&mut jwk, "alg", json!(algorithm.name()));
        set(&mut jwk, "kid", json!(self.id(algorithm)));
        jwk
    }

    /// The public key for `algorithm` as SubjectPublicKeyInfo DER. Attackers use it as an HMAC
    /// secret.
    pub(super) fn public_der(&self, algorithm: Algorithm) -> Vec<u8> {
        let der = match self.pair(algorithm) {
            Pair::Rsa(pair, _) => pair.public_key().as_der(),
            Pair::Ecdsa(pair, _) => pair.public_key().as_der(),
            Pair::Ed25519(pair) => pair.public_key().as_der(),
        };
        der.map(|der| der.as_ref().to_vec()).unwrap_or_default()
    }

    fn pair(&self, algorithm: Algorithm) -> Pair<'_> {
        let rsa = |encoding| Pair::Rsa(&self.rsa, encoding);
        match algorithm {
            Algorithm::RS256 => rsa(&RSA_PKCS1_SHA256),
            Algorithm::RS384 => rsa(&RSA_PKCS1_SHA384),
            Algorithm::RS512 => rsa(&RSA_PKCS1_SHA512),
            Algorithm::PS256 => rsa(&RSA_PSS_SHA256),
            Algorithm::PS384 => rsa(&RSA_PSS_SHA384),
            Algorithm::PS512 => rsa(&RSA_PSS_SHA512),
            Algorithm::ES256 => Pair::Ecdsa(&self.p256, "P-256"),
            Algorithm::ES384 => Pair::Ecdsa(&self.p384, "P-384"),
            Algorithm::EdDSA => Pair::Ed25519(&self.ed25519),
        }
    }
}
