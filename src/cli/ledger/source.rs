//! What the actions of `daypass ledger` share: the time, a file of the ledger, and a finding.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use time::OffsetDateTime;

use crate::cli::{Failure, failure::Code};

#[expect(clippy::disallowed_methods, reason = "the edge reads the clock")]
pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// A failure that may be an attack.
pub(super) fn suspicious(what: &str) -> Failure {
    Failure::new(Code::Failure, format!("{what}: tell your security team"))
}

/// The export and its length, if that is known.
pub(super) fn open(file: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if file.as_os_str() == "-" {
        return Ok((Box::new(io::stdin()), None));
    }
    let opened = File::open(file).map_err(|error| {
        Failure::new(
            Code::Usage,
            format!("failed to read {}: {error}", file.display()),
        )
    })?;
    let length = opened.metadata().ok().map(|metadata| metadata.len());
    Ok((Box::new(opened), length))
}
