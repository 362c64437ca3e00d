//! Reading the message that an emergency's signers signed. Pure.

use crate::ssh::wire::Reader;

/// No ask has more parameters.
pub(super) const MOST_PARAMS: u32 = 64;

/// Exactly so many SSH strings (RFC 4251, 5), and nothing behind them.
pub(super) fn strings<const COUNT: usize>(message: &[u8]) -> Option<[&[u8]; COUNT]> {
    let mut reader = Reader::new(message);
    let mut strings = [[].as_slice(); COUNT];
    for string in &mut strings {
        *string = reader.string()?;
    }
    reader.is_empty().then_some(strings)
}
