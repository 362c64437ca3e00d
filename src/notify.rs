//! Tells people and programs outside what the ledger has recorded, by signed and retried webhooks,
//! and pages before an emergency if a role demands it. Webhooks notify, they never decide.
//!
//! **The ledger is the queue.** Issuing a pass writes nothing for webhooks. A worker per webhook
//! follows the ledger from a cursor of its own and delivers at least once; `outbox` keeps cursor,
//! pending deliveries and dead letters through a crash. A slow or dead receiver delays only its own
//! deliveries.
//!
//! [`address`] keeps deliveries away from addresses that only this machine can reach; `signature`
//! lets receivers authenticate them.

pub(crate) mod address;
mod chat;
mod delivery;
mod kind;
mod message;
mod notification;
mod outbox;
mod pager;
mod schedule;
pub(crate) mod settings;
pub(crate) mod signature;
mod trial;
mod worker;

use std::{io, path::Path, sync::Arc};

use time::OffsetDateTime;
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use delivery::{Receiver, SetUpError};
pub(crate) use kind::NotificationKind;
pub(crate) use outbox::{DeadLetter, Which, kept_in};
pub(crate) use pager::{Page, Unanswered};
pub use schedule::Schedule;
pub(crate) use settings::Settings;
pub(crate) use trial::{NoTest, TestReport};

use crate::{ledger::event::Actor, store::Store};
use outbox::Outbox;
use trial::LastTests;
use worker::Worker;

/// The most pages under way at a time.
const PAGES: usize = 16;

/// All webhooks. Without one it does nothing. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Notifier {
    receivers: Arc<[Arc<Receiver>]>,
    outbox: Option<Arc<Outbox>>,
    pages: Arc<Semaphore>,
    tests: LastTests,
}

/// The running workers. Dropping it ends deliveries at once; the next start makes them again.
#[derive(Debug)]
pub(crate) struct Deliveries {
    workers: JoinSet<()>,
    stop: DropGuard,
}

impl Deliveries {
    /// Starts no more deliveries, records those that are answered within a second, and leaves the
    /// rest for the next start.
    pub(crate) async fn stop(self) {
        let Self { mut workers, stop } = self;
        stop.disarm().cancel();
        while workers.join_next().await.is_some() {}
    }
}

/// The state of one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeliveryReport {
    /// Its name.
    pub name: String,
    /// The number of deliveries that it took.
    pub delivered: u64,
    /// The number of pending deliveries.
    pub pending: u64,
    /// The dead letters, oldest first.
    pub dead: Vec<DeadLetter>,
    /// The last failure, if no delivery succeeded since.
    pub last_error: Option<String>,
    /// The server that delivers, if several could.
    pub deliverer: Option<String>,
}

impl Default for Notifier {
    fn default() -> Self {
        Self {
            receivers: Arc::new([]),
            outbox: None,
            pages: Arc::new(Semaphore::new(PAGES)),
            tests: LastTests::default(),
        }
    }
}

impl Notifier {
    /// Loads the outbox in `folder`, or that of the database if several servers share the ledger;
    /// `label` names this one to people. A new webhook starts at the ledger's end.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read or written.
    pub(crate) fn open(
        receivers: Vec<Receiver>,
        folder: &Path,
        store: &Store,
        label: &str,
    ) -> io::Result<Self> {
        let head = store.size();
        let receivers: Arc<[_]> = receivers.into_iter().map(Arc::new).collect();
        let names: Vec<&str> = receivers.iter().map(|receiver| receiver.name()).collect();
        let outbox = match (store.mailboxes(), names.is_empty()) {
            (None, false) => Some(Outbox::open(folder, &names, head)?),
            (Some(table), false) => {
                outbox::forget(folder)?;
                Some(Outbox::share(table, label.to_owned(), &names, head))
            }
            (_, true) => outbox::forget(folder).map(|()| None)?,
        };
        let outbox = outbox.map(Arc::new);
        Ok(Self {
            receivers,
            outbox,
            ..Self::default()
        })
    }

    /// Starts the workers. They must be stopped before `store` is closed.
    pub(crate) fn deliver(
        &self,
        store: &Store,
        server: &str,
        schedule: Schedule,
        clock: fn() -> OffsetDateTime,
    ) -> Deliveries {
        let server = Arc::<str>::from(server);
        let stop = CancellationToken::new();
        let mut workers = JoinSet::new();
        if let Some(outbox) = &self.outbox {
            for receiver in self.receivers.iter() {
                workers.spawn(watched(Worker {
                    receiver: receiver.clone(),
                    outbox: outbox.clone(),
                    store: store.clone(),
                    server: server.clone(),
                    schedule,
                    clock,
                    stop: stop.clone(),
                }));
            }
        }
        Deliveries {
            workers,
            stop: stop.drop_guard(),
        }
    }

    /// Pages every webhook that takes emergencies and waits until one acknowledges, ten seconds at
    /// most. Returns that webhook's name.
    ///
    /// # Errors
    /// Returns the reason of each webhook if none acknowledged.
    pub(crate) async fn page(&self, server: &str, page: Page) -> Result<String, Unanswered> {
        let receivers = self.receivers.iter();
        let receivers: Vec<_> = receivers
            .filter(|it| it.takes(NotificationKind::Emergency))
            .cloned()
            .collect();
        let permit = tokio::time::timeout(pager::WITHIN, self.pages.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            let names = receivers.iter().map(|it| it.name().to_owned());
            let waiting = names.map(|name| (name, "too many pages are on their way".to_owned()));
            return Err(Unanswered(waiting.collect()));
        };
        let outcome = pager::page(receivers, server, page).await;
        if let (Err(unanswered), Some(outbox)) = (&outcome, &self.outbox) {
            for (name, why) in unanswered.receivers() {
                outbox.change(name, |it| it.last_error = Some(format!("page: {why}")));
            }
        }
        outcome
    }

    /// The state of each webhook, in the order of the configuration; the same on each server.
    ///
    /// # Errors
    /// Returns an error if a shared database does not answer.
    pub(crate) async fn reports(&self) -> io::Result<Vec<DeliveryReport>> {
        let mut reports = Vec::new();
        let Some(outbox) = &self.outbox else {
            return Ok(reports);
        };
        for receiver in self.receivers.iter() {
            let name = receiver.name();
            let Some(shown) = outbox.show(name).await? else {
                continue;
            };
            let mailbox = shown.mailbox;
            reports.push(DeliveryReport {
                name: name.to_owned(),
                delivered: mailbox.delivered,
                pending: mailbox.pending.len() as u64,
                dead: mailbox.dead.into(),
                last_error: mailbox.last_error,
                deliverer: shown.deliverer,
            });
        }
        Ok(reports)
    }

    /// Sends a signed test notification to one webhook now. It is not retried.
    ///
    /// # Errors
    /// Returns the reason if none was sent.
    pub(crate) async fn test(
        &self,
        name: &str,
        server: &str,
        who: &Actor,
        now: OffsetDateTime,
    ) -> Result<TestReport, NoTest> {
        let mut receivers = self.receivers.iter();
        let receiver = receivers.find(|it| it.name() == name);
        let receiver = receiver.ok_or(NoTest::Unknown)?;
        if !self.tests.admit(name, std::time::Instant::now()) {
            return Err(NoTest::TooSoon);
        }
        Ok(trial::send(receiver, server, who, now).await)
    }

    /// Tries dead letters again. Returns their number, or none if there is no such webhook.
    ///
    /// # Errors
    /// Returns an error if a shared database does not answer.
    pub(crate) async fn revive(
        &self,
        name: &str,
        which: Which,
        now: OffsetDateTime,
    ) -> io::Result<Option<u64>> {
        match &self.outbox {
            Some(outbox) => outbox.revive(name, which, now).await,
            None => Ok(None),
        }
    }
}

/// Replaces a worker that panics, which is a bug. The new one goes on from the mailbox.
async fn watched(worker: Worker) {
    while let Err(panic) = tokio::spawn(worker.clone().run()).await {
        tracing::error!(%panic, webhook = worker.receiver.name(), "a bug: a webhook's worker panicked");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod sample;
