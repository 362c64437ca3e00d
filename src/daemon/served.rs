//! The record of the TLS certificate that a daemon serves with and of the policy that it used last,
//! in its state folder.
//!
//! The check before a reload compares the certificate: a fault that the running daemon has already
//! must not keep a new policy out. A start on a ledger that servers share compares the policy: one
//! that this server used before, and another server has replaced, must not come back by itself.

use std::{fmt, fs, io::Write, path::Path};

use crate::{
    modes::{self, IfThere},
    server::Tls,
};

/// File names in the state folder.
const CERTIFICATE: &str = "certificate";
const POLICY: &str = "policy";

/// Records the certificate in use. A failure is logged only: the record serves a check alone.
pub(super) fn record(state: &Path, tls: Option<&Tls>) {
    let Some(fingerprint) = tls.and_then(Tls::own_fingerprint) else {
        return;
    };
    write(&state.join(CERTIFICATE), &fingerprint);
}

/// Records the policy in use. A failure is logged only.
pub(super) fn record_policy(state: &Path, hash: &str) {
    write(&state.join(POLICY), &hash);
}

fn write(path: &Path, line: &dyn fmt::Display) {
    let written =
        modes::create_own(path, IfThere::Empty).and_then(|mut file| writeln!(file, "{line}"));
    if let Err(error) = written {
        tracing::warn!(%error, file = %path.display(), "failed to record what is in use");
    }
}

/// Whether the daemon of this folder has not used this policy last.
pub(super) fn is_new_policy(state: &Path, hash: &str) -> bool {
    let recorded = fs::read_to_string(state.join(POLICY)).ok();
    recorded.is_none_or(|text| text.trim() != hash)
}

/// Whether the daemon of this folder serves with this certificate, or did when it ran last.
pub(super) fn is_recorded(state: &Path, tls: &Tls) -> bool {
    let recorded = fs::read_to_string(state.join(CERTIFICATE)).ok();
    let recorded = recorded.and_then(|text| text.trim().parse().ok());
    recorded.is_some() && recorded == tls.own_fingerprint()
}
