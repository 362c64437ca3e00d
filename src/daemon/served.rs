//! The record of the TLS certificate that a daemon serves with, in its state folder. The check
//! before a reload compares: a fault that the running daemon has already must not keep a new policy
//! out.

use std::{fs, io::Write, path::Path};

use crate::{
    modes::{self, IfThere},
    server::Tls,
};

/// File name in the state folder.
const NAME: &str = "certificate";

/// Records the certificate in use. A failure is logged only: the record serves a check alone.
pub(super) fn record(state: &Path, tls: Option<&Tls>) {
    let Some(fingerprint) = tls.and_then(Tls::own_fingerprint) else {
        return;
    };
    let path = state.join(NAME);
    let written = modes::create_own(&path, IfThere::Empty)
        .and_then(|mut file| writeln!(file, "{fingerprint}"));
    if let Err(error) = written {
        tracing::warn!(%error, file = %path.display(), "failed to record the certificate in use");
    }
}

/// Whether the daemon of this folder serves with this certificate, or did when it ran last.
pub(super) fn is_recorded(state: &Path, tls: &Tls) -> bool {
    let recorded = fs::read_to_string(state.join(NAME)).ok();
    let recorded = recorded.and_then(|text| text.trim().parse().ok());
    recorded.is_some() && recorded == tls.own_fingerprint()
}
