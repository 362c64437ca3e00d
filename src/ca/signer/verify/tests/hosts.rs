//! A daemon that lies about host certificates gets none signed.

use std::time::Duration as Time;

use super::*;
use crate::{
    ca::{
        HostCa, HostDraft, KeyState,
        host::{Subject, lint as host_lint},
        signer::{ceiling::HostCeiling, message::Verdict},
    },
    ledger::event::HostCertified,
};

/// A ledger whose signer has the key that signs host certificates.
struct Hosts {
    world: World,
    ca: HostCa,
}

/// What a daemon drafts, and what it does not say of it.
struct Asked {
    name: &'static str,
    aliases: Vec<String>,
    days: u64,
    at: OffsetDateTime,
}

impl Asked {
    fn honest() -> Self {
        Self {
            name: "web-1",
            aliases: vec!["www.example.com".to_owned()],
            days: 14,
            at: now(),
        }
    }
}

impl Hosts {
    fn new() -> Self {
        let mut world = World::new();
        let [ours, theirs] = Key::twins();
        let ca = HostCa::new(vec![(ours, KeyState::Active)], &world.ca).unwrap();
        world.key = theirs.into();
        Self { world, ca }
    }

    fn rules(&self) -> Rules {
        let days = |days: u64| Time::from_secs(days * 86_400);
        Rules {
            ceilings: Vec::new(),
            host_ceilings: vec![
                HostCeiling {
                    names: vec!["web-*".to_owned(), "*.example.com".to_owned()],
                    lifetime: days(14),
                },
                HostCeiling {
                    names: vec!["db-*".to_owned()],
                    lifetime: days(1),
                },
            ],
            ..self.world.rules()
        }
    }

    fn draft(&self, asked: &Asked) -> HostDraft {
        let key = Key::sample(Algorithm::Ed25519);
        let subject = Subject {
            name: asked.name,
            aliases: &asked.aliases,
            key: key.public(),
            lifetime: Time::from_secs(asked.days * 86_400),
        };
        HostDraft::new(subject, &self.ca, [1; 32], asked.at).unwrap()
    }

    /// Records a host certificate as a daemon does, with what `change` makes of the event.
    fn certify(&mut self, asked: &Asked, change: impl FnOnce(&mut HostCertified)) -> u64 {
        let index = self.world.size();
        let draft = self.draft(asked);
        let bytes = draft.to_be_signed(index);
        let mut certified = HostCertified {
            host: asked.name.to_owned(),
            key: draft.key_fingerprint().to_owned(),
            key_id: draft.key_id().to_owned(),
            principals: draft.principals().clone(),
            valid_after: draft.valid_after(),
            valid_before: draft.valid_before(),
            ca: draft.ca_fingerprint().to_owned(),
            to_be_signed: base16ct::lower::encode_string(&draft.to_be_signed_hash(index)),
        };
        change(&mut certified);
        self.world
            .push(EventKind::HostCertified(Box::new(certified)));
        self.world.bytes.insert(index, bytes);
        index
    }

    /// The item of what is recorded there, as of a host certificate.
    fn item(&self, index: u64) -> Item {
        match self.world.item(index) {
            Item::Pass { bytes, recorded } => Item::HostCertificate { bytes, recorded },
            other => other,
        }
    }

    fn request(&self, items: Vec<Item>) -> Request {
        Request {
            items,
            ..self.world.request(1, &[])
        }
    }

    fn fault(&self, item: Item) -> Fault {
        let seen = self.world.seen_at(1);
        let approved = verify(&self.rules(), &seen, self.request(vec![item]), now());
        approved.unwrap().items.pop().unwrap().unwrap_err()
    }
}

#[tokio::test]
async fn a_recorded_host_certificate_is_signed_behind_its_remembered_checkpoint() {
    let mut hosts = Hosts::new();
    let one = hosts.certify(&Asked::honest(), |_| ());
    let two = Asked {
        name: "db-1",
        aliases: Vec::new(),
        days: 1,
        ..Asked::honest()
    };
    let two = hosts.certify(&two, |_| ());
    let request = hosts.request(vec![hosts.item(one), hosts.item(two)]);
    // As it goes over the wire.
    let sent = Question::parse(&Question::Sign(request.clone()).encode());
    assert_eq!(sent, Some(Question::Sign(request.clone())));
    let approved = verify(&hosts.rules(), &hosts.world.seen_at(1), request, now()).unwrap();
    let remembered = Remembered::written(approved.head());
    let verdicts = sign(&hosts.world.key, approved, remembered).await;
    for (index, verdict) in [one, two].into_iter().zip(verdicts) {
        let Verdict::Signed(signature) = verdict else {
            panic!("{verdict:?}")
        };
        let mut whole = hosts.world.bytes[&index].clone();
        put_string(&mut whole, &signature);
        let certificate = host_lint::certificate(&whole, hosts.ca.active()).unwrap();
        certificate.verify_signature().unwrap();
        assert_eq!(certificate.serial(), index);
    }
}

#[test]
fn a_lie_about_a_host_certificate_is_refused() {
    let mut hosts = Hosts::new();
    let honest = hosts.certify(&Asked::honest(), |_| ());
    let unrecorded = hosts.draft(&Asked::honest()).to_be_signed(honest);
    let mut other_bytes = hosts.item(honest);
    if let Item::HostCertificate { bytes, .. } = &mut other_bytes {
        *bytes = unrecorded;
    }
    assert_eq!(hosts.fault(other_bytes), Fault::Bytes);
    // A host certificate as a pass: the signer of hosts signs none, and the event issues none.
    assert_eq!(hosts.fault(hosts.world.item(honest)), Fault::Kind);
    type Change = fn(&mut HostCertified);
    let cases: [(&str, Change, Fault); 6] = [
        (
            "other names",
            |it| drop(it.principals.pop_last()),
            Fault::Words("name"),
        ),
        (
            "another key",
            |it| it.key = "SHA256:x".to_owned(),
            Fault::Words("key"),
        ),
        (
            "another key id",
            |it| it.key_id = "host/web-2".to_owned(),
            Fault::Words("key id"),
        ),
        (
            "another host",
            |it| it.host = "web-2".to_owned(),
            Fault::Words("host"),
        ),
        (
            "another CA",
            |it| it.ca = "SHA256:x".to_owned(),
            Fault::Words("CA key"),
        ),
        (
            "a longer life",
            |it| it.valid_before = UnixSeconds(it.valid_before.get() + 1),
            Fault::Words("validity"),
        ),
    ];
    for (case, change, fault) in cases {
        let index = hosts.certify(&Asked::honest(), change);
        assert_eq!(hosts.fault(hosts.item(index)), fault, "{case}");
    }
    let late = Asked {
        at: now() + Duration::seconds(FRESH as i64 + 1),
        ..Asked::honest()
    };
    let late = hosts.certify(&late, |_| ());
    assert_eq!(hosts.fault(hosts.item(late)), Fault::Time(FRESH + 1));
}

#[test]
fn a_recorded_host_certificate_above_the_ceiling_is_refused() {
    let mut hosts = Hosts::new();
    for (case, asked, excess) in [
        (
            "another name",
            Asked {
                name: "ca-1",
                ..Asked::honest()
            },
            "host name ca-1",
        ),
        (
            "an alias outside",
            Asked {
                aliases: vec!["bank.test".to_owned()],
                ..Asked::honest()
            },
            "host name bank.test",
        ),
        (
            "a longer life than any",
            Asked {
                days: 15,
                ..Asked::honest()
            },
            "a lifetime of 1296000 s",
        ),
        (
            "the life of another section",
            Asked {
                name: "db-1",
                aliases: Vec::new(),
                ..Asked::honest()
            },
            "a lifetime of 1209600 s",
        ),
    ] {
        let index = hosts.certify(&asked, |_| ());
        let said = hosts.fault(hosts.item(index)).to_string();
        assert!(said.contains(excess), "{case}: {said}");
    }
}

#[test]
fn each_signer_signs_its_own_kind_alone() {
    let mut hosts = Hosts::new();
    let index = hosts.certify(&Asked::honest(), |_| ());
    let users = Rules {
        ceilings: hosts.world.rules().ceilings,
        host_ceilings: Vec::new(),
        ..hosts.rules()
    };
    let request = hosts.request(vec![hosts.item(index)]);
    let approved = verify(&users, &hosts.world.seen_at(1), request, now());
    let fault = approved.unwrap().items.pop().unwrap().unwrap_err();
    assert_eq!(fault, Fault::NotOurs("host certificates", "host_ceiling"));
    let document = Item::Document {
        kind: crate::ca::to_sign::HostDocument::Krl,
        content: Vec::new(),
    };
    assert_eq!(
        hosts.fault(document),
        Fault::NotOurs("documents", "ceiling")
    );
    // An honest pass, whose CA is another key: no ceiling of this signer allows any.
    let pass = hosts.world.issue(&grant(), now(), |_| ());
    assert!(matches!(
        hosts.fault(hosts.world.item(pass)),
        Fault::Lint(_)
    ));
}
