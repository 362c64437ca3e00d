//! The mailboxes of webhooks in a shared database: one row for each, and one server at a time that
//! delivers it.
//!
//! The deliverer holds a lease by the database's clock, which it keeps by writing the row. Another
//! server takes a lease that has ended, with the next term: what the earlier deliverer writes
//! afterwards is refused.

use std::time::Duration;

use rand::{RngCore, rngs::OsRng};
use sqlx::PgConnection;

use super::{
    address::PostgresAddress,
    pool::Pool,
    session::{APPEND, within},
};
use crate::store::Error;

/// Time without a sign of life after which another server delivers.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// Time after which the mailbox of a webhook that no server delivers is removed: it is in no
/// configuration any more.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

/// Orders that wait for one deliverer at most, in bytes.
const ORDERS: i64 = 64 * 1024;

/// The table of mailboxes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Mailboxes {
    pool: Pool,
    /// This run of this server, unlike any other one.
    holder: String,
}

/// A mailbox that this server may deliver until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Grows with each change of the deliverer.
    pub(crate) term: i64,
    /// The mailbox, as its deliverer wrote it last.
    pub(crate) mailbox: String,
}

/// What one write of the deliverer found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The lease goes on, and this is what waits to be done, separated by lines.
    Held { orders: String },
    /// Another server delivers.
    Lost,
}

/// A mailbox as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The mailbox.
    pub(crate) mailbox: String,
    /// The server that delivers it; none if its lease has ended.
    pub(crate) deliverer: Option<String>,
}

impl Mailboxes {
    pub(in crate::store) fn new(address: &PostgresAddress) -> Self {
        let pool = Pool::new(address, 2, &[]);
        let mut run = [0; 16];
        OsRng.fill_bytes(&mut run);
        Self {
            pool,
            holder: base16ct::lower::encode_string(&run),
        }
    }

    /// Takes the lease of a webhook if no other server holds it; `label` is shown to people. A new
    /// webhook gets the mailbox `new`.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the database does not answer.
    pub(crate) async fn take(
        &self,
        name: &str,
        label: &str,
        new: &str,
    ) -> Result<Option<Held>, Error> {
        let taken = async {
            let mut connection = self.pool.now().acquire().await?;
            // Servers that wait for a lease look often: they only read.
            let is_held: Option<bool> = sqlx::query_scalar(
                "SELECT until > (extract(epoch FROM clock_timestamp()) * 1000)::bigint \
                 FROM mailbox WHERE name = $1",
            )
            .bind(name)
            .fetch_optional(&mut *connection)
            .await?;
            match is_held {
                Some(true) => return Ok(None),
                Some(false) => {}
                None => put(&mut connection, name, new).await?,
            }
            let row: Option<(i64, String)> = sqlx::query_as(
                "UPDATE mailbox SET holder = $2, label = $3, term = term + 1, \
                 until = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $4 \
                 WHERE name = $1 \
                 AND until <= (extract(epoch FROM clock_timestamp()) * 1000)::bigint \
                 RETURNING term, content",
            )
            .bind(name)
            .bind(&self.holder)
            .bind(label)
            .bind(milliseconds(LEASE))
            .fetch_optional(&mut *connection)
            .await?;
            Ok(row.map(|(term, mailbox)| Held { term, mailbox }))
        };
        within(APPEND, taken).await
    }

    /// Keeps the lease, and writes the mailbox if it changed. `done` are the orders that are done
    /// in it.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the database does not answer. The mailbox may or may not
    /// be written then.
    pub(crate) async fn keep(
        &self,
        name: &str,
        term: i64,
        mailbox: Option<&str>,
        done: &str,
    ) -> Result<Kept, Error> {
        let kept = async {
            let orders: Option<String> = sqlx::query_scalar(
                "UPDATE mailbox SET content = coalesce($4, content), \
                 orders = substr(orders, length($5) + 1), \
                 until = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $6 \
                 WHERE name = $1 AND holder = $2 AND term = $3 \
                 RETURNING orders",
            )
            .bind(name)
            .bind(&self.holder)
            .bind(term)
            .bind(mailbox)
            .bind(done)
            .bind(milliseconds(LEASE))
            .fetch_optional(self.pool.now())
            .await?;
            Ok(match orders {
                Some(orders) => Kept::Held { orders },
                None => Kept::Lost,
            })
        };
        within(APPEND, kept).await
    }

    /// Ends the lease, so that another server delivers at once.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the database does not answer.
    pub(crate) async fn release(&self, name: &str, term: i64) -> Result<(), Error> {
        let released = async {
            sqlx::query(
                "UPDATE mailbox SET until = (extract(epoch FROM clock_timestamp()) * 1000)::bigint \
                 WHERE name = $1 AND holder = $2 AND term = $3",
            )
            .bind(name)
            .bind(&self.holder)
            .bind(term)
            .execute(self.pool.now())
            .await?;
            Ok(())
        };
        within(APPEND, released).await
    }

    /// Gives the deliverer an order, one line. Returns false if too many wait.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the database does not answer.
    pub(crate) async fn order(&self, name: &str, line: &str) -> Result<bool, Error> {
        let ordered = async {
            let done = sqlx::query(
                "UPDATE mailbox SET orders = orders || $2 WHERE name = $1 AND length(orders) < $3",
            )
            .bind(name)
            .bind(format!("{line}\n"))
            .bind(ORDERS)
            .execute(self.pool.now())
            .await?;
            Ok(done.rows_affected() > 0)
        };
        within(APPEND, ordered).await
    }

    /// The mailbox of a webhook; none if no server has begun to deliver it.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the database does not answer.
    pub(crate) async fn show(&self, name: &str) -> Result<Option<Shown>, Error> {
        let shown = async {
            let row: Option<(String, Option<String>)> = sqlx::query_as(
                "SELECT content, CASE \
                 WHEN until > (extract(epoch FROM clock_timestamp()) * 1000)::bigint THEN label END \
                 FROM mailbox WHERE name = $1",
            )
            .bind(name)
            .fetch_optional(self.pool.now())
            .await?;
            Ok(row.map(|(mailbox, deliverer)| Shown { mailbox, deliverer }))
        };
        within(APPEND, shown).await
    }

    /// Removes the mailboxes of webhooks other than `names` that no server has delivered for a day.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the database does not answer.
    pub(crate) async fn forget_others(&self, names: &[String]) -> Result<(), Error> {
        let forgotten = async {
            sqlx::query(
                "DELETE FROM mailbox WHERE NOT name = ANY($1) AND until \
                 < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - $2",
            )
            .bind(names)
            .bind(milliseconds(FORGOTTEN))
            .execute(self.pool.now())
            .await?;
            Ok(())
        };
        within(APPEND, forgotten).await
    }

    /// Closes the connections.
    pub(in crate::store) async fn close(&self) {
        self.pool.now().close().await;
    }
}

/// Puts a mailbox into the table, if the webhook has none there.
pub(in crate::store) async fn put(
    connection: &mut PgConnection,
    name: &str,
    content: &str,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO mailbox (name, content, orders, holder, label, term, until) \
         VALUES ($1, $2, '', '', '', 0, 0) ON CONFLICT (name) DO NOTHING",
    )
    .bind(name)
    .bind(content)
    .execute(connection)
    .await?;
    Ok(())
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
