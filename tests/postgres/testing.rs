//! A replica: a folder of its own, and a store over a shared database.

use std::time::{Duration, Instant};

use daypass::{
    ledger::{EventKind, checkpoint::Signer, keyring::Keyring},
    store::{Error, PostgresAddress, Store},
};
use tempfile::TempDir;
use time::OffsetDateTime;

use super::cluster::Database;

pub(crate) const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

/// The longest that a test waits for what should take milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn signer() -> Signer {
    signer_of("daypass.example.com", 7)
}

pub(crate) fn signer_of(server: &str, key: u8) -> Signer {
    Signer::new(&format!("{server}/ledger"), &[key; 32]).unwrap()
}

pub(crate) fn staged(number: u64) -> EventKind {
    EventKind::KeyStaged {
        key: format!("SHA256:{number}"),
    }
}

/// The folder of a replica.
pub(crate) struct Replica(TempDir);

impl Replica {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) async fn open(&self, database: &Database) -> Result<Store, Error> {
        self.open_at(&database.address()).await
    }

    pub(crate) async fn open_at(&self, address: &str) -> Result<Store, Error> {
        self.open_as(address, signer()).await
    }

    pub(crate) async fn open_as(
        &self,
        address: &str,
        keys: impl Into<Keyring>,
    ) -> Result<Store, Error> {
        let address = PostgresAddress::parse(address)?;
        let started = EventKind::started("0.1.0", "daypass.example.com");
        Store::open_on(self.0.path(), &address, keys, started, NOW).await
    }

    /// The message of a start that is refused.
    pub(crate) async fn refusal(&self, address: &str) -> String {
        match self.open_at(address).await {
            Err(error) => error.to_string(),
            Ok(store) => panic!("opened with {} events", store.size()),
        }
    }
}

/// Waits until the condition holds. Returns the time that it took.
pub(crate) async fn until(condition: impl AsyncFn() -> bool) -> Duration {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < PATIENCE, "it never came true");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    began.elapsed()
}

/// Every leaf of the ledger.
pub(crate) async fn leaves(store: &Store) -> Vec<Vec<u8>> {
    let mut leaves = Vec::new();
    loop {
        let read = store.entries(leaves.len() as u64, 1000).await.unwrap();
        if read.is_empty() {
            return leaves;
        }
        leaves.extend(read.into_iter().map(|(_, leaf)| leaf));
    }
}
