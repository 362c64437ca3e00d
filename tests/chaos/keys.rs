//! The keys of the CA in a run: one signs at first, the others wait for administrators' orders, and
//! host certificates are by a key of their own.

use std::{fs, path::Path};

use ssh_key::{HashAlg, PrivateKey};

use super::support::{files, hosts};

/// The keys that orders may activate. The file of the first one is there already.
pub(crate) const FILES: [&str; 6] = ["ca_key", "key-1", "key-2", "key-3", "key-4", "key-5"];

const HOSTS: &str = "host_ca_key";

/// Makes the keys, and returns their part of `daypass.toml`.
pub(crate) fn prepare(folder: &Path) -> String {
    let mut sections = hosts::SECTION.to_owned();
    for name in &FILES[1..] {
        files::write_key(&folder.join(name), &files::new_key());
        sections += &format!("[[ca.key]]\nfile = \"{name}\"\nstate = \"staged\"\n");
    }
    files::write_key(&folder.join(HOSTS), &files::new_key());
    sections
}

/// Gives another daemon the same keys.
pub(crate) fn copy(from: &Path, to: &Path) {
    for name in FILES[1..].iter().chain([&HOSTS]) {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// The fingerprints and blobs of the keys that sign passes, then of the one that signs for hosts.
pub(crate) fn public(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = FILES.iter().chain([&HOSTS]);
    let one = |name: &&str| {
        let key = PrivateKey::read_openssh_file(&folder.join(name)).unwrap();
        let key = key.public_key();
        (
            key.fingerprint(HashAlg::Sha256).to_string(),
            key.to_bytes().unwrap(),
        )
    };
    names.map(one).collect()
}
