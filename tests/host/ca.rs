//! A CA key that signs lists and passes, without a server behind it.

use base64::{Engine, engine::general_purpose::STANDARD};
use daypass::{
    ssh::krl::{Krl, Revoked},
    unix_seconds::UnixSeconds,
};
use ssh_encoding::Encode;
use ssh_key::{
    Algorithm, Certificate, HashAlg, LineEnding, PrivateKey, PublicKey,
    certificate::{Builder, CertType},
    rand_core::OsRng,
};
use time::OffsetDateTime;

/// A CA.
pub(crate) struct Ca(PrivateKey);

impl Ca {
    pub(crate) fn new() -> Self {
        Self::with(Algorithm::Ed25519)
    }

    pub(crate) fn with(algorithm: Algorithm) -> Self {
        Self(PrivateKey::random(&mut OsRng, algorithm).unwrap())
    }

    /// Its line of `/ca.pub`.
    pub(crate) fn line(&self) -> String {
        format!("{}\n", self.0.public_key().to_openssh().unwrap())
    }

    pub(crate) fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The value of `daypass-signature`.
    pub(crate) fn sign(&self, namespace: &str, body: &[u8]) -> String {
        let signature = self.0.sign(namespace, HashAlg::Sha512, body).unwrap();
        let mut bytes = Vec::new();
        signature.encode(&mut bytes).unwrap();
        STANDARD.encode(bytes)
    }

    /// A revocation list of this version.
    pub(crate) fn krl(&self, version: u64, serials: &[u64]) -> Vec<u8> {
        let ca = self.0.public_key().to_bytes().unwrap();
        let revoked = serials.iter().map(|serial| Revoked {
            serial: *serial,
            ca: ca.clone(),
        });
        Krl::new(version, UnixSeconds(now()), revoked)
            .publish()
            .unwrap()
    }

    /// A key and a pass for it, valid for an hour.
    pub(crate) fn pass(&self, serial: u64, principals: &[&str]) -> Pass {
        self.pass_with(serial, principals, |_| ())
    }

    pub(crate) fn pass_with(
        &self,
        serial: u64,
        principals: &[&str],
        change: impl FnOnce(&mut Builder),
    ) -> Pass {
        let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        self.pass_for(key, serial, principals, change)
    }

    /// A certificate of a host key. The validity is in seconds from now.
    pub(crate) fn certify_host(
        &self,
        key: &PublicKey,
        (serial, validity): (u64, (i64, i64)),
        names: &[&str],
        change: impl FnOnce(&mut Builder),
    ) -> String {
        self.certify(CertType::Host, key, (serial, validity), names, change)
    }

    /// The same of any type.
    pub(crate) fn certify(
        &self,
        kind: CertType,
        key: &PublicKey,
        (serial, validity): (u64, (i64, i64)),
        names: &[&str],
        change: impl FnOnce(&mut Builder),
    ) -> String {
        let time = |seconds: i64| now().checked_add_signed(seconds).unwrap();
        let (from, to) = (time(validity.0), time(validity.1));
        let public = key.key_data().clone();
        let builder = Builder::new_with_random_nonce(&mut OsRng, public, from, to);
        let mut builder = builder.unwrap();
        builder.serial(serial).unwrap();
        builder.key_id(format!("host/{}", names[0])).unwrap();
        builder.cert_type(kind).unwrap();
        for name in names {
            builder.valid_principal(*name).unwrap();
        }
        change(&mut builder);
        builder.sign(&self.0).unwrap().to_openssh().unwrap()
    }

    pub(crate) fn pass_for(
        &self,
        key: PrivateKey,
        serial: u64,
        principals: &[&str],
        change: impl FnOnce(&mut Builder),
    ) -> Pass {
        let public = key.public_key().key_data().clone();
        let validity = (now() - 60, now() + 3600);
        let builder = Builder::new_with_random_nonce(&mut OsRng, public, validity.0, validity.1);
        let mut builder = builder.unwrap();
        builder
            .serial(serial)
            .unwrap()
            .key_id("alice/shell")
            .unwrap();
        for principal in principals {
            builder.valid_principal(*principal).unwrap();
        }
        change(&mut builder);
        Pass {
            certificate: builder.sign(&self.0).unwrap(),
            key: key.to_openssh(LineEnding::LF).unwrap().to_string(),
        }
    }
}

/// A private key and its certificate.
pub(crate) struct Pass {
    pub(crate) key: String,
    pub(crate) certificate: Certificate,
}

/// Unix seconds.
pub(crate) fn now() -> u64 {
    u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap()
}
