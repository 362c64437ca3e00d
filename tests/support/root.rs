//! Tests that make namespaces, and need root for it.

use std::process::Command;

/// Fails with the line to type if this process is not root. `makes` says what `program` makes.
pub fn expect_root(program: &str, makes: &str) {
    let id = Command::new("id").arg("-u").output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&id.stdout).trim(),
        "0",
        "this test makes {makes}, which only root may: run it as root, as in `sudo tests/run --test {program}`"
    );
}
