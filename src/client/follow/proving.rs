//! Proofs that are made of a server's tiles, and verified.

use super::{evidence::AlarmKind, plain::Plain};
use crate::ledger::{
    checkpoint::Checkpoint,
    tile::{self, Tiles},
    tree::{Frontier, Hash, Node, Plan, verify_consistency, verify_inclusion},
};

/// Reason why nothing is proven.
#[derive(Debug)]
pub(super) enum Fault {
    /// A tile did not come.
    Silent(String),
    /// The tiles came and prove the contrary, or nothing.
    Contradiction(AlarmKind, String),
}

/// Demands that `new` continues `old`, by the tiles of this server.
pub(super) async fn consistency(
    plain: &Plain,
    old: &Checkpoint,
    new: &Checkpoint,
) -> Result<(), Fault> {
    let (from, to) = (old.size, new.size);
    let Some(plan) = Plan::consistency(from, to) else {
        let why = format!("{from} entries are not the beginning of {to}");
        return Err(Fault::Contradiction(AlarmKind::Fork, why));
    };
    let mut tiles = Tiles::default();
    let proof = proof(plain, &mut tiles, (&plan, to)).await?;
    if verify_consistency(from, &old.root, to, &new.root, &proof) {
        return Ok(());
    }
    let whole = Frontier::nodes(to);
    fetch(plain, &mut tiles, (whole.iter().copied(), to)).await?;
    let peaks = whole.iter().map(|node| tiles.hash_of(*node, to));
    let frontier = peaks
        .collect::<Option<Vec<_>>>()
        .and_then(|peaks| Frontier::from_peaks(to, peaks));
    match frontier.is_some_and(|it| it.root() == new.root) {
        true => Err(Fault::Contradiction(
            AlarmKind::Fork,
            format!("its {to} entries do not continue the {from} that were there before"),
        )),
        false => Err(false_tiles(to)),
    }
}

/// Demands that the leaf with this hash is at `index` of the ledger, by the tiles of this server.
pub(super) async fn inclusion(
    plain: &Plain,
    (index, leaf): (u64, &Hash),
    new: &Checkpoint,
) -> Result<(), Fault> {
    let missing = || {
        let why = format!("the ledger does not contain it as entry {index}");
        Fault::Contradiction(AlarmKind::Fork, why)
    };
    let plan = Plan::inclusion(index, new.size).ok_or_else(missing)?;
    let mut tiles = Tiles::default();
    let proof = proof(plain, &mut tiles, (&plan, new.size)).await?;
    match verify_inclusion(leaf, index, new.size, &proof, &new.root) {
        true => Ok(()),
        false => Err(missing()),
    }
}

async fn proof(
    plain: &Plain,
    tiles: &mut Tiles,
    (plan, size): (&Plan, u64),
) -> Result<Vec<Hash>, Fault> {
    fetch(plain, tiles, (plan.nodes(), size)).await?;
    plan.proof(|node| tiles.hash_of(node, size))
        .ok_or_else(|| false_tiles(size))
}

/// Fetches the tiles that these nodes follow from.
async fn fetch(
    plain: &Plain,
    tiles: &mut Tiles,
    (nodes, size): (impl Iterator<Item = Node>, u64),
) -> Result<(), Fault> {
    for tile in tile::needed(nodes, size) {
        if tiles.contains(&tile) {
            continue;
        }
        let bytes = plain.tile(tile).await.map_err(Fault::Silent)?;
        if !tiles.insert(tile, &bytes) {
            return Err(false_tiles(size));
        }
    }
    Ok(())
}

fn false_tiles(size: u64) -> Fault {
    let why = format!(
        "its tiles do not add up to the checkpoint of {size} entries that it signed: the server, or a cache before it, \
         hands out wrong hashes"
    );
    Fault::Contradiction(AlarmKind::FalseTiles, why)
}
