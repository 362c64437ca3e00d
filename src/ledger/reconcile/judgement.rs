//! What is wrong with one login, by the pass of its serial. Pure.

use std::collections::BTreeSet;

use time::{Duration, OffsetDateTime};

use super::{
    places::Places,
    seen::{SKEW, Seen, Times},
};
use crate::{
    ledger::event::{Issued, LoginFinding as Kind, SeenCertificate},
    ssh::{principal, sshd_log::is_key_id},
    unix_seconds::UnixSeconds,
};

const UNREADABLE: &str = "sshd's line does not say which certificate it was: it was cut, since the key id is longer than any of this CA, or \
                          the log is of a form that is not read, or sshd's FingerprintHash is not sha256";

/// The pass of a serial that was seen.
#[derive(Default)]
pub(super) struct Pass {
    pub(super) issued: Option<Box<Recorded>>,
    pub(super) revoked: Option<OffsetDateTime>,
    /// A restored copy lost the event of this serial.
    pub(super) is_lost: bool,
}

/// What of the record of a pass is compared with its logins.
pub(super) struct Recorded {
    key: String,
    key_id: String,
    ca: String,
    principals: BTreeSet<String>,
    valid_after: UnixSeconds,
    valid_before: UnixSeconds,
    /// The host that it was asked for.
    host: Option<String>,
    /// Of a jump pass: the bastion's name.
    bastion: Option<String>,
}

impl From<Issued> for Recorded {
    fn from(issued: Issued) -> Self {
        Self {
            key: issued.key,
            key_id: issued.key_id,
            ca: issued.ca,
            principals: issued.permissions.principals,
            valid_after: issued.valid_after,
            valid_before: issued.valid_before,
            host: issued.ask.host,
            bastion: issued.jump.map(|jump| jump.bastion),
        }
    }
}

/// The worst that is wrong with a login.
pub(super) fn wrong(
    seen: &Seen,
    times: Times,
    pass: Option<&Pass>,
    (cas, places): (&BTreeSet<String>, &Places),
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
        .or_else(|| elsewhere((seen, times), issued, places).map(|why| (Kind::Elsewhere, why)))
}

/// What the certificate has otherwise than its event.
fn altered(login: &str, seen: &SeenCertificate, issued: &Recorded) -> Option<String> {
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
    let principals = &issued.principals;
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
fn late(times: Times, issued: &Recorded, revoked: Option<OffsetDateTime>) -> Option<String> {
    let moment = |at| OffsetDateTime::from_unix_timestamp(seconds(at)).ok();
    let (first, last) = (times.first?, times.last?);
    if let Some(end) = moment(issued.valid_before)
        && last > end.saturating_add(SKEW)
    {
        return Some(format!("{} after it expired", spoken(last - end)));
    }
    if let Some(at) = revoked
        && last > at.saturating_add(SKEW)
    {
        return Some(format!("{} after it was revoked", spoken(last - at)));
    }
    if let Some(start) = moment(issued.valid_after)
        && first < start.saturating_sub(SKEW)
    {
        return Some(format!("{} before it was valid", spoken(start - first)));
    }
    None
}

/// A use on another host than it is for: by the groups in its principals, as sshd decides it. A
/// host that the ledger does not know may be in any group, so there the name counts that was asked
/// for.
fn elsewhere((seen, times): (&Seen, Times), issued: &Recorded, places: &Places) -> Option<String> {
    let principals = issued.principals.iter();
    let own = principals.filter(|name| principal::login(name) == seen.login);
    let of: Vec<Option<&str>> = own.map(|name| principal::group(name)).collect();
    let groups = places.groups(&seen.host, times);
    let is_in = |group: &&str| groups.as_ref().is_some_and(|it| it.contains(group));
    if of.iter().flatten().any(is_in) {
        return None;
    }
    let asked = issued.host.as_deref();
    let is_asked = asked.is_some_and(|asked| places.is_called(&seen.host, asked));
    // A host may be in more groups than the ledger knows. A jump pass is for the host in front.
    let is_right = is_asked && issued.bastion.is_none();
    let is_for_all = of.iter().any(Option::is_none);
    match (groups, &issued.bastion) {
        (Some(groups), _) if !is_for_all && !is_right => Some(other_group(&of, &groups)),
        (_, Some(bastion)) if is_asked => Some(format!(
            "it is a jump pass for the bastion {bastion}, and this is the host behind it"
        )),
        (None, None) if !is_asked => asked.map(|host| format!("it was asked for {host}")),
        (_, _) => None,
    }
}

fn other_group(of: &[Option<&str>], groups: &BTreeSet<&str>) -> String {
    let of: Vec<&str> = of.iter().copied().flatten().collect();
    let groups: Vec<&str> = groups.iter().copied().collect();
    let here = match groups.as_slice() {
        [] => "no group".to_owned(),
        groups => groups.join(", "),
    };
    format!(
        "it is for hosts of {}, and this host is in {here}",
        of.join(", ")
    )
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
