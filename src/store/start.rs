//! Starts a store: reads the ledger, then starts the writer and the scrub.

use std::{path::Path, sync::Arc};

use parking_lot::{Mutex, RwLock};
use time::OffsetDateTime;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    Error, Inner, QUEUE, Store,
    inserts::Inserts,
    lock::Lock,
    opening::Opening,
    recent::Recent,
    replay::{Replayed, Unsigned},
    scrub::Scrub,
    search::Search,
    signed::Signed,
    snapshots::Snapshots,
    writer::{State, Writer},
};
use crate::ledger::keyring::Keyring;

impl Store {
    /// Reads the ledger and starts the writer and the scrub.
    pub(super) async fn start(
        folder: &Path,
        lock: Lock,
        keys: Keyring,
        now: OffsetDateTime,
        opening: Opening<'_>,
    ) -> Result<(Self, Vec<Unsigned>), Error> {
        let database = opening.database(folder);
        let (signed, checkpoint) = Signed::open(folder, keys)?;
        let (connection, replayed, covered) =
            opening.begin(&database, &signed, checkpoint, now).await?;
        let Replayed {
            head,
            judge,
            unsigned,
            ..
        } = replayed;
        let signed = Arc::new(signed);
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (state, watched) = watch::channel(State::new(head));
        let readers = database.open_readers();
        let mailboxes = database.mailboxes();
        let shared = Arc::new(RwLock::new(judge.clone()));
        let denials = Arc::new(Mutex::default());
        let last = covered.as_ref().map_or(0, |covered| covered.head.size());
        let scrub = Scrub::begin(&signed, readers.clone(), covered);
        let recent = Recent::default();
        let search = Search::begin(folder, readers.clone(), (watched.clone(), recent.clone()));
        let writer = Writer {
            announcements: database.announcements(),
            database,
            lock,
            signed: signed.clone(),
            snapshots: Snapshots::new(folder, signed.clone(), last, opening.snapshot_every),
            jobs: queue,
            state,
            judge,
            shared: shared.clone(),
            recent,
            denials: Arc::clone(&denials),
            connection: Some(connection),
            inserts: Inserts::new(),
            unflushed: 0,
            signed_at: Instant::now(),
        };
        let store = Self(Arc::new(Inner {
            jobs: Mutex::new(Some(jobs)),
            writer: Mutex::new(Some(tokio::spawn(writer.run()))),
            state: watched,
            shared,
            signed,
            denials,
            readers,
            mailboxes,
            scrub,
            search,
        }));
        Ok((store, unsigned))
    }
}
