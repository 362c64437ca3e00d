//! Conversion of known hosts between the wire's types and the domain's, with a bound on each field.
//! Pure.

use prost::Message as _;
use sha2::{Digest, Sha256};
use ssh_key::Certificate;

use super::bounds::{Malformed, malformed, missing, text};
use crate::{
    ledger::{event::NewHost, state::HostRecord},
    operations::hosts::{
        ShownKeys,
        behind::{certified_by, certified_until},
        listing::Listed,
        logins::{ReportedLogin, ReportedLogins},
        report::Report,
        reporting::Sync,
    },
    proto::v1::{self, host::State},
    ssh::{
        host_name::{MAX_LENGTH, is_host_name},
        host_proof::MAX_KEYS,
        key, principal, printable,
        sshd_log::{CertificateLogin, UnreadableLogin},
        sshsig::Signature,
    },
    unix_seconds::UnixSeconds,
};

/// The most bytes of a signature: by an RSA key of 16,384 bits.
const SIGNATURE_BYTES: usize = 6 * 1024;

/// The most bytes of a report.
const REPORT_BYTES: usize = 8 * 1024;

/// The most bytes of a report of logins.
const LOGINS_BYTES: usize = 40 * 1024;

/// The most logins of a report.
const MOST_LOGINS: usize = 100;

/// The most bytes of each text of a login. A key id has 256, and sshd doubles its backslashes.
const LOGIN_BYTES: usize = 640;

/// The most entries of each list in a report.
const MOST_LISTED: usize = 16;

/// The most bytes of a sentence or version in a report.
const LINE_BYTES: usize = 256;

/// Converts a host name.
pub(in crate::server) fn name(wire: &str) -> Result<String, Malformed> {
    named("name", wire)
}

fn named(field: &'static str, wire: &str) -> Result<String, Malformed> {
    if wire.is_empty() {
        return Err(missing(field));
    }
    match wire.len() <= MAX_LENGTH && is_host_name(wire) {
        true => Ok(wire.to_owned()),
        false => Err(malformed(
            field,
            "is not an exact host name or address in lower case",
        )),
    }
}

/// Converts the host that an order lets join. The ledger's rules check the rest.
pub(in crate::server) fn new_host(wire: &v1::AddHostRequest) -> Result<NewHost, Malformed> {
    if wire.aliases.len() > MOST_LISTED {
        return Err(malformed("aliases", "names more than 16 aliases"));
    }
    let aliases = wire.aliases.iter().map(|alias| named("aliases", alias));
    let aliases = aliases.collect::<Result<_, _>>()?;
    if wire.code_sha256.len() != 32 {
        return Err(malformed("code_sha256", "is not a SHA-256 hash"));
    }
    if !wire.group.is_empty() && !principal::is_name(&wire.group) {
        return Err(malformed("group", "is not the name of a host group"));
    }
    Ok(NewHost {
        name: name(&wire.name)?,
        group: wire.group.clone(),
        aliases,
        code: base16ct::lower::encode_string(&wire.code_sha256),
        expires_at: UnixSeconds(wire.expires_at),
        rekey: wire.rekey,
    })
}

/// Converts the keys of a call. Nothing about them is verified.
pub(in crate::server) fn shown(wire: &[v1::HostKeyProof]) -> Result<ShownKeys, Malformed> {
    if wire.is_empty() {
        return Err(missing("keys"));
    }
    if wire.len() > MAX_KEYS {
        return Err(malformed("keys", "holds more than 4 host keys"));
    }
    let shown = wire.iter().map(|one| {
        let key = key::parse_host(&one.public_key);
        let key =
            key.map_err(|problem| malformed("keys", format!("has a bad host key: {problem}")))?;
        if one.signature.len() > SIGNATURE_BYTES {
            return Err(malformed("keys", "has a signature that is too long"));
        }
        let signature = Signature::from_blob(&one.signature);
        let signature = signature
            .map_err(|problem| malformed("keys", format!("has a bad signature: {problem}")))?;
        Ok((key, signature))
    });
    let shown: Vec<_> = shown.collect::<Result<_, _>>()?;
    let has_twins = shown.iter().enumerate().any(|(at, (key, _))| {
        let mut later = shown.iter().skip(at + 1);
        later.any(|(other, _)| other.algorithm() == key.algorithm())
    });
    match has_twins {
        true => Err(malformed("keys", "has two keys of one type")),
        false => Ok(ShownKeys::new(shown)),
    }
}

/// Converts a report with the keys that claim to have signed it.
pub(in crate::server) fn sync(wire: &v1::SyncHostRequest) -> Result<Sync, Malformed> {
    if wire.report.len() > REPORT_BYTES {
        return Err(malformed("report", "is longer than 8 KiB"));
    }
    let report = v1::HostReport::decode(&*wire.report)
        .map_err(|_| malformed("report", "is not an encoded HostReport"))?;
    Ok(Sync {
        report: read(report)?,
        bytes: wire.report.clone(),
        shown: shown(&wire.keys)?,
    })
}

/// Converts a report that was kept as a host signed it.
pub(in crate::server) fn kept(bytes: &[u8]) -> Option<Report> {
    read(v1::HostReport::decode(bytes).ok()?).ok()
}

fn read(wire: v1::HostReport) -> Result<Report, Malformed> {
    let line = |field, value: &str| Ok(text(field, value, LINE_BYTES)?.unwrap_or_default());
    let lines = |field, values: Vec<String>| {
        if values.len() > MOST_LISTED {
            return Err(malformed(field, "holds more than 16 entries"));
        }
        let read = values.iter().map(|value| line(field, value));
        let read: Result<Vec<_>, _> = read.collect();
        Ok(read?.into_iter().filter(|it| !it.is_empty()).collect())
    };
    if wire.certificates.len() > MOST_LISTED {
        return Err(malformed("certificates", "holds more than 16 serials"));
    }
    Ok(Report {
        at: wire.at,
        host: named("host", &wire.host)?,
        trusted_ca_keys: lines("trusted_ca_keys", wire.trusted_ca_keys)?,
        krl_version: wire.krl_version,
        sshd_version: line("sshd_version", &wire.sshd_version)?,
        daypass_version: line("daypass_version", &wire.daypass_version)?,
        faults: lines("faults", wire.faults)?,
        certificates: wire.certificates,
        logins_until: wire.logins_until.map(UnixSeconds),
        keeps_certificates: wire.keeps_certificates,
    })
}

/// Converts reported logins with the keys that claim to have signed them.
pub(in crate::server) fn logins(
    wire: &v1::ReportLoginsRequest,
) -> Result<ReportedLogins, Malformed> {
    if wire.report.len() > LOGINS_BYTES {
        return Err(malformed("report", "is longer than 40 KiB"));
    }
    let report = v1::LoginReport::decode(&*wire.report)
        .map_err(|_| malformed("report", "is not an encoded LoginReport"))?;
    if report.logins.len() > MOST_LOGINS {
        return Err(malformed("logins", "holds more than 100 logins"));
    }
    if report.groups.len() > principal::MAX_GROUPS {
        return Err(malformed("groups", "names more than 64 groups"));
    }
    let groups = report.groups.into_iter();
    let groups = groups.map(|group| match principal::is_name(&group) {
        true => Ok(group),
        false => Err(malformed("groups", "has no name of a host group")),
    });
    Ok(ReportedLogins {
        at: report.at,
        host: named("host", &report.host)?,
        groups: groups.collect::<Result<_, _>>()?,
        logins: report.logins.iter().map(login).collect::<Result<_, _>>()?,
        digest: Sha256::digest(&wire.report).into(),
        shown: shown(&wire.keys)?,
    })
}

fn login(wire: &v1::Login) -> Result<(Option<UnixSeconds>, ReportedLogin), Malformed> {
    // A hostile text is evidence: it is cleansed, and refuses no report.
    let line = |value: &str| printable::line(value, LOGIN_BYTES);
    let port = u16::try_from(wire.port).map_err(|_| malformed("port", "is not a port"))?;
    let (login, from) = (line(&wire.login), line(&wire.from));
    let reported = match &wire.certificate {
        None => ReportedLogin::Unreadable(UnreadableLogin {
            time: None,
            client: Some((login, from, port)),
        }),
        Some(certificate) => ReportedLogin::By(CertificateLogin {
            time: None,
            host: None,
            login,
            from,
            port,
            key: line(&certificate.key),
            key_id: line(&certificate.key_id),
            serial: certificate.serial,
            ca: line(&certificate.ca),
        }),
    };
    Ok((wire.logged_at.map(UnixSeconds), reported))
}

/// Converts certificates.
pub(in crate::server) fn certificates(made: &[Certificate]) -> Result<Vec<String>, ssh_key::Error> {
    made.iter().map(Certificate::to_openssh).collect()
}

/// Converts a host as it is listed.
pub(in crate::server) fn listed(listed: Listed) -> v1::Host {
    let report = listed.last.map(|last| written(last.report));
    v1::Host {
        report,
        behind: listed.behind,
        ..host(&listed.host)
    }
}

/// Converts what the ledger says of a host.
pub(in crate::server) fn host(host: &HostRecord) -> v1::Host {
    let state = match (&host.joined, &host.invitation) {
        (None, _) => State::Expected,
        (Some(_), Some(_)) => State::Rekeying,
        (Some(_), None) => State::Joined,
    };
    let joined = host.joined.as_ref();
    let keys = joined.iter().flat_map(|joined| &joined.keys);
    let keys = keys.filter_map(|text| key::parse_host(text).ok());
    v1::Host {
        name: host.name.clone(),
        group: host.group.clone(),
        aliases: host.aliases.clone(),
        state: state.into(),
        joined_at: joined.map_or(0, |joined| joined.at.get()),
        keys: keys.map(|key| key::fingerprint(&key)).collect(),
        certificate_until: certified_until(host).unwrap_or_default().get(),
        certificate_ca_keys: certified_by(host).into_iter().map(str::to_owned).collect(),
        report: None,
        behind: Vec::new(),
        invited_until: host.invitation.as_ref().map_or(0, |it| it.expires_at.get()),
    }
}

fn written(report: Report) -> v1::HostReport {
    v1::HostReport {
        at: report.at,
        host: report.host,
        trusted_ca_keys: report.trusted_ca_keys,
        krl_version: report.krl_version,
        sshd_version: report.sshd_version,
        daypass_version: report.daypass_version,
        faults: report.faults,
        certificates: report.certificates,
        logins_until: report.logins_until.map(UnixSeconds::get),
        keeps_certificates: report.keeps_certificates,
    }
}
