//! One event of every kind that webhooks take, for tests.

use std::collections::BTreeMap;

use serde_json::json;
use time::macros::datetime;

use super::kind::NotificationKind;
use crate::ledger::{
    Event, EventKind,
    checkpoint::Signer,
    event::{
        Actor, CaKeyOrdered, CaKeyStep, Covered, ForeignLogin, HostBehind, HostJoined, HostKey,
        Issued, LedgerKeyChanged, LockTarget, Locked, LoginFinding, RequestDecision,
        RequestDetails, Requested, RevokeTarget, Revoked, SeenCertificate, Unlocked,
    },
    handover::Handover,
};
use crate::ssh::{options::Extension, permissions::Permissions};
use crate::unix_seconds::UnixSeconds;

pub(super) const SERVER: &str = "ca.example.com";

fn who(label: &str) -> Actor {
    Actor {
        issuer: "https://id.example.com".to_owned(),
        subject: format!("u-{label}"),
        label: format!("{label}@example.com"),
        claims: json!({"email": "x", "groups": ["oncall"]}).into(),
    }
}

fn asked() -> RequestDetails {
    RequestDetails {
        role: "prod".to_owned(),
        host: Some("web-1".to_owned()),
        params: BTreeMap::from([("unit".to_owned(), "nginx".to_owned())]),
        reason: Some("INC-7 \u{1b}[2J\n<!channel> `@here` \u{202e}Z\u{fc}rich".to_owned()),
        ..RequestDetails::default()
    }
}

fn event(index: u64, what: EventKind) -> Event {
    let at = datetime!(2026-11-22 15:32:51.123 UTC);
    Event { index, at, what }
}

pub(super) fn requested() -> Event {
    let requested = Requested {
        who: who("bob"),
        ask: asked(),
        key: "SHA256:subject".to_owned(),
        needed: 2,
        expires_at: UnixSeconds(1_795_363_371),
        permissions: Permissions {
            principals: ["deploy@web".to_owned()].into(),
            force_command: Some("/bin/systemctl restart nginx".to_owned()),
            source_addresses: Some([std::net::IpAddr::from([203, 0, 113, 7]).into()].into()),
            extensions: [Extension::Pty].into(),
            verify_required: false,
        },
        ttl_seconds: 1800,
        policy: "ab".repeat(32),
        through: None,
    };
    event(12, EventKind::Requested(Box::new(requested)))
}

pub(super) fn emergency() -> Event {
    let issued = Issued {
        who: who("bob"),
        ask: RequestDetails {
            emergency: true,
            ..asked()
        },
        key: "SHA256:subject".to_owned(),
        binding: "nonce".to_owned(),
        key_id: "bob@example.com/prod".to_owned(),
        permissions: Permissions {
            principals: ["deploy".to_owned()].into(),
            ..Permissions::default()
        },
        valid_after: UnixSeconds(1_795_361_511),
        valid_before: UnixSeconds(1_795_362_471),
        policy: "ab".repeat(32),
        ca: "SHA256:ca".to_owned(),
        to_be_signed: "cd".repeat(32),
        emergency_proof: None,
        on_behalf: None,
        jump: None,
    };
    event(17, EventKind::Issued(Box::new(issued)))
}

fn decided(comment: &str) -> Box<RequestDecision> {
    Box::new(RequestDecision {
        request: 12,
        role: "prod".to_owned(),
        who: who("carol"),
        key: "ssh-ed25519 AAAA".to_owned(),
        signature: "c2lnbmF0dXJl".to_owned(),
        comment: comment.to_owned(),
        policy: "ab".repeat(32),
        presence: None,
    })
}

/// One of each kind.
pub(super) fn events() -> Vec<Event> {
    let all = |kind| match kind {
        NotificationKind::Requested => requested(),
        NotificationKind::Approved => event(13, EventKind::Approved(decided("go ahead"))),
        NotificationKind::Refused => event(14, EventKind::Refused(decided("not today"))),
        NotificationKind::Cancelled => event(15, EventKind::Cancelled(decided(""))),
        NotificationKind::Emergency => emergency(),
        NotificationKind::Reviewed => event(18, EventKind::Reviewed(decided(""))),
        NotificationKind::Revoked => event(
            19,
            EventKind::Revoked(Box::new(Revoked {
                who: who("carol"),
                target: RevokeTarget::Serial(17),
                reason: None,
                serials: vec![17],
                covers: Vec::new(),
                proof: None,
                restore: None,
            })),
        ),
        NotificationKind::Locked => event(
            20,
            EventKind::Locked(Box::new(Locked {
                who: who("carol"),
                target: LockTarget::Identity("bob@example.com".to_owned()),
                reason: Some("laptop stolen".to_owned()),
                serials: vec![16, 17],
                covers: vec![Covered {
                    issuer: "https://id.example.com".to_owned(),
                    subject: "u-bob".to_owned(),
                    label: "bob@example.com".to_owned(),
                }],
                proof: None,
            })),
        ),
        NotificationKind::Unlocked => event(
            21,
            EventKind::Unlocked(Box::new(Unlocked {
                who: who("carol"),
                target: LockTarget::Role("prod".to_owned()),
                reason: None,
                proof: None,
            })),
        ),
        NotificationKind::HostJoined => event(22, host_joined()),
        NotificationKind::HostBehind => event(23, host_behind()),
        NotificationKind::HostCurrent => {
            let host = "web-1".to_owned();
            event(24, EventKind::HostCurrent { host })
        }
        NotificationKind::ForeignLogin => event(25, foreign_login()),
        NotificationKind::CaKeyOrdered => event(26, ca_key_ordered()),
        NotificationKind::LedgerKeyChanged => event(27, ledger_key_changed()),
    };
    NotificationKind::ALL.into_iter().map(all).collect()
}

fn host_joined() -> EventKind {
    EventKind::HostJoined(Box::new(HostJoined {
        host: "web-1".to_owned(),
        group: "web".to_owned(),
        aliases: Vec::new(),
        keys: vec![HostKey {
            key: "ssh-ed25519 AAAA".to_owned(),
            signature: "c2lnbmF0dXJl".to_owned(),
        }],
        digest: "ef".repeat(32),
        who: None,
        policy: None,
    }))
}

fn host_behind() -> EventKind {
    EventKind::HostBehind(Box::new(HostBehind {
        host: "web-1".to_owned(),
        why: vec![
            "its host certificate has expired".to_owned(),
            "<!channel> \u{1b}[2J".to_owned(),
        ],
    }))
}

fn foreign_login() -> EventKind {
    EventKind::ForeignLogin(Box::new(ForeignLogin {
        host: "web-1".to_owned(),
        finding: LoginFinding::Unknown,
        why: "event 4711 of the ledger is not a pass".to_owned(),
        logged_at: Some(UnixSeconds(1_795_361_511)),
        login: "root".to_owned(),
        from: "203.0.113.7".to_owned(),
        port: 41_234,
        certificate: Some(SeenCertificate {
            serial: 4711,
            key_id: "<!channel> mallory".to_owned(),
            key: "SHA256:thief".to_owned(),
            ca: "SHA256:ca".to_owned(),
        }),
        more: 2,
    }))
}

pub(super) fn ca_key_ordered() -> EventKind {
    let key = ssh_key::public::Ed25519PublicKey([12; 32]);
    EventKind::CaKeyOrdered(Box::new(CaKeyOrdered {
        who: who("carol"),
        step: CaKeyStep::Activate,
        key: ssh_key::PublicKey::from(key)
            .to_openssh()
            .unwrap_or_default(),
        anyway: true,
        behind: vec!["web-3".to_owned(), "web-4".to_owned()],
        from: Vec::new(),
        reason: Some("INC-7 <!channel>".to_owned()),
        proof: None,
    }))
}

fn ledger_key_changed() -> EventKind {
    let key = |seed| Signer::new("ca.example.com/ledger", &[seed; 32]);
    let (Ok(old), Ok(new)) = (key(7), key(8)) else {
        unreachable!()
    };
    let Ok(handover) = Handover::sign(&old, &new, 27) else {
        unreachable!()
    };
    EventKind::LedgerKeyChanged(Box::new(LedgerKeyChanged {
        who: who("carol"),
        handover,
        reason: Some("yearly".to_owned()),
        proof: None,
    }))
}
