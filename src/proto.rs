//! The wire of `daypass.v1`: its generated types, the encoding of an ask that both sides sign and
//! check, and the error details that both sides read.

pub mod ask;
pub(crate) mod search;
pub mod status;
pub(crate) mod usage;
pub mod v1;

pub use ask::ask_bytes;

/// The compiled descriptors, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/daypass.bin"));
