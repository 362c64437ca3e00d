//! Fresh keys, and a key that signs as another, for unit tests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use ssh_key::{Algorithm, EcdsaCurve, LineEnding, PrivateKey, rand_core::OsRng};

use super::{Key, file};

/// The algorithms CA keys have.
pub(in crate::ca) const ALGORITHMS: [Algorithm; 2] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
];

/// The result of signing with a key in this process, which waits once for others that sign too.
pub(in crate::ca) fn at_once<T>(signing: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    let mut signing = pin!(signing);
    for _ in 0..2 {
        if let Poll::Ready(signed) = signing.as_mut().poll(&mut context) {
            return signed;
        }
    }
    panic!("a key in this process waits for something");
}

impl Key {
    /// A fresh key.
    pub(crate) fn sample(algorithm: Algorithm) -> Self {
        let private = PrivateKey::random(&mut OsRng, algorithm).unwrap();
        let text = private.to_openssh(LineEnding::LF).unwrap();
        file::parse(&text, None).unwrap()
    }

    /// One key, twice.
    pub(crate) fn twins() -> [Self; 2] {
        let private = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        let text = private.to_openssh(LineEnding::LF).unwrap();
        [(); 2].map(|()| file::parse(&text, None).unwrap())
    }

    /// A key that claims this public half and signs with `other`'s private one, as a broken agent
    /// or HSM would.
    pub(crate) fn answering_with(self, other: Self) -> Self {
        Self {
            public: self.public,
            private: other.private,
            checks: self.checks,
        }
    }
}
