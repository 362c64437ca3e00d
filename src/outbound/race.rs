//! Attempts at several addresses of one server: the next one begins when the last one fails, or
//! does not succeed soon. As RFC 8305 does for the addresses of a name.

use std::{future::Future, time::Duration};

use tokio::{task::JoinSet, time::sleep};

/// Delay before the next attempt begins beside the ones that still run. An address behind which
/// all packets are lost costs this much.
const STAGGER: Duration = Duration::from_millis(300);

/// Makes the attempts in order, and returns the first success. The attempts that still run then are
/// dropped.
///
/// # Errors
/// Returns every failure, in the order in which they happened.
pub(crate) async fn race<T, E, F>(attempts: impl IntoIterator<Item = F>) -> Result<T, Vec<E>>
where
    T: Send + 'static,
    E: Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    let mut waiting = attempts.into_iter().peekable();
    let (mut running, mut failures) = (JoinSet::new(), Vec::new());
    loop {
        match waiting.next() {
            Some(attempt) => {
                running.spawn(attempt);
            }
            None if running.is_empty() => return Err(failures),
            None => {}
        }
        tokio::select! {
            ended = running.join_next() => match ended {
                Some(Ok(Ok(won))) => return Ok(won),
                Some(Ok(Err(failure))) => failures.push(failure),
                // An attempt that panicked, which is a bug, has failed.
                Some(Err(_)) | None => {}
            },
            () = sleep(STAGGER), if waiting.peek().is_some() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use tokio::time::{Instant, timeout};

    use super::*;

    type Attempt = Pin<Box<dyn Future<Output = Result<u8, u8>> + Send>>;

    fn after(milliseconds: u64, outcome: Result<u8, u8>) -> Attempt {
        Box::pin(async move {
            sleep(Duration::from_millis(milliseconds)).await;
            outcome
        })
    }

    /// The longest that a busy machine may make of a second.
    const BUSY: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn the_first_success_counts_and_a_silent_address_is_not_waited_for() {
        let never = || -> Attempt { Box::pin(pending()) };
        let cases: [(&str, Vec<Attempt>, _, _); 5] = [
            ("one", vec![after(10, Ok(1))], Ok(1), 10),
            ("refused", vec![after(0, Err(1)), after(7, Ok(2))], Ok(2), 7),
            ("silent", vec![never(), after(7, Ok(2))], Ok(2), 307),
            (
                "all fail",
                vec![after(400, Err(1)), after(5, Err(2))],
                Err(vec![2, 1]),
                400,
            ),
            ("none", vec![], Err(vec![]), 0),
        ];
        for (case, attempts, expected, least) in cases {
            let begun = Instant::now();
            let ended = timeout(BUSY, race(attempts)).await;
            assert_eq!(ended, Ok(expected), "{case}");
            assert!(begun.elapsed() >= Duration::from_millis(least), "{case}");
        }
    }

    #[tokio::test]
    async fn an_address_that_answers_is_the_only_one_that_is_asked() {
        let asked = Arc::new(AtomicUsize::new(0));
        let attempts = [1, 2].map(|number| {
            let asked = asked.clone();
            async move {
                asked.fetch_add(1, Ordering::SeqCst);
                Ok::<_, u8>(number)
            }
        });
        assert_eq!(race(attempts).await, Ok(1));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}
