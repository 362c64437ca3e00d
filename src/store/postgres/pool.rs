//! A pool of connections to the host of an address that is the primary now.

use std::time::Duration;

use sqlx::{
    Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use super::{
    address::PostgresAddress,
    session::{CONNECT, configured, expect_primary},
};

/// Time for a connection that was idle to say that it is there. A firewall that forgot it, or a
/// primary without power, says nothing: the next connection is tried, or a new one made, and all of
/// that takes less than [`CONNECT`].
const ANSWER: Duration = Duration::from_secs(1);

/// An idle connection is closed within twice this time: before the firewalls and load balancers
/// between, which forget it after some minutes.
const IDLE: Duration = Duration::from_secs(60);

/// Settings of a pool's connections, beside those of every connection.
type Settings = &'static [(&'static str, &'static str)];

/// Connections to one host at a time. The writer finds which host is the primary, and new
/// connections go there. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::store) struct Pool {
    pool: PgPool,
    address: PostgresAddress,
    settings: Settings,
}

impl Pool {
    /// At most `connections`, made when they are needed.
    pub(super) fn new(address: &PostgresAddress, connections: u32, settings: Settings) -> Self {
        let mut options = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(CONNECT)
            .idle_timeout(IDLE)
            // The library's own question has no deadline.
            .test_before_acquire(false)
            .before_acquire(|connection, _| Box::pin(answers(connection)));
        if address.has_several() {
            options = options.after_connect(|connection, _| Box::pin(expect_primary(connection)));
        }
        Self {
            pool: options.connect_lazy_with(present(address, settings)),
            address: address.clone(),
            settings,
        }
    }

    /// The pool, whose new connections go to the present primary.
    pub(in crate::store) fn now(&self) -> &PgPool {
        if self.address.has_several() {
            let options = present(&self.address, self.settings);
            self.pool.set_connect_options(options);
        }
        &self.pool
    }
}

fn present(address: &PostgresAddress, settings: Settings) -> PgConnectOptions {
    let (_, host) = address.hosts().next().unwrap_or_default();
    configured(host).options(settings.iter().copied())
}

/// Returns an error if the other end of an idle connection has hung up, or does not answer.
pub(super) async fn answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let answered = timeout(ANSWER, connection.ping()).await;
    answered.map_err(|_| sqlx::Error::PoolTimedOut)??;
    Ok(true)
}
