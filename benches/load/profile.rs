//! Instructions of a pass, counted by callgrind: the same on a busy machine and an idle one.

use std::{fs, path::Path, process::Command};

use daypass::identity::issuer::Algorithm;

use crate::{row::Shape, support::server::ServerFiles};

/// Passes before the count begins: pages, caches and statements are warm then.
const WARM: usize = 300;

/// Passes that are counted.
const PASSES: usize = 1000;

/// Prints the instructions of one pass, and leaves the profiles in `folder` for
/// `callgrind_annotate`.
pub async fn print(served: &ServerFiles, program: &Path, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let file = folder.join("callgrind.out");
    let option = format!("--callgrind-out-file={}", file.display());
    let mut process =
        served.spawn_program(program, &["valgrind", "--tool=callgrind", &option], &[]);
    served.expect_api(&mut process).await;
    let daemon = process.0.id();
    for (name, is_kept, is_new) in [
        ("kept, new token", true, true),
        ("kept, known token", true, false),
        ("fresh TLS, known token", false, false),
    ] {
        let shape = Shape {
            callers: 16,
            is_kept,
            is_new,
            algorithm: Algorithm::RS256,
        };
        shape.measure(&[served], &[daemon], WARM).await;
        control("--zero", daemon);
        let row = shape.measure(&[served], &[daemon], PASSES).await;
        control("--dump", daemon);
        let (dump, count) = newest(folder);
        let each = count / row.passes as u64;
        println!(
            "{name}: {each} instructions per pass ({} passes, {dump})",
            row.passes
        );
    }
    process.stop().await;
}

fn control(word: &str, daemon: u32) {
    let controlled = Command::new("callgrind_control")
        .args([word, &daemon.to_string()])
        .output()
        .expect("no callgrind_control: apt-get install valgrind");
    assert!(controlled.status.success(), "{controlled:?}");
}

/// The dump that was written last, and its instructions.
fn newest(folder: &Path) -> (String, u64) {
    let dumps = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let dump = dumps
        .max_by_key(|entry| entry.metadata().unwrap().modified().unwrap())
        .unwrap();
    let text = fs::read_to_string(dump.path()).unwrap();
    let total = text
        .lines()
        .filter_map(|line| line.strip_prefix("totals: "));
    let total = total.map(|total| total.trim().parse::<u64>().unwrap());
    (dump.path().display().to_string(), total.sum())
}
