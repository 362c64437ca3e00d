//! Join codes: what an administrator gives to a new host. Pure.
//!
//! A code has 16 characters of Crockford's base32 (80 bits), written in groups of four. The ledger
//! and the server hold its hash; the server sees the code when the host shows it.

use sha2::{Digest, Sha256};

/// Crockford's base32: no I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Random bytes of a code.
pub const ENTROPY: usize = 10;

/// Characters of a code.
const LENGTH: usize = 16;

/// The longest text that is read as a code.
const MAX_TEXT: usize = 64;

/// The code of these random bytes, in groups of four.
///
/// ```
/// use daypass::ledger::join_code;
///
/// assert_eq!(join_code::compose(&[0xff; 10]), "ZZZZ-ZZZZ-ZZZZ-ZZZZ");
/// ```
pub fn compose(random: &[u8; ENTROPY]) -> String {
    let bits = random
        .iter()
        .fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let mut code = String::with_capacity(LENGTH + 3);
    for at in 0..LENGTH {
        if at > 0 && at % 4 == 0 {
            code.push('-');
        }
        let digit = bits >> (5 * (LENGTH - 1 - at)) & 31;
        let digit = usize::try_from(digit).unwrap_or_default();
        code.extend(ALPHABET.get(digit).copied().map(char::from));
    }
    code
}

/// SHA-256 of a code as it is typed: its 16 characters in upper case, without dashes and blanks. O
/// is read as 0, I and L as 1. `None` if it is no code.
///
/// ```
/// use daypass::ledger::join_code;
///
/// let hash = join_code::hash("OIL0-ABCD-EFGH-JKMN");
/// assert!(hash.is_some());
/// assert_eq!(join_code::hash("oil0abcdefghjkmn"), hash);
/// assert_eq!(join_code::hash("0110 abcd efgh jkmn"), hash);
/// assert_eq!(join_code::hash("0110-abcd-efgh"), None);
/// ```
pub fn hash(typed: &str) -> Option<[u8; 32]> {
    if typed.len() > MAX_TEXT {
        return None;
    }
    let digits = typed.chars().filter(|it| !matches!(it, '-' | ' '));
    let digits: Option<Vec<u8>> = digits.map(digit).collect();
    let digits = digits.filter(|digits| digits.len() == LENGTH)?;
    Some(Sha256::digest(digits).into())
}

fn digit(typed: char) -> Option<u8> {
    let upper = match typed.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let byte = u8::try_from(upper).ok()?;
    ALPHABET.contains(&byte).then_some(byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_code_is_not_hashed() {
        for typed in [
            "",
            "0000-0000-0000-000",
            "0000-0000-0000-00000",
            "0000-0000-0000-000U",
            "0000-0000-0000-000\n",
            "0000-0000-0000-000\u{430}",
            &"0".repeat(1000),
            &format!("{}{}", "-".repeat(60), "0".repeat(16)),
        ] {
            assert_eq!(hash(typed), None, "{typed:?}");
        }
    }

    proptest! {
        #[test]
        fn every_code_is_read_as_it_was_made(random: [u8; ENTROPY], other: [u8; ENTROPY]) {
            let code = compose(&random);
            prop_assert_eq!(code.len(), 19);
            prop_assert!(hash(&code).is_some());
            prop_assert_eq!(hash(&code.to_lowercase()), hash(&code));
            prop_assert_eq!(hash(&code) == hash(&compose(&other)), random == other);
        }
    }
}
