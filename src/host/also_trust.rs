//! The keys of another CA that a host trusts too, for the time between two CAs. They are in a file
//! of their own: they say nothing about the server's answers, which only Daypass' own keys prove.

use std::path::Path;

use super::{
    Error, Settings,
    error::InvalidAnswer,
    files::{Layout, read},
    keys::CaKeys,
};

/// Reads the other CA's keys from a file that the administrator names.
///
/// # Errors
/// Returns [`Error::Usage`] if it is missing or not a list of public keys.
pub(super) fn read_keys(path: &Path) -> Result<CaKeys, Error> {
    let shown = path.display();
    let bytes = read(path)?
        .ok_or_else(|| Error::Usage(format!("there is no file {shown} (--also-trust)")))?;
    CaKeys::parse(&bytes).map_err(|error| {
        let why = match error {
            InvalidAnswer::Keys(why) => why,
            other => other.to_string(),
        };
        Error::Usage(format!("{shown} is not a list of CA keys: {why}"))
    })
}

/// The keys that sshd trusts beside those of the server; none if there are none.
///
/// # Errors
/// Returns [`Error::Usage`] if the file is missing or broken.
pub(super) fn others(settings: &Settings, layout: &Layout) -> Result<Option<CaKeys>, Error> {
    match settings.also_trust {
        true => Ok(Some(read_keys(&layout.other_ca_keys())?)),
        false => Ok(None),
    }
}

/// The text of the file with the keys of both.
///
/// # Errors
/// Returns the error if a key cannot be encoded; a parsed key always can.
pub(super) fn text(keys: &CaKeys, others: &CaKeys) -> Result<String, InvalidAnswer> {
    let mut text = keys.to_text()?;
    text.push_str("# Also trusted (`daypass host setup --also-trust`):\n");
    text.push_str(&others.to_text()?);
    Ok(text)
}
