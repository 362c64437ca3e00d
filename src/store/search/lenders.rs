//! Reading the events that others are about, for the rows of these.

use crate::store::{Error, database::Readers, ledger};

/// The leaves at these indices.
pub(super) async fn lenders(
    ledger: &Readers,
    wanted: Vec<u64>,
) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    ledger::leaves(&mut ledger.acquire().await?, &wanted).await
}
