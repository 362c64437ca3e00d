//! Limits on what one caller, and all callers together, may use.

use std::time::Duration;

use super::peer::Proxies;

/// Most watches of one identity at once. One of them can be of all its requests.
pub(super) const WATCHES_PER_IDENTITY: usize = 16;

/// Reason why there is no place for another watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoPlace {
    /// The identity has its most.
    #[error(
        "you have {} watches of requests open: close one, or watch all requests at once with \
         `daypass requests watch`",
        WATCHES_PER_IDENTITY
    )]
    Identity,
    /// The server has its most, and none of an identity that has more than this one.
    #[error(
        "the server has {0} watches of requests open, its most: try again later, or set a larger \
         `watches` in [limits] of its configuration"
    )]
    Server(usize),
}

/// Bounds on connections, messages and requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most open connections in all.
    pub connections: usize,
    /// Most open connections of one address (an IPv6 /64 is one address).
    pub connections_per_address: usize,
    /// Most concurrent requests on one connection.
    pub streams: u32,
    /// Most watches of requests in all.
    pub watches: usize,
    /// Longest message accepted, in bytes.
    pub message_bytes: usize,
    /// Longest header list of one request, in bytes.
    pub header_bytes: u32,
    /// Bytes that unfinished requests of callers without a proven identity may hold in all.
    pub unproven_bytes: usize,
    /// Bytes that such requests of one address may hold.
    pub unproven_bytes_per_address: usize,
    /// Time from accept to the end of the TLS handshake.
    pub handshake: Duration,
    /// Time from the end of the handshake to the first complete request head.
    pub first_byte: Duration,
    /// Time from a request's start to the start of its answer. Also the time that an answer waits
    /// for its caller to read more.
    pub request: Duration,
    /// Time that a connection may be idle between requests.
    pub idle: Duration,
    /// Age at which a connection is asked to close.
    pub age: Duration,
    /// Rate of requests of one address, checked before authentication.
    pub requests_per_address: Rate,
    /// Rate of requests of one identity, checked after authentication.
    pub requests_per_identity: Rate,
    /// Time that a graceful stop waits for requests in flight.
    pub drain: Duration,
    /// Load balancers, whose callers count instead of themselves.
    pub proxies: Proxies,
}

/// Token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Sustained requests per second. At least 1.
    pub per_second: u32,
    /// Requests at once after a pause. At least 1.
    pub burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 256,
            streams: 64,
            watches: 1024,
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
            proxies: Proxies::default(),
        }
    }
}
