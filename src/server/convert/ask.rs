//! An ask as a caller sends it. Pure.

use std::{collections::BTreeSet, time::Duration};

use super::bounds::{HOST_BYTES, Malformed, REASON_BYTES, ROLE_BYTES, malformed, missing, text};
use crate::{
    policy::{Ask, source},
    proto::v1,
    ssh::options::Extension,
};

const PARAMS: usize = 32;
const PARAM_NAME_BYTES: usize = 64;
const PARAM_VALUE_BYTES: usize = 4096;
const SOURCES: usize = 64;

/// Longest requested lifetime, in seconds. Longer ones are cut to it. No role allows more, and a
/// requested lifetime can only shorten a pass.
const LONGEST_TTL_SECONDS: u64 = 366 * 24 * 60 * 60;

/// Converts an ask. Whether the caller may have it is for the policy to decide.
///
/// # Errors
/// A field that is absent or out of its bounds.
pub(in crate::server) fn ask(wire: &v1::Ask) -> Result<Ask, Malformed> {
    if wire.role.is_empty() {
        return Err(missing("role"));
    }
    if wire.request != 0 && wire.emergency {
        return Err(malformed("request", "is not for emergencies"));
    }
    check_params(wire)?;
    let mut extensions = BTreeSet::new();
    for text in &wire.extensions {
        let unknown = || malformed("extensions", "names one that OpenSSH does not have");
        extensions.insert(Extension::from_word(text).ok_or_else(unknown)?);
    }
    if wire.source_addresses.len() > SOURCES {
        return Err(malformed("source_addresses", "are too many"));
    }
    let source = wire.source_addresses.iter();
    Ok(Ask {
        role: text("role", &wire.role, ROLE_BYTES)?.unwrap_or_default(),
        host: text("host", &wire.host, HOST_BYTES)?,
        params: wire.params.clone().into_iter().collect(),
        reason: text("reason", &wire.reason, REASON_BYTES)?,
        ttl: (wire.ttl_seconds > 0)
            .then(|| Duration::from_secs(wire.ttl_seconds.min(LONGEST_TTL_SECONDS))),
        source: source
            .map(|text| source::parse(text))
            .collect::<Result<_, _>>()
            .map_err(|problem| malformed("source_addresses", problem))?,
        extensions,
        request: (wire.request != 0).then_some(wire.request),
        emergency: wire.emergency,
    })
}

/// Keeps the readable fields of a malformed ask, for the ledger.
pub(in crate::server) fn readable(wire: &v1::Ask) -> Ask {
    Ask {
        role: text("role", &wire.role, ROLE_BYTES)
            .ok()
            .flatten()
            .unwrap_or_default(),
        host: text("host", &wire.host, HOST_BYTES).ok().flatten(),
        reason: text("reason", &wire.reason, REASON_BYTES).ok().flatten(),
        ..Ask::default()
    }
}

/// Checks the sizes of parameters. Their contents are for the role's patterns to check.
fn check_params(wire: &v1::Ask) -> Result<(), Malformed> {
    if wire.params.len() > PARAMS {
        return Err(malformed("params", "are too many"));
    }
    for (name, value) in &wire.params {
        text("the name of a parameter", name, PARAM_NAME_BYTES)?;
        if value.len() > PARAM_VALUE_BYTES {
            let problem = format!("is longer than {PARAM_VALUE_BYTES} bytes");
            return Err(malformed("the value of a parameter", problem));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::server::log::is_active;

    fn base() -> v1::Ask {
        v1::Ask {
            role: "logs".into(),
            host: "web-1".into(),
            params: [("unit".into(), "odd\nvalue\0".into())].into(),
            reason: "INC-1, naïve café".into(),
            ttl_seconds: u64::MAX,
            source_addresses: vec!["10.0.0.0/8".into(), "192.0.2.7".into()],
            extensions: vec!["pty".into(), "permit-pty".into()],
            ..v1::Ask::default()
        }
    }

    #[test]
    fn an_ask_within_its_bounds_is_read() {
        let ask = ask(&base()).unwrap();
        assert_eq!(ask.role, "logs");
        assert_eq!(ask.host.as_deref(), Some("web-1"));
        assert_eq!(ask.params["unit"], "odd\nvalue\0");
        assert_eq!(ask.ttl, Some(Duration::from_secs(LONGEST_TTL_SECONDS)));
        assert_eq!(ask.source.len(), 2);
        assert_eq!(ask.extensions, BTreeSet::from([Extension::Pty]));
        let bare = super::ask(&v1::Ask {
            role: "logs".into(),
            ..v1::Ask::default()
        })
        .unwrap();
        assert_eq!((bare.host, bare.reason, bare.ttl), (None, None, None));
    }

    type Change = fn(&mut v1::Ask);

    #[test]
    fn an_ask_out_of_its_bounds_is_refused() {
        let cases: [(&str, &str, Change); 15] = [
            ("no role", "role", |ask| ask.role.clear()),
            ("a long role", "role", |ask| ask.role = "r".repeat(129)),
            ("a role with a newline", "role", |ask| ask.role.push('\n')),
            ("a host with an escape", "host", |ask| ask.host.push('\x1b')),
            ("a long host", "host", |ask| ask.host = "h".repeat(254)),
            ("a reason of two lines", "reason", |ask| {
                ask.reason.push_str("\nroot logged in")
            }),
            ("a reason with a line separator", "reason", |ask| {
                ask.reason.push('\u{2028}')
            }),
            ("a reason written backwards", "reason", |ask| {
                ask.reason.push('\u{202e}')
            }),
            ("a long reason", "reason", |ask| {
                ask.reason = "r".repeat(1025)
            }),
            ("33 parameters", "params", |ask| {
                ask.params = (0..33).map(|n| (n.to_string(), String::new())).collect();
            }),
            ("a huge value", "the value of a parameter", |ask| {
                ask.params.insert("unit".into(), "v".repeat(4097));
            }),
            ("a name with NUL", "the name of a parameter", |ask| {
                ask.params.insert("a\0".into(), String::new());
            }),
            ("65 sources", "source_addresses", |ask| {
                ask.source_addresses = vec!["10.0.0.0/8".into(); 65];
            }),
            ("a source with host bits", "source_addresses", |ask| {
                ask.source_addresses = vec!["10.0.0.1/8".into()];
            }),
            ("an unknown extension", "extensions", |ask| {
                ask.extensions.push("root".into())
            }),
        ];
        for (case, field, change) in cases {
            let mut wire = base();
            change(&mut wire);
            assert_eq!(ask(&wire).unwrap_err().to_field().name, field, "{case}");
            let kept = readable(&wire);
            let texts = [Some(kept.role), kept.host, kept.reason];
            assert!(
                !texts
                    .iter()
                    .flatten()
                    .any(|text| text.chars().any(is_active)),
                "{case}"
            );
        }
    }
}
