//! One world in this process and a door to it: what most tests over gRPC start from.

use daypass::{
    dev::world::{Options, World},
    identity::issuer::Algorithm,
    proto::v1::{Ask, GetTrustRequest, trust_client::TrustClient},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::api::{Api, Attempt, Caller, ask};

/// Tests ask faster than people do.
const LIMITS: &str = r#"
[limits]
requests_per_address = { per_second = 100000, burst = 100000 }
requests_per_identity = { per_second = 100000, burst = 100000 }
"#;

/// A running world, its door and an auditor's token.
pub struct TestEnv {
    pub world: World,
    pub door: Api,
    auditor: String,
    _folder: TempDir,
}

impl TestEnv {
    /// The dev world's own policy.
    pub async fn start() -> Self {
        Self::start_with(None, true).await
    }

    /// The dev world with another policy.
    pub async fn with_policy(policy: &str) -> Self {
        Self::start_with(Some(policy.to_owned()), true).await
    }

    /// The dev world with its sshd.
    pub async fn with_sshd() -> Self {
        Self::start_with(None, false).await
    }

    async fn start_with(policy: Option<String>, without_sshd: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            program: Some(env!("CARGO_BIN_EXE_daypass").into()),
            policy,
            configuration: LIMITS.to_owned(),
            without_sshd,
            ..Options::default()
        };
        let world = World::start_with(folder.path(), options).await.unwrap();
        let (url, ca) = world.server();
        let door = Api::open(&url, ca.as_bytes()).await;
        let mut scene = Self {
            world,
            door,
            auditor: String::new(),
            _folder: folder,
        };
        let claims = scene.claims(&Caller::new(), "carol", &["security"]);
        scene.auditor = scene.sign(claims);
        scene
    }

    /// Unix seconds.
    pub fn now(&self) -> i64 {
        super::now()
    }

    /// Good claims for a caller's key.
    pub fn claims(&self, caller: &Caller, subject: &str, groups: &[&str]) -> Value {
        caller.claims(self.world.issuer().url(), subject, groups, self.now())
    }

    /// An ES256 token over these claims.
    pub fn sign(&self, claims: Value) -> String {
        self.world.issuer().sign(Algorithm::ES256, &claims)
    }

    /// An ES256 token over exactly these payload bytes.
    pub fn sign_payload(&self, payload: &[u8]) -> String {
        self.world.issuer().sign_raw(&self.header(), payload)
    }

    /// A token whose good header was changed.
    pub fn sign_with_header(&self, change: fn(&mut Value), claims: &Value) -> String {
        let mut header = self.header();
        change(&mut header);
        let payload = claims.to_string();
        self.world.issuer().sign_raw(&header, payload.as_bytes())
    }

    fn header(&self) -> Value {
        json!({"alg": "ES256", "typ": "JWT", "kid": self.world.issuer().key_id(Algorithm::ES256)})
    }

    /// An honest attempt at the role `shell`.
    pub fn attempt(&self, caller: &Caller, token: &str) -> Attempt {
        caller.attempt(self.door.server_name(), token, ask("shell"))
    }

    /// An honest caller is served.
    pub async fn assert_honest(&self) {
        self.assert_honest_ask(ask("shell"), &["sre"]).await;
    }

    /// An honest caller with these groups gets this.
    pub async fn assert_honest_ask(&self, ask: Ask, groups: &[&str]) {
        let caller = Caller::new();
        let token = self.sign(self.claims(&caller, "alice", groups));
        let attempt = caller.attempt(self.door.server_name(), &token, ask);
        let pass = self.door.issue(&attempt).await;
        assert!(pass.is_ok(), "an honest caller is served: {pass:?}");
    }

    /// How many events the ledger has.
    pub async fn ledger_size(&self) -> u64 {
        self.door.ledger_size(&self.auditor).await
    }

    /// The events from `from` on.
    pub async fn events(&self, from: u64) -> Vec<Value> {
        self.door.events(&self.auditor, from).await
    }

    /// The active CA key in OpenSSH form.
    pub async fn ca_public_key(&self) -> String {
        let mut trust = TrustClient::new(self.door.channel());
        let answer = trust.get_trust(GetTrustRequest {}).await.unwrap();
        answer.into_inner().ca_keys.remove(0).public_key
    }

    /// No event holds a token (each starts with the encoding of `{"`) or a private key.
    pub async fn assert_no_secret_in_events(&self) {
        let events = serde_json::to_string(&self.events(0).await).unwrap();
        for secret in ["eyJ", "PRIVATE KEY", "SSH SIGNATURE"] {
            assert!(!events.contains(secret), "{secret} is in the ledger");
        }
    }
}
