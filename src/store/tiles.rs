//! Tiles of the tree, from the hashes that are stored beside the leaves.

use super::{
    Error, Store,
    database::{Connection, on_engine},
    ledger,
};
use crate::ledger::tile::Tile;

impl Store {
    /// The bytes of a tile; none if the ledger does not have it. Another server of this ledger may
    /// just have signed a checkpoint that covers it.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the database does not answer, and [`Error::Tampered`] if
    /// it lacks a hash.
    pub(crate) async fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, Error> {
        if !tile.is_in(self.size()) {
            self.follow().await?;
            if !tile.is_in(self.size()) {
                return Ok(None);
            }
        }
        let nodes: Vec<_> = tile.nodes().collect();
        let read = || async {
            let mut reader = self.reader().await?;
            match nodes.as_slice() {
                [first, .., last] if first.level == 0 => {
                    leaf_hashes(&mut reader, first.index, last.index).await
                }
                nodes => ledger::hashes_of(&mut reader, nodes).await,
            }
        };
        match self.read(read).await? {
            Some(hashes) if hashes.len() == nodes.len() * 32 => Ok(Some(hashes)),
            Some(_) | None => Err(Error::Tampered("a hash of the tree is missing".to_owned())),
        }
    }
}

/// The hashes of neighbouring leaves, one behind the other: one read of a range.
async fn leaf_hashes(
    connection: &mut Connection,
    first: u64,
    last: u64,
) -> Result<Option<Vec<u8>>, Error> {
    let statement =
        "SELECT hashes FROM ledger WHERE position >= $1 AND position <= $2 ORDER BY position";
    let (first, last) = (ledger::position(first), ledger::position(last));
    let rows: Vec<Vec<u8>> = on_engine!(connection, engine => {
        let query = sqlx::query_scalar(statement);
        query.bind(first).bind(last).fetch_all(engine).await?
    });
    Ok(rows
        .iter()
        .map(|hashes| hashes.first_chunk::<32>())
        .collect::<Option<Vec<_>>>()
        .map(|hashes| hashes.into_iter().flatten().copied().collect()))
}
