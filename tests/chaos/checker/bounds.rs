//! Invariant 11: what callers without an identity cost.

use super::{BOUNDED, Found, Ledger};

/// Resident memory of a daemon of the debug build, under the load and the faults of a run.
const MEMORY_KIB: u64 = 130 * 1024;

/// Bytes of a daemon's log: for each operation of a client, for each start and for each second.
const LOG_OF_OPERATION: u64 = 500;
const LOG_OF_START: u64 = 5000;
const LOG_OF_SECOND: u64 = 2000;

pub(super) fn check(ledger: &Ledger<'_>, found: &mut Found) {
    let operations = &ledger.evidence.operations;
    let seconds = operations.iter().map(|it| it.ended.as_secs() + 1).max();
    for cost in &ledger.evidence.costs {
        if cost.peak_kib > MEMORY_KIB {
            found.add(
                BOUNDED,
                format!("daemon {} took {} KiB", cost.daemon, cost.peak_kib),
            );
        }
        let most = LOG_OF_OPERATION * operations.len() as u64
            + LOG_OF_START * (cost.starts + 1)
            + LOG_OF_SECOND * seconds.unwrap_or_default();
        if cost.logged > most {
            found.add(
                BOUNDED,
                format!(
                    "daemon {} logged {} bytes beside {} calls of strangers; {most} are expected",
                    cost.daemon, cost.logged, ledger.evidence.strange
                ),
            );
        }
    }
}
