//! Conversion of locks and revocations between the wire's types and the domain's. Pure.

use super::bounds::{Malformed, REASON_BYTES, ROLE_BYTES, malformed, missing, text};
use crate::{
    ledger::{
        checkpoint::Verifier,
        event::{Covered, LockTarget, RevokeTarget},
        order::{self, LATEST},
        restore::SignedRestore,
        state::{Lock, Preview},
    },
    operations::admin::Done,
    proto::v1::{self, lock_target, preview_request, revoke_request},
    ssh::{
        key,
        sshsig::{self, Signature},
    },
    unix_seconds::UnixSeconds,
};

/// Most bytes of an identity: more than any subject (OpenID Connect Core section 2: 255) or e-mail
/// address has.
const IDENTITY_BYTES: usize = 512;

/// Bytes of a fingerprint: `SHA256:` and 32 bytes in base64 without padding.
const FINGERPRINT_BYTES: usize = 50;

/// Most bytes of a verifier key. A server's name has up to 253.
const VERIFIER_BYTES: usize = 512;

/// Converts the target of a lock or unlock.
pub(in crate::server) fn lock_target(
    wire: Option<&v1::LockTarget>,
) -> Result<LockTarget, Malformed> {
    use lock_target::Target;
    match wire.and_then(|it| it.target.as_ref()) {
        None => Err(missing("target")),
        Some(Target::Identity(name)) => Ok(LockTarget::Identity(identity(name)?)),
        Some(Target::Key(key)) => Ok(LockTarget::Key(fingerprint(key)?)),
        Some(Target::Role(name)) => Ok(LockTarget::Role(role(name)?)),
    }
}

/// Converts the target of a revocation.
pub(in crate::server) fn revoke_target(
    wire: Option<&revoke_request::Target>,
) -> Result<RevokeTarget, Malformed> {
    use revoke_request::Target;
    match wire {
        None => Err(missing("target")),
        Some(Target::Serial(serial)) => Ok(RevokeTarget::Serial(*serial)),
        Some(Target::Key(key)) => Ok(RevokeTarget::Key(fingerprint(key)?)),
        Some(Target::Identity(name)) => Ok(RevokeTarget::Identity(identity(name)?)),
        Some(Target::Before(time)) => Ok(RevokeTarget::Before(before(*time)?)),
        Some(Target::Through(size)) => Ok(RevokeTarget::Through(*size)),
    }
}

/// Converts the target of an order that is previewed.
pub(in crate::server) fn preview_target(
    wire: Option<&preview_request::Target>,
) -> Result<order::Target, Malformed> {
    use preview_request::Target;
    match wire {
        None => Err(missing("target")),
        Some(Target::Identity(name)) => Ok(order::Target::Identity(identity(name)?)),
        Some(Target::Key(key)) => Ok(order::Target::Key(fingerprint(key)?)),
        Some(Target::Role(name)) => Ok(order::Target::Role(role(name)?)),
        Some(Target::Serial(serial)) => Ok(order::Target::Serial(*serial)),
        Some(Target::Before(time)) => Ok(order::Target::Before(before(*time)?)),
        Some(Target::Through(size)) => Ok(order::Target::Through(*size)),
        Some(Target::Host(name)) => Ok(order::Target::Host(super::hosts::name(name)?)),
        Some(Target::CaKey(key)) => Ok(order::Target::CaKey {
            key: fingerprint(key)?,
            anyway: false,
        }),
        Some(Target::LedgerKey(key)) => Ok(order::Target::LedgerKey(ledger_key(key)?.to_string())),
    }
}

/// Converts a key of the ledger.
pub(in crate::server) fn ledger_key(wire: &str) -> Result<Verifier, Malformed> {
    let text = text("new_key", wire, VERIFIER_BYTES)?.ok_or(missing("new_key"))?;
    Verifier::parse(&text).map_err(|_| malformed("new_key", "is no verifier key (NAME+HASH+KEY)"))
}

/// Converts the effects that an order would have.
pub(in crate::server) fn preview(preview: Preview) -> v1::PreviewResponse {
    v1::PreviewResponse {
        covers: covered(preview.covers),
        covers_caller: preview.covers_caller,
        passes: preview.passes as u64,
        near: preview.near,
        lock: preview.lock.map(lock),
        after: preview.after,
    }
}

/// Converts the reason of an order. Empty means none.
pub(in crate::server) fn reason(wire: &str) -> Result<Option<String>, Malformed> {
    text("reason", wire, REASON_BYTES)
}

/// Converts the statement about a restored copy.
pub(in crate::server) fn restore(
    wire: Option<v1::RestoreStatement>,
) -> Result<Option<SignedRestore>, Malformed> {
    let Some(wire) = wire else {
        return Ok(None);
    };
    if wire.root.len() != 32 {
        return Err(malformed("restore", "has no root of 32 bytes"));
    }
    let is_key = key::parse(&wire.public_key).is_ok();
    if !is_key || Signature::from_armored(&wire.signature).is_err() {
        return Err(malformed("restore", "has an invalid key or signature"));
    }
    Ok(Some(SignedRestore {
        size: wire.size,
        root: base16ct::lower::encode_string(&wire.root),
        key: wire.public_key,
        signature: sshsig::compact(&wire.signature),
    }))
}

/// Converts a lock as administrators see it.
pub(in crate::server) fn lock(lock: Lock) -> v1::Lock {
    v1::Lock {
        target: Some(wire_target(lock.target)),
        reason: lock.reason.unwrap_or_default(),
        by: lock.by,
        at: UnixSeconds::from(lock.at).get(),
        index: lock.index,
        covers: covered(lock.covers),
    }
}

fn covered(covers: Vec<Covered>) -> Vec<v1::Covered> {
    let covers = covers.into_iter();
    covers
        .map(|one| v1::Covered {
            issuer: one.issuer,
            subject: one.subject,
            label: one.label,
        })
        .collect()
}

/// Converts the effects of a revocation.
pub(in crate::server) fn revoked(done: Done) -> v1::RevokeResponse {
    v1::RevokeResponse {
        serials: done.serials,
        index: done.index,
        covers: covered(done.covers),
    }
}

fn wire_target(target: LockTarget) -> v1::LockTarget {
    use lock_target::Target;
    let target = match target {
        LockTarget::Identity(identity) => Target::Identity(identity),
        LockTarget::Key(key) => Target::Key(key),
        LockTarget::Role(role) => Target::Role(role),
    };
    v1::LockTarget {
        target: Some(target),
    }
}

fn identity(wire: &str) -> Result<String, Malformed> {
    text("identity", wire, IDENTITY_BYTES)?.ok_or(missing("identity"))
}

fn role(wire: &str) -> Result<String, Malformed> {
    text("role", wire, ROLE_BYTES)?.ok_or(missing("role"))
}

/// Checks a time. No calendar has a later second than [`LATEST`], so no page and no log could show
/// it.
fn before(wire: u64) -> Result<UnixSeconds, Malformed> {
    match UnixSeconds(wire) {
        time if time <= LATEST => Ok(time),
        _ => Err(malformed("before", "is later than 9999-12-31T23:59:59Z")),
    }
}

/// Checks a fingerprint. One of another form matches no key, so a lock on it would have no effect.
pub(super) fn fingerprint(wire: &str) -> Result<String, Malformed> {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    match wire.strip_prefix("SHA256:") {
        Some(hash) if wire.len() == FINGERPRINT_BYTES && hash.bytes().all(is_base64) => {
            Ok(wire.to_owned())
        }
        _ => Err(malformed(
            "key",
            "is not a SHA-256 fingerprint (`SHA256:...`, as `ssh-keygen -l` prints it)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_targets_that_can_hit_something_are_read() {
        use lock_target::Target;
        let key = format!("SHA256:{}", "A".repeat(43));
        let long = "a".repeat(IDENTITY_BYTES + 1);
        for (case, target, is_read) in [
            ("a name", Target::Identity("bob".into()), true),
            ("no name", Target::Identity(String::new()), false),
            (
                "a name of two lines",
                Target::Identity("a\nb".into()),
                false,
            ),
            ("a long name", Target::Identity(long), false),
            ("a fingerprint", Target::Key(key.clone()), true),
            (
                "a padded fingerprint",
                Target::Key(format!("{key}=")),
                false,
            ),
            ("an MD5 fingerprint", Target::Key("MD5:00:11".into()), false),
            (
                "a cut fingerprint",
                Target::Key("SHA256:AAAA".into()),
                false,
            ),
            ("a role", Target::Role("prod".into()), true),
            ("no role", Target::Role(String::new()), false),
        ] {
            let wire = v1::LockTarget {
                target: Some(target),
            };
            assert_eq!(lock_target(Some(&wire)).is_ok(), is_read, "{case}");
        }
        assert!(lock_target(None).is_err());
        assert!(lock_target(Some(&v1::LockTarget { target: None })).is_err());
        assert!(revoke_target(None).is_err());
    }

    #[test]
    fn a_time_that_no_calendar_has_is_refused() {
        for (time, is_read) in [
            (0, true),
            (LATEST.get(), true),
            (LATEST.get() + 1, false),
            (i64::MAX as u64, false),
            (u64::MAX, false),
        ] {
            let before = revoke_request::Target::Before(time);
            assert_eq!(revoke_target(Some(&before)).is_ok(), is_read, "{time}");
            let before = preview_request::Target::Before(time);
            assert_eq!(preview_target(Some(&before)).is_ok(), is_read, "{time}");
        }
    }
}
