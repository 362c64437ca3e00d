//! The signature algorithms of ID tokens (RFC 7518, section 3; RFC 8037), and what each demands of
//! a key. Pure.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, EcdsaVerificationAlgorithm,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
};
use openidconnect::core::{CoreJsonWebKeyType, CoreJwsSigningAlgorithm};

/// A signature algorithm that may be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, keys of 2048 to 8192 bits.
    RS256,
    /// The same with SHA-384.
    RS384,
    /// The same with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256, keys of 2048 to 8192 bits.
    PS256,
    /// The same with SHA-384.
    PS384,
    /// The same with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

/// The kind of key that an algorithm verifies with, and the rules of its signatures.
#[derive(Clone, Copy)]
pub(super) enum Scheme {
    /// A modulus and an exponent.
    Rsa(&'static RsaParameters),
    /// A point on a curve.
    Ecdsa {
        /// The curve's `crv` (RFC 7518, section 6.2.1.1).
        curve: &'static str,
        /// Bytes of a coordinate.
        width: usize,
        /// The verification.
        verification: &'static EcdsaVerificationAlgorithm,
    },
    /// A point on Curve25519.
    Ed25519,
}

impl Algorithm {
    /// Every one.
    pub(crate) const ALL: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// The algorithm of that name in `alg`, letter by letter.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Its name in `alg`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Its name in `openidconnect`.
    pub(crate) fn core(self) -> &'static CoreJwsSigningAlgorithm {
        match self {
            Self::RS256 => &CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            Self::RS384 => &CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
            Self::RS512 => &CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
            Self::PS256 => &CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            Self::PS384 => &CoreJwsSigningAlgorithm::RsaSsaPssSha384,
            Self::PS512 => &CoreJwsSigningAlgorithm::RsaSsaPssSha512,
            Self::ES256 => &CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            Self::ES384 => &CoreJwsSigningAlgorithm::EcdsaP384Sha384,
            Self::EdDSA => &CoreJwsSigningAlgorithm::EdDsa,
        }
    }

    /// The kind of its keys in `openidconnect`.
    pub(super) fn key_type(self) -> &'static CoreJsonWebKeyType {
        match self.scheme() {
            Scheme::Rsa(_) => &CoreJsonWebKeyType::RSA,
            Scheme::Ecdsa { .. } => &CoreJsonWebKeyType::EllipticCurve,
            Scheme::Ed25519 => &CoreJsonWebKeyType::OctetKeyPair,
        }
    }

    pub(super) fn scheme(self) -> Scheme {
        match self {
            Self::RS256 => Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            Self::RS384 => Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            Self::RS512 => Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            Self::PS256 => Scheme::Rsa(&RSA_PSS_2048_8192_SHA256),
            Self::PS384 => Scheme::Rsa(&RSA_PSS_2048_8192_SHA384),
            Self::PS512 => Scheme::Rsa(&RSA_PSS_2048_8192_SHA512),
            Self::ES256 => Scheme::Ecdsa {
                curve: "P-256",
                width: 32,
                verification: &ECDSA_P256_SHA256_FIXED,
            },
            Self::ES384 => Scheme::Ecdsa {
                curve: "P-384",
                width: 48,
                verification: &ECDSA_P384_SHA384_FIXED,
            },
            Self::EdDSA => Scheme::Ed25519,
        }
    }
}
