//! What the store does for known hosts: records their certificates, and keeps their reports.

use time::OffsetDateTime;

use super::{
    Error, Store,
    database::on_engine,
    job::Job,
    reports::{ReportChange, StoredReport},
};
use crate::{
    ca::HostDraft,
    ledger::{Receipt, event::HostCertified},
    unix_seconds::UnixSeconds,
};

type Row = (Vec<u8>, i64, i64, i64, Vec<u8>);

impl Store {
    /// Records the host certificate that `draft` will be, as [`Store::issue`] does.
    ///
    /// # Errors
    /// As [`Store::issue`].
    pub(crate) async fn certify(
        &self,
        draft: HostDraft,
        certified: Box<HostCertified>,
        now: OffsetDateTime,
    ) -> Result<(HostDraft, Receipt), Error> {
        self.submit(|answer| Job::Certify {
            draft,
            certified,
            at: now,
            answer,
        })
        .await
    }

    /// Keeps a report in place of the host's last one. Returns false if that one is as new, or of a
    /// later join: nothing was changed then.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the database cannot be written.
    pub(crate) async fn put_report(&self, report: StoredReport) -> Result<bool, Error> {
        self.change_report(ReportChange::Put(report)).await
    }

    /// Forgets the report of a host.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the database cannot be written.
    pub(crate) async fn remove_report(&self, host: String) -> Result<(), Error> {
        self.change_report(ReportChange::Remove(host)).await?;
        Ok(())
    }

    async fn change_report(&self, change: ReportChange) -> Result<bool, Error> {
        self.submit(|answer| Job::Report { change, answer }).await
    }

    /// The reports of the hosts from `first` to `last`, by name.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the database cannot be read.
    pub(crate) async fn reports(
        &self,
        first: &str,
        last: &str,
    ) -> Result<Vec<StoredReport>, Error> {
        let statement = "SELECT host, joined, made, received, content FROM report \
                         WHERE host >= $1 AND host <= $2 ORDER BY host";
        let read = || async {
            let (first, last) = (first.as_bytes().to_vec(), last.as_bytes().to_vec());
            let mut connection = self.reader().await?;
            let rows: Vec<Row> = on_engine!(connection, engine => {
                let query = sqlx::query_as(statement);
                query.bind(first).bind(last).fetch_all(engine).await?
            });
            Ok(rows)
        };
        let rows = self.read(read).await?;
        Ok(rows.into_iter().map(stored).collect())
    }
}

fn stored((host, joined, made, received, content): Row) -> StoredReport {
    let number = |it: i64| u64::try_from(it).unwrap_or_default();
    StoredReport {
        host: String::from_utf8_lossy(&host).into_owned(),
        joined: number(joined),
        made: number(made),
        received: UnixSeconds(number(received)),
        content,
    }
}
