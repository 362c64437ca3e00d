//! `[[test]]` blocks: the author's expectations, run by `daypass policy test`.

pub(super) mod block;

use time::OffsetDateTime;

use super::{Context, Policy};
use block::{Test, got};

/// The result of one test.
#[derive(Clone, Debug, serde::Serialize)]
pub struct TestOutcome {
    /// Line of the test in the file.
    pub line: usize,
    /// The test's name, otherwise its ask.
    pub describe: String,
    /// The expected decision.
    pub expected: String,
    /// The policy's decision.
    pub got: String,
    /// Whether they are equal.
    pub passed: bool,
}

impl Policy {
    /// Runs the `[[test]]` blocks in file order.
    pub fn run_tests(&self, now: OffsetDateTime) -> Vec<TestOutcome> {
        self.tests
            .iter()
            .map(|test| self.run_test(test, now))
            .collect()
    }

    fn run_test(&self, test: &Test, now: OffsetDateTime) -> TestOutcome {
        let now = test.at.unwrap_or(now);
        let claims = test.person.claims(now);
        let person = test.person.with(&claims);
        let context = Context {
            now,
            caller: Some(test.caller),
        };
        let decision = match &test.by {
            None => self.judge(person, &test.ask, context),
            Some(by) => {
                let claims = by.claims(now);
                self.on_behalf(person, by.with(&claims), &test.ask, context)
            }
        };
        TestOutcome {
            line: test.line,
            describe: test.describe(),
            expected: test.expected(),
            got: got(&decision, test),
            passed: test.passes(&decision),
        }
    }
}
