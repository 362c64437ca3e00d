//! Ctrl-C, for a command that has last words.
//!
//! `main` hears the signal, tells it here, and polls the command once more. A command with a
//! listener of its own could be polled before that listener has been woken: each is woken in turn.

use std::sync::LazyLock;

use tokio_util::sync::CancellationToken;

static INTERRUPTED: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);

/// Tells the command of this process that the user has interrupted it.
pub fn tell() {
    INTERRUPTED.cancel();
}

/// Waits until the user interrupts the command. Ready at the next poll after [`tell`].
pub(crate) async fn told() {
    INTERRUPTED.cancelled().await;
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future as _,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    /// The only test that may tell.
    #[test]
    fn one_poll_after_the_interrupt_hears_it() {
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting = pin!(told());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        tell();
        assert!(waiting.as_mut().poll(&mut context).is_ready());
    }
}
