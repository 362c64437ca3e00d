//! System calls with a timeout, which end early when the process was stopped for a moment.

use std::io;

/// Calls until the call is not interrupted.
///
/// The kernel starts an interrupted read again by itself, but not one of a socket with a timeout: a
/// pause of the process or of the whole machine ends it with EINTR, without any signal handler
/// (signal(7)). `read_exact`, `read_to_end` and the like do this themselves; `read` and `recv` do
/// not.
pub fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
