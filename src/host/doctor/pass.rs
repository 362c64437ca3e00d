//! The verdict on one certificate: whether this host would accept it, for which logins, and why
//! not.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;
use ssh_key::{Certificate, PublicKey, certificate::CertType};

use super::{login, scene::Scene};
use crate::{
    ssh::{key::fingerprint, krl::Krl, options::CriticalOption},
    unix_seconds::UnixSeconds,
};

/// This host's verdict on a pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    /// The pass's serial.
    pub serial: u64,
    /// Its key id, which sshd logs.
    pub key_id: String,
    /// Whether it opens a login here; if a login name was asked about, that one.
    pub accepted: bool,
    /// The login names it opens here.
    pub logins: Vec<String>,
    /// The reasons why it is refused.
    pub refusals: Vec<String>,
    /// Further conditions of a login with it, such as a forced command.
    pub notes: Vec<String>,
}

/// Judges a pass as sshd would.
pub(super) fn judge(scene: &Scene<'_>, pass: &Certificate, krl: Option<&Krl>) -> Verdict {
    let logins = logins(scene, pass);
    let mut refusals = Vec::new();
    refusals.extend(kind(pass));
    refusals.extend(signer(scene, pass));
    refusals.extend(validity(scene, pass));
    refusals.extend(revoked(pass, krl));
    refusals.extend(algorithms(scene, pass));
    refusals.extend(options(pass));
    refusals.extend(conditions(scene, pass));
    refusals.extend(principals(scene, pass, &logins));
    if let Some(user) = scene.user {
        refusals.extend(login::obstacles(scene, user));
    }
    Verdict {
        serial: pass.serial(),
        key_id: pass.key_id().to_owned(),
        accepted: refusals.is_empty(),
        logins,
        refusals,
        notes: notes(scene, pass),
    }
}

/// The login names that the pass opens here: sshd asks for their principals, and the pass has them.
fn logins(scene: &Scene<'_>, pass: &Certificate) -> Vec<String> {
    let groups = &scene.settings.groups;
    let opened =
        pass.valid_principals()
            .iter()
            .filter_map(|principal| match principal.split_once('@') {
                None if groups.is_empty() => Some(principal.as_str()),
                Some((login, group)) if groups.iter().any(|ours| ours == group) => Some(login),
                None | Some(_) => None,
            });
    let mut logins: Vec<String> = opened.map(str::to_owned).collect();
    logins.sort();
    logins.dedup();
    logins
}

fn kind(pass: &Certificate) -> Option<String> {
    (pass.cert_type() != CertType::User).then(|| "it is a host certificate".to_owned())
}

fn signer(scene: &Scene<'_>, pass: &Certificate) -> Vec<String> {
    let mut faults = Vec::new();
    let ca = PublicKey::from(pass.signature_key().clone());
    let lists = [scene.keys, scene.other_keys];
    let mut keys = lists.into_iter().flatten().flat_map(|keys| keys.iter());
    let trusted = keys.any(|key| key.key_data() == pass.signature_key());
    if !trusted {
        let name = fingerprint(&ca);
        faults.push(format!(
            "its CA key {name} is not trusted here; `daypass host sync` fetches new ones"
        ));
    }
    if pass.verify_signature().is_err() {
        faults.push("its signature is invalid: it was changed".to_owned());
    }
    faults
}

fn validity(scene: &Scene<'_>, pass: &Certificate) -> Option<String> {
    let now = scene.now;
    if now < UnixSeconds(pass.valid_after()) {
        return Some("it is not yet valid (or this host's clock is behind)".to_owned());
    }
    (now >= UnixSeconds(pass.valid_before()))
        .then(|| "it has expired (or this host's clock is ahead)".to_owned())
}

fn revoked(pass: &Certificate, krl: Option<&Krl>) -> Option<String> {
    let Some(krl) = krl else {
        return Some("the revocation list cannot be read: sshd refuses every key".to_owned());
    };
    let ca = PublicKey::from(pass.signature_key().clone()).to_bytes();
    let is_revoked = ca.is_ok_and(|ca| krl.revokes(&ca, pass.serial()));
    is_revoked.then(|| format!("its serial {} is revoked", pass.serial()))
}

fn algorithms(scene: &Scene<'_>, pass: &Certificate) -> Vec<String> {
    let signature = pass.signature().algorithm();
    let mut faults = super::algorithms::refusals(scene, pass.public_key(), &signature);
    if scene.effective.value("pubkeyauthentication") == "no" {
        faults.push("pubkeyauthentication is no".to_owned());
    }
    faults
}

/// The conditions of the certificate that this login does not meet.
fn conditions(scene: &Scene<'_>, pass: &Certificate) -> Vec<String> {
    let mut faults = Vec::new();
    let options = pass.critical_options();
    if scene.user == Some("root")
        && scene.effective.value("permitrootlogin") == "forced-commands-only"
        && !options.contains_key(CriticalOption::ForceCommand.name())
    {
        faults.push("permitrootlogin is forced-commands-only, and it has no command".to_owned());
    }
    let address = scene.address.and_then(|it| it.parse::<IpAddr>().ok());
    if let (Some(networks), Some(address)) =
        (options.get(CriticalOption::SourceAddress.name()), address)
    {
        let mut networks = networks
            .split(',')
            .filter_map(|it| it.parse::<IpNet>().ok());
        if !networks.any(|network| network.contains(&address)) {
            faults.push(format!("it does not work from {address}"));
        }
    }
    faults
}

fn options(pass: &Certificate) -> Vec<String> {
    let names = pass.critical_options().keys();
    let unknown = names.filter(|name| CriticalOption::from_name(name).is_none());
    unknown
        .map(|name| format!("sshd does not know its critical option {name}"))
        .collect()
}

fn principals(scene: &Scene<'_>, pass: &Certificate, logins: &[String]) -> Option<String> {
    let has = pass.valid_principals().join(", ");
    match scene.user {
        Some(user) if logins.iter().any(|login| login == user) => None,
        None if !logins.is_empty() => None,
        user => {
            let user = user.unwrap_or("LOGIN");
            let asked = match scene.settings.groups.as_slice() {
                [] => user.to_owned(),
                groups => {
                    let asked = groups.iter().map(|group| format!("{user}@{group}"));
                    asked.collect::<Vec<_>>().join(" or ")
                }
            };
            Some(format!(
                "its principals are {has}; this host asks for {asked}"
            ))
        }
    }
}

fn notes(scene: &Scene<'_>, pass: &Certificate) -> Vec<String> {
    let mut notes = Vec::new();
    let forced = scene.effective.value("forcecommand");
    let options = pass.critical_options();
    if let Some(command) = options.get(CriticalOption::ForceCommand.name()) {
        notes.push(match forced {
            "none" => format!("it runs {command}"),
            forced => format!("sshd's forcecommand {forced:?} runs instead of its {command:?}"),
        });
    }
    if let Some(addresses) = options.get(CriticalOption::SourceAddress.name()) {
        notes.push(format!("it works from {addresses} only"));
    }
    notes
}
