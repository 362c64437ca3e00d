//! The canonical bytes of an ask: what a possession proof covers. Pure.
//!
//! Protobuf's own encoding is not canonical (map order, unknown fields), so the proof is over this
//! one.

use std::collections::BTreeMap;

use super::v1::Ask;
use crate::ssh::wire::{put_length, put_string};

/// The bytes of `ask` in a possession message, each string behind its length as a big-endian u32:
/// role, host, count of params, (name, value) sorted by name, reason, lifetime in seconds as a
/// big-endian u64, count of source addresses, each in order, count of extensions, each in order,
/// the redeemed request as a big-endian u64, one byte for an emergency. Counts are big-endian u32.
///
/// Every field is framed, so two asks that differ anywhere differ in these bytes.
pub fn ask_bytes(ask: &Ask) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_string(&mut bytes, ask.role.as_bytes());
    put_string(&mut bytes, ask.host.as_bytes());
    let params: BTreeMap<_, _> = ask.params.iter().collect();
    put_length(&mut bytes, params.len());
    for (name, value) in params {
        put_string(&mut bytes, name.as_bytes());
        put_string(&mut bytes, value.as_bytes());
    }
    put_string(&mut bytes, ask.reason.as_bytes());
    bytes.extend_from_slice(&ask.ttl_seconds.to_be_bytes());
    put_strings(&mut bytes, &ask.source_addresses);
    put_strings(&mut bytes, &ask.extensions);
    bytes.extend_from_slice(&ask.request.to_be_bytes());
    bytes.push(u8::from(ask.emergency));
    bytes
}

fn put_strings(bytes: &mut Vec<u8>, texts: &[String]) {
    put_length(bytes, texts.len());
    for text in texts {
        put_string(bytes, text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Ask {
        Ask {
            role: "logs".into(),
            host: "web-1".into(),
            params: [("unit".into(), "nginx".into()), ("a".into(), "b".into())].into(),
            reason: "INC-1".into(),
            ttl_seconds: 60,
            source_addresses: vec!["10.0.0.0/8".into()],
            extensions: vec!["pty".into()],
            request: 9,
            emergency: true,
        }
    }

    #[test]
    fn the_encoding_is_the_documented_one() {
        let expected = [
            b"\0\0\0\x04logs\0\0\0\x05web-1".as_slice(),
            b"\0\0\0\x02\0\0\0\x01a\0\0\0\x01b\0\0\0\x04unit\0\0\0\x05nginx",
            b"\0\0\0\x05INC-1\0\0\0\0\0\0\0\x3c",
            b"\0\0\0\x01\0\0\0\x0a10.0.0.0/8",
            b"\0\0\0\x01\0\0\0\x03pty",
            b"\0\0\0\0\0\0\0\x09\x01",
        ]
        .concat();
        assert_eq!(ask_bytes(&base()), expected);
    }

    type Change = fn(&mut Ask);

    #[test]
    fn asks_that_differ_anywhere_differ_in_bytes() {
        let differences: [(&str, Change); 11] = [
            ("request", |ask| ask.request = 8),
            ("no emergency", |ask| ask.emergency = false),
            ("role", |ask| ask.role.push('x')),
            ("host", |ask| ask.host.clear()),
            ("a parameter's value", |ask| {
                ask.params.insert("unit".into(), "sshd".into());
            }),
            ("one parameter fewer", |ask| {
                ask.params.remove("a");
            }),
            ("reason", |ask| ask.reason.push('2')),
            ("lifetime", |ask| ask.ttl_seconds = 61),
            ("no source", |ask| ask.source_addresses.clear()),
            ("an extension more", |ask| ask.extensions.push("pty".into())),
            ("a word moved to the next field", |ask| {
                ask.extensions.append(&mut ask.source_addresses);
            }),
        ];
        for (case, change) in differences {
            let mut other = base();
            change(&mut other);
            assert_ne!(ask_bytes(&other), ask_bytes(&base()), "{case}");
        }
    }
}
