//! The wire of `daypass.v1`: its generated types, the encoding of an ask that both sides sign and
//! check, and the error details that both sides read.

pub mod ask;
pub mod status;

pub use ask::ask_bytes;

/// The generated types of `proto/daypass/v1`.
pub mod v1 {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    tonic::include_proto!("daypass.v1");
}

/// The compiled descriptors, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/daypass.bin"));
