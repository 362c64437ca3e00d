//! Passes that no login used. Pure.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::ledger::event::Issued;

/// The most unused passes that are named; all are counted.
const NAMED: usize = 1000;

/// Passes between one and the event that its signing failed: more than are signed at once.
const BETWEEN: usize = 65_536;

/// Passes without a login, by person and role.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Unused {
    /// Passes.
    pub(crate) count: u64,
    /// (label, role) and the number of such passes.
    #[serde(skip)]
    pub(crate) by: BTreeMap<(String, String), u64>,
    /// The first serials.
    pub(crate) serials: Vec<u64>,
}

impl Unused {
    fn add(&mut self, pass: Waiting) {
        self.count += 1;
        if self.serials.len() < NAMED {
            self.serials.push(pass.serial);
        }
        // Bounded: beyond it only pairs that are there already are counted.
        if self.by.len() < NAMED || self.by.contains_key(&pass.of) {
            *self.by.entry(pass.of).or_default() += 1;
        }
    }
}

/// An unused pass, until it is certain that it was given.
struct Waiting {
    serial: u64,
    /// Label and role.
    of: (String, String),
    was_given: bool,
}

/// Collects unused passes. One whose signing failed was never given, which a later event says.
#[derive(Default)]
pub(super) struct Collector {
    unused: Unused,
    waiting: VecDeque<Waiting>,
    /// Jump passes of late, and the passes that they belong to.
    jumps: VecDeque<(u64, u64)>,
}

impl Collector {
    /// Takes in an unused pass. They come in the order of their serials.
    pub(super) fn add(&mut self, serial: u64, issued: &Issued) {
        if self.waiting.len() >= BETWEEN {
            self.count_first();
        }
        self.waiting.push_back(Waiting {
            serial,
            of: (issued.who.label.clone(), issued.ask.role.clone()),
            was_given: true,
        });
    }

    /// Takes in a jump pass, used or not.
    pub(super) fn jump(&mut self, serial: u64, of: u64) {
        if self.jumps.len() >= BETWEEN {
            self.jumps.pop_front();
        }
        self.jumps.push_back((serial, of));
    }

    /// The signing of this pass failed. A pass leaves only together with its jump pass.
    pub(super) fn failed(&mut self, serial: u64) {
        let jump = self.jumps.binary_search_by_key(&serial, |(jump, _)| *jump);
        let of = jump.ok().and_then(|at| self.jumps.get(at));
        let of = of.map(|(_, of)| *of);
        for serial in [Some(serial), of].into_iter().flatten() {
            let found = self.waiting.binary_search_by_key(&serial, |it| it.serial);
            if let Some(pass) = found.ok().and_then(|at| self.waiting.get_mut(at)) {
                pass.was_given = false;
            }
        }
    }

    fn count_first(&mut self) {
        if let Some(pass) = self.waiting.pop_front().filter(|it| it.was_given) {
            self.unused.add(pass);
        }
    }

    /// After the last event.
    pub(super) fn finish(mut self) -> Unused {
        while !self.waiting.is_empty() {
            self.count_first();
        }
        self.unused
    }
}
