//! Turns `[limits]` into [`server::Limits`](crate::server::Limits), each within its bounds.

use std::{ops::RangeInclusive, time::Duration};

use toml::Spanned;

use super::{error::Problem, raw};
use crate::server::{Limits, limits::Rate};

/// The least that holds a full-size token and the rest of its message.
const LEAST_MESSAGE: u64 = 32 * 1024;
/// About sixteen requests of the longest message at once.
const LEAST_UNPROVEN: u64 = 1024 * 1024;
const MOST_UNPROVEN: u64 = 16 * 1024 * 1024 * 1024;
const RATES: RangeInclusive<u64> = 1..=1_000_000;
const DAY: u64 = 24 * 60 * 60;
const DEADLINES: RangeInclusive<u64> = 1..=60;

const CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;

pub(super) fn limits(raw: &raw::Limits) -> Result<Limits, Problem> {
    let default = Limits::default();
    let connections = default.connections;
    let connections = number("connections", &raw.connections, connections, CONNECTIONS)?;
    let per_address = default.connections_per_address.min(connections);
    let unproven = number(
        "unproven_bytes",
        &raw.unproven_bytes,
        default.unproven_bytes,
        LEAST_UNPROVEN..=MOST_UNPROVEN,
    )?;
    Ok(Limits {
        connections,
        connections_per_address: number(
            "connections_per_address",
            &raw.connections_per_address,
            per_address,
            1..=connections as u64,
        )?,
        streams: number("streams", &raw.streams, default.streams, 1..=1_000)?,
        watches: number("watches", &raw.watches, default.watches, 16..=100_000)?,
        message_bytes: number(
            "message_bytes",
            &raw.message_bytes,
            default.message_bytes,
            LEAST_MESSAGE..=1024 * 1024,
        )?,
        header_bytes: number(
            "header_bytes",
            &raw.header_bytes,
            default.header_bytes,
            LEAST_MESSAGE..=1024 * 1024,
        )?,
        unproven_bytes: unproven,
        unproven_bytes_per_address: number(
            "unproven_bytes_per_address",
            &raw.unproven_bytes_per_address,
            default.unproven_bytes_per_address.min(unproven),
            LEAST_UNPROVEN..=unproven as u64,
        )?,
        handshake: duration("handshake", &raw.handshake, default.handshake, DEADLINES)?,
        first_byte: duration("first_byte", &raw.first_byte, default.first_byte, DEADLINES)?,
        request: duration("request", &raw.request, default.request, 1..=600)?,
        idle: duration("idle", &raw.idle, default.idle, 1..=DAY)?,
        age: duration("age", &raw.age, default.age, 60..=DAY)?,
        requests_per_address: rate(
            raw.requests_per_address.as_ref(),
            default.requests_per_address,
        )?,
        requests_per_identity: rate(
            raw.requests_per_identity.as_ref(),
            default.requests_per_identity,
        )?,
        drain: duration("drain", &raw.drain, default.drain, 1..=600)?,
        proxies: default.proxies,
    })
}

fn rate(raw: Option<&raw::Rate>, default: Rate) -> Result<Rate, Problem> {
    let Some(raw) = raw else { return Ok(default) };
    Ok(Rate {
        per_second: within("per_second", &raw.per_second, RATES)?,
        burst: within("burst", &raw.burst, RATES)?,
    })
}

fn number<T: TryFrom<u64>>(
    key: &str,
    raw: &Option<Spanned<u64>>,
    default: T,
    bounds: RangeInclusive<u64>,
) -> Result<T, Problem> {
    match raw {
        Some(value) => within(key, value, bounds),
        None => Ok(default),
    }
}

fn within<T: TryFrom<u64>>(
    key: &str,
    value: &Spanned<u64>,
    bounds: RangeInclusive<u64>,
) -> Result<T, Problem> {
    let number = *value.get_ref();
    let fitting = T::try_from(number)
        .ok()
        .filter(|_| bounds.contains(&number));
    fitting.ok_or_else(|| {
        let (least, most) = bounds.into_inner();
        let message = format!("{key} = {number} is out of bounds: write {least} to {most}");
        Problem::new(value.span(), message)
    })
}

/// `bounds` in seconds.
pub(super) fn duration(
    key: &str,
    raw: &Option<Spanned<String>>,
    default: Duration,
    bounds: RangeInclusive<u64>,
) -> Result<Duration, Problem> {
    let Some(value) = raw else { return Ok(default) };
    let parsed = humantime::parse_duration(value.get_ref()).ok();
    let (least, most) = bounds.into_inner();
    let fitting =
        parsed.filter(|d| (Duration::from_secs(least)..=Duration::from_secs(most)).contains(d));
    fitting.ok_or_else(|| {
        let message = format!(
            "{key} = {:?} is not a duration from {least}s to {most}s: write one such as \"10s\"",
            value.get_ref()
        );
        Problem::new(value.span(), message)
    })
}
