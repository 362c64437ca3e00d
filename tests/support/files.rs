//! Files, folders and keys as tests write them.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use ssh_key::{Algorithm, LineEnding, PrivateKey, rand_core::OsRng};
use tempfile::TempDir;

/// A fresh folder below the target folder: sshd's StrictModes refuses files in a folder that
/// every user may write to, such as `/tmp`.
pub fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Sets the permission bits.
pub fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The permission bits.
pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Writes a file that only its owner may read.
pub fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    chmod(path, 0o600);
}

/// Writes a program.
pub fn write_program(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    chmod(path, 0o755);
}

/// A fresh Ed25519 key.
pub fn new_key() -> PrivateKey {
    PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap()
}

/// Writes a private key in OpenSSH's format.
pub fn write_key(path: &Path, key: &PrivateKey) {
    write_secret(path, &key.to_openssh(LineEnding::LF).unwrap());
}

/// Replaces text that must be in the file.
pub fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from:?} is not in {}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}
