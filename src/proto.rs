//! The generated wire types of `daypass.v1`, and the one encoding of an ask that both sides sign and check.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated code")]

pub mod v1 {
    tonic::include_proto!("daypass.v1");
}

/// The compiled descriptors, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/daypass.bin"));
