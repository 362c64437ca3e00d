//! Threads that take turns with the parts of a long work. The results come back in order, and a
//! bounded number of parts is under way.

use std::{
    collections::VecDeque,
    io,
    num::NonZero,
    panic::resume_unwind,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

/// Threads at most: one goes on with what they return, and is not faster than some of them.
const MOST: usize = 8;

/// Parts of each thread that are under way, or done and not taken.
const AHEAD: usize = 2;

/// One thread, which does its jobs in order.
struct Worker<J, R> {
    jobs: SyncSender<J>,
    results: Receiver<R>,
    thread: JoinHandle<()>,
}

impl<J: Send + 'static, R: Send + 'static> Worker<J, R> {
    fn start(stack: usize, work: fn(J) -> Option<R>) -> io::Result<Self> {
        // Room for each part ahead, and for a job without a result after each.
        let (jobs, taken) = sync_channel(2 * (AHEAD + 1));
        // A result never waits for room: there are at most so many parts.
        let (done, results) = sync_channel(AHEAD + 1);
        let work = move || {
            for result in taken.into_iter().filter_map(work) {
                let _ = done.send(result);
            }
        };
        let thread = thread::Builder::new().stack_size(stack).spawn(work)?;
        Ok(Self {
            jobs,
            results,
            thread,
        })
    }
}

/// The threads. They end when this is dropped.
pub(crate) struct InTurn<J, R> {
    workers: Vec<Worker<J, R>>,
    /// The worker of each part under way, oldest first.
    under_way: VecDeque<usize>,
    /// The worker of the next part.
    turn: usize,
}

impl<J: Send + 'static, R: Send + 'static> InTurn<J, R> {
    /// Starts one thread for each core, with a stack of so many bytes.
    ///
    /// # Errors
    /// Returns the system's error if it gives no thread.
    pub(crate) fn start(stack: usize, work: fn(J) -> Option<R>) -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let workers = (0..count.min(MOST)).map(|_| Worker::start(stack, work));
        Ok(Self {
            workers: workers.collect::<Result<_, _>>()?,
            under_way: VecDeque::new(),
            turn: 0,
        })
    }

    /// Hands in a job that has a result. Returns the result of the oldest one, and its worker, if
    /// as many as allowed are under way.
    pub(crate) fn hand_in(&mut self, job: J) -> Option<(R, usize)> {
        if let Some(worker) = self.workers.get(self.turn) {
            // If the thread has panicked, the result is missing in `next`.
            let _ = worker.jobs.send(job);
            self.under_way.push_back(self.turn);
        }
        self.turn = (self.turn + 1) % self.workers.len().max(1);
        match self.under_way.len() > self.workers.len() * AHEAD {
            true => self.next(),
            false => None,
        }
    }

    /// Waits for the oldest result; none if none is under way. Panics if its thread has: no result
    /// is left out.
    pub(crate) fn next(&mut self) -> Option<(R, usize)> {
        let by = self.under_way.pop_front()?;
        if let Ok(result) = self.workers.get(by)?.results.recv() {
            return Some((result, by));
        }
        match self.workers.swap_remove(by).thread.join() {
            Ok(()) => None,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Gives this worker a job without a result. At most one for each of its results.
    pub(crate) fn give(&self, job: J, worker: usize) {
        if let Some(worker) = self.workers.get(worker) {
            let _ = worker.jobs.send(job);
        }
    }
}

impl<J, R> Drop for InTurn<J, R> {
    fn drop(&mut self) {
        for worker in self.workers.drain(..) {
            // Its thread ends when no job can come and no result is awaited.
            drop((worker.jobs, worker.results));
            let _ = worker.thread.join();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// A job with a result, or one without.
    fn half(number: u64) -> Option<u64> {
        // Some take longer than others.
        (0..number % 7 * 10_000).for_each(|at| {
            std::hint::black_box(at);
        });
        number.is_multiple_of(2).then_some(number / 2)
    }

    #[test]
    fn results_come_in_order_and_a_bounded_number_is_under_way() {
        let mut workers = InTurn::start(64 * 1024, half).unwrap();
        let mut results = Vec::new();
        for number in 0..1000 {
            if let Some((result, by)) = workers.hand_in(number * 2) {
                results.push(result);
                workers.give(1, by);
            }
            assert!(workers.under_way.len() <= workers.workers.len() * AHEAD);
        }
        while let Some((result, _)) = workers.next() {
            results.push(result);
        }
        assert_eq!(results, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    #[should_panic(expected = "seven")]
    fn a_panic_is_no_missing_result() {
        let work = |number: u64| {
            assert!(number != 7, "seven");
            Some(number)
        };
        let mut workers = InTurn::start(64 * 1024, work).unwrap();
        (0..20).for_each(|number| {
            workers.hand_in(number);
        });
        while workers.next().is_some() {}
    }

    #[test]
    fn threads_end_in_the_middle() {
        let mut workers = InTurn::start(64 * 1024, half).unwrap();
        for number in [0, 2] {
            assert!(workers.hand_in(number).is_none());
        }
        drop(workers);
    }
}
