//! Pauses between attempts to reach a server that is absent. Pure.

use std::time::Duration;

/// The first pause at most.
const FIRST: Duration = Duration::from_millis(50);
/// Any pause at most: a server that is back is noticed soon, also one that is there for a second
/// only.
const LONGEST: Duration = Duration::from_millis(250);

/// Growing pauses: each is twice as long as the last one, so that a server that is overloaded gets
/// few attempts.
#[derive(Debug)]
pub(super) struct Pauses(Duration);

impl Pauses {
    pub(super) fn new() -> Self {
        Self(FIRST)
    }

    /// The next pause: between half of it and the whole of it, by `spread` from 0 to 1, so that
    /// clients that lost the server in the same moment do not return in the same one.
    pub(super) fn next(&mut self, spread: f64) -> Duration {
        let whole = self.0;
        self.0 = (whole * 2).min(LONGEST);
        whole.mul_f64(0.5 + spread.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pauses until `patience` is over.
    fn within(patience: Duration, spread: f64) -> Vec<Duration> {
        let mut pauses = Pauses::new();
        let mut passed = Duration::ZERO;
        let mut all = Vec::new();
        while passed < patience {
            let pause = pauses.next(spread);
            passed += pause;
            all.push(pause);
        }
        all
    }

    #[test]
    fn an_absent_server_gets_some_thirty_attempts_and_not_a_hundred() {
        for (seconds, spread, most) in [(6, 1.0, 28), (6, 0.0, 52), (8, 1.0, 36), (8, 0.0, 68)] {
            let count = within(Duration::from_secs(seconds), spread).len();
            assert!(count <= most, "{seconds} s, spread {spread}: {count}");
        }
    }

    #[test]
    fn pauses_grow_to_a_bound_and_two_clients_differ() {
        let (early, late) = (
            within(Duration::from_secs(8), 0.0),
            within(Duration::from_secs(8), 1.0),
        );
        assert_eq!(early.first(), Some(&Duration::from_millis(25)));
        assert_eq!(late.first(), Some(&Duration::from_millis(50)));
        assert_eq!(late.last(), Some(&LONGEST));
        assert!(late.is_sorted());
        assert!(early.iter().zip(&late).all(|(early, late)| early < late));
    }
}
