//! Locks by the name that the configuration takes from a claim: Entra's people are known by their
//! `preferred_username`, and their `sub` is opaque.

use daypass::{identity::issuer::Algorithm, proto::v1::lock_target};

use crate::{
    habits::Provider,
    support::{
        api::{Caller, Refusal, ask},
        now,
    },
};

const ALICE: &str = "alice@corp.example";

/// A person of the provider, by subject and configured name.
struct Person {
    caller: Caller,
    token: String,
}

impl Person {
    fn sign_in(provider: &Provider, subject: &str, name: &str) -> Self {
        let caller = Caller::new();
        let mut claims = caller.claims(&provider.issuer.identifier(), subject, &[], now());
        let members = claims.as_object_mut().unwrap();
        for name in ["email", "email_verified"] {
            members.remove(name);
        }
        members.insert("preferred_username".into(), name.into());
        members.insert(
            "groups".into(),
            vec!["7f2f0c7e-1111-4a55-9b8c-0d5f0a5a2b10"].into(),
        );
        let token = provider.issuer.sign(Algorithm::RS256, &claims);
        Self { caller, token }
    }

    /// The key id of a pass.
    async fn pass(&self, provider: &Provider) -> Result<String, Refusal> {
        let api = &provider.env.api;
        let attempt = self
            .caller
            .attempt(api.server_name(), &self.token, ask("shell"));
        let issued = api.issue(&attempt).await?;
        let certificate = ssh_key::Certificate::from_openssh(&issued.certificate).unwrap();
        Ok(certificate.key_id().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_by_the_configured_name_covers_that_person_and_no_look_alike() {
    let provider = Provider::start("entra").await;
    let alice = Person::sign_in(&provider, "AAAA-alice", ALICE);
    assert_eq!(
        alice.pass(&provider).await.unwrap(),
        format!("{ALICE}/shell")
    );
    let look_alikes = [
        (
            "another case",
            "AAAA-1",
            "Alice@corp.example",
            "Alice@corp.example",
        ),
        (
            "a Cyrillic letter",
            "AAAA-2",
            "\u{430}lice@corp.example",
            "AAAA-2",
        ),
        (
            "a full-width letter",
            "AAAA-3",
            "\u{ff41}lice@corp.example",
            "AAAA-3",
        ),
        (
            "an invisible letter",
            "AAAA-4",
            "alice\u{200b}@corp.example",
            "AAAA-4",
        ),
        (
            "a combining mark",
            "AAAA-5",
            "alice\u{301}@corp.example",
            "AAAA-5",
        ),
        (
            "a blank at the end",
            "AAAA-6",
            "alice@corp.example ",
            "AAAA-6",
        ),
        (
            "a byte of zero",
            "AAAA-7",
            "alice@corp.example\u{0}",
            "AAAA-7",
        ),
        (
            "another domain",
            "AAAA-8",
            "alice@corp.example.org",
            "alice@corp.example.org",
        ),
        (
            "the address as a part",
            "AAAA-9",
            "x+alice@corp.example",
            "x+alice@corp.example",
        ),
    ]
    .map(|(case, subject, name, label)| {
        let person = Person::sign_in(&provider, subject, name);
        (case, person, label)
    });
    for (case, person, label) in &look_alikes {
        let key_id = person.pass(&provider).await.unwrap();
        assert_eq!(key_id, format!("{label}/shell"), "{case}");
    }

    // The administrator types the name and is told whom it covers.
    let carol = provider.env.terminal("carol");
    carol
        .json(&["login", "--issuer", "dev", "--as", "carol"])
        .await;
    let lock = ["admin", "lock", ALICE, "--reason", "laptop stolen", "--yes"];
    let locked = carol.json(&lock).await;
    let covers = locked["covers"].as_array().unwrap();
    assert_eq!(covers.len(), 1, "{locked}");
    assert_eq!(covers[0]["subject"], "AAAA-alice");
    assert_eq!(covers[0]["issuer"], provider.issuer.identifier());

    for (case, name) in [
        ("the same name", ALICE),
        ("a new name", "alice.b@corp.example"),
        ("another case of it", "ALICE@corp.example"),
        ("no plain name", "\u{430}lice@corp.example"),
    ] {
        let again = Person::sign_in(&provider, "AAAA-alice", name);
        let refusal = again.pass(&provider).await.unwrap_err();
        assert_eq!(refusal.reason, "LOCKED", "{case}");
    }
    for (case, person, _) in &look_alikes {
        let passed = person.pass(&provider).await;
        assert!(passed.is_ok(), "{case}: {passed:?}");
    }
    // A person who takes the locked name is locked with it.
    let taken = Person::sign_in(&provider, "AAAA-new", ALICE);
    assert_eq!(taken.pass(&provider).await.unwrap_err().reason, "LOCKED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_by_a_look_alike_name_is_not_on_the_person() {
    let provider = Provider::start("entra").await;
    let alice = Person::sign_in(&provider, "AAAA-alice", ALICE);
    alice.pass(&provider).await.unwrap();
    for name in ["ALICE@corp.example", "\u{430}lice@corp.example", "alice"] {
        let target = lock_target::Target::Identity(name.to_owned());
        provider.env.carol().lock(target).await.unwrap();
        alice
            .pass(&provider)
            .await
            .unwrap_or_else(|it| panic!("{name}: {it:?}"));
    }
    // The command says which known name is close.
    let carol = provider.env.terminal("carol");
    carol
        .json(&["login", "--issuer", "dev", "--as", "carol"])
        .await;
    let lock = ["admin", "lock", "Alice@corp.example", "--reason", "x"];
    let done = carol.run(&lock).await;
    assert!(done.code != 0 && done.stderr.contains(ALICE), "{done:?}");
}
