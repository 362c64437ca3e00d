//! Larger batches on a busy core.
//!
//! A commit is over before the next few handlers have run on the same core, so that each batch
//! would hold a few writes only, and each write would pay for a large part of a commit.

use std::time::Duration;

use tokio::{sync::mpsc, task::yield_now, time::Instant};

/// The writes in a batch that is large enough: their shares of a commit cost next to nothing. On a
/// slow disk as many wait after each commit, and no batch waits for more.
const ENOUGH: usize = 32;

/// The longest that a batch waits for more writes.
const LONGEST: Duration = Duration::from_millis(5);

pub(super) const BOUNDS: (usize, Duration) = (ENOUGH, LONGEST);

/// Lets every task run that is ready to, and takes what it queued into the batch, up to `most`.
/// Goes on while each turn of the scheduler brings something: as long as this core is busy with
/// callers. A caller that is alone waits for one turn, which takes microseconds.
pub(super) async fn gather<T>(
    queue: &mut mpsc::Receiver<T>,
    batch: &mut Vec<T>,
    (most, longest): (usize, Duration),
) {
    let begun = Instant::now();
    while batch.len() < most && begun.elapsed() < longest {
        let before = batch.len();
        yield_now().await;
        while batch.len() < most
            && let Ok(one) = queue.try_recv()
        {
            batch.push(one);
        }
        if batch.len() == before {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A queue that a task fills: one write in each turn of the scheduler.
    fn filled(count: usize) -> mpsc::Receiver<usize> {
        let (sender, queue) = mpsc::channel(count);
        tokio::spawn(async move {
            for number in 0..count {
                sender.send(number).await.unwrap();
                yield_now().await;
            }
            // The writer's queue stays open.
            std::future::pending::<()>().await;
        });
        queue
    }

    async fn gathered(
        queue: &mut mpsc::Receiver<usize>,
        most: usize,
        longest: Duration,
    ) -> Vec<usize> {
        let mut batch = Vec::new();
        queue.recv_many(&mut batch, 1).await;
        gather(queue, &mut batch, (most, longest)).await;
        batch
    }

    #[tokio::test]
    async fn writes_of_a_busy_core_share_a_batch() {
        let mut queue = filled(100);
        assert_eq!(gathered(&mut queue, 256, HOUR).await.len(), 100);
    }

    #[tokio::test]
    async fn a_batch_has_a_bound_and_loses_nothing() {
        let mut queue = filled(100);
        let mut all = Vec::new();
        for _ in 0..3 {
            let batch = gathered(&mut queue, 40, HOUR).await;
            assert!(batch.len() <= 40, "{}", batch.len());
            all.extend(batch);
        }
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_batch_does_not_wait_beyond_its_time() {
        let mut queue = filled(100);
        assert_eq!(gathered(&mut queue, 256, Duration::ZERO).await, [0]);
    }

    #[tokio::test]
    async fn a_write_that_is_alone_is_not_delayed() {
        let mut queue = filled(1);
        assert_eq!(gathered(&mut queue, 256, HOUR).await, [0]);
    }
}
