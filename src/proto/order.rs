//! What an administrator signs: the call itself, so that a stolen token alone neither locks nor revokes. Pure.
//!
//! Both sides compute it from the wire's own message; only the holder of the token's bound key can sign it.

use super::v1::{
    LockRequest, LockTarget, RevokeRequest, UnlockRequest, lock_target, revoke_request,
};

/// The SSHSIG namespace of administrators' calls. A signature made for anything else does not count.
pub const NAMESPACE: &str = "daypass-admin@v1";

/// A call that carries its caller's signature.
#[derive(Clone, Copy, Debug)]
pub enum Order<'a> {
    /// `Admin.Revoke`
    Revoke(&'a RevokeRequest),
    /// `Admin.Lock`
    Lock(&'a LockRequest),
    /// `Admin.Unlock`
    Unlock(&'a UnlockRequest),
}

/// What a call brings along to prove its caller's key.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'a> {
    /// In OpenSSH form.
    pub public_key: &'a str,
    /// The secret behind the token's key binding.
    pub binding_secret: &'a [u8],
    /// An armored SSHSIG over [`Order::message`].
    pub signature: &'a str,
}

impl<'a> Order<'a> {
    /// The bytes that are signed, as length-prefixed strings (RFC 4251, 5): domain, verb, server name, SHA-256 of the
    /// token, kind of target, target (a text, or a number as a big-endian u64), reason.
    pub fn message(self, server_name: &str, token_hash: &[u8; 32]) -> Vec<u8> {
        let (verb, (kind, target), reason) = match self {
            Self::Revoke(it) => ("revoke", revoked(it.target.as_ref()), &it.reason),
            Self::Lock(it) => ("lock", locked(it.target.as_ref()), &it.reason),
            Self::Unlock(it) => ("unlock", locked(it.target.as_ref()), &it.reason),
        };
        let mut message = Vec::new();
        for part in [
            NAMESPACE.as_bytes(),
            verb.as_bytes(),
            server_name.as_bytes(),
            token_hash,
            kind.as_bytes(),
            &target,
            reason.as_bytes(),
        ] {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            message.extend_from_slice(&length.to_be_bytes());
            message.extend_from_slice(part);
        }
        message
    }

    /// What the call brought along.
    pub fn proof(self) -> Proof<'a> {
        let (public_key, binding_secret, signature) = match self {
            Self::Revoke(it) => (&it.public_key, &it.binding_secret, &it.signature),
            Self::Lock(it) => (&it.public_key, &it.binding_secret, &it.signature),
            Self::Unlock(it) => (&it.public_key, &it.binding_secret, &it.signature),
        };
        Proof {
            public_key,
            binding_secret,
            signature,
        }
    }
}

fn revoked(target: Option<&revoke_request::Target>) -> (&'static str, Vec<u8>) {
    use revoke_request::Target;
    match target {
        None => ("", Vec::new()),
        Some(Target::Serial(serial)) => ("serial", serial.to_be_bytes().to_vec()),
        Some(Target::Key(key)) => ("key", key.clone().into_bytes()),
        Some(Target::Identity(identity)) => ("identity", identity.clone().into_bytes()),
        Some(Target::Before(time)) => ("before", time.to_be_bytes().to_vec()),
    }
}

fn locked(target: Option<&LockTarget>) -> (&'static str, Vec<u8>) {
    use lock_target::Target;
    match target.and_then(|it| it.target.as_ref()) {
        None => ("", Vec::new()),
        Some(Target::Identity(identity)) => ("identity", identity.clone().into_bytes()),
        Some(Target::Key(key)) => ("key", key.clone().into_bytes()),
        Some(Target::Role(role)) => ("role", role.clone().into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(target: lock_target::Target, reason: &str) -> LockRequest {
        LockRequest {
            target: Some(LockTarget {
                target: Some(target),
            }),
            reason: reason.into(),
            ..LockRequest::default()
        }
    }

    fn revoke(target: revoke_request::Target) -> RevokeRequest {
        RevokeRequest {
            target: Some(target),
            ..RevokeRequest::default()
        }
    }

    #[test]
    fn the_encoding_is_the_documented_one() {
        let request = lock(lock_target::Target::Role("prod".into()), "INC-1");
        let expected = [
            b"\0\0\0\x10daypass-admin@v1\0\0\0\x04lock\0\0\0\x01a\0\0\0\x20".as_slice(),
            &[7; 32],
            b"\0\0\0\x04role\0\0\0\x04prod\0\0\0\x05INC-1",
        ]
        .concat();
        assert_eq!(Order::Lock(&request).message("a", &[7; 32]), expected);
        let request = revoke(revoke_request::Target::Serial(258));
        let expected = b"\0\0\0\x06serial\0\0\0\x08\0\0\0\0\0\0\x01\x02\0\0\0\0";
        let message = Order::Revoke(&request).message("a", &[7; 32]);
        assert!(message.ends_with(expected));
    }

    #[test]
    fn orders_that_differ_anywhere_differ_in_bytes() {
        use lock_target::Target;
        let base = lock(Target::Identity("bob".into()), "why");
        let unlock = UnlockRequest {
            target: base.target.clone(),
            reason: base.reason.clone(),
            ..UnlockRequest::default()
        };
        let other_kind = lock(Target::Role("bob".into()), "why");
        let other_name = lock(Target::Identity("bobw".into()), "hy");
        let other_reason = lock(Target::Identity("bob".into()), "");
        let nothing = LockRequest::default();
        let serial = revoke(revoke_request::Target::Serial(1));
        let before = revoke(revoke_request::Target::Before(1));
        let revoked = RevokeRequest {
            target: Some(revoke_request::Target::Identity("bob".into())),
            reason: "why".into(),
            ..RevokeRequest::default()
        };
        let messages = [
            Order::Lock(&base).message("a", &[7; 32]),
            Order::Lock(&base).message("b", &[7; 32]),
            Order::Lock(&base).message("a", &[8; 32]),
            Order::Unlock(&unlock).message("a", &[7; 32]),
            Order::Lock(&other_kind).message("a", &[7; 32]),
            Order::Lock(&other_name).message("a", &[7; 32]),
            Order::Lock(&other_reason).message("a", &[7; 32]),
            Order::Lock(&nothing).message("a", &[7; 32]),
            Order::Revoke(&serial).message("a", &[7; 32]),
            Order::Revoke(&before).message("a", &[7; 32]),
            Order::Revoke(&revoked).message("a", &[7; 32]),
        ];
        let distinct: std::collections::BTreeSet<_> = messages.iter().collect();
        assert_eq!(distinct.len(), messages.len());
    }
}
