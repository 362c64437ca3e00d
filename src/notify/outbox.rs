//! The pending deliveries of each webhook, so that a crash loses none: kept in `webhooks.json`
//! beside the ledger, or in the database of a ledger that several servers share. There one server
//! at a time delivers a webhook.
//!
//! Every write is a consistent snapshot of cursor and pending deliveries. After a crash an older
//! snapshot holds: deliveries made since then are made again, under the same id, and none is left
//! out.

mod file;
mod lease;
mod mailbox;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use time::OffsetDateTime;
use tokio::{sync::Notify, time::sleep};

use lease::Leases;
pub(super) use lease::Saved;
pub(crate) use mailbox::{DeadLetter, Which};
pub(super) use mailbox::{Mailbox, Next, Settled};

use crate::store::{Mailboxes, Store};

/// Delay before the lease of another server is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// All mailboxes, and their place.
#[derive(Debug)]
pub(super) struct Outbox {
    place: Place,
    boxes: Mutex<Boxes>,
    wake: BTreeMap<String, Notify>,
}

/// The place that keeps the mailboxes.
#[derive(Debug)]
enum Place {
    File {
        path: PathBuf,
        /// The revision that the file has. Held while the file is written.
        saved: tokio::sync::Mutex<u64>,
    },
    Shared(Leases),
}

/// A mailbox as it is shown.
pub(super) struct Shown {
    pub(super) mailbox: Mailbox,
    /// The server that delivers, if several could.
    pub(super) deliverer: Option<String>,
}

#[derive(Debug, Default)]
struct Boxes {
    by_name: BTreeMap<String, Mailbox>,
    /// Grows with every change.
    revision: u64,
}

impl Outbox {
    /// Reads `folder/webhooks.json` for these webhooks. A new one starts at `head`, the ledger's
    /// size. The mailboxes of removed ones are dropped. A file that cannot be parsed is renamed and
    /// ignored, because passes matter more.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read or written.
    pub(super) fn open(folder: &Path, names: &[&str], head: u64) -> io::Result<Self> {
        let path = folder.join(file::NAME);
        let mut known = file::read(&path)?;
        let by_name = names.iter().map(|name| {
            let mut mailbox = known
                .remove(*name)
                .unwrap_or_else(|| Mailbox::starting_at(head));
            // A mailbox beyond the ledger's end is another ledger's.
            mailbox.keep_below(head);
            ((*name).to_owned(), mailbox)
        });
        let by_name: BTreeMap<_, _> = by_name.collect();
        by_name.iter().for_each(|(name, it)| {
            gauge(name, it);
            begin(name);
        });
        file::write(&path, &file::bytes(&by_name)?)?;
        let revision = 0;
        let saved = tokio::sync::Mutex::new(revision);
        Ok(Self {
            place: Place::File { path, saved },
            boxes: Mutex::new(Boxes { by_name, revision }),
            wake: wakes(names),
        })
    }

    /// The mailboxes in a database that servers share. `label` names this server to people. Each
    /// mailbox is read when its lease is taken; a new one starts at `head`.
    pub(super) fn share(table: Mailboxes, label: String, names: &[&str], head: u64) -> Self {
        let by_name = names.iter().map(|name| {
            begin(name);
            ((*name).to_owned(), Mailbox::starting_at(head))
        });
        let by_name = by_name.collect();
        Self {
            place: Place::Shared(Leases::new(table, label)),
            boxes: Mutex::new(Boxes {
                by_name,
                revision: 0,
            }),
            wake: wakes(names),
        }
    }

    /// Waits until this server is the one that delivers a webhook. The store has all events of the
    /// other servers then.
    pub(super) async fn become_deliverer(&self, name: &str, store: &Store) {
        let Place::Shared(leases) = &self.place else {
            return;
        };
        let names: Vec<String> = self.wake.keys().cloned().collect();
        leases.forget_others(&names).await;
        loop {
            let new = self.look(name, Clone::clone).unwrap_or_default();
            match leases.take(name, &new).await {
                Ok(Some(mut mailbox)) => {
                    // A mailbox beyond the ledger's end is another ledger's. Without an answer the
                    // lease ends, and a server is sought again.
                    if store.follow().await.is_ok() {
                        mailbox.keep_below(store.size());
                        self.change(name, |it| *it = mailbox);
                        return;
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, webhook = name, "no mailbox for now"),
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// True if no other server can deliver this webhook now.
    pub(super) fn may_deliver(&self, name: &str) -> bool {
        match &self.place {
            Place::File { .. } => true,
            Place::Shared(leases) => leases.holds(name),
        }
    }

    /// Interval at which [`Outbox::save`] must be called, also if nothing changed.
    pub(super) fn renewal(&self, name: &str) -> Option<Duration> {
        match &self.place {
            Place::File { .. } => None,
            Place::Shared(_) => self.look(name, lease::renewal),
        }
    }

    /// Lets another server deliver this webhook.
    pub(super) async fn release(&self, name: &str) {
        if let Place::Shared(leases) = &self.place {
            leases.release(name).await;
        }
    }

    /// A mailbox, the same on each server.
    ///
    /// # Errors
    /// Returns an error if a shared database does not answer.
    pub(super) async fn show(&self, name: &str) -> io::Result<Option<Shown>> {
        let own = self.look(name, Clone::clone).map(|mailbox| Shown {
            mailbox,
            deliverer: None,
        });
        match (&self.place, own) {
            (Place::Shared(leases), Some(own)) => {
                let stored = leases.show(name).await?;
                Ok(Some(stored.map_or(own, |stored| Shown {
                    mailbox: stored.mailbox,
                    deliverer: stored.deliverer,
                })))
            }
            (Place::File { .. } | Place::Shared(_), own) => Ok(own),
        }
    }

    /// Tries dead letters again. Returns their number, or none if there is no such webhook. Another
    /// server that delivers does it within a second.
    ///
    /// # Errors
    /// Returns an error if a shared database does not answer.
    pub(super) async fn revive(
        &self,
        name: &str,
        which: Which,
        now: OffsetDateTime,
    ) -> io::Result<Option<u64>> {
        let Place::Shared(leases) = &self.place else {
            let count = self.change(name, |mailbox| mailbox.revive(which, now));
            self.wake(name);
            return Ok(count);
        };
        let Some(mut shown) = self.show(name).await? else {
            return Ok(None);
        };
        let count = shown.mailbox.revive(which, now);
        if count > 0 && !leases.order(name, which).await? {
            return Err(io::Error::other("too many orders wait: try again later"));
        }
        self.wake(name);
        Ok(Some(count))
    }

    /// Calls `look` with a mailbox.
    pub(super) fn look<T>(&self, name: &str, look: impl FnOnce(&Mailbox) -> T) -> Option<T> {
        self.locked().by_name.get(name).map(look)
    }

    /// Changes a mailbox; [`Outbox::save`] makes it durable.
    pub(super) fn change<T>(
        &self,
        name: &str,
        change: impl FnOnce(&mut Mailbox) -> T,
    ) -> Option<T> {
        let mut boxes = self.locked();
        let mailbox = boxes.by_name.get_mut(name)?;
        let changed = change(mailbox);
        gauge(name, mailbox);
        boxes.revision += 1;
        Some(changed)
    }

    /// Makes every change of a mailbox until now durable. Callers that wait for each other share
    /// one write of the file.
    ///
    /// # Errors
    /// Returns an error if the mailbox cannot be written. The next call tries again.
    pub(super) async fn save(
        &self,
        name: &str,
        is_dirty: bool,
        now: OffsetDateTime,
    ) -> io::Result<Saved> {
        match &self.place {
            Place::File { path, saved } => match is_dirty {
                true => self.write(path, saved).await.map(|()| Saved::Kept),
                false => Ok(Saved::Kept),
            },
            Place::Shared(leases) => {
                let current = || self.look(name, Clone::clone);
                let obey = |which| {
                    self.change(name, |mailbox| mailbox.revive(which, now));
                };
                leases.keep(name, is_dirty, current, obey).await
            }
        }
    }

    async fn write(&self, path: &Path, saved: &tokio::sync::Mutex<u64>) -> io::Result<()> {
        let wanted = self.locked().revision;
        let mut saved = saved.lock().await;
        if *saved >= wanted {
            return Ok(());
        }
        let (revision, bytes) = {
            let boxes = self.locked();
            (boxes.revision, file::bytes(&boxes.by_name)?)
        };
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || file::write(&path, &bytes))
            .await
            .map_err(io::Error::other)
            .flatten()?;
        *saved = revision;
        Ok(())
    }

    /// Wakes a webhook's worker.
    pub(super) fn wake(&self, name: &str) {
        if let Some(wake) = self.wake.get(name) {
            wake.notify_one();
        }
    }

    /// Waits for [`Outbox::wake`].
    pub(super) async fn woken(&self, name: &str) {
        match self.wake.get(name) {
            Some(wake) => wake.notified().await,
            None => std::future::pending().await,
        }
    }

    fn locked(&self) -> MutexGuard<'_, Boxes> {
        self.boxes.lock()
    }
}

fn wakes(names: &[&str]) -> BTreeMap<String, Notify> {
    let wakes = names.iter().map(|name| ((*name).to_owned(), Notify::new()));
    wakes.collect()
}

/// Removes the file, because no webhook is configured, or because they are in a database.
pub(super) fn forget(folder: &Path) -> io::Result<()> {
    match std::fs::remove_file(folder.join(file::NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the counters of a webhook appear with 0.
fn begin(name: &str) {
    for outcome in ["delivered", "failed", "dead"] {
        let name = name.to_owned();
        metrics::counter!("daypass_webhook_deliveries_total", "webhook" => name, "outcome" => outcome)
            .increment(0);
    }
}

/// The mailboxes in a server's folder, by webhook, as a shared database has them.
///
/// # Errors
/// Returns an error if the folder cannot be read.
pub(crate) fn kept_in(folder: &Path) -> io::Result<Vec<(String, String)>> {
    let known = file::read(&folder.join(file::NAME))?.into_iter();
    let texts = known.map(|(name, mailbox)| Ok((name, serde_json::to_string(&mailbox)?)));
    texts.collect()
}

fn gauge(name: &str, mailbox: &Mailbox) {
    let label = Arc::<str>::from(name);
    let pending = mailbox.pending.len() as f64;
    metrics::gauge!("daypass_webhook_pending", "webhook" => label.clone()).set(pending);
    metrics::gauge!("daypass_webhook_dead", "webhook" => label).set(mailbox.dead.len() as f64);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::notify::kind::NotificationKind;
    use time::macros::datetime;

    const NOW: time::OffsetDateTime = datetime!(2026-11-22 15:32:51 UTC);

    #[tokio::test]
    async fn what_was_saved_is_there_again_and_new_webhooks_start_at_the_head() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path(), &["chat", "pager"], 5).unwrap();
        outbox.change("chat", |it| it.take(7, NotificationKind::Locked, NOW));
        outbox.save("chat", true, NOW).await.unwrap();
        outbox.change("chat", |it| it.take(8, NotificationKind::Locked, NOW));
        drop(outbox);
        let outbox = Outbox::open(folder.path(), &["chat", "other"], 9).unwrap();
        let chat = outbox.look("chat", Clone::clone).unwrap();
        assert_eq!((chat.cursor, chat.pending.len()), (8, 1));
        assert_eq!(outbox.look("other", |it| it.cursor), Some(9));
        assert_eq!(outbox.look("pager", |it| it.cursor), None);
        drop(outbox);
        let outbox = Outbox::open(folder.path(), &["pager"], 9).unwrap();
        assert_eq!(
            outbox.look("pager", |it| it.cursor),
            Some(9),
            "it was dropped"
        );
        assert!(forget(folder.path()).is_ok() && forget(folder.path()).is_ok());
    }

    #[test]
    fn a_broken_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("webhooks.json"), "{").unwrap();
        let outbox = Outbox::open(folder.path(), &["chat"], 5).unwrap();
        assert_eq!(outbox.look("chat", |it| it.cursor), Some(5));
        assert!(folder.path().join("webhooks.json.broken").exists());
    }
}
