//! The messages of connections to PostgreSQL, counted by round trip.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;

use super::proxy::COMMIT;

/// The first statement of an append.
const BEGIN: &[u8] = b"BEGIN; SELECT note FROM head";

/// The length of the question whether the server speaks TLS.
const TLS_QUESTION: usize = 8;

/// What all connections of a relay carried.
#[derive(Clone, Default)]
pub(crate) struct Traffic {
    trips: Arc<AtomicUsize>,
    appends: Arc<Mutex<Vec<usize>>>,
}

impl Traffic {
    /// All round trips.
    pub(crate) fn trips(&self) -> usize {
        self.trips.load(Ordering::SeqCst)
    }

    /// The number of round trips of each append that was committed since the last call.
    pub(crate) fn take_appends(&self) -> Vec<usize> {
        std::mem::take(&mut self.appends.lock())
    }
}

/// One connection, as the client writes to it.
pub(crate) struct Connection {
    traffic: Traffic,
    /// Bytes of a message that is not yet whole.
    rest: Vec<u8>,
    has_begun: bool,
    /// Round trips of the append under way.
    trips: Option<usize>,
}

impl Connection {
    pub(crate) fn new(traffic: Traffic) -> Self {
        Self {
            traffic,
            rest: Vec::new(),
            has_begun: false,
            trips: None,
        }
    }

    /// Takes what the client wrote.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        // The messages before the start, and the start, have no kind.
        while let Some(message) = next(&mut self.rest, !self.has_begun) {
            match self.has_begun {
                true => self.count(&message),
                false => self.has_begun = message.len() != TLS_QUESTION,
            }
        }
    }

    /// The server answers after a query (`Q`) or a `Sync` (`S`), and the client waits for it.
    fn count(&mut self, message: &[u8]) {
        let is_query = message[0] == b'Q';
        if is_query && message[5..].starts_with(BEGIN) {
            self.trips = Some(0);
        }
        if is_query || message[0] == b'S' {
            self.traffic.trips.fetch_add(1, Ordering::SeqCst);
            self.trips = self.trips.map(|trips| trips + 1);
        }
        if is_query && message[5..].starts_with(COMMIT) {
            self.traffic.appends.lock().extend(self.trips.take());
        }
    }
}

/// Takes the next whole message off: its kind, its length, its content.
fn next(bytes: &mut Vec<u8>, is_first: bool) -> Option<Vec<u8>> {
    let kind = usize::from(!is_first);
    let length = bytes.get(kind..)?.first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize + kind;
    (bytes.len() >= length).then(|| bytes.drain(..length).collect())
}
