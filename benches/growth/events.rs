//! Events of an honest ledger, as a daemon records them: their signatures are real, and their
//! policies give each pass.

#![allow(dead_code, reason = "each program uses a part")]

use std::{path::Path, sync::LazyLock};

use daypass::{
    ledger::{
        Event, EventKind, approval,
        checkpoint::Signer,
        order::{AdminOrder, Target, Verb as OrderVerb},
        state::Verb,
        tree::{Hash, leaf_hash},
    },
    ssh::sshsig::{Namespace, compact},
    store::Store,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey};
use time::{Duration, OffsetDateTime};
use tokio::task::JoinSet;

/// Name of the server.
pub const SERVER: &str = "localhost";

/// Time between two events: a million of them are four months.
const STEP: Duration = Duration::seconds(10);

/// Different people who get passes.
pub const PEOPLE: u64 = 2_000;

/// Roles with a host group each, and one that needs approval.
const ROLES: u64 = 20;

/// Of so many events, some are the beginnings of longer stories.
const ROUND: u64 = 1_000;

const ISSUER: &str = "https://id.example.com";

/// The policy of every generated event.
fn policy() -> String {
    let mut text = "[audit]\nallow = '\"security\" in claims.groups'\n\
         [admin]\nallow = '\"security\" in claims.groups'\n\
         [limits]\nttl = \"1h\"\nprincipals = [\"root\"]\n[hosts]\n"
        .to_owned();
    for role in 0..ROLES {
        text.push_str(&format!("group{role} = [\"web-{role}.example.com\"]\n"));
    }
    for role in 0..ROLES {
        text.push_str(&format!(
            "[[role]]\nname = \"role{role}\"\nallow = '\"sre\" in claims.groups'\n\
             hosts = [\"group{role}\"]\nprincipals = [\"root\"]\nttl = \"30m\"\n\
             emergency = {{ allow = '\"sre\" in claims.groups', ttl = \"15m\", review = '\"security\" in claims.groups' }}\n"
        ));
    }
    text.push_str(
        "[[role]]\nname = \"prod\"\nallow = '\"sre\" in claims.groups'\nhosts = [\"group0\"]\nprincipals = [\"root\"]\nttl = \"30m\"\n\
         approval = { count = 1, by = '\"security\" in claims.groups', within = \"30m\" }\n",
    );
    text
}

/// A policy of so many roles. Ten thousand fit into the largest file that is read.
pub fn many_roles(roles: u64) -> String {
    let mut text = "[limits]\nttl = \"1h\"\nprincipals = [\"root\"]\n\
         [hosts]\nweb = [\"web-*.example.com\"]\n"
        .to_owned();
    for role in 0..roles {
        text.push_str(&format!(
            "[[role]]\nname=\"role{role}\"\nallow='\"sre\" in claims.groups'\n\
             hosts=[\"web\"]\nprincipals=[\"root\"]\n"
        ));
    }
    text
}

/// The text that generated ledgers hold.
pub static POLICY: LazyLock<String> = LazyLock::new(policy);

/// Appends that wait at once while a ledger is made.
const CALLERS: u64 = 256;

/// Appends until the ledger of the daemon in this folder has so many events. For a runtime with one
/// thread, which runs tasks in the order in which they are spawned. Leaves the store as a daemon
/// that was killed does.
pub async fn fill(folder: &Path, size: u64) {
    let events = Events::new(size, OffsetDateTime::now_utc());
    append(folder, size, events, Events::next).await;
}

/// The same with passes alone, which are all valid yet.
pub async fn fill_live(folder: &Path, size: u64) {
    let now = OffsetDateTime::now_utc();
    let events = Events {
        start: now - LIVE,
        step: LIVE / u32::try_from(size.max(1)).unwrap(),
        ..Events::new(size, now)
    };
    append(folder, size, events, Events::next_pass).await;
}

/// Age of the oldest pass of [`fill_live`]: passes last for longer.
const LIVE: Duration = Duration::minutes(5);

async fn append(
    folder: &Path,
    size: u64,
    mut events: Events,
    next: fn(&mut Events, u64) -> EventKind,
) {
    let key = PrivateKey::read_openssh_file(&folder.join("ledger_key")).unwrap();
    let seed = key.key_data().ed25519().unwrap().private.to_bytes();
    let signer = Signer::new(&format!("{SERVER}/ledger"), &seed).unwrap();
    let started = EventKind::started("bench", SERVER);
    let state = folder.join("state");
    let store = Store::open(&state, signer, started, events.at(0))
        .await
        .unwrap();
    while store.size() < size {
        let from = store.size();
        let mut batch = JoinSet::new();
        for index in from..size.min(from + CALLERS) {
            let (store, what, at) = (store.clone(), next(&mut events, index), events.at(index));
            batch.spawn(async move { store.record(what, at).await });
        }
        while let Some(appended) = batch.join_next().await {
            appended.unwrap().unwrap();
        }
    }
}

/// Makes one event after the other.
pub struct Events {
    /// Time of the event 0.
    start: OffsetDateTime,
    /// Time between two events.
    step: Duration,
    policy: String,
    key: PrivateKey,
    public_key: String,
    /// Leaf hash of the request or emergency that the next events are about.
    digest: Hash,
    /// Index of the last lock.
    lock: u64,
}

impl Events {
    /// The last of `size` events is about a minute old.
    pub fn new(size: u64, now: OffsetDateTime) -> Self {
        let key = PrivateKey::random(&mut rand::rngs::OsRng, Algorithm::Ed25519).unwrap();
        let age = STEP * f64::from(u32::try_from(size).unwrap()) + Duration::minutes(1);
        Self {
            start: (now - age).replace_nanosecond(0).unwrap(),
            step: STEP,
            policy: base16ct::lower::encode_string(&Sha256::digest(&*POLICY)),
            public_key: key.public_key().to_openssh().unwrap(),
            key,
            digest: [0; 32],
            lock: 0,
        }
    }

    pub fn at(&self, index: u64) -> OffsetDateTime {
        self.start + self.step * f64::from(u32::try_from(index).unwrap())
    }

    /// The event that comes at `index`. To be called for each index in order.
    pub fn next(&mut self, index: u64) -> EventKind {
        let what = match (index, index % ROUND) {
            (1, _) => self.policy_loaded(),
            (_, 100) => self.requested(index),
            (_, 101) => self.decided("approved", Verb::Approve, index - 1, "prod"),
            (_, 102) => self.issued(index, Some(index - 2), "prod", false),
            (_, 200) => self.issued(index, None, "role1", true),
            // Every hundredth review stays open.
            (_, 201) if (index / ROUND) % 100 != 99 => {
                self.decided("reviewed", Verb::Review, index - 1, "role1")
            }
            (_, 300) => self.ordered("locked", OrderVerb::Lock, index, 0),
            (_, 301) => self.ordered("unlocked", OrderVerb::Unlock, index - 1, self.lock + 1),
            (_, 400..420) => self.denied(index),
            _ => self.issued(index, None, &format!("role{}", index % ROLES), false),
        };
        let event = event(index, self.at(index), &what);
        if matches!(index % ROUND, 100 | 200) {
            self.digest = leaf_hash(&event.to_bytes().unwrap());
        }
        if index % ROUND == 300 {
            self.lock = index;
        }
        event.what
    }

    /// The event that comes at `index`, if there are passes alone.
    fn next_pass(&mut self, index: u64) -> EventKind {
        let what = match index {
            1 => self.policy_loaded(),
            _ => self.issued(index, None, &format!("role{}", index % ROLES), false),
        };
        event(index, self.at(index), &what).what
    }

    fn policy_loaded(&self) -> Value {
        json!({"type": "policy_loaded", "policy": self.policy, "text": &*POLICY})
    }

    fn who(&self, person: u64, at: u64) -> Value {
        let (label, iat) = (
            format!("user{person}@example.com"),
            self.at(at).unix_timestamp(),
        );
        let claims = json!({"iat": iat, "email": label, "email_verified": true, "groups": ["oncall", "sre", "everyone"]});
        json!({"issuer": ISSUER, "subject": format!("00u{person:08}"), "label": label, "claims": claims})
    }

    fn lead(&self, at: u64) -> Value {
        let iat = self.at(at).unix_timestamp();
        let claims = json!({"iat": iat, "groups": ["security"]});
        json!({"issuer": ISSUER, "subject": "lead", "label": "lead@example.com", "claims": claims})
    }

    /// The person and key of the request at `index` and of its pass, or of another pass.
    fn person(index: u64, request: Option<u64>) -> (u64, String) {
        let person = request.unwrap_or(index) % PEOPLE;
        let key = format!("SHA256:uNiVztksCsDhcc0u9e8BrFcx9mfs6R2nbDgH7b{person:05}");
        (person, key)
    }

    fn issued(&self, index: u64, request: Option<u64>, role: &str, emergency: bool) -> Value {
        let (person, key) = Self::person(index, request);
        let now = self.at(index).unix_timestamp();
        let group = role.strip_prefix("role").unwrap_or("0");
        let mut ask = json!({"role": role, "host": format!("web-{group}.example.com"), "reason": "INC-4711", "caller": "203.0.113.7"});
        if let Some(request) = request {
            ask["request"] = json!(request);
        }
        if emergency {
            ask["emergency"] = json!(true);
        }
        let ttl = if emergency { 900 } else { 1800 };
        json!({
            "type": "issued", "who": self.who(person, index), "ask": ask, "key": key, "binding": "nonce",
            "key_id": format!("user{person}@example.com/{role}"),
            "principals": [format!("root@group{group}")], "extensions": [],
            "valid_after": now - 60, "valid_before": now + ttl, "policy": self.policy,
            "ca": "SHA256:uNiVztksCsDhcc0u9e8BrFcx9mfs6R2nbDgH7bX0vTg",
            "to_be_signed": base16ct::lower::encode_string(&Sha256::digest(index.to_be_bytes())),
        })
    }

    fn requested(&self, index: u64) -> Value {
        let (person, key) = Self::person(index, None);
        let expires = self.at(index).unix_timestamp() + 1800;
        json!({
            "type": "requested", "who": self.who(person, index),
            "ask": {"role": "prod", "host": "web-0.example.com", "reason": "INC-4711", "caller": "203.0.113.7"},
            "key": key, "needed": 1, "expires_at": expires,
            "principals": ["root@group0"], "extensions": [], "ttl_seconds": 1800, "policy": self.policy,
        })
    }

    fn denied(&self, index: u64) -> Value {
        let (person, key) = Self::person(index, None);
        json!({
            "type": "denied", "who": self.who(person, index), "ask": {"role": "no-such-role"}, "key": key,
            "reason": "ROLE_UNKNOWN", "detail": "role no-such-role does not exist", "policy": self.policy,
        })
    }

    fn decided(&self, kind: &str, verb: Verb, request: u64, role: &str) -> Value {
        let message = approval::Message {
            verb,
            server_name: SERVER,
            issuer: ISSUER,
            subject: "lead",
            digest: &self.digest,
            comment: "looked at",
        };
        json!({
            "type": kind, "request": request, "role": role, "who": self.lead(request),
            "key": self.public_key, "signature": self.sign(Namespace::Approve, &message.to_bytes()),
            "comment": "looked at", "policy": self.policy,
        })
    }

    /// A lock of a person who has left, or its end.
    fn ordered(&self, kind: &str, verb: OrderVerb, lock: u64, after: u64) -> Value {
        let (name, reason) = (format!("gone{lock}"), "has left");
        let token: [u8; 32] = Sha256::digest(lock.to_be_bytes()).into();
        let message = AdminOrder {
            server: SERVER,
            issuer: ISSUER,
            subject: "lead",
            token: &token,
            verb,
            target: &Target::Identity(name.clone()),
            reason,
            after,
        };
        let mut order = json!({
            "type": kind, "who": self.lead(lock), "target": {"identity": name}, "reason": reason,
            "proof": {
                "key": self.public_key, "signature": self.sign(Namespace::Admin, &message.message()),
                "token": base16ct::lower::encode_string(&token), "after": after,
            },
        });
        if kind == "locked" {
            order["serials"] = json!([]);
        }
        order
    }

    fn sign(&self, namespace: Namespace, message: &[u8]) -> String {
        let signature = self.key.sign(namespace.as_str(), HashAlg::Sha512, message);
        compact(&signature.unwrap().to_pem(LineEnding::LF).unwrap())
    }
}

fn event(index: u64, at: OffsetDateTime, what: &Value) -> Event {
    let format = &time::format_description::well_known::Rfc3339;
    let mut leaf = what.clone();
    leaf["index"] = json!(index);
    leaf["at"] = json!(at.format(format).unwrap());
    Event::parse(&serde_json::to_vec(&leaf).unwrap()).unwrap()
}
