#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::*;

/// Header of version 2.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend([command, family]);
    header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    header.extend(rest);
    header
}

/// PROXY command of version 2 from `caller` to a port of the server.
fn of(caller: SocketAddr, tlvs: &[u8]) -> Vec<u8> {
    let (family, mut rest) = match caller.ip() {
        IpAddr::V4(from) => (0x11, [from.octets(), [10, 0, 0, 1]].concat()),
        IpAddr::V6(from) => (0x21, [from.octets(), [0xfd; 16]].concat()),
    };
    rest.extend(caller.port().to_be_bytes());
    rest.extend(7443_u16.to_be_bytes());
    rest.extend(tlvs);
    v2(0x21, family, &rest)
}

/// Reads as the server does. Returns the outcome, and the number of bytes that were taken.
fn read(stream: &[u8]) -> (Option<Result<Header, Fault>>, usize) {
    let mut taken = 0;
    loop {
        match parse(&stream[..taken]) {
            Err(fault) => return (Some(Err(fault)), taken),
            Ok(Parsed::Complete(header)) => return (Some(Ok(header)), taken),
            Ok(Parsed::Needs(more)) => {
                assert!(more > 0);
                if taken + more > stream.len() {
                    return (None, taken);
                }
                taken += more;
            }
        }
    }
}

#[test]
fn headers_and_what_they_say() {
    let at = |text: &str| Ok(Header::Caller(text.parse().unwrap()));
    let v4 = of("192.0.2.7:50000".parse().unwrap(), &[]);
    let mapped = of("[::ffff:192.0.2.7]:1".parse().unwrap(), &[]);
    let mut unix = v2(0x21, 0x31, &[0; 216]);
    let tlv = [0x04, 0, 3, 1, 2, 3];
    let cases: Vec<(&str, Vec<u8>, Result<Header, Fault>)> = vec![
        ("v4", v4.clone(), at("192.0.2.7:50000")),
        (
            "v6",
            of("[2001:db8::1]:9".parse().unwrap(), &[]),
            at("[2001:db8::1]:9"),
        ),
        ("v4-mapped", mapped, at("192.0.2.7:1")),
        (
            "a TLV",
            of("192.0.2.7:1".parse().unwrap(), &tlv),
            at("192.0.2.7:1"),
        ),
        (
            "a TLV cut",
            of("192.0.2.7:1".parse().unwrap(), &tlv[..4]),
            Err(Fault::Tlv),
        ),
        ("LOCAL", v2(0x20, 0, &[]), Ok(Header::Unknown)),
        (
            "LOCAL with addresses",
            v2(0x20, 0x11, &[9; 12]),
            Ok(Header::Unknown),
        ),
        ("UNSPEC", v2(0x21, 0, &[]), Ok(Header::Unknown)),
        (
            "UDP over IPv4",
            v2(0x21, 0x12, &[1; 12]),
            Err(Fault::Family),
        ),
        (
            "UDP over IPv6",
            v2(0x21, 0x22, &[1; 36]),
            Err(Fault::Family),
        ),
        ("unix stream", unix.clone(), Err(Fault::Family)),
        (
            "addresses cut",
            v2(0x21, 0x21, &[1; 35]),
            Err(Fault::Length),
        ),
        ("version 3", v2(0x31, 0x11, &[1; 12]), Err(Fault::Command)),
        ("command 2", v2(0x22, 0x11, &[1; 12]), Err(Fault::Command)),
        ("2049 bytes", v2(0x21, 0x11, &[1; 2049]), Err(Fault::Length)),
        (
            "no address",
            of("0.0.0.0:1".parse().unwrap(), &[]),
            Err(Fault::Address),
        ),
        (
            "multicast",
            of("[ff02::1]:1".parse().unwrap(), &[]),
            Err(Fault::Address),
        ),
        (
            "v1",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 5 443\r\n".to_vec(),
            at("192.0.2.7:5"),
        ),
        (
            "v1 IPv6",
            b"PROXY TCP6 2001:db8::1 ::1 5 443\r\n".to_vec(),
            at("[2001:db8::1]:5"),
        ),
        (
            "v1 UNKNOWN",
            b"PROXY UNKNOWN\r\n".to_vec(),
            Ok(Header::Unknown),
        ),
        (
            "v1 mixed",
            b"PROXY TCP4 ::1 10.0.0.1 5 443\r\n".to_vec(),
            Err(Fault::Line),
        ),
        (
            "v1 port",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 +5 443\r\n".to_vec(),
            Err(Fault::Line),
        ),
        (
            "v1 newline",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 5 443\n".to_vec(),
            Err(Fault::Line),
        ),
        (
            "v1 long",
            [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 100]].concat(),
            Err(Fault::Line),
        ),
        (
            "a TLS hello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03x".to_vec(),
            Err(Fault::Missing),
        ),
        ("HTTP", b"GET / HTTP/1.1\r\n".to_vec(), Err(Fault::Missing)),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(read(&bytes).0, Some(expected), "{name}");
    }
    unix.truncate(20);
    assert_eq!(read(&unix).0, Some(Err(Fault::Family)), "refused early");
}

#[test]
fn every_truncation_needs_more_and_never_passes() {
    let tlv = [0x20, 0, 2, 1, 1];
    for header in [
        of("192.0.2.7:50000".parse().unwrap(), &tlv),
        of("[2001:db8::1]:9".parse().unwrap(), &tlv),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 50000 443\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
    ] {
        for cut in 0..header.len() {
            assert_eq!(read(&header[..cut]).0, None, "{cut} bytes of {header:?}");
        }
        assert!(matches!(read(&header).0, Some(Ok(_))));
    }
}

fn callers() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, port)| (ip, port).into()),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(|(ip, port)| (ip, port).into()),
    ]
}

proptest! {
    #[test]
    fn any_bytes_neither_panic_nor_are_read_beyond_the_bound(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        let (_, taken) = read(&bytes);
        prop_assert!(taken <= FIXED + MOST);
        let _ = parse(&bytes);
    }

    #[test]
    fn any_bytes_after_a_signature_neither_panic_nor_are_read_beyond_the_bound(
        word in any::<bool>(), rest in prop::collection::vec(any::<u8>(), 0..4096)
    ) {
        let start: &[u8] = if word { b"PROXY TCP4 " } else { SIGNATURE };
        let bytes = [start, rest.as_slice()].concat();
        prop_assert!(read(&bytes).1 <= FIXED + MOST);
        let _ = parse(&bytes);
    }

    #[test]
    fn what_a_proxy_writes_is_read_to_its_last_byte(
        caller in callers(), value in prop::collection::vec(any::<u8>(), 0..512),
        after in prop::collection::vec(any::<u8>(), 0..64)
    ) {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        let tlv = [&[0x05], length.as_slice(), &value].concat();
        let header = of(caller, &tlv);
        let (outcome, taken) = read(&[header.as_slice(), &after].concat());
        let address = caller.ip().to_canonical();
        match outcome {
            Some(Ok(found)) => {
                prop_assert_eq!(found, Header::Caller((address, caller.port()).into()));
                prop_assert_eq!(taken, header.len());
            }
            other => prop_assert!(
                other == Some(Err(Fault::Address))
                    && (address.is_unspecified() || address.is_multicast()
                        || address == IpAddr::V4(Ipv4Addr::BROADCAST)),
                "{:?}", other
            ),
        }
    }
}
