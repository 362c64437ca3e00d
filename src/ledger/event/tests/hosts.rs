//! Events about hosts against bytes that every later version must read, with valid signatures.

use ssh_key::HashAlg;

use super::*;
use crate::{
    ledger::{
        join_code,
        order::tests::{SERVER, key, signed},
    },
    ssh::{
        host_proof::{HostProof, HostVerb},
        sshsig::Namespace,
    },
};

const FILE: &str = "tests/golden/hosts.jsonl";

/// The join code of samples.
pub(in crate::ledger) const CODE: &str = "0000-0000-0000-0001";

/// Hex SHA-256 of a code.
pub(in crate::ledger) fn digest(code: &str) -> String {
    base16ct::lower::encode_string(&join_code::hash(code).unwrap())
}

/// An order that lets `host` join with `code`, signed after the order `after`.
pub(crate) fn added(
    host: &str,
    code: &str,
    expires_at: UnixSeconds,
    rekey: bool,
    after: u64,
) -> EventKind {
    let added = HostAdded {
        who: who(),
        host: host.to_owned(),
        group: if rekey { "" } else { "web" }.to_owned(),
        aliases: Vec::new(),
        code: digest(code),
        expires_at,
        rekey,
        reason: None,
        proof: None,
    };
    signed(EventKind::HostAdded(Box::new(added)), SERVER, 1, after)
}

/// An order that removes `host`, signed after the order `after`.
pub(in crate::ledger) fn removed(host: &str, after: u64) -> EventKind {
    let removed = HostRemoved {
        who: who(),
        host: host.to_owned(),
        reason: Some("sold".to_owned()),
        proof: None,
    };
    signed(EventKind::HostRemoved(Box::new(removed)), SERVER, 1, after)
}

/// The join of `host` with this code, by the Ed25519 key of this seed.
pub(crate) fn joined(host: &str, code: &str, seed: u8) -> HostJoined {
    let key = key(seed);
    let keys = [key.public_key().clone()];
    let hash = join_code::hash(code).unwrap();
    let proof = HostProof {
        server: SERVER,
        verb: HostVerb::Join,
        digest: &hash,
        keys: &keys,
    };
    let message = proof.message().unwrap();
    let signature = key.sign(Namespace::Host.as_str(), HashAlg::Sha512, &message);
    let armored = signature.unwrap().to_pem(ssh_key::LineEnding::LF).unwrap();
    HostJoined {
        host: host.to_owned(),
        group: "web".to_owned(),
        aliases: Vec::new(),
        keys: vec![HostKey {
            key: keys[0].to_openssh().unwrap(),
            signature: crate::ssh::sshsig::compact(&armored),
        }],
        digest: digest(code),
        who: None,
        policy: None,
    }
}

/// A certificate of `host` for the key of this seed.
pub(in crate::ledger) fn certified(host: &str, seed: u8, from: u64) -> HostCertified {
    HostCertified {
        host: host.to_owned(),
        key: key(seed).fingerprint(HashAlg::Sha256).to_string(),
        key_id: format!("host/{host}"),
        principals: [host.to_owned()].into(),
        valid_after: UnixSeconds(from),
        valid_before: UnixSeconds(from + 14 * 24 * 3600 + 300),
        ca: "SHA256:hostca".to_owned(),
        to_be_signed: "cd".repeat(32),
    }
}

/// A login by a certificate with this serial, which the CA never issued.
pub(in crate::ledger) fn foreign(host: &str, serial: u64) -> ForeignLogin {
    ForeignLogin {
        host: host.to_owned(),
        finding: LoginFinding::Unknown,
        why: format!("event {serial} of the ledger is not a pass"),
        logged_at: Some(UnixSeconds(1_795_361_511)),
        login: "root".to_owned(),
        from: "203.0.113.7".to_owned(),
        port: 41_234,
        certificate: Some(SeenCertificate {
            serial,
            key_id: "mallory".to_owned(),
            key: "SHA256:thief".to_owned(),
            ca: "SHA256:ca".to_owned(),
        }),
        more: 0,
    }
}

fn path() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)
}

/// The golden leaves.
pub(super) fn golden() -> String {
    std::fs::read_to_string(path()).unwrap_or_default()
}

fn events() -> Vec<EventKind> {
    let expires_at = UnixSeconds(1_795_365_171);
    vec![
        added("web-1", CODE, expires_at, false, 0),
        EventKind::HostJoined(Box::new(joined("web-1", CODE, 3))),
        EventKind::HostCertified(Box::new(certified("web-1", 3, 1_795_361_271))),
        EventKind::HostBehind(Box::new(HostBehind {
            host: "web-1".to_owned(),
            why: vec!["it has no revocation list".to_owned()],
        })),
        EventKind::HostCurrent {
            host: "web-1".to_owned(),
        },
        EventKind::ForeignLogin(Box::new(foreign("web-1", 4711))),
        EventKind::ForeignLogin(Box::new(ForeignLogin {
            finding: LoginFinding::Unreadable,
            logged_at: None,
            certificate: None,
            more: 3,
            ..foreign("web-1", 0)
        })),
        removed("web-1", 11),
    ]
}

#[test]
fn events_about_hosts_have_their_golden_bytes() {
    let at = datetime!(2026-11-22 15:32:51.123 UTC);
    let leaves: Vec<String> = (10..)
        .zip(events())
        .map(|(index, what)| {
            let bytes = Event { index, at, what }.to_bytes().unwrap();
            String::from_utf8(bytes).unwrap()
        })
        .collect();
    if std::env::var_os("DAYPASS_WRITE_GOLDEN").is_some() {
        std::fs::write(path(), leaves.join("\n") + "\n").unwrap();
    }
    assert_eq!(leaves, golden().lines().collect::<Vec<_>>());
    for (line, what) in leaves.iter().zip(events()) {
        let event = Event::parse(line.as_bytes()).unwrap();
        assert_eq!(event.what, what);
        if let Some(order) = event.what.order() {
            assert_eq!(order.check(SERVER), Ok(()), "{line}");
            assert!(order.check("ca.example.org").is_err(), "{line}");
        }
    }
}
