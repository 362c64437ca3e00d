//! Tiles of the tree's hashes (C2SP tlog-tiles): the form in which any tool of transparency logs
//! reads proofs over plain HTTPS. Pure.
//!
//! A tile of level L has up to 256 hashes of complete subtrees of height 8 L. Higher hashes follow
//! from them.
//!
//! ```
//! use daypass::ledger::tile::Tile;
//!
//! let tile = Tile::parse("0/x001/234.p/5").expect("the path of a tile");
//! assert_eq!(tile.to_string(), "0/x001/234.p/5");
//! assert!(tile.is_in(1_234 * 256 + 5) && !tile.is_in(1_234 * 256 + 4));
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::tree::{Hash, Node, node_hash};

/// Hashes of a full tile.
const FULL: u16 = 256;

/// Levels of the tree that a tile covers.
const HEIGHT: u32 = 8;

/// The highest level that C2SP tlog-tiles names. A ledger of 2^64 entries has 8.
const HIGHEST: u32 = 63;

/// Bytes of a tile's path at most: more than a tile of any ledger has.
const LONGEST: usize = 64;

/// One tile of some width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    level: u32,
    index: u64,
    width: u16,
}

impl Tile {
    /// Parses `<L>/<N>` or `<L>/<N>.p/<W>`, the part of the path behind `/tile/`. One tile has one
    /// path.
    pub fn parse(path: &str) -> Option<Self> {
        if path.len() > LONGEST {
            return None;
        }
        let (level, rest) = path.split_once('/')?;
        let level = u32::try_from(number(level)?).ok()?;
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, FULL),
            Some((index, width)) => (index, u16::try_from(number(width)?).ok()?),
        };
        let is_partial = index.len() != rest.len();
        let widths = if is_partial { 1..FULL } else { FULL..FULL + 1 };
        let tile = Self {
            level,
            index: parse_index(index)?,
            width,
        };
        (level <= HIGHEST && widths.contains(&width)).then_some(tile)
    }

    /// Whether it has 256 hashes. Such a tile never changes.
    pub fn is_full(self) -> bool {
        self.width == FULL
    }

    /// Index of its first subtree.
    pub(crate) fn first(self) -> u64 {
        self.index.saturating_mul(FULL.into())
    }

    /// Number of its hashes.
    pub(crate) fn width(self) -> usize {
        self.width.into()
    }

    /// Whether a ledger of `size` entries has it.
    pub fn is_in(self, size: u64) -> bool {
        let first = self.index.checked_mul(FULL.into());
        let end = first.and_then(|first| first.checked_add(self.width.into()));
        end.is_some_and(|end| end <= hashes(self.level, size))
    }

    /// The complete subtrees whose hashes it has, in order. To be called for a tile that the ledger
    /// has ([`Tile::is_in`]).
    pub(crate) fn nodes(self) -> impl Iterator<Item = Node> {
        let first = self.first();
        let level = self.level * HEIGHT;
        (first..first.saturating_add(self.width.into())).map(move |index| Node { level, index })
    }

    /// The tile of a ledger of `size` entries that this node's hash follows from, and the stretch
    /// of it.
    fn of(node: Node, size: u64) -> (Self, std::ops::Range<usize>) {
        let (level, within) = (node.level / HEIGHT, node.level % HEIGHT);
        let first = node.index << within;
        let index = first / u64::from(FULL);
        let left = hashes(level, size).saturating_sub(index * u64::from(FULL));
        let width = u16::try_from(left).unwrap_or(FULL).min(FULL);
        let start = usize::try_from(first % u64::from(FULL)).unwrap_or(0);
        let tile = Self {
            level,
            index,
            width,
        };
        (tile, start..start + (1 << within))
    }
}

/// The tiles of a ledger of `size` entries that the hashes of these nodes follow from.
pub(crate) fn needed(nodes: impl Iterator<Item = Node>, size: u64) -> BTreeSet<Tile> {
    nodes.map(|node| Tile::of(node, size).0).collect()
}

/// Tiles of one ledger that were fetched. Unverified: a proof that is made of them is to be
/// verified.
#[derive(Debug, Default)]
pub(crate) struct Tiles(BTreeMap<Tile, Vec<Hash>>);

impl Tiles {
    /// Takes in the bytes of a tile. Returns false if they are not as many as its hashes have.
    pub(crate) fn insert(&mut self, tile: Tile, bytes: &[u8]) -> bool {
        let (hashes, rest) = bytes.as_chunks::<32>();
        let is_whole = rest.is_empty() && hashes.len() == tile.width();
        if is_whole {
            self.0.insert(tile, hashes.to_vec());
        }
        is_whole
    }

    /// Whether the tile is there.
    pub(crate) fn contains(&self, tile: &Tile) -> bool {
        self.0.contains_key(tile)
    }

    /// The hash of a complete subtree of the ledger of `size` entries; `None` if its tile is not
    /// there.
    pub(crate) fn hash_of(&self, node: Node, size: u64) -> Option<Hash> {
        let (tile, stretch) = Tile::of(node, size);
        let mut row = self.0.get(&tile)?.get(stretch)?.to_vec();
        while row.len() > 1 {
            let (pairs, _) = row.as_chunks::<2>();
            row = pairs.iter().map(|[a, b]| node_hash(a, b)).collect();
        }
        row.pop()
    }
}

/// Writes the part of the path behind `/tile/`.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        write!(f, "{}", self.level)?;
        for (at, group) in groups.iter().enumerate().rev() {
            let mark = if at == 0 { "" } else { "x" };
            write!(f, "/{mark}{group:03}")?;
        }
        match self.is_full() {
            true => Ok(()),
            false => write!(f, ".p/{}", self.width),
        }
    }
}

/// Number of complete subtrees of a tile's level that a ledger of `size` entries has.
fn hashes(level: u32, size: u64) -> u64 {
    size.checked_shr(level * HEIGHT).unwrap_or(0)
}

/// An index in groups of three digits, all but the last one with an `x` before it.
fn parse_index(text: &str) -> Option<u64> {
    let mut groups = text.split('/').rev();
    let last = three_digits(groups.next()?)?;
    let (mut index, mut unit, mut highest) = (last, 1_u64, None);
    for group in groups {
        let value = three_digits(group.strip_prefix('x')?)?;
        unit = unit.checked_mul(1000)?;
        index = index.checked_add(value.checked_mul(unit)?)?;
        highest = Some(value);
    }
    (highest != Some(0)).then_some(index)
}

fn three_digits(text: &str) -> Option<u64> {
    let is_group = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_group.then(|| text.parse().ok()).flatten()
}

/// A decimal number without leading zeros.
fn number(text: &str) -> Option<u64> {
    let is_canonical = text == "0" || !text.starts_with('0');
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_canonical && is_number)
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests;
