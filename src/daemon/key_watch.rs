//! Notices that a CA key which another program keeps has gone, also if no pass is asked for: so
//! `/readyz` says so before a pass is recorded that would never be signed.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::sleep;

use crate::{ca::key::Key, operations::Authority};

/// How often a key is looked at that nothing else asks. A look is one short question.
const EVERY: Duration = Duration::from_secs(1);

/// Looks at the keys that sign, until the authority is gone.
pub(super) async fn watch(authority: Weak<Authority>) {
    loop {
        sleep(EVERY).await;
        let Some(authority) = authority.upgrade() else {
            return;
        };
        authority.look_at_keys().await;
    }
}

/// Looks at the key of `daypass signer`. Never ends.
pub(super) async fn watch_key(key: Arc<Key>) {
    loop {
        sleep(EVERY).await;
        key.look().await;
    }
}
