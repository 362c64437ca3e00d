//! The environment of one test: a folder, an issuer, a daemon, and the users that it serves.
//!
//! [`TestEnv::new`] starts with defaults; a test adds what it needs beside them:
//! `TestEnv::new().policy(POLICY).with_sshd().start().await`.

use std::{
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
};

use daypass::{
    dev::{
        issuer::Issuer,
        world::{Options, World},
    },
    identity::issuer::Algorithm,
    notify::Schedule,
    operations::Authority,
    policy::Policy,
    proto::v1::Ask,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    api::{Api, Attempt, Caller, Refusal, ask},
    command::{DAYPASS, Done, Terminal},
    files, ledger,
    server::{ServerFiles, TestServer},
    user::TestUser,
};

/// Rates that no test reaches: tests ask faster than people do.
pub const UNLIMITED: &str = "requests_per_address = { per_second = 1000000, burst = 1000000 }\n\
                             requests_per_identity = { per_second = 1000000, burst = 1000000 }\n";

/// A running environment.
pub struct TestEnv {
    pub server: TestServer,
    pub api: Api,
}

/// What an environment differs in from the default: the dev world's own policy, a daemon in this
/// process, no rate limits, no sshd.
pub struct EnvOptions {
    folder: TempDir,
    policy: Option<String>,
    limits: String,
    configuration: String,
    with_sshd: bool,
    people: Vec<String>,
    webhook_schedule: Option<Schedule>,
}

impl EnvOptions {
    /// The folder of the environment, for files that the configuration names (as `../NAME`).
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn policy(mut self, policy: impl Into<String>) -> Self {
        self.policy = Some(policy.into());
        self
    }

    /// The lines of `[limits]` in `daypass.toml`, instead of rates that no test reaches.
    pub fn limits(mut self, lines: impl Into<String>) -> Self {
        self.limits = lines.into();
        self
    }

    /// More sections for `daypass.toml`.
    pub fn configuration(mut self, sections: impl Into<String>) -> Self {
        self.configuration = sections.into();
        self
    }

    pub fn with_sshd(mut self) -> Self {
        self.with_sshd = true;
        self
    }

    /// People of the dev world who are signed in, each at a terminal of their own.
    pub fn signed_in(mut self, people: &[&str]) -> Self {
        self.people = people.iter().map(|&name| name.to_owned()).collect();
        self
    }

    pub fn webhook_schedule(mut self, schedule: Schedule) -> Self {
        self.webhook_schedule = Some(schedule);
        self
    }

    /// Starts a dev world with its daemon in this process.
    pub async fn start(self) -> TestEnv {
        let options = Options {
            servers: None,
            program: Some(DAYPASS.into()),
            policy: self.policy,
            configuration: format!("{}\n[limits]\n{}", self.configuration, self.limits),
            without_sshd: !self.with_sshd,
            knows_hosts: false,
            webhook_schedule: self.webhook_schedule,
        };
        let world = World::start_with(&self.folder.path().join("world"), options).await;
        let server = TestServer::InProcess(Box::new(world.unwrap()), self.folder);
        let env = TestEnv::over(server).await;
        for name in &self.people {
            env.terminal(name).sign_in(name).await;
        }
        env
    }

    /// Writes the files of a daemon that is to run in a process of its own.
    pub async fn prepare(self) -> ServerFiles {
        let policy = self.policy.as_deref().unwrap_or_default();
        let (limits, more) = (&self.limits, &self.configuration);
        ServerFiles::prepare(self.folder, policy, limits, more).await
    }

    /// Starts a daemon in a process of its own.
    pub async fn start_process(self) -> TestEnv {
        let files = self.prepare().await;
        let process = files.spawn(&[]);
        TestEnv::over(TestServer::Process(files, process)).await
    }
}

impl TestEnv {
    pub fn new() -> EnvOptions {
        EnvOptions {
            folder: files::folder(),
            policy: None,
            limits: UNLIMITED.to_owned(),
            configuration: String::new(),
            with_sshd: false,
            people: Vec::new(),
            webhook_schedule: None,
        }
    }

    /// The default environment.
    pub async fn start() -> Self {
        Self::new().start().await
    }

    /// The default environment with another policy.
    pub async fn with_policy(policy: &str) -> Self {
        Self::new().policy(policy).start().await
    }

    async fn over(mut server: TestServer) -> Self {
        let api = server.open().await;
        Self { server, api }
    }

    /// The dev world.
    pub fn world(&self) -> &World {
        self.server.world()
    }

    /// The state of the daemon in this process.
    pub fn authority(&self) -> &Authority {
        self.world().daemon().unwrap().authority()
    }

    pub fn issuer(&self) -> &Issuer {
        self.server.issuer()
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        self.server.folder()
    }

    /// Ends the daemon (in this process in order, else by SIGKILL), starts it again, and opens a
    /// new connection. Users that signed in before keep their old one: see [`TestUser::over`].
    pub async fn restart(&mut self) {
        self.server.restart().await;
        self.api = self.server.open().await;
    }

    /// Another connection to the same daemon.
    pub async fn another_api(&self) -> Api {
        Api::open(&self.server.url(), self.server.tls_ca().as_bytes()).await
    }

    /// Ends the world in order.
    pub async fn close(self) {
        if let TestServer::InProcess(world, _folder) = self.server {
            world.stop().await.unwrap();
        }
    }

    /// Puts another policy in force.
    pub async fn replace_policy(&self, policy: &str) {
        let policy = Policy::parse(policy, "policy.toml").unwrap();
        let now = time::OffsetDateTime::now_utc();
        let replaced = self.authority().replace_policy(policy, now).await;
        replaced.unwrap();
    }

    /// A user of these groups, signed in with a fresh key.
    pub fn user(&self, name: &str, groups: &[&str]) -> TestUser {
        TestUser::sign_in(self, name, groups)
    }

    /// A user with this key, whose token says these claims.
    pub fn user_with(&self, name: &str, caller: Caller, claims: Value) -> TestUser {
        let token = self.sign(claims);
        TestUser {
            name: name.to_owned(),
            caller,
            token,
            api: self.api.clone(),
        }
    }

    /// The auditor and administrator of most policies.
    pub fn carol(&self) -> TestUser {
        self.user("carol", &["security"])
    }

    /// A terminal with a state folder of its own.
    pub fn terminal(&self, name: &str) -> Terminal {
        Terminal {
            home: self.folder().to_owned(),
            state: self.state(name),
            variables: self.server.variables(),
        }
    }

    /// The terminal whose state folder is the one that the world's `ssh_config` names.
    pub fn own_terminal(&self) -> Terminal {
        Terminal {
            state: self.world().files().client_state(),
            ..self.terminal("")
        }
    }

    /// The state folder of this person's terminal.
    pub fn state(&self, person: &str) -> PathBuf {
        self.folder().join(person)
    }

    /// Runs `daypass WORDS` with JSON at this person's terminal.
    pub async fn daypass(&self, person: &str, words: impl AsRef<str>) -> Done {
        self.run(person, words.as_ref(), &[]).await
    }

    /// As [`TestEnv::daypass`], with words that hold spaces.
    pub async fn run(&self, person: &str, words: &str, more: &[&str]) -> Done {
        Done::of(self.command(person, words, more)).await
    }

    /// As [`TestEnv::run`], not started yet.
    pub fn command(&self, person: &str, words: &str, more: &[&str]) -> tokio::process::Command {
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut command = self.terminal(person).command(&[&words, more].concat());
        command.env("DAYPASS_FORMAT", "json");
        command
    }

    /// Unix seconds.
    pub fn now(&self) -> i64 {
        super::now()
    }

    /// Good claims for a caller's key.
    pub fn claims(&self, caller: &Caller, subject: &str, groups: &[&str]) -> Value {
        caller.claims(self.issuer().url(), subject, groups, self.now())
    }

    /// An ES256 token over these claims.
    pub fn sign(&self, claims: Value) -> String {
        self.issuer().sign(Algorithm::ES256, &claims)
    }

    /// An ES256 token over exactly these payload bytes.
    pub fn sign_payload(&self, payload: &[u8]) -> String {
        self.issuer().sign_raw(&self.header(), payload)
    }

    /// A token whose good header was changed.
    pub fn sign_with_header(&self, change: fn(&mut Value), claims: &Value) -> String {
        let mut header = self.header();
        change(&mut header);
        let payload = claims.to_string();
        self.issuer().sign_raw(&header, payload.as_bytes())
    }

    /// The header of a good ES256 token.
    pub fn header(&self) -> Value {
        json!({"alg": "ES256", "typ": "JWT", "kid": self.issuer().key_id(Algorithm::ES256)})
    }

    /// An honest attempt at the role `shell`.
    pub fn attempt(&self, caller: &Caller, token: &str) -> Attempt {
        caller.attempt(self.api.server_name(), token, ask("shell"))
    }

    /// Demands that an honest caller gets a pass.
    pub async fn assert_honest(&self) {
        self.assert_honest_ask(ask("shell"), &["sre"]).await;
    }

    /// Demands that an honest caller with these groups gets this.
    pub async fn assert_honest_ask(&self, ask: Ask, groups: &[&str]) {
        let pass = self.user("alice", groups).issue(ask).await;
        assert!(pass.is_ok(), "an honest caller is served: {pass:?}");
    }

    /// Demands that this is refused for that reason, with one event of it and no pass.
    pub async fn refused<T: Debug>(
        &self,
        case: &str,
        reason: &str,
        action: impl Future<Output = Result<T, Refusal>>,
    ) {
        self.refused_with_events(case, reason, 1, action).await;
    }

    /// As [`TestEnv::refused`], with so many events, each a denial for that reason.
    pub async fn refused_with_events<T: Debug>(
        &self,
        case: &str,
        reason: &str,
        events: usize,
        action: impl Future<Output = Result<T, Refusal>>,
    ) {
        let before = self.ledger_size().await;
        let refusal = action.await.expect_err(case);
        assert_eq!(refusal.reason, reason, "{case}: {refusal:?}");
        let left = self.events(before).await;
        assert_eq!(left.len(), events, "{case}: {left:?}");
        for event in left {
            assert_eq!(event["type"], "denied", "{case}");
            assert_eq!(event["reason"], reason, "{case}");
        }
    }

    /// The number of events in the ledger.
    pub async fn ledger_size(&self) -> u64 {
        self.api.ledger_size(&self.carol().token).await
    }

    /// The events from `from` on.
    pub async fn events(&self, from: u64) -> Vec<Value> {
        self.api.events(&self.carol().token, from).await
    }

    /// The passes that were issued from `from` on.
    pub async fn issued(&self, from: u64) -> Vec<Value> {
        let events = self.events(from).await.into_iter();
        events.filter(|event| event["type"] == "issued").collect()
    }

    /// Verifies the whole ledger from its export; returns the export.
    pub async fn assert_verifies(&self) -> Vec<u8> {
        ledger::assert_verifies(&self.api, &self.carol().token).await
    }

    /// The active CA key in OpenSSH form.
    pub async fn ca_public_key(&self) -> String {
        ledger::trust(&self.api).await.ca_keys.remove(0).public_key
    }

    /// Demands that no event holds a token (each starts with the encoding of `{"`) or a private
    /// key.
    pub async fn assert_no_secret_in_events(&self) {
        let events = serde_json::to_string(&self.events(0).await).unwrap();
        for secret in ["eyJ", "PRIVATE KEY", "SSH SIGNATURE"] {
            assert!(!events.contains(secret), "{secret} is in the ledger");
        }
    }

    /// Replaces text in a file of the world (`daypass.toml`, `policy.toml`).
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        files::edit(&self.world().files().dir().join(name), from, to);
    }

    /// The one password of the dev world.
    pub fn password(&self) -> String {
        let password = fs::read_to_string(self.world().files().password()).unwrap();
        password.trim().to_owned()
    }
}
