//! Six deliberate bugs, each of which breaks an invariant of the CA. Never for production.
//!
//! `tests/chaos` must catch each of them: they show that its checker sees what it looks for. The
//! file is compiled only with the feature `deliberate-bugs`, which no release build can have. One
//! bug is chosen by the environment variable `DAYPASS_DELIBERATE_BUG`, read once per process.

use std::sync::LazyLock;

#[cfg(not(debug_assertions))]
compile_error!("the feature `deliberate-bugs` is for tests only: it breaks the CA on purpose");

static CHOSEN: LazyLock<String> =
    LazyLock::new(|| std::env::var("DAYPASS_DELIBERATE_BUG").unwrap_or_default());

/// Whether receipts are given out before COMMIT, so that passes are signed before their events are
/// durable.
pub(crate) fn signs_before_commit() -> bool {
    *CHOSEN == "sign-before-commit"
}

/// The serial of the pass whose event has this index. With the bug, two indices share one serial.
pub(crate) fn serial(index: u64) -> u64 {
    match *CHOSEN == "reuse-a-serial" {
        true => index & !1,
        false => index,
    }
}

/// Whether only the first principal of a pass is checked against grammar and limits.
pub(crate) fn skips_second_principal() -> bool {
    *CHOSEN == "skip-second-principal"
}

/// Whether locks bind no applicant.
pub(crate) fn drops_locks() -> bool {
    *CHOSEN == "drop-lock-check"
}

/// Whether a revoked pass is forgotten while hosts still accept it.
pub(crate) fn prunes_live_revocations() -> bool {
    *CHOSEN == "prune-live-revocation"
}

/// Whether administrators' orders do not change the CA key that signs.
pub(crate) fn keeps_the_first_key() -> bool {
    *CHOSEN == "keep-the-first-key"
}
