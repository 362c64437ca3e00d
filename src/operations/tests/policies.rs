//! Policies that change between an ask, its approval and its pass, and tokens without a binding.

use std::{sync::atomic::AtomicBool, time::Duration};

use super::*;
use crate::{
    ledger::state::Verb,
    operations::requests::{Verdict, decide},
};

/// One role, whose approval, logins and lifetime differ from policy to policy.
fn with_role(approval: &str, principals: &str, ttl: &str) -> Policy {
    policy(&format!(
        r#"
[limits]
ttl = "8h"
principals = ["alice", "root"]

[admin]
allow = '"security" in claims.groups'

[[role]]
name = "prod"
allow = '"sre" in claims.groups'
principals = {principals}
ttl = "{ttl}"
{approval}
"#
    ))
}

const APPROVAL: &str = r#"approval = { count = 1, by = '"lead" in claims.groups', within = "1h" }"#;

fn person(subject: &str, groups: &[&str]) -> KeyHolder {
    let claims = json!({"sub": subject, "groups": groups});
    KeyHolder::sample(
        Identity::sample(claims),
        Key::sample(Algorithm::Ed25519).public(),
    )
}

fn unbound(subject: &str, groups: &[&str]) -> KeyHolder {
    let claims = json!({"sub": subject, "groups": groups, "unbound": true});
    KeyHolder::sample(
        Identity::sample(claims),
        Key::sample(Algorithm::Ed25519).public(),
    )
}

impl World {
    async fn under(policy: Policy) -> Self {
        let world = Self::new().await;
        world.replace(policy).await;
        world
    }

    async fn replace(&self, policy: Policy) {
        self.authority.replace_policy(policy, now()).await.unwrap();
    }

    /// The id of the request that this ask becomes.
    async fn request(&self, holder: &KeyHolder) -> u64 {
        let ask = ask("prod");
        let issuance = Issuance::new(&self.authority, holder, &ask, context());
        match issuance.issue([3; 32]).await.unwrap() {
            Outcome::Pending(view) => view.request.id,
            Outcome::Pass(_) => panic!("the role needs approval"),
        }
    }

    async fn decide(&self, holder: &KeyHolder, id: u64, verb: Verb) -> Result<(), Error> {
        let verdict = Verdict {
            id,
            verb,
            comment: "",
            signature: "checked by the server",
            presence: None,
        };
        decide(&self.authority, holder, &verdict, context())
            .await
            .map(drop)
    }
}

/// The approver approved `alice` for a quarter of an hour. A policy without approval would give
/// more. The pass does not.
#[tokio::test]
async fn a_redeemed_request_is_within_what_was_approved_though_the_role_needs_no_approval_now() {
    let world = World::under(with_role(APPROVAL, r#"["alice"]"#, "15m")).await;
    let bob = person("bob", &["sre"]);
    let id = world.request(&bob).await;
    world
        .decide(&person("carol", &["lead"]), id, Verb::Approve)
        .await
        .unwrap();
    world
        .replace(with_role("", r#"["alice", "root"]"#, "8h"))
        .await;
    let redemption = Ask {
        request: Some(id),
        ..ask("prod")
    };
    let pass = world.issue(&bob, &redemption).await.unwrap();
    let principals: Vec<_> = pass.grant.principals().iter().map(String::as_str).collect();
    assert_eq!(principals, ["alice"]);
    assert_eq!(pass.grant.ttl(), Duration::from_secs(15 * 60));
    assert_eq!(pass.certificate.valid_principals(), ["alice"]);
}

/// A pass that is issued while the policy is replaced is decided by the policy that is in force
/// when it is recorded.
#[tokio::test(flavor = "multi_thread")]
async fn every_pass_names_the_policy_in_force_at_its_place() {
    let world = Arc::new(World::under(with_role("", r#"["alice"]"#, "1h")).await);
    let is_over = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..4)
        .map(|n| {
            let (world, is_over) = (Arc::clone(&world), Arc::clone(&is_over));
            let holder = person(&format!("u-{n}"), &["sre"]);
            tokio::spawn(async move {
                let mut passes = 0;
                while !is_over.load(std::sync::atomic::Ordering::SeqCst) {
                    world.issue(&holder, &ask("prod")).await.unwrap();
                    passes += 1;
                }
                passes
            })
        })
        .collect();
    for n in 0..40 {
        let ttl = format!("{}m", 10 + n);
        world.replace(with_role("", r#"["alice"]"#, &ttl)).await;
        tokio::task::yield_now().await;
    }
    is_over.store(true, std::sync::atomic::Ordering::SeqCst);
    for one in asking {
        assert!(one.await.unwrap() > 0, "an honest caller is served");
    }
    let mut in_force = String::new();
    for event in world.events().await {
        match event.what {
            EventKind::PolicyLoaded { policy, .. } => in_force = policy,
            EventKind::Issued(issued) => {
                assert_eq!(issued.policy, in_force, "event {}", event.index)
            }
            _ => (),
        }
    }
}

/// A new policy was recorded, and the answer was lost: the daemon still decides by the old policy,
/// and records that before it goes on.
#[tokio::test]
async fn a_policy_that_only_the_ledger_has_stops_no_caller() {
    let world = World::under(with_role("", r#"["alice"]"#, "1h")).await;
    let other = policy("# Another one.");
    let lost = EventKind::PolicyLoaded {
        policy: other.hash().to_owned(),
        text: Some(other.text().to_owned()),
    };
    world.authority.store.record(lost, now()).await.unwrap();
    let in_use = world.authority.policy().hash().to_owned();
    let bob = person("bob", &["sre"]);
    let (result, added) = world.added(world.issue(&bob, &ask("prod"))).await;
    result.unwrap();
    let [
        EventKind::PolicyLoaded {
            policy,
            text: Some(_),
        },
        EventKind::Issued(issued),
    ] = &added[..]
    else {
        panic!("{added:?}")
    };
    assert_eq!((policy, &issued.policy), (&in_use, &in_use));
}

#[tokio::test]
async fn a_token_that_is_bound_to_no_key_decides_nothing() {
    let world = World::under(with_role(APPROVAL, r#"["alice"]"#, "15m")).await;
    let bob = unbound("bob", &["sre"]);
    let id = world.request(&bob).await;
    for verb in [Verb::Approve, Verb::Deny, Verb::Review] {
        let carol = unbound("carol", &["lead"]);
        let (result, added) = world.added(world.decide(&carol, id, verb)).await;
        let Err(Error::Denied(denial)) = result else {
            panic!("{verb:?}: {result:?}")
        };
        assert_eq!(denial.reason.code(), "UNBOUND_TOKEN", "{verb:?}");
        assert!(denial.detail.contains("daypass login"), "{}", denial.detail);
        let [EventKind::Denied { reason, .. }] = &added[..] else {
            panic!("{added:?}")
        };
        assert_eq!(reason, "UNBOUND_TOKEN");
    }
    world
        .decide(&person("carol", &["lead"]), id, Verb::Approve)
        .await
        .unwrap();
    world.decide(&bob, id, Verb::Cancel).await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_bound_to_no_key_administers_nothing() {
    let world = World::under(with_role("", r#"["alice"]"#, "15m")).await;
    let mallory = unbound("carol", &["security"]);
    let authority = &world.authority;
    let (result, added) = world
        .added(admin::locks(authority, mallory.identity(), context()))
        .await;
    assert!(matches!(result, Err(Error::Denied(_))), "{result:?}");
    let [EventKind::Denied { reason, .. }] = &added[..] else {
        panic!("{added:?}")
    };
    assert_eq!(reason, "UNBOUND_TOKEN");
    let carol = person("carol", &["security"]);
    admin::locks(authority, carol.identity(), context())
        .await
        .unwrap();
}

/// `require = { bound = true }` for a role, and what meets it.
#[tokio::test]
async fn a_role_may_demand_a_bound_token() {
    let world = World::under(with_role(
        "require = { bound = true }",
        r#"["alice"]"#,
        "15m",
    ))
    .await;
    let refused = world.issue(&unbound("bob", &["sre"]), &ask("prod")).await;
    let Err(Error::Denied(denial)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(denial.reason, Reason::StepUp);
    assert_eq!(
        denial.metadata.get("unmet").map(String::as_str),
        Some("bound")
    );
    assert!(
        denial.detail.contains("without --device"),
        "{}",
        denial.detail
    );
    world
        .issue(&person("bob", &["sre"]), &ask("prod"))
        .await
        .unwrap();
}
