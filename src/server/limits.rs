//! What one caller, and all of them together, may use.

use std::time::Duration;

/// How many watches one identity may have at once. One of them can be of all its requests.
pub(super) const WATCHES_PER_IDENTITY: usize = 16;

/// Bounds on connections, messages and requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections in all.
    pub connections: usize,
    /// Open connections of one address (an IPv6 /64 is one address).
    pub connections_per_address: usize,
    /// Concurrent requests on one connection.
    pub streams: u32,
    /// The longest message taken, in bytes.
    pub message_bytes: usize,
    /// The longest header list of one request, in bytes.
    pub header_bytes: u32,
    /// What unfinished requests of callers without a proven identity may hold in all, in bytes.
    pub unproven_bytes: usize,
    /// And those of one address.
    pub unproven_bytes_per_address: usize,
    /// From accept to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the end of the handshake to the first complete request head.
    pub first_byte: Duration,
    /// How long one request may take until its answer starts, and how long its answer may wait for
    /// a caller to read more.
    pub request: Duration,
    /// How long a connection may rest between requests.
    pub idle: Duration,
    /// How old a connection may get before it is asked to go away.
    pub age: Duration,
    /// Requests of one address, before authentication.
    pub requests_per_address: Rate,
    /// Requests of one identity, after authentication.
    pub requests_per_identity: Rate,
    /// How long a graceful stop waits for what is in flight.
    pub drain: Duration,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Sustained requests per second; at least 1.
    pub per_second: u32,
    /// Requests at once after a pause; at least 1.
    pub burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 256,
            streams: 64,
            message_bytes: 64 * 1024,
            header_bytes: 32 * 1024,
            unproven_bytes: 64 * 1024 * 1024,
            unproven_bytes_per_address: 4 * 1024 * 1024,
            handshake: Duration::from_secs(10),
            first_byte: Duration::from_secs(10),
            request: Duration::from_secs(30),
            idle: Duration::from_secs(5 * 60),
            age: Duration::from_secs(60 * 60),
            requests_per_address: Rate {
                per_second: 100,
                burst: 200,
            },
            requests_per_identity: Rate {
                per_second: 10,
                burst: 40,
            },
            drain: Duration::from_secs(20),
        }
    }
}
