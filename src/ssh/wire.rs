//! SSH's data types (RFC 4251 section 5): an appender and a strict reader over bytes. Pure.
//!
//! Certificates and KRLs are made of them, and so is every message that Daypass has signed: since
//! each part is framed by its length, no two different messages have the same bytes.

/// Appends a length or a count as a big-endian u32.
///
/// No input comes near 4 GiB; a larger number saturates.
pub(crate) fn put_length(out: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
}

/// Appends `bytes` as an SSH string: its length, then the bytes.
pub(crate) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Returns `bytes` as an SSH string.
pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    strings(&[bytes])
}

/// Returns all `parts` as SSH strings, one after the other.
pub(crate) fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len().saturating_add(4)).sum();
    let mut out = Vec::with_capacity(length);
    for part in parts {
        put_string(&mut out, part);
    }
    out
}

/// Reads exactly `COUNT` SSH strings; `None` if one is missing or anything follows.
pub(crate) fn parts<const COUNT: usize>(bytes: &[u8]) -> Option<[&[u8]; COUNT]> {
    let mut reader = Reader::new(bytes);
    let mut parts = [[].as_slice(); COUNT];
    for part in &mut parts {
        *part = reader.string()?;
    }
    reader.is_empty().then_some(parts)
}

/// Reads values from the front of a byte string; each method returns `None` if its value is not
/// there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes that have not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// A string's bytes.
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(usize::try_from(length).ok()?)
    }

    /// A string that holds UTF-8.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.string()?).ok()
    }

    /// The magnitude of a multiple-precision integer that is positive and has no needless leading
    /// zero.
    pub(crate) fn positive(&mut self) -> Option<&'a [u8]> {
        match self.string()? {
            [0, magnitude @ ..] if magnitude.first()? & 0x80 != 0 => Some(magnitude),
            [0, ..] | [] => None,
            [first, ..] if first & 0x80 != 0 => None,
            magnitude => Some(magnitude),
        }
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_put_is_read() {
        let mut bytes = string(b"abc");
        bytes.extend_from_slice(&7_u32.to_be_bytes());
        bytes.extend_from_slice(&9_u64.to_be_bytes());
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.text(), Some("abc"));
        assert_eq!(reader.u32(), Some(7));
        assert_eq!(reader.u64(), Some(9));
        assert!(reader.is_empty());
    }

    #[test]
    fn parts_are_read_only_if_they_are_all_there_and_all_there_is() {
        let bytes = strings(&[b"abc", b""]);
        assert_eq!(parts(&bytes), Some([&b"abc"[..], b""]));
        assert_eq!(parts::<1>(&bytes), None);
        assert_eq!(parts::<3>(&bytes), None);
    }

    #[test]
    fn a_length_beyond_the_end_reads_nothing() {
        for bytes in [
            &[0, 0, 0][..],
            &[0, 0, 0, 2, 1],
            &[0xff, 0xff, 0xff, 0xff, 1],
        ] {
            assert_eq!(Reader::new(bytes).string(), None);
        }
    }

    #[test]
    fn only_canonical_positive_integers_are_read() {
        type Case<'a> = (&'a str, &'a [u8], Option<&'a [u8]>);
        let cases: [Case<'_>; 7] = [
            ("zero", &[], None),
            ("zero with a byte", &[0], None),
            ("needless zero", &[0, 1], None),
            ("negative", &[0x80], None),
            ("small", &[3], Some(&[3])),
            ("three bytes", &[1, 0, 1], Some(&[1, 0, 1])),
            ("high bit", &[0, 0x80], Some(&[0x80])),
        ];
        for (case, bytes, expected) in cases {
            assert_eq!(Reader::new(&string(bytes)).positive(), expected, "{case}");
        }
    }
}
