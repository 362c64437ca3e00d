//! Header of the PROXY protocol (HAProxy's proxy-protocol.txt): version 1 as text (section 2.1),
//! version 2 as binary (section 2.2). Pure: it decides from bytes alone how many more to read, and
//! never asks for a byte beyond the header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// First bytes of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// First bytes of version 1.
const WORD: &[u8] = b"PROXY ";

/// Longest line of version 1, with its line end (section 2.1).
const LONGEST_LINE: usize = 107;

/// Signature, version and command, family and protocol, length.
const FIXED: usize = 16;

/// Most bytes after the fixed part: addresses and TLVs. Proxies send a few hundred.
const MOST: usize = 2048;

/// What the header says of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// The caller's address.
    Caller(SocketAddr),
    /// The proxy's own connection (LOCAL: a health check), or one whose caller it does not know.
    Unknown,
}

/// Result of reading a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The header has at least this many more bytes.
    Needs(usize),
    /// The header is complete.
    Complete(Header),
}

/// Fault of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    #[error("invalid PROXY line (version 1)")]
    Line,
    #[error("unknown version or command of the PROXY header")]
    Command,
    #[error("the PROXY header is not of TCP over IPv4 or IPv6")]
    Family,
    #[error("the PROXY header has an invalid length")]
    Length,
    #[error("the PROXY header has an invalid TLV")]
    Tlv,
    #[error("the PROXY header names an address that no caller has")]
    Address,
}

/// Parses the bytes read so far.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Fault> {
    let start = bytes.get(..SIGNATURE.len()).unwrap_or(bytes);
    if SIGNATURE.starts_with(start) {
        return match SIGNATURE.len() - start.len() {
            0 => binary(bytes),
            more => Ok(Parsed::Needs(more)),
        };
    }
    let word = bytes.get(..WORD.len()).unwrap_or(bytes);
    if !WORD.starts_with(word) {
        return Err(Fault::Missing);
    }
    match bytes.len() < SIGNATURE.len() && !bytes.contains(&b'\n') {
        // The shortest line is longer than this.
        true => Ok(Parsed::Needs(SIGNATURE.len() - bytes.len())),
        false => line(bytes),
    }
}

fn line(bytes: &[u8]) -> Result<Parsed, Fault> {
    let Some(line) = bytes.strip_suffix(b"\n") else {
        return match bytes.len() < LONGEST_LINE && !bytes.contains(&b'\n') {
            true => Ok(Parsed::Needs(1)),
            false => Err(Fault::Line),
        };
    };
    let line = line.strip_suffix(b"\r").ok_or(Fault::Line)?;
    let line = std::str::from_utf8(line).map_err(|_| Fault::Line)?;
    if !line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(Fault::Line);
    }
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(Parsed::Complete(Header::Unknown)),
        ["PROXY", "TCP4", from, to, port, to_port] => {
            let to = to.parse::<Ipv4Addr>().is_ok();
            caller_of_line(from.parse().map(IpAddr::V4).ok(), to, port, to_port)
        }
        ["PROXY", "TCP6", from, to, port, to_port] => {
            let to = to.parse::<Ipv6Addr>().is_ok();
            caller_of_line(from.parse().map(IpAddr::V6).ok(), to, port, to_port)
        }
        _ => Err(Fault::Line),
    }
}

fn caller_of_line(
    from: Option<IpAddr>,
    to: bool,
    port: &str,
    to_port: &str,
) -> Result<Parsed, Fault> {
    let number = |port: &str| {
        let is_plain = port.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| port.parse::<u16>().ok()).flatten()
    };
    match (from, to, number(port), number(to_port)) {
        (Some(from), true, Some(port), Some(_)) => caller(from, port),
        _ => Err(Fault::Line),
    }
}

fn binary(bytes: &[u8]) -> Result<Parsed, Fault> {
    let Some(&[version, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else {
        return Ok(Parsed::Needs(FIXED - bytes.len()));
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MOST {
        return Err(Fault::Length);
    }
    let is_local = match version {
        0x20 => true,
        0x21 => false,
        _ => return Err(Fault::Command),
    };
    // Of LOCAL, the specification discards everything after the length.
    let addresses = match (is_local, family) {
        (true, _) | (_, 0x00) => 0,
        (_, 0x11) => 12,
        (_, 0x21) => 36,
        _ => return Err(Fault::Family),
    };
    if length < addresses {
        return Err(Fault::Length);
    }
    let rest = bytes.get(FIXED..).unwrap_or_default();
    if rest.len() != length {
        let more = length.checked_sub(rest.len());
        return more.map(Parsed::Needs).ok_or(Fault::Length);
    }
    if is_local {
        return Ok(Parsed::Complete(Header::Unknown));
    }
    let (addresses, tlvs) = rest.split_at_checked(addresses).ok_or(Fault::Length)?;
    check_tlvs(tlvs)?;
    match *addresses {
        [a, b, c, d, _, _, _, _, high, low, _, _] => {
            let address = Ipv4Addr::new(a, b, c, d);
            caller(address.into(), u16::from_be_bytes([high, low]))
        }
        [ref from @ .., high, low, _, _] => {
            let from = from.first_chunk::<16>().ok_or(Fault::Length)?;
            let port = u16::from_be_bytes([high, low]);
            caller(Ipv6Addr::from(*from).into(), port)
        }
        _ => Ok(Parsed::Complete(Header::Unknown)),
    }
}

/// Checks that TLVs (type, length, value) fill the rest exactly. None of them is used.
fn check_tlvs(mut tlvs: &[u8]) -> Result<(), Fault> {
    while let [_, high, low, rest @ ..] = tlvs {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        tlvs = rest.get(length..).ok_or(Fault::Tlv)?;
    }
    match tlvs.is_empty() {
        true => Ok(()),
        false => Err(Fault::Tlv),
    }
}

fn caller(address: IpAddr, port: u16) -> Result<Parsed, Fault> {
    let address = address.to_canonical();
    let is_broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    if address.is_unspecified() || address.is_multicast() || is_broadcast {
        return Err(Fault::Address);
    }
    Ok(Parsed::Complete(Header::Caller(SocketAddr::new(
        address, port,
    ))))
}

#[cfg(test)]
mod tests;
