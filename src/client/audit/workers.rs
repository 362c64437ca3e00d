//! Threads that prepare blocks of an export. Their results come back in order, and a bounded number
//! of blocks is under way.

use std::{
    collections::VecDeque,
    num::NonZero,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;

use crate::ledger::verify::{Block, Prepared};

/// Threads at most: one judges what they prepare, and is not faster than some of them.
const MOST: usize = 8;

/// A block, and the place where its result is awaited.
type Job = (Block, SyncSender<Vec<Prepared>>);

/// The threads. They end when this is dropped.
pub(super) struct Workers {
    jobs: Option<SyncSender<Job>>,
    under_way: VecDeque<Receiver<Vec<Prepared>>>,
    most: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts one for each core.
    pub(super) fn start() -> Self {
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let count = count.min(MOST);
        let most = count * 2;
        let (jobs, taken) = sync_channel::<Job>(most + 1);
        let taken = Arc::new(Mutex::new(taken));
        let work = move |taken: &Mutex<Receiver<Job>>| {
            // The lock is free while a block is prepared.
            while let Some((block, result)) = next(taken) {
                let _ = result.send(block.prepare());
            }
        };
        let threads = (0..count).map(|_| {
            let taken = Arc::clone(&taken);
            thread::spawn(move || work(&taken))
        });
        Self {
            jobs: Some(jobs),
            under_way: VecDeque::new(),
            most,
            threads: threads.collect(),
        }
    }

    /// Hands in a block. Returns the result of the oldest one if as many as allowed are under way.
    pub(super) fn hand_in(&mut self, block: Block) -> Option<Vec<Prepared>> {
        let (result, awaited) = sync_channel(1);
        self.under_way.push_back(awaited);
        if let Some(jobs) = &self.jobs {
            // If no thread is left, the result is missing below.
            let _ = jobs.send((block, result));
        }
        match self.under_way.len() > self.most {
            true => self.next(),
            false => None,
        }
    }

    /// Waits for the result of the oldest block; none if none is under way.
    pub(super) fn next(&mut self) -> Option<Vec<Prepared>> {
        let awaited = self.under_way.pop_front()?;
        awaited.recv().ok()
    }
}

fn next(taken: &Mutex<Receiver<Job>>) -> Option<Job> {
    taken.lock().recv().ok()
}

impl Drop for Workers {
    fn drop(&mut self) {
        drop(self.jobs.take());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::ledger::verify::Verification;

    /// Blocks that are told apart by the number of their lines.
    fn blocks(count: usize) -> Vec<Block> {
        let blocks = (1..=count).map(|lines| {
            let text = "x".repeat(300_000) + "\n" + &"{}\n".repeat(lines - 1);
            Verification::default().split(text.as_bytes()).unwrap()
        });
        blocks.map(Option::unwrap).collect()
    }

    #[test]
    fn results_come_in_order_and_a_bounded_number_is_under_way() {
        let mut workers = Workers::start();
        let mut sizes = Vec::new();
        for block in blocks(60) {
            sizes.extend(workers.hand_in(block).map(|it| it.len()));
            assert!(workers.under_way.len() <= workers.most);
        }
        while let Some(prepared) = workers.next() {
            sizes.push(prepared.len());
        }
        assert_eq!(sizes, (1..=60).collect::<Vec<_>>());
    }

    #[test]
    fn threads_end_in_the_middle_of_an_export() {
        let mut workers = Workers::start();
        for block in blocks(2) {
            assert!(workers.hand_in(block).is_none());
        }
        drop(workers);
    }
}
