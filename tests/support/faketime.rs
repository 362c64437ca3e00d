//! libfaketime, which gives a program another clock.

use std::{process::Command, sync::LazyLock};

/// The library.
static LIBRARY: LazyLock<String> = LazyLock::new(|| {
    // `faketime` fails if a killed process of the same id has left its shared memory behind.
    (0..20)
        .find_map(|_| library())
        .expect("faketime is missing, or fails: apt-get install faketime")
});

fn library() -> Option<String> {
    let asked = Command::new("faketime")
        .args(["-f", "+0", "printenv", "LD_PRELOAD"])
        .output()
        .ok()?;
    let path = String::from_utf8(asked.stdout).unwrap().trim().to_owned();
    path.contains("faketime").then_some(path)
}

/// The variables of a program with another clock. `FAKETIME` or `FAKETIME_TIMESTAMP_FILE` say which
/// one.
pub fn variables() -> [(&'static str, &'static str); 3] {
    [
        ("LD_PRELOAD", LIBRARY.as_str()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        // A program that is killed would leave it behind.
        ("FAKETIME_DISABLE_SHM", "1"),
    ]
}
