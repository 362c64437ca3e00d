//! A pool of connections to the host of an address that is the primary now.

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{
    address::PostgresAddress,
    session::{CONNECT, configured, expect_primary},
};

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
            .acquire_timeout(CONNECT);
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
