//! The record of a run: what each client asked, when, and what it was told. Plain data.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

/// The end of one operation of one client.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) client: usize,
    /// The daemon that it was sent to.
    pub(crate) daemon: usize,
    pub(crate) what: What,
    /// Monotonic time since the start of the run.
    pub(crate) begun: Duration,
    pub(crate) ended: Duration,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug)]
#[allow(dead_code, reason = "some fields are only printed with a failed run")]
pub(crate) enum What {
    Ask(Asked),
    Decide {
        verb: &'static str,
        request: u64,
        by: String,
    },
    Lock(Target),
    Unlock(Target),
    Revoke(Target),
    Typed(Typed),
    Host(HostCall),
    CaKey(CaKeyCall),
    Read(&'static str),
}

/// A call of a host, or of an administrator about one.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "some fields are only printed with a failed run")]
pub(crate) struct HostCall {
    pub(crate) verb: HostVerb,
    pub(crate) name: String,
    /// The reason of an order, which no other order has. Empty for a call of a host.
    pub(crate) tag: String,
    /// Hex SHA-256 of the join code; empty without one.
    pub(crate) code: String,
    /// Fingerprints of the host keys that the call shows.
    pub(crate) keys: BTreeSet<String>,
    /// Fingerprints of the CA keys that a report names.
    pub(crate) trusted: BTreeSet<String>,
    pub(crate) expected: Expected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostVerb {
    Add,
    Remove,
    Join,
    Sync,
}

/// An order about a key of the CA. Its reason is its tag, which no other order has.
#[derive(Clone, Debug)]
pub(crate) struct CaKeyCall {
    pub(crate) tag: String,
    /// As the event says it.
    pub(crate) step: &'static str,
    /// Fingerprint of the key.
    pub(crate) key: String,
    /// Whether neither hosts nor passes are waited for.
    pub(crate) anyway: bool,
}

/// An ask. Its reason is its tag, which no other ask has; a request and its redemptions share one.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) tag: String,
    pub(crate) subject: String,
    /// Fingerprint of the subject key.
    pub(crate) key: String,
    pub(crate) role: &'static str,
    pub(crate) ttl_seconds: u64,
    pub(crate) request: Option<u64>,
    pub(crate) emergency: bool,
    /// The bastion that asks on behalf of the subject, who consents.
    pub(crate) by: Option<Behalf>,
    pub(crate) expected: Expected,
}

/// A bastion, and the key of the user's consent.
#[derive(Clone, Debug)]
pub(crate) struct Behalf {
    /// Its subject.
    pub(crate) by: String,
    /// Fingerprint of the key that signs the consent.
    pub(crate) key: String,
}

/// A `daypass ssh` command, as it was typed. Its reason is its tag.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub(crate) tag: String,
    pub(crate) role: &'static str,
    pub(crate) login: &'static str,
    pub(crate) host: &'static str,
    /// The parameter of role `logs`; empty for another role.
    pub(crate) unit: &'static str,
}

/// What a correct server may answer to an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A pass, a request, or a refusal.
    Anything,
    /// A refusal: identity and key are proven, and the policy or the ledger forbids it.
    Denial,
    /// A refusal: the key is not proven.
    Unproven,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Identity(String),
    Key(String),
    Role(String),
    Serial(u64),
}

#[derive(Clone, Debug)]
#[allow(dead_code, reason = "some fields are only printed with a failed run")]
pub(crate) enum Outcome {
    Pass(Box<HeldPass>),
    /// The pass that ssh was given.
    Used(Box<HeldPass>),
    /// A request with this id.
    Filed(u64),
    /// An acknowledged decision, which names no index.
    Decided,
    /// An acknowledged order: its event if the answer names it, and the serials that it revoked.
    Ordered {
        index: Option<u64>,
        serials: Vec<u64>,
    },
    Revocations(Revocations),
    /// Host certificates; none if those of the host are not due.
    Certified(Vec<HeldPass>),
    /// The list of revoked host certificates.
    HostRevocations(Revocations),
    Checkpoint(Checkpoint),
    /// Index and leaf hash of events that an auditor read.
    Leaves(Vec<(u64, [u8; 32])>),
    /// A refusal with its reason code. It is certain: the server decided it.
    Refused(String),
    /// The connection or the server failed: it may or may not have happened.
    Unknown(String),
}

/// A pass that a client holds, or a certificate of a host, as ssh-key and ssh-keygen read it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HeldPass {
    pub(crate) serial: u64,
    /// Fingerprint of the subject key.
    pub(crate) key: String,
    pub(crate) key_id: String,
    pub(crate) principals: BTreeSet<String>,
    pub(crate) command: Option<String>,
    /// The addresses that it works from, if it says so.
    pub(crate) sources: Option<String>,
    pub(crate) extensions: BTreeSet<String>,
    pub(crate) valid_after: u64,
    pub(crate) valid_before: u64,
    /// Hex SHA-256 of the signed bytes.
    pub(crate) signed: String,
    /// Fingerprint of the CA key.
    pub(crate) ca: String,
    /// Whether that key's signature verifies.
    pub(crate) is_signed_by_ca: bool,
    /// Faults of its form, by the run's own lint.
    pub(crate) flaws: Vec<String>,
    /// In OpenSSH form, for ssh-keygen.
    pub(crate) text: String,
}

/// A signed head of the ledger.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checkpoint {
    pub(crate) size: u64,
    pub(crate) root: [u8; 32],
    /// The signed note.
    pub(crate) note: String,
    /// Whether the ledger key's signature verifies; filled in at the end.
    pub(crate) is_signed: bool,
}

/// A pass as `ssh-keygen -L` prints it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Listed {
    pub(crate) kind: String,
    /// The line of the subject key, with its fingerprint.
    pub(crate) key: String,
    /// The line of the CA key.
    pub(crate) ca: String,
    pub(crate) serial: u64,
    pub(crate) principals: BTreeSet<String>,
    /// Critical options with their values.
    pub(crate) options: BTreeSet<String>,
    pub(crate) extensions: BTreeSet<String>,
}

/// A document that every daemon publishes, as each one answered at the end.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) path: &'static str,
    pub(crate) bodies: Vec<Vec<u8>>,
}

/// A revocation list that a host fetched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Revocations {
    pub(crate) version: u64,
    pub(crate) bytes: Vec<u8>,
    /// The serials that it lists; filled in at the end, when all serials are known.
    pub(crate) serials: BTreeSet<u64>,
    /// The number of its entries.
    pub(crate) entries: usize,
}

/// What a daemon took in a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) daemon: usize,
    /// The most resident memory of any of its processes, in KiB.
    pub(crate) peak_kib: u64,
    /// Bytes of its log.
    pub(crate) logged: u64,
    /// How often it was started because it had ended.
    pub(crate) starts: u64,
}

/// Everything that the checker judges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) operations: Vec<Operation>,
    /// The final ledger: its leaves, parsed.
    pub(crate) events: Vec<Value>,
    /// Their leaf hashes.
    pub(crate) leaves: Vec<[u8; 32]>,
    /// The passes as `ssh-keygen -L` reads them. In the order of [`Evidence::passes`].
    pub(crate) by_keygen: Vec<Listed>,
    /// What the daemons published when no client asked any more.
    pub(crate) published: Vec<Published>,
    /// Serials of held passes that `ssh-keygen -Q` refuses by the last list; none if not asked.
    pub(crate) refused_by_keygen: Option<BTreeSet<u64>>,
    /// The last list of each daemon.
    pub(crate) last_lists: Vec<Revocations>,
    /// The last list of revoked host certificates of each daemon.
    pub(crate) last_host_lists: Vec<Revocations>,
    /// Fingerprint of the CA key that signs before the first order.
    pub(crate) first_ca: String,
    /// Hashes of the policies that were written and are valid, with the lifetime of role `shell`.
    pub(crate) policies: Vec<(String, u64)>,
    /// Complaints of `ledger verify`.
    pub(crate) verification: Vec<String>,
    /// What each daemon took.
    pub(crate) costs: Vec<Cost>,
    /// Calls of callers without an identity.
    pub(crate) strange: u64,
    /// From the start of each fault until the service was back.
    pub(crate) disturbed: Vec<(Duration, Duration)>,
    /// Services that did not return in time, and other faults that the run itself saw.
    pub(crate) faults: Vec<String>,
}

impl Evidence {
    /// Whether the operation met a fault.
    pub(crate) fn is_disturbed(&self, operation: &Operation) -> bool {
        let meets = |&(from, to): &(_, _)| operation.begun <= to && operation.ended >= from;
        self.disturbed.iter().any(meets)
    }

    /// The passes that clients hold, each with the ask that it answers.
    pub(crate) fn passes(&self) -> impl Iterator<Item = (&Asked, &HeldPass)> {
        self.operations
            .iter()
            .filter_map(|operation| match (&operation.what, &operation.outcome) {
                (What::Ask(asked), Outcome::Pass(pass)) => Some((asked, &**pass)),
                _ => None,
            })
    }
}
