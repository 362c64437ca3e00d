//! `[[test]]` blocks: what the author expects of the policy, run by `daypass policy test`.

pub(super) mod block;

use serde_json::json;
use time::OffsetDateTime;

use super::{Context, Person, Policy};
use block::{Test, got};

/// How one test came out.
#[derive(Clone, Debug, serde::Serialize)]
pub struct TestOutcome {
    /// Where the test stands in the file.
    pub line: usize,
    /// Its name, or else its ask.
    pub describe: String,
    /// What the author expects.
    pub expected: String,
    /// What the policy says.
    pub got: String,
    /// Whether they agree.
    pub passed: bool,
}

impl Policy {
    /// `policy test`: runs the `[[test]]` blocks in file order.
    pub fn run_tests(&self, now: OffsetDateTime) -> Vec<TestOutcome> {
        self.tests
            .iter()
            .map(|test| self.run_test(test, now))
            .collect()
    }

    fn run_test(&self, test: &Test, now: OffsetDateTime) -> TestOutcome {
        let now = test.at.unwrap_or(now);
        let mut claims = test.claims.clone();
        if let Some(age) = test.auth_age {
            claims.insert("auth_time".to_owned(), json!((now - age).unix_timestamp()));
        }
        let person = Person {
            issuer: &test.issuer,
            subject: &test.subject,
            claims: &claims,
            auth_method: test.auth_method,
        };
        let context = Context {
            now,
            caller: Some(test.caller),
        };
        let decision = self.judge(person, &test.ask, context);
        TestOutcome {
            line: test.line,
            describe: test.describe(),
            expected: test.expected(),
            got: got(&decision, test),
            passed: test.passes(&decision),
        }
    }
}
