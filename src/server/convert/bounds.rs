//! Bounds of the texts that a caller sends, and the error for a field beyond them. Pure.

pub(super) use crate::proto::search::{HOST_BYTES, REASON_BYTES, ROLE_BYTES};
use crate::proto::{search::problem, status::Field};

/// Largest number of serials in one question.
const SERIALS: usize = 256;

/// Reason why a request is malformed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub(in crate::server) struct Malformed {
    field: &'static str,
    problem: String,
}

impl Malformed {
    /// Returns the field, for the error's details.
    pub(in crate::server) fn to_field(&self) -> Field {
        Field {
            name: self.field.to_owned(),
            problem: self.problem.clone(),
        }
    }
}

/// Error for a required field that is absent.
pub(in crate::server) fn missing(field: &'static str) -> Malformed {
    malformed(field, "is missing")
}

pub(super) fn malformed(field: &'static str, problem: impl Into<String>) -> Malformed {
    Malformed {
        field,
        problem: problem.into(),
    }
}

/// Converts a host to filter by. Empty means none.
pub(in crate::server) fn host(wire: &str) -> Result<Option<String>, Malformed> {
    text("host", wire, HOST_BYTES)
}

/// Converts a decider's comment. Empty means none.
pub(in crate::server) fn comment(wire: &str) -> Result<Option<String>, Malformed> {
    text("comment", wire, REASON_BYTES)
}

/// Checks the number of serials in one question.
pub(in crate::server) fn expect_few(serials: &[u64]) -> Result<(), Malformed> {
    if serials.len() > SERIALS {
        return Err(malformed(
            "serials",
            format!("holds more than {SERIALS} numbers"),
        ));
    }
    Ok(())
}

/// Checks one line of printable text of at most `most` bytes. Empty means none.
pub(super) fn text(
    field: &'static str,
    value: &str,
    most: usize,
) -> Result<Option<String>, Malformed> {
    if let Some(problem) = problem(value, most) {
        return Err(malformed(field, problem));
    }
    Ok((!value.is_empty()).then(|| value.to_owned()))
}
