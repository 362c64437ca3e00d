//! `daypass admin`: locks, revocations, hosts, CA keys and webhooks.

mod accepting;
mod asking;
mod hosts;
mod keys;
mod ledger_key;
mod webhooks;
mod words;

use std::collections::BTreeSet;

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Failure, Global,
    output::clean,
    table::table,
    target::{Target, moment},
};
use crate::{
    client::{Signed, key::Key, now},
    ledger::{
        event::{Covered, LockTarget, RevokeTarget},
        order::{self, LATEST, Verb},
    },
    proto::v1::{self, lock_target},
    unix_seconds::UnixSeconds,
};
use asking::Wanted;
use words::{Confirmed, Reason};

/// Lock people, keys and roles, revoke passes, let hosts join, rotate CA keys, and look after
/// webhooks.
///
/// The policy's `[admin]` section says who may do this.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Stop new passes for a person, a key or a role, and revoke those that are out.
    ///
    /// Says first whom a name covers.
    Lock {
        #[command(flatten)]
        on: On,
        #[command(flatten)]
        words: Confirmed,
    },
    /// End a lock. Revoked passes stay revoked.
    Unlock {
        #[command(flatten)]
        on: On,
        #[command(flatten)]
        words: Reason,
    },
    /// Accept a ledger that was restored from a backup: go on past every entry of the lost one.
    ///
    /// Every pass that was issued before, also by the lost ledger, is revoked. Clients and hosts go
    /// on by this signed statement, and say so. Locks and revocations that only the lost ledger had
    /// are gone: lock again first who must stay locked.
    AcceptRestore(accepting::Args),
    /// Let hosts join, and remove them. `daypass hosts` lists them.
    Hosts(hosts::Args),
    /// List the CA's keys, and rotate them.
    ///
    /// A rotation is three orders: stage the new key, activate it when every known host trusts it,
    /// and retire the old one when its last pass has expired. See `daypass help server`.
    Keys(keys::Args),
    LedgerKey(ledger_key::Args),
    /// List the locks in force.
    Locks,
    /// List webhooks and the state of their deliveries.
    Webhooks(webhooks::Args),
    /// Revoke passes that are out, without a lock.
    Revoke {
        #[command(flatten)]
        what: RevokeSelection,
        #[command(flatten)]
        words: Confirmed,
    },
}

/// Exactly one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct On {
    /// A person or machine: the exact subject or label (e-mail address). Covers every identity that
    /// the ledger has seen under it.
    identity: Option<String>,
    /// The fingerprint of a user's key, as `ssh-keygen -l` prints it.
    #[arg(long, value_name = "SHA256:...")]
    key: Option<String>,
    /// A role.
    #[arg(long)]
    role: Option<String>,
}

/// Exactly one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct RevokeSelection {
    /// The serial of one pass.
    serial: Option<u64>,
    /// The passes of a person or machine: the exact subject or label (e-mail address). Covers every
    /// identity that the ledger has seen under it.
    #[arg(long)]
    identity: Option<String>,
    /// The passes for a user's key, by its fingerprint.
    #[arg(long, value_name = "SHA256:...")]
    key: Option<String>,
    /// All passes issued before a time, such as 2026-01-31T12:00:00Z, or before `now`.
    #[arg(long, value_name = "TIME", value_parser = time_of)]
    before: Option<UnixSeconds>,
}

#[derive(Serialize)]
pub(super) struct Lock {
    target: serde_json::Value,
    reason: String,
    by: String,
    at: u64,
    index: u64,
    covers: Vec<Covered>,
}

#[derive(Serialize)]
pub(super) struct Locked {
    #[serde(flatten)]
    pub(super) lock: Lock,
    pub(super) serials: Vec<u64>,
}

#[derive(Serialize)]
struct Revoked {
    index: u64,
    serials: Vec<u64>,
    covers: Vec<Covered>,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 3 if the policy does not allow it, and 1 if there is no such lock or pass.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = self.target.client()?;
        // The usual connection refuses a ledger that no administrator has accepted.
        let signed = match &self.action {
            Action::AcceptRestore(it) => return it.run(&client, global).await,
            Action::Lock { .. } => client.signed_in_to_lock().await?,
            Action::Unlock { .. }
            | Action::Hosts(_)
            | Action::Keys(_)
            | Action::LedgerKey(_)
            | Action::Locks
            | Action::Webhooks(_)
            | Action::Revoke { .. } => client.signed_in().await?,
        };
        let key = || Key::open(&signed.login.key, &client.state);
        match self.action {
            Action::AcceptRestore(_) => Ok(()),
            Action::Lock { on, words } => {
                put_lock(&signed, on.target()?, &words, &key()?, global).await
            }
            Action::Unlock { on, words } => {
                let target = on.target()?;
                let seen = signed.preview(&(&target).into()).await?;
                let index = signed
                    .unlock(&target, &words.reason, &seen, &key()?)
                    .await?;
                global.print(&serde_json::json!({ "index": index }), |_| {
                    "Unlocked. Passes that were revoked stay revoked.".to_owned()
                })
            }
            Action::Hosts(hosts) => hosts.run(&client, &signed, &key()?, global).await,
            Action::Keys(keys) => keys.run(&client, &signed, &key()?, global).await,
            Action::LedgerKey(it) => it.run(&signed, &key()?, global).await,
            Action::Webhooks(webhooks) => webhooks.run(&signed, global).await,
            Action::Locks => {
                let locks = signed.locks().await?.into_iter().map(lock);
                let locks: Vec<Lock> = locks.collect();
                global.print(&serde_json::json!({ "locks": locks }), |_| list(&locks))
            }
            Action::Revoke { what, words } => {
                revoke(&signed, what.target()?, &words, &key()?, global).await
            }
        }
    }
}

async fn put_lock(
    signed: &Signed,
    target: LockTarget,
    confirmed: &Confirmed,
    key: &Key,
    global: &Global,
) -> Result<(), Failure> {
    let about = order::Target::from(&target);
    let seen = signed.preview(&about).await?;
    let wanted = Wanted {
        verb: Verb::Lock,
        target: &about,
        confirmed,
        is_own_key: about == order::Target::Key(key.fingerprint()),
    };
    wanted.agree(global, &seen).await?;
    let reason = &confirmed.words.reason;
    let answer = signed.lock(&target, reason, &seen, key).await?;
    let locked = Locked {
        lock: lock(answer.lock.unwrap_or_default()),
        serials: answer.serials,
    };
    global.print(&locked, |it| {
        let what = words(&it.lock.target);
        format!("Locked {what}: no new passes.\n{}", refused(&it.serials))
    })
}

async fn revoke(
    signed: &Signed,
    target: RevokeTarget,
    confirmed: &Confirmed,
    key: &Key,
    global: &Global,
) -> Result<(), Failure> {
    let about = order::Target::from(&target);
    let seen = signed.preview(&about).await?;
    let wanted = Wanted {
        verb: Verb::Revoke,
        target: &about,
        confirmed,
        is_own_key: false,
    };
    wanted.agree(global, &seen).await?;
    let reason = &confirmed.words.reason;
    let answer = signed.revoke(&target, reason, &seen, key).await?;
    let revoked = Revoked {
        index: answer.index,
        serials: answer.serials,
        covers: answer.covers.into_iter().map(covered).collect(),
    };
    global.print(&revoked, |it| refused(&it.serials))
}

impl On {
    fn target(self) -> Result<LockTarget, Failure> {
        match (self.identity, self.key, self.role) {
            (Some(identity), ..) => Ok(LockTarget::Identity(identity)),
            (_, Some(key), _) => Ok(LockTarget::Key(key)),
            (.., Some(role)) => Ok(LockTarget::Role(role)),
            _ => Err(nothing_named()),
        }
    }
}

impl RevokeSelection {
    fn target(self) -> Result<RevokeTarget, Failure> {
        match (self.serial, self.identity, self.key, self.before) {
            (Some(serial), ..) => Ok(RevokeTarget::Serial(serial)),
            (_, Some(identity), ..) => Ok(RevokeTarget::Identity(identity)),
            (_, _, Some(key), _) => Ok(RevokeTarget::Key(key)),
            (.., Some(time)) => Ok(RevokeTarget::Before(time)),
            _ => Err(nothing_named()),
        }
    }
}

/// Cannot happen: the command line demands a target.
fn nothing_named() -> Failure {
    Failure::new(
        super::failure::Code::Usage,
        "no target: name an identity, --key or --role",
    )
}

fn time_of(text: &str) -> Result<UnixSeconds, String> {
    if text == "now" {
        // Includes passes of the current second.
        return Ok(UnixSeconds(now().saturating_add(1)));
    }
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "write a time such as 2026-01-31T12:00:00Z, or `now`".to_owned())?;
    let seconds =
        u64::try_from(time.unix_timestamp()).map_err(|_| "the time is before 1970".to_owned())?;
    match UnixSeconds(seconds) {
        time if time <= LATEST => Ok(time),
        _ => Err("the time is after the year 9999".to_owned()),
    }
}

/// A lock as it is printed.
pub(super) fn lock(wire: v1::Lock) -> Lock {
    use lock_target::Target;
    let target = match wire.target.and_then(|it| it.target) {
        Some(Target::Identity(identity)) => serde_json::json!({ "identity": identity }),
        Some(Target::Key(key)) => serde_json::json!({ "key": key }),
        Some(Target::Role(role)) => serde_json::json!({ "role": role }),
        None => serde_json::Value::Null,
    };
    Lock {
        target,
        reason: wire.reason,
        by: wire.by,
        at: wire.at,
        index: wire.index,
        covers: wire.covers.into_iter().map(covered).collect(),
    }
}

fn covered(wire: v1::Covered) -> Covered {
    Covered {
        issuer: wire.issuer,
        subject: wire.subject,
        label: wire.label,
    }
}

/// The target of a lock, such as `identity bob`.
fn words(target: &serde_json::Value) -> String {
    let fields = target.as_object().into_iter().flatten();
    let words = fields.map(|(kind, name)| format!("{kind} {}", name.as_str().unwrap_or_default()));
    clean(&words.collect::<String>()).into_owned()
}

fn list(locks: &[Lock]) -> String {
    if locks.is_empty() {
        return "Nothing is locked.".to_owned();
    }
    let head = ["LOCKED", "COVERS", "SINCE", "BY", "REASON"].map(str::to_owned);
    let rows = locks.iter().map(|lock| {
        vec![
            words(&lock.target),
            labels(&lock.covers),
            moment(lock.at),
            lock.by.clone(),
            lock.reason.clone(),
        ]
    });
    table(
        &std::iter::once(head.to_vec())
            .chain(rows)
            .collect::<Vec<_>>(),
    )
}

/// The most labels that are printed for a lock. JSON has all.
const LABELS: usize = 3;

/// The labels of a lock, such as `bob, bob@example.com and 2 more`. `-` if no identity is known.
fn labels(covers: &[Covered]) -> String {
    let labels: BTreeSet<&str> = covers.iter().map(|one| one.label.as_str()).collect();
    let shown: Vec<&str> = labels.iter().take(LABELS).copied().collect();
    match labels.len().saturating_sub(LABELS) {
        _ if labels.is_empty() => "-".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The most serials that are printed. JSON has all.
const SHOWN: usize = 20;

/// Says which passes were revoked.
pub(super) fn refused(serials: &[u64]) -> String {
    let shown: Vec<String> = serials.iter().take(SHOWN).map(u64::to_string).collect();
    let more = match serials.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match serials.len() {
        0 => "No pass was out.".to_owned(),
        count => format!(
            "Revoked {count} {}: {}{more}. Hosts refuse {} from their next sync on.",
            if count == 1 { "pass" } else { "passes" },
            shown.join(", "),
            if count == 1 { "it" } else { "them" },
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_or_now() {
        assert_eq!(time_of("1970-01-01T00:01:00Z"), Ok(UnixSeconds(60)));
        assert_eq!(time_of("1970-01-01T01:01:00+01:00"), Ok(UnixSeconds(60)));
        assert!(time_of("now").is_ok());
        for wrong in ["", "yesterday", "60", "1969-12-31T23:59:59Z", "2026-01-31"] {
            assert!(time_of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_revoked_is_said() {
        let many: Vec<u64> = (1..=22).collect();
        for (serials, expected) in [
            (&[][..], "No pass was out."),
            (
                &[7],
                "Revoked 1 pass: 7. Hosts refuse it from their next sync on.",
            ),
            (
                &[7, 9],
                "Revoked 2 passes: 7, 9. Hosts refuse them from their next sync on.",
            ),
        ] {
            assert_eq!(refused(serials), expected);
        }
        assert!(refused(&many).contains("19, 20 and 2 more."));
    }
}
