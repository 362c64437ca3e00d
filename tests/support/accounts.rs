//! Accounts for a machine of a test: its own `/etc/passwd`, to be mounted over the real one in a
//! mount namespace.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Counted downwards from here: no account of the machine's has such an id.
const FIRST_ID: u32 = 58_999;

/// The user id of the n-th of them.
pub fn id(at: usize) -> u32 {
    FIRST_ID - u32::try_from(at).unwrap()
}

/// Writes the machine's accounts and these, each with a shell, in a file in `folder`.
pub fn write(folder: &Path, names: &[&str]) -> PathBuf {
    let homes: Vec<_> = names.iter().map(|name| (*name, Path::new("/"))).collect();
    write_with_homes(folder, &homes)
}

/// The same with a home for each.
pub fn write_with_homes(folder: &Path, accounts: &[(&str, &Path)]) -> PathBuf {
    let mut text = fs::read_to_string("/etc/passwd").unwrap();
    for (at, (name, home)) in accounts.iter().enumerate() {
        let (id, home) = (id(at), home.display());
        text.push_str(&format!("{name}:*:{id}:{id}::{home}:/bin/sh\n"));
    }
    let path = folder.join("passwd");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    path
}

/// The words before a program that is to run with these accounts: in a mount namespace, which only
/// root can make.
pub fn enter(passwd: &Path) -> Vec<String> {
    let script = r#"mount --bind "$0" /etc/passwd && exec "$@""#;
    let words = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
    ];
    let words = words.into_iter().map(str::to_owned);
    words.chain([passwd.display().to_string()]).collect()
}
