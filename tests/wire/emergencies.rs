//! The way in while the issuer is down, through the real server: registered keys, a fresh
//! challenge, k of n, and all that is refused.

use crate::support::issued::Issued;
use crate::support::{
    api::{Refusal, with_token},
    env::TestEnv,
    files::new_key,
    policy,
};
use daypass::{
    identity::proof::possession_message,
    ledger::{
        EventKind, LedgerState, emergency,
        event::{Actor, LockTarget, Locked, RevokeTarget},
        order::{Proof, Target},
    },
    proto::{
        ask_bytes,
        v1::{
            Ask, EmergencyChallengeRequest, EmergencyProof, IssueRequest, KeyProof,
            ListRequestsRequest, emergency_proof::Signature, request::State,
        },
    },
    ssh::sshsig::Namespace,
};
use sha2::{Digest, Sha256};
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use tonic::Code;

/// `two` needs two people's keys. Mallory is registered and on call for nothing; eve's key is not
/// registered.
fn policy() -> String {
    let two = policy::EMERGENCY.replace(" }", ", keys = 2 }");
    let prod = [
        "ttl = \"1h\"",
        "require = { auth_age = \"1m\", amr = [\"hwk\"] }",
        policy::APPROVAL,
        policy::EMERGENCY,
    ];
    [
        &policy::limits(&["deploy", "jump"]),
        policy::AUDIT_AND_ADMIN,
        BASTION,
        &policy::role("prod", "oncall", "deploy", &prod),
        &policy::role("two", "oncall", "deploy", &[&two]),
        &policy::role(
            "db",
            "oncall",
            "deploy",
            &["source = \"bastion\"", policy::EMERGENCY],
        ),
        &policy::role("plain", "oncall", "deploy", &[]),
    ]
    .concat()
}

const BASTION: &str = r#"
[[bastion]]
name = "edge"
host = "bastion.example.com"
login = "jump"
addresses = ["192.0.2.10"]
hosts = ["db-*"]
"#;

/// A world in which some keys are registered.
struct Outage {
    env: TestEnv,
    alice: PrivateKey,
    bob: PrivateKey,
    bobs_other: PrivateKey,
    mallory: PrivateKey,
}

/// One emergency issue in parts; a test changes one of them.
#[derive(Clone)]
struct Attempt {
    challenge: String,
    server: String,
    namespace: &'static str,
    subject: PrivateKey,
    ask: Ask,
}

fn armored(key: &PrivateKey, namespace: &str, message: &[u8]) -> String {
    let signature = key.sign(namespace, HashAlg::Sha512, message);
    signature.unwrap().to_pem(LineEnding::LF).unwrap()
}

fn registered(name: &str, groups: &str, keys: &[&PrivateKey]) -> String {
    let keys = keys
        .iter()
        .map(|key| format!("{:?}", key.public_key().to_openssh().unwrap()));
    let keys: Vec<_> = keys.collect();
    format!(
        "[[emergency_identity]]\nissuer = \"@issuer@\"\nsubject = \"{name}\"\nlabel = \"{name}@example.com\"\n\
         claims = {{ groups = [{groups}] }}\nkeys = [{}]\n",
        keys.join(", ")
    )
}

fn ask(role: &str) -> Ask {
    Ask {
        role: role.to_owned(),
        reason: "INC-7".to_owned(),
        emergency: true,
        ..Ask::default()
    }
}

impl Outage {
    async fn start() -> Self {
        let [alice, bob, bobs_other, mallory] = [new_key(), new_key(), new_key(), new_key()];
        let policy = [
            policy(),
            registered("alice", "\"oncall\"", &[&alice]),
            registered("bob", "\"oncall\"", &[&bob, &bobs_other]),
            registered("mallory", "", &[&mallory]),
        ];
        let env = TestEnv::with_policy(&policy.concat()).await;
        // The daemon has the issuer's keys before the issuer ends: the tokens of this test stay
        // good.
        env.ledger_size().await;
        env.issuer().stop().await;
        Self {
            env,
            alice,
            bob,
            bobs_other,
            mallory,
        }
    }

    async fn challenge(&self) -> String {
        let answer = self
            .env
            .api
            .passes()
            .emergency_challenge(EmergencyChallengeRequest {})
            .await;
        answer.unwrap().into_inner().challenge
    }

    async fn attempt(&self, role: &str) -> Attempt {
        Attempt {
            challenge: self.challenge().await,
            server: self.env.api.server_name().to_owned(),
            namespace: Namespace::Emergency.as_str(),
            subject: new_key(),
            ask: ask(role),
        }
    }

    async fn issue(&self, request: IssueRequest) -> Result<Issued, Refusal> {
        Ok(self
            .env
            .api
            .passes()
            .issue(request)
            .await?
            .into_inner()
            .into())
    }

    async fn try_keys(&self, role: &str, keys: &[&PrivateKey]) -> Result<Issued, Refusal> {
        let attempt = self.attempt(role).await;
        self.issue(attempt.by(keys)).await
    }

    /// Demands that this is refused with so many events, and no pass.
    async fn refused(&self, case: &str, reason: &str, events: usize, request: IssueRequest) {
        let refused = self.issue(request);
        self.env
            .refused_with_events(case, reason, events, refused)
            .await;
    }

    async fn lock(&self, target: LockTarget) {
        let authority = self.env.authority();
        let at = time::OffsetDateTime::from_unix_timestamp(self.env.now()).unwrap();
        let who = Actor {
            issuer: self.env.issuer().url().to_owned(),
            subject: "carol".to_owned(),
            label: "carol@example.com".to_owned(),
            claims: serde_json::json!({}).into(),
        };
        let compose = move |state: &LedgerState| {
            let serials = state.lockable(&target, at);
            let about = Target::from(&target);
            let proof = Proof::new(String::new(), "", &[0; 32], state.after(&about));
            Ok(EventKind::Locked(Box::new(Locked {
                covers: state.covered(&about, &who),
                who,
                target,
                reason: None,
                serials,
                proof: Some(proof),
            })))
        };
        authority.store.compose(compose, at).await.unwrap();
    }
}

impl Attempt {
    fn message(&self) -> Vec<u8> {
        let hash: [u8; 32] = Sha256::digest(self.challenge.as_bytes()).into();
        let key = self.subject.public_key();
        possession_message(&self.server, &hash, key, &ask_bytes(&self.ask)).unwrap()
    }

    fn possession(&self, key: &PrivateKey) -> String {
        armored(key, Namespace::Issue.as_str(), &self.message())
    }

    /// Signed by these registered keys.
    fn by(&self, keys: &[&PrivateKey]) -> IssueRequest {
        let holder = keys.first().map(|key| key.public_key().to_bytes().unwrap());
        let message = emergency::message(&holder.unwrap_or_default(), &self.message());
        let signatures = keys.iter().map(|key| Signature {
            public_key: key.public_key().to_openssh().unwrap(),
            signature: armored(key, self.namespace, &message),
        });
        IssueRequest {
            ask: Some(self.ask.clone()),
            proof: Some(KeyProof {
                public_key: self.subject.public_key().to_openssh().unwrap(),
                binding_secret: Vec::new(),
                signature: self.possession(&self.subject),
            }),
            emergency: Some(EmergencyProof {
                challenge: self.challenge.clone(),
                signatures: signatures.collect(),
            }),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_key_gets_a_short_pass_whose_proof_is_in_the_ledger_and_whose_review_stays_open()
 {
    let outage = Outage::start().await;
    let pass = outage.try_keys("prod", &[&outage.bob]).await.unwrap();
    assert_eq!(
        (pass.principals, &*pass.key_id),
        (vec!["deploy".to_owned()], "bob@example.com/prod")
    );
    assert!(pass.valid_before - pass.valid_after <= 15 * 60 + 60);
    let event = outage.env.events(pass.serial).await.remove(0);
    assert_eq!(
        (&event["type"], &event["binding"]),
        (&"issued".into(), &"emergency".into())
    );
    assert_eq!(event["who"]["subject"], "bob");
    let signatures = event["emergency_proof"]["signatures"].as_array().unwrap();
    assert_eq!(signatures.len(), 1);

    // By his token bob is the same person, so he does not review it himself.
    let own = outage
        .env
        .user("bob", &["oncall", "security"])
        .review(pass.serial)
        .await;
    assert_eq!(own.unwrap_err().reason, "OWN_REQUEST");
    let carol = outage.env.carol();
    let mut requests = carol.api.requests();
    let open = requests
        .list(with_token(ListRequestsRequest::default(), &carol.token))
        .await;
    let open = open.unwrap().into_inner().requests;
    assert_eq!((open.len(), open[0].state()), (1, State::ReviewOpen));
    let reviewed = outage
        .env
        .user("carol", &["security"])
        .review(pass.serial)
        .await
        .unwrap();
    assert_eq!(reviewed.state(), State::Reviewed);

    // Through a bastion it is two passes and one review.
    let mut attempt = outage.attempt("db").await;
    attempt.ask.host = "db-1".into();
    let pass = outage.issue(attempt.by(&[&outage.bob])).await.unwrap();
    assert_eq!(pass.jump.unwrap().serial, pass.serial + 1);
    let all = requests
        .list(with_token(ListRequestsRequest::default(), &carol.token))
        .await;
    let open: Vec<_> = all.unwrap().into_inner().requests;
    assert_eq!((open.len(), open[0].id), (1, pass.serial));

    outage.env.assert_verifies().await;
}

type Change = fn(&mut Attempt);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_signed_by_a_registered_key_for_this_very_ask_gets_nothing() {
    let outage = Outage::start().await;
    // What the keys signed differs from what is sent.
    let changes: [(&str, Change); 6] = [
        ("another role", |it| it.ask.role = "two".into()),
        ("another reason", |it| it.ask.reason.push('2')),
        ("another host", |it| it.ask.host = "web-2".into()),
        ("another server", |it| it.server = "evil.example.com".into()),
        ("another pass key", |it| it.subject = new_key()),
        ("another namespace", |it| {
            it.namespace = Namespace::Issue.as_str()
        }),
    ];
    for (case, change) in changes {
        let honest = outage.attempt("prod").await;
        let mut other = honest.clone();
        change(&mut other);
        let mut request = honest.by(&[]);
        request.emergency.as_mut().unwrap().signatures =
            other.by(&[&outage.bob]).emergency.unwrap().signatures;
        outage.refused(case, "EMERGENCY_KEY", 0, request).await;
    }
    let eve = new_key();
    let base = outage.attempt("prod").await;
    outage
        .refused("an unregistered key", "EMERGENCY_KEY", 0, base.by(&[&eve]))
        .await;
    outage
        .refused("no signature", "EMERGENCY_KEY", 0, base.by(&[]))
        .await;
    outage
        .refused(
            "a registered key beside a stranger's",
            "EMERGENCY_KEY",
            0,
            base.by(&[&outage.bob, &eve]),
        )
        .await;
    outage
        .refused(
            "17 signatures",
            "TOKEN_TOO_LARGE",
            0,
            base.by(&[&outage.bob; 17]),
        )
        .await;
    let mut borrowed = base.by(&[&eve]);
    let proof = borrowed.emergency.as_mut().unwrap();
    proof.signatures[0].public_key = outage.bob.public_key().to_openssh().unwrap();
    outage
        .refused(
            "a registered key's name over a stranger's signature",
            "EMERGENCY_KEY",
            0,
            borrowed,
        )
        .await;
    let mut stolen = base.by(&[&outage.bob]);
    stolen.proof.as_mut().unwrap().signature = base.possession(&eve);
    outage
        .refused("a pass key that is not held", "POSSESSION", 1, stolen)
        .await;
    // After all that the same challenge still serves an honest caller.
    outage.issue(base.by(&[&outage.bob])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_this_servers_and_is_answered_once() {
    let outage = Outage::start().await;
    let good = outage.attempt("prod").await;
    let flipped = {
        let mut text = good.challenge.clone().into_bytes();
        text[0] = if text[0] == b'A' { b'B' } else { b'A' };
        String::from_utf8(text).unwrap()
    };
    let strange = [
        "",
        "x",
        &flipped,
        &good.challenge[1..],
        &"A".repeat(75),
        &"A".repeat(4096),
    ];
    for challenge in strange {
        let attempt = Attempt {
            challenge: challenge.to_owned(),
            ..good.clone()
        };
        outage
            .refused(challenge, "CHALLENGE", 0, attempt.by(&[&outage.bob]))
            .await;
    }
    let pass = outage.issue(good.by(&[&outage.bob])).await.unwrap();
    outage
        .refused(
            "the same request again",
            "CHALLENGE_USED",
            1,
            good.by(&[&outage.bob]),
        )
        .await;
    let other = Attempt {
        subject: new_key(),
        ..good.clone()
    };
    outage
        .refused(
            "its challenge for another key",
            "CHALLENGE_USED",
            1,
            other.by(&[&outage.alice]),
        )
        .await;
    assert!(pass.serial > 0);

    // Ten at once over one challenge: one of them.
    let raced = outage.attempt("prod").await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (mut passes, request) = (outage.env.api.passes(), raced.by(&[&outage.bob]));
        tries.spawn(async move { passes.issue(request).await.is_ok() });
    }
    let outcomes = tries.join_all().await;
    assert_eq!(outcomes.into_iter().filter(|is_ok| *is_ok).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_key_is_for_emergencies_of_roles_that_have_them_and_for_nothing_else() {
    let outage = Outage::start().await;
    for (case, reason, change) in [
        (
            "no emergency",
            "EMERGENCY_ONLY",
            (|it| it.ask.emergency = false) as Change,
        ),
        ("a role without any", "NOT_ALLOWED", |it| {
            it.ask.role = "plain".into()
        }),
        ("no such role", "ROLE_UNKNOWN", |it| {
            it.ask.role = "nothing".into()
        }),
        ("no reason", "REASON_REQUIRED", |it| it.ask.reason.clear()),
    ] {
        let mut attempt = outage.attempt("prod").await;
        change(&mut attempt);
        outage
            .refused(case, reason, 1, attempt.by(&[&outage.bob]))
            .await;
    }
    let not_on_call = outage.attempt("prod").await.by(&[&outage.mallory]);
    outage
        .refused("not on call", "NOT_ALLOWED", 1, not_on_call)
        .await;

    // Both ways in at once are none.
    let token = outage.env.user("bob", &["oncall"]).token;
    let before = outage.env.ledger_size().await;
    let request = outage.attempt("prod").await.by(&[&outage.bob]);
    let status = outage
        .env
        .api
        .passes()
        .issue(with_token(request, &token))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(outage.env.ledger_size().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn k_of_n_counts_people_who_may_have_it_each_once() {
    let outage = Outage::start().await;
    for (case, keys) in [
        ("one", vec![&outage.bob]),
        (
            "one person's two keys",
            vec![&outage.bob, &outage.bobs_other],
        ),
        ("one key twice", vec![&outage.bob, &outage.bob]),
        (
            "a user who may not have it",
            vec![&outage.bob, &outage.mallory],
        ),
    ] {
        let request = outage.attempt("two").await.by(&keys);
        outage.refused(case, "QUORUM", 1, request).await;
    }
    let pass = outage
        .try_keys("two", &[&outage.bob, &outage.alice])
        .await
        .unwrap();
    let event = outage.env.events(pass.serial).await.remove(0);
    assert_eq!(event["who"]["subject"], "bob");
    let signatures = event["emergency_proof"]["signatures"].as_array().unwrap();
    let people: Vec<_> = signatures
        .iter()
        .map(|one| &one["who"]["subject"])
        .collect();
    assert_eq!(people, ["bob", "alice"]);
    // The pass is its signers' too: a lock or revocation of one of them covers it, and none of
    // them reviews it.
    let fingerprint = outage.alice.fingerprint(HashAlg::Sha256).to_string();
    let authority = outage.env.authority();
    let at = time::OffsetDateTime::from_unix_timestamp(outage.env.now()).unwrap();
    authority.store.state(|state| {
        for target in [
            LockTarget::Identity("alice".to_owned()),
            LockTarget::Key(fingerprint.clone()),
        ] {
            assert_eq!(state.lockable(&target, at), [pass.serial], "{target}");
        }
        let key = RevokeTarget::Key(fingerprint.clone());
        assert_eq!(state.revocable(&key, at), [pass.serial]);
    });
    let second = outage
        .env
        .user("alice", &["security"])
        .review(pass.serial)
        .await;
    assert_eq!(second.unwrap_err().reason, "OWN_REQUEST");

    // The second signer lets in the one that they signed for, and no other user.
    let attempt = outage.attempt("two").await;
    let mut reversed = attempt.by(&[&outage.bob, &outage.alice]);
    reversed.emergency.as_mut().unwrap().signatures.reverse();
    outage
        .refused("their order is changed", "EMERGENCY_KEY", 0, reversed)
        .await;
    let mut alone = attempt.by(&[&outage.bob, &outage.alice]);
    alone.emergency.as_mut().unwrap().signatures.remove(0);
    outage
        .refused("the second one alone", "EMERGENCY_KEY", 0, alone)
        .await;
    let pass = outage
        .try_keys("two", &[&outage.alice, &outage.bob])
        .await
        .unwrap();
    assert_eq!(pass.key_id, "alice@example.com/two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_user_neither_gets_in_nor_lets_in() {
    let fingerprint = |key: &PrivateKey| key.fingerprint(HashAlg::Sha256).to_string();
    for (case, target) in [
        ("the one who asks", LockTarget::Identity("bob".to_owned())),
        (
            "the one who seconds",
            LockTarget::Identity("alice@example.com".to_owned()),
        ),
        ("the role", LockTarget::Role("two".to_owned())),
    ] {
        let outage = Outage::start().await;
        outage.lock(target).await;
        let request = outage
            .attempt("two")
            .await
            .by(&[&outage.bob, &outage.alice]);
        outage.refused(case, "LOCKED", 1, request).await;
    }
    let outage = Outage::start().await;
    outage.lock(LockTarget::Key(fingerprint(&outage.bob))).await;
    let request = outage.attempt("prod").await.by(&[&outage.bob]);
    outage
        .refused("the registered key", "LOCKED", 1, request)
        .await;
    outage
        .try_keys("prod", &[&outage.bobs_other])
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_key_is_registered_there_is_no_challenge() {
    let env = TestEnv::with_policy(&policy()).await;
    let mut passes = env.api.passes();
    let status = passes
        .emergency_challenge(EmergencyChallengeRequest {})
        .await
        .unwrap_err();
    assert_eq!(Refusal::from(status).reason, "EMERGENCY_KEY");
}
