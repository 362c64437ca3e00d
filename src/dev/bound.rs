//! Programs that end with this process, even if it is killed.

use std::{
    ffi::OsStr,
    io::Write as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Shell script that ends a program when this process ends, because the pipe on its standard input
/// closes then. The program replaces the shell and thus has its pid. A line on the pipe says that
/// this process ends the program itself.
const SCRIPT: &str = r#"exec 3<&0 </dev/null; signal=$1; shift
(read -r _ <&3 || kill -s "$signal" $$) & exec "$@" 3<&-"#;

/// Delay between two looks at a program that is ending.
const PAUSE: Duration = Duration::from_millis(10);

/// The command for the program in `words`. The program gets `signal` when this process ends.
pub(super) fn command<W: AsRef<OsStr>>(
    signal: &str,
    words: impl IntoIterator<Item = W>,
) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", SCRIPT, "sh", signal])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Ends the program at once.
pub(super) fn kill(child: &mut Child) {
    if let Some(pipe) = child.stdin.as_mut() {
        // If the shell has ended, it needs no message.
        let _ = pipe.write_all(b"\n");
    }
    // It is a child of this process: killing it fails only if it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

/// Ends the program by its signal, or at once if it takes longer than `patience`.
pub(super) fn end(child: &mut Child, patience: Duration) {
    drop(child.stdin.take());
    let deadline = Instant::now() + patience;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > deadline {
            return kill(child);
        }
        thread::sleep(PAUSE);
    }
}
