//! Compiles the protocol. `protox` reads the `.proto` files, so no `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 8] = [
    "proto/daypass/v1/admin.proto",
    "proto/daypass/v1/hosts.proto",
    "proto/daypass/v1/proof.proto",
    "proto/daypass/v1/request.proto",
    "proto/daypass/v1/requests.proto",
    "proto/daypass/v1/passes.proto",
    "proto/daypass/v1/trust.proto",
    "proto/daypass/v1/ledger.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("daypass.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
