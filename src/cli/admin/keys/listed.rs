//! A key as the server lists it, and as it is printed.

use serde::Serialize;

use crate::{
    cli::{Failure, failure::Code},
    proto::v1::{self, ca_key::State},
    reason,
};

/// A key as it is printed.
#[derive(Serialize)]
pub(super) struct CaKey {
    pub(super) fingerprint: String,
    pub(super) public_key: String,
    pub(super) state: &'static str,
    pub(super) since: Option<u64>,
    pub(super) is_here: bool,
    pub(super) last_pass_until: Option<u64>,
    pub(super) untrusting: u32,
    pub(super) behind: Vec<Behind>,
    /// For a retired key alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) still_trusted_by: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) still_trusting: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Behind {
    pub(super) host: String,
    pub(super) reported_at: Option<u64>,
    pub(super) why: String,
}

/// The only key with this fingerprint, or whose fingerprint begins so.
pub(super) fn find<'a>(keys: &'a [v1::CaKey], wanted: &str) -> Result<&'a v1::CaKey, Failure> {
    let begins = |key: &&v1::CaKey| {
        let fingerprint = key.fingerprint.as_str();
        let short = fingerprint.strip_prefix("SHA256:").unwrap_or(fingerprint);
        fingerprint.starts_with(wanted) || short.starts_with(wanted)
    };
    let mut found = keys.iter().filter(begins);
    match (found.next(), found.next()) {
        (Some(key), None) => Ok(key),
        (Some(_), Some(_)) => {
            let message = format!("several CA keys begin with {wanted:?}: type more of it");
            Err(Failure::new(Code::Usage, message))
        }
        (None, _) => {
            let message = format!(
                "the server has no CA key {wanted:?}: daypass admin keys lists them. A new one is a [[ca.key]] in daypass.toml \
                 first, with state = \"staged\", and daypass serve is started again"
            );
            Err(Failure::new(Code::Failure, message).because(reason::CA_KEY_MISSING))
        }
    }
}

/// The key as it is printed.
pub(super) fn key(wire: &v1::CaKey) -> CaKey {
    let time = |seconds: u64| Some(seconds).filter(|seconds| *seconds > 0);
    let behind = wire.behind.iter().map(|it| Behind {
        host: it.name.clone(),
        reported_at: time(it.reported_at),
        why: it.why.clone(),
    });
    CaKey {
        state: match wire.state() {
            State::Configured => "configured",
            State::Staged => "staged",
            State::Active => "active",
            State::Retiring => "retiring",
            State::Retired => "retired",
            State::Unspecified => "unknown",
        },
        fingerprint: wire.fingerprint.clone(),
        public_key: wire.public_key.clone(),
        since: time(wire.since),
        is_here: wire.is_here,
        last_pass_until: time(wire.last_pass_until),
        untrusting: wire.untrusting,
        behind: behind.collect(),
        still_trusted_by: wire.still_trusted_by,
        still_trusting: wire.still_trusting.clone(),
    }
}
