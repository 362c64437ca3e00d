//! The pending deliveries of each webhook: kept in `webhooks.json` beside the ledger, so that a
//! crash loses none.
//!
//! Every write is a consistent snapshot of cursor and pending deliveries. After a crash an older
//! snapshot holds: deliveries made since then are made again, under the same id, and none is left
//! out.

mod file;
mod mailbox;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

pub(crate) use mailbox::{DeadLetter, Which};
pub(super) use mailbox::{Mailbox, Next, Settled};

/// All mailboxes, and their file.
#[derive(Debug)]
pub(super) struct Outbox {
    path: PathBuf,
    boxes: Mutex<Boxes>,
    /// The revision that the file has. Held while the file is written.
    saved: tokio::sync::Mutex<u64>,
    wake: BTreeMap<String, Notify>,
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
        Ok(Self {
            path,
            boxes: Mutex::new(Boxes { by_name, revision }),
            saved: tokio::sync::Mutex::new(revision),
            wake: names
                .iter()
                .map(|name| ((*name).to_owned(), Notify::new()))
                .collect(),
        })
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

    /// Makes every change until now durable. Callers that wait for each other share one write.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written. The next call tries again.
    pub(super) async fn save(&self) -> io::Result<()> {
        let wanted = self.locked().revision;
        let mut saved = self.saved.lock().await;
        if *saved >= wanted {
            return Ok(());
        }
        let (revision, bytes) = {
            let boxes = self.locked();
            (boxes.revision, file::bytes(&boxes.by_name)?)
        };
        let path = self.path.clone();
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

/// Removes the file, because no webhook is configured.
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
        outbox.save().await.unwrap();
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
