//! What is wrong with one login, by the pass of its serial. Pure.

use std::collections::BTreeSet;

use time::{Duration, OffsetDateTime};

use crate::{
    ledger::event::{Issued, LoginFinding as Kind, SeenCertificate},
    ssh::{principal, sshd_log::is_key_id},
    unix_seconds::UnixSeconds,
};

/// Different clocks of server and host.
const SKEW: Duration = Duration::seconds(60);

const UNREADABLE: &str = "sshd's line does not say which certificate it was: it was cut, since the key id is longer than any of this CA, or \
                          the log is of a form that is not read, or sshd's FingerprintHash is not sha256";

/// What one login is, except its time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) host: String,
    pub(super) login: String,
    pub(super) from: String,
    /// 0 if logins are not told apart by it.
    pub(super) port: u16,
    /// `None` if sshd's message is cut.
    pub(super) certificate: Option<SeenCertificate>,
}

/// When it was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) first: Option<OffsetDateTime>,
    pub(super) last: Option<OffsetDateTime>,
    pub(super) count: u64,
}

/// The pass of a serial that was seen.
#[derive(Default)]
pub(super) struct Pass {
    pub(super) issued: Option<Box<Issued>>,
    pub(super) revoked: Option<OffsetDateTime>,
    /// A restored copy lost the event of this serial.
    pub(super) is_lost: bool,
}

/// Which hosts a pass is for, as a login is compared with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hosts {
    /// The one that it was asked for. Logs are of hosts by their names.
    Named,
    /// Those of the groups in its principals. The logins are of one host, which is in these groups.
    Groups(BTreeSet<String>),
}

/// The worst that is wrong with a login.
pub(super) fn wrong(
    seen: &Seen,
    times: Times,
    pass: Option<&Pass>,
    (cas, hosts): (&BTreeSet<String>, &Hosts),
) -> Option<(Kind, String)> {
    let Some(certificate) = &seen.certificate else {
        return Some((Kind::Unreadable, UNREADABLE.to_owned()));
    };
    if !cas.contains(&certificate.ca) {
        let why = format!("the ledger names no CA key {}", certificate.ca);
        return Some((Kind::OtherCa, why));
    }
    let (issued, revoked) = match pass {
        Some(Pass {
            issued: Some(issued),
            revoked,
            ..
        }) => (issued, revoked),
        Some(Pass { is_lost: true, .. }) => {
            let why = format!(
                "event {} of the ledger is in the part that a restored copy lost",
                certificate.serial
            );
            return Some((Kind::Lost, why));
        }
        Some(_) | None => {
            let why = format!(
                "event {} of the ledger is not a pass: a CA key of yours signed it elsewhere",
                certificate.serial
            );
            return Some((Kind::Unknown, why));
        }
    };
    altered(&seen.login, certificate, issued)
        .map(|why| (Kind::Altered, why))
        .or_else(|| late(times, issued, *revoked).map(|why| (Kind::Late, why)))
        .or_else(|| elsewhere(seen, issued, hosts).map(|why| (Kind::Elsewhere, why)))
}

/// What the certificate has otherwise than its event.
fn altered(login: &str, seen: &SeenCertificate, issued: &Issued) -> Option<String> {
    let other = |what: &str, here: &str, recorded: &str| {
        Some(format!("its {what} is {here}; recorded is {recorded}"))
    };
    if seen.ca != issued.ca {
        return other("CA key", &seen.ca, &issued.ca);
    }
    if !is_key_id(&seen.key_id, &issued.key_id) {
        return other("key id", &seen.key_id, &issued.key_id);
    }
    if seen.key != issued.key {
        return other("key", &seen.key, &issued.key);
    }
    let principals = &issued.permissions.principals;
    let is_login = |name: &String| principal::login(name) == login;
    match principals.iter().any(is_login) {
        true => None,
        false => {
            let principals: Vec<&str> = principals.iter().map(String::as_str).collect();
            other("login", login, &principals.join(", "))
        }
    }
}

/// A use outside the pass's time.
fn late(times: Times, issued: &Issued, revoked: Option<OffsetDateTime>) -> Option<String> {
    let moment = |at| OffsetDateTime::from_unix_timestamp(seconds(at)).ok();
    let (first, last) = (times.first?, times.last?);
    if let Some(end) = moment(issued.valid_before)
        && last > end + SKEW
    {
        return Some(format!("{} after it expired", spoken(last - end)));
    }
    if let Some(at) = revoked
        && last > at + SKEW
    {
        return Some(format!("{} after it was revoked", spoken(last - at)));
    }
    if let Some(start) = moment(issued.valid_after)
        && first < start - SKEW
    {
        return Some(format!("{} before it was valid", spoken(start - first)));
    }
    None
}

/// A use on another host than it is for.
fn elsewhere(seen: &Seen, issued: &Issued, hosts: &Hosts) -> Option<String> {
    let groups = match hosts {
        Hosts::Named => {
            let host = issued.ask.host.as_ref()?;
            return (short(host) != short(&seen.host)).then(|| format!("it was asked for {host}"));
        }
        Hosts::Groups(groups) => groups,
    };
    let principals = issued.permissions.principals.iter();
    let own = principals.filter(|name| principal::login(name) == seen.login);
    let of: Vec<Option<&str>> = own.map(|name| principal::group(name)).collect();
    if of.iter().any(|it| it.is_none_or(|it| groups.contains(it))) {
        return None;
    }
    let of: Vec<&str> = of.into_iter().flatten().collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let here = match groups.as_slice() {
        [] => "no group".to_owned(),
        groups => groups.join(", "),
    };
    let of = of.join(", ");
    Some(format!(
        "it is for hosts of {of}, and this host is in {here}"
    ))
}

/// A host's name up to the first dot, in small letters: logs seldom have the whole name.
pub(super) fn short(host: &str) -> String {
    let first = host.split('.').next().unwrap_or(host);
    first.to_ascii_lowercase()
}

pub(super) fn seconds(time: UnixSeconds) -> i64 {
    i64::try_from(time.get()).unwrap_or(i64::MAX)
}

fn spoken(time: Duration) -> String {
    match time.whole_seconds() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
