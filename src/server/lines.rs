//! Bound on the log lines that callers without a proven identity can cause: a few per second of
//! each kind, and then one line with the number of the rest. The metrics count every call.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

/// Most lines of one kind per second: enough to see the kind of caller.
const LINES: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// Counter of the process's log.
pub(crate) static LOG: Lines = Lines::new();

/// Joins an error and its sources in one line. Many an error's text ends with that of its source:
/// then the source is not repeated.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

/// Counts lines by kind. Kinds are literals in the code, so there are few.
pub(crate) struct Lines(Mutex<BTreeMap<&'static str, LineCount>>);

struct LineCount {
    second: Instant,
    written: u32,
    /// Number of lines left out, counted from `since`.
    more: u64,
    since: Instant,
}

/// Number of lines of one kind that were left out.
#[derive(Debug, PartialEq, Eq)]
struct More {
    kind: &'static str,
    lines: u64,
    within: Duration,
}

impl Lines {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Tells whether another line of this kind may be written now. If not, counts it.
    pub(crate) fn admit(&self, kind: &'static str) -> bool {
        let is_admitted = self.admit_at(kind, Instant::now());
        if !is_admitted {
            metrics::counter!("daypass_log_lines_left_out_total", "kind" => kind).increment(1);
        }
        is_admitted
    }

    /// Logs the number of lines that were left out since the last call.
    pub(super) fn tell(&self) {
        for more in self.take(Instant::now()) {
            let seconds = more.within.as_secs_f64().ceil();
            tracing::info!(
                code = more.kind,
                calls = more.lines,
                seconds,
                "more of these, not logged one by one"
            );
        }
    }

    fn admit_at(&self, kind: &'static str, now: Instant) -> bool {
        let mut kinds = self.kinds();
        let kind = kinds.entry(kind).or_insert(LineCount {
            second: now,
            written: 0,
            more: 0,
            since: now,
        });
        if now.duration_since(kind.second) >= SECOND {
            kind.second = now;
            kind.written = 0;
        }
        if kind.written < LINES {
            kind.written += 1;
            return true;
        }
        if kind.more == 0 {
            kind.since = now;
        }
        kind.more += 1;
        false
    }

    fn take(&self, now: Instant) -> Vec<More> {
        let mut kinds = self.kinds();
        let left_out = kinds.iter_mut().filter(|(_, kind)| kind.more > 0);
        left_out
            .map(|(name, kind)| More {
                kind: name,
                lines: std::mem::take(&mut kind.more),
                within: now.duration_since(kind.since),
            })
            .collect()
    }

    /// Locks the counts. No code that holds the lock can panic halfway through a change.
    fn kinds(&self) -> MutexGuard<'_, BTreeMap<&'static str, LineCount>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Level {
        text: &'static str,
        source: Option<Box<Level>>,
    }

    /// The log said the cause of a signature that failed twice in one line.
    #[test]
    fn each_cause_is_named_once() {
        let level = |text, source: Option<Level>| Level {
            text,
            source: source.map(Box::new),
        };
        let away = level("no key", None);
        let ca = level("ca: no key", Some(away));
        let call = level("call failed", Some(ca));
        assert_eq!(causes(&call), "call failed: ca: no key");
    }

    #[test]
    fn a_flood_writes_a_few_lines_a_second_and_the_number_of_the_rest() {
        let lines = Lines::new();
        let start = Instant::now();
        let written = |at| (0..4_000).filter(|_| lines.admit_at("A", at)).count();
        assert_eq!(written(start), LINES as usize);
        assert!(lines.admit_at("B", start), "another kind has its own");
        let expected = More {
            kind: "A",
            lines: 4_000 - u64::from(LINES),
            within: SECOND,
        };
        assert_eq!(lines.take(start + SECOND), [expected]);
        assert_eq!(lines.take(start + SECOND), []);
        assert_eq!(written(start + SECOND), LINES as usize);
    }
}
