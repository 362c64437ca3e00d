//! Mailboxes that several servers share: which of them delivers, and what the others ask of it.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::mailbox::{Mailbox, Which};
use crate::store::{Held, Kept, LEASE, Mailboxes};

/// Interval at which the deliverer shows that it goes on, and looks for orders.
const RENEW: Duration = Duration::from_secs(1);

/// The same while it has nothing to deliver and no dead letter, so that there can be no orders. A
/// lease outlasts two renewals that fail.
const RENEW_IDLE: Duration = Duration::from_secs(3);

/// Time before the end of a lease from which on no delivery begins.
const MARGIN: Duration = Duration::from_secs(2);

/// The leases of this server.
#[derive(Debug)]
pub(super) struct Leases {
    table: Mailboxes,
    /// This server, as people know it.
    label: String,
    held: Mutex<BTreeMap<String, Lease>>,
}

#[derive(Clone, Debug)]
struct Lease {
    term: i64,
    /// The beginning of the last write that kept it. The clock goes on while this process is
    /// stopped, and may stand still while the machine sleeps: then the database refuses the next
    /// write.
    since: Instant,
}

/// The outcome of a write of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::notify) enum Saved {
    /// This server goes on.
    Kept,
    /// Another server delivers from now on.
    Lost,
}

/// A mailbox as the database has it.
pub(super) struct Stored {
    pub(super) mailbox: Mailbox,
    pub(super) deliverer: Option<String>,
}

/// Interval at which the lease of a webhook with this mailbox must be kept.
pub(super) fn renewal(mailbox: &Mailbox) -> Duration {
    match mailbox.pending.is_empty() && mailbox.dead.is_empty() {
        true => RENEW_IDLE,
        false => RENEW,
    }
}

impl Leases {
    pub(super) fn new(table: Mailboxes, label: String) -> Self {
        Self {
            table,
            label,
            held: Mutex::default(),
        }
    }

    /// Takes the lease of a webhook if it is free, with its mailbox. A new webhook has `new`.
    pub(super) async fn take(&self, name: &str, new: &Mailbox) -> io::Result<Option<Mailbox>> {
        let since = Instant::now();
        let new = serde_json::to_string(new)?;
        let taken = self.table.take(name, &self.label, &new).await;
        let Some(Held { term, mailbox }) = taken.map_err(io::Error::other)? else {
            return Ok(None);
        };
        let mailbox = read(name, &mailbox);
        self.held
            .lock()
            .insert(name.to_owned(), Lease { term, since });
        Ok(Some(mailbox))
    }

    /// True if no other server can deliver this webhook now.
    pub(super) fn holds(&self, name: &str) -> bool {
        let held = self.held.lock();
        held.get(name)
            .is_some_and(|lease| lease.since.elapsed() + MARGIN < LEASE)
    }

    /// Keeps the lease, and writes the mailbox that `current` returns, if it `is_dirty`. Does the
    /// orders of other servers with `obey`.
    pub(super) async fn keep(
        &self,
        name: &str,
        is_dirty: bool,
        current: impl Fn() -> Option<Mailbox>,
        obey: impl Fn(Which),
    ) -> io::Result<Saved> {
        let (mut is_dirty, mut done) = (is_dirty, String::new());
        loop {
            let Some(Lease { term, .. }) = self.held.lock().get(name).cloned() else {
                return Ok(Saved::Lost);
            };
            let since = Instant::now();
            let mailbox = current().filter(|_| is_dirty);
            let mailbox = mailbox.map(|it| serde_json::to_string(&it)).transpose()?;
            let kept = self.table.keep(name, term, mailbox.as_deref(), &done).await;
            match kept.map_err(io::Error::other)? {
                Kept::Lost => {
                    self.held.lock().remove(name);
                    return Ok(Saved::Lost);
                }
                Kept::Held { orders } => {
                    if let Some(lease) = self.held.lock().get_mut(name) {
                        lease.since = since;
                    }
                    if orders.is_empty() {
                        return Ok(Saved::Kept);
                    }
                    orders.lines().filter_map(parse).for_each(&obey);
                    (is_dirty, done) = (true, orders);
                }
            }
        }
    }

    /// Lets another server deliver at once.
    pub(super) async fn release(&self, name: &str) {
        let lease = self.held.lock().remove(name);
        if let Some(Lease { term, .. }) = lease
            && let Err(error) = self.table.release(name, term).await
        {
            tracing::debug!(%error, "another server delivers only when the lease has ended");
        }
    }

    /// The mailbox of a webhook; none if no server has begun to deliver it.
    pub(super) async fn show(&self, name: &str) -> io::Result<Option<Stored>> {
        let shown = self.table.show(name).await.map_err(io::Error::other)?;
        Ok(shown.map(|shown| Stored {
            mailbox: read(name, &shown.mailbox),
            deliverer: shown.deliverer,
        }))
    }

    /// Asks the deliverer to try dead letters again. Returns false if it has too much to do.
    pub(super) async fn order(&self, name: &str, which: Which) -> io::Result<bool> {
        let line = match which {
            Which::Index(index) => index.to_string(),
            Which::All => ALL.to_owned(),
        };
        self.table
            .order(name, &line)
            .await
            .map_err(io::Error::other)
    }

    /// Removes mailboxes of webhooks that no server delivers any more.
    pub(super) async fn forget_others(&self, names: &[String]) {
        if let Err(error) = self.table.forget_others(names).await {
            tracing::debug!(%error, "mailboxes of removed webhooks stay");
        }
    }
}

/// The order for every dead letter.
const ALL: &str = "all";

fn parse(line: &str) -> Option<Which> {
    match line {
        ALL => Some(Which::All),
        index => index.parse().ok().map(Which::Index),
    }
}

/// The mailbox in the database's text. One that makes no sense is replaced, because passes matter
/// more: what waited in it is not delivered.
fn read(name: &str, text: &str) -> Mailbox {
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::error!(%error, webhook = name, "the webhook's mailbox in the database makes no sense");
        Mailbox::starting_at(u64::MAX)
    })
}
