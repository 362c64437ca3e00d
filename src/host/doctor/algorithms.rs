//! The checks of the algorithms that sshd accepts: for the keys of passes, for the CA's signatures,
//! and for the size of RSA keys.

use ssh_key::{Algorithm, public::KeyData};

use super::scene::Scene;
use crate::{
    finding::Finding,
    ssh::key::{ALGORITHMS, fingerprint},
};

/// sshd's list of the algorithms of users' keys and certificates. Before OpenSSH 8.5 it had the
/// second name.
const LISTS: [&str; 2] = ["pubkeyacceptedalgorithms", "pubkeyacceptedkeytypes"];

/// The algorithm of the keys that Daypass makes itself.
const OWN: &str = "ssh-ed25519";

/// Checks the lists of algorithms against the passes and the CA keys.
pub(super) fn check(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = pass_keys(scene);
    findings.extend(ca_keys(scene));
    findings.extend(rsa_size(scene));
    findings
}

/// Finds the kinds of keys whose passes sshd refuses. Daypass makes Ed25519 keys; users may bring
/// others.
fn pass_keys(scene: &Scene<'_>) -> Vec<Finding> {
    let refused = ALGORITHMS
        .into_iter()
        .filter(|algorithm| !accepts(scene, algorithm));
    let refused: Vec<&str> = refused.collect();
    let (own, others): (Vec<&str>, Vec<&str>) = refused.into_iter().partition(|it| *it == OWN);
    let list = list(scene);
    let mut findings = Vec::new();
    if !own.is_empty() {
        let name = certificate_names(OWN).join(" or ");
        findings.push(Finding::wrong(
            "pubkeyacceptedalgorithms",
            format!("{list} does not list {name}: every pass for a key of Daypass is refused; add it, and reload sshd"),
        ));
    }
    if !others.is_empty() {
        let names = others.join(", ");
        findings.push(Finding::note(
            "pubkeyacceptedalgorithms",
            format!("{list} does not list the certificates of these keys of users: {names}; passes for them are refused"),
        ));
    }
    findings
}

/// Whether sshd accepts passes for keys of this algorithm.
fn accepts(scene: &Scene<'_>, algorithm: &str) -> bool {
    let names = certificate_names(algorithm);
    names
        .iter()
        .any(|name| scene.effective.lists(list(scene), name))
}

fn list(scene: &Scene<'_>) -> &'static str {
    let [now, before] = LISTS;
    match scene.effective.value(now) {
        "none" => before,
        _ => now,
    }
}

/// The names of the certificates for a key. sshd lists those of an RSA key by their hash.
fn certificate_names(algorithm: &str) -> Vec<String> {
    match algorithm {
        "ssh-rsa" => vec![
            "rsa-sha2-512-cert-v01@openssh.com".to_owned(),
            "rsa-sha2-256-cert-v01@openssh.com".to_owned(),
        ],
        other => vec![match other.split_once('@') {
            Some((name, _)) => format!("{name}-cert-v01@openssh.com"),
            None => format!("{other}-cert-v01@openssh.com"),
        }],
    }
}

/// Finds CA keys whose algorithm sshd does not accept: it refuses every pass by them.
fn ca_keys(scene: &Scene<'_>) -> Vec<Finding> {
    let lists = [scene.keys, scene.other_keys];
    let keys = lists.into_iter().flatten().flat_map(|keys| keys.iter());
    let refused = keys.filter(|key| {
        let algorithm = key.algorithm();
        let names = signature_names(algorithm.as_str());
        !names
            .iter()
            .any(|name| scene.effective.lists("casignaturealgorithms", name))
    });
    refused
        .map(|key| {
            let (algorithm, name) = (key.algorithm(), fingerprint(key));
            Finding::wrong(
                "casignaturealgorithms",
                format!("casignaturealgorithms does not list {algorithm}: every pass by the CA key {name} is refused"),
            )
        })
        .collect()
}

/// The names of the signatures by a key. Those of an RSA key are named for their hash.
fn signature_names(algorithm: &str) -> Vec<&str> {
    match algorithm {
        "ssh-rsa" => vec!["rsa-sha2-512", "rsa-sha2-256"],
        other => vec![other],
    }
}

/// RSA keys that passes may be for, but that this sshd finds too short.
fn rsa_size(scene: &Scene<'_>) -> Option<Finding> {
    let required = required_rsa_size(scene)?;
    (required > crate::ssh::key::MIN_RSA_BITS).then(|| {
        Finding::note(
            "requiredrsasize",
            format!("requiredrsasize is {required}: passes for shorter RSA keys are refused"),
        )
    })
}

fn required_rsa_size(scene: &Scene<'_>) -> Option<usize> {
    scene.effective.value("requiredrsasize").parse().ok()
}

/// Reasons why sshd refuses a pass for this key, whose signature has this algorithm.
pub(super) fn refusals(scene: &Scene<'_>, subject: &KeyData, signature: &Algorithm) -> Vec<String> {
    let mut faults = Vec::new();
    let signed = match signature {
        Algorithm::Rsa { hash: None } => "ssh-rsa",
        other => other.as_str(),
    };
    if !scene.effective.lists("casignaturealgorithms", signed) {
        faults.push(format!(
            "casignaturealgorithms does not list {signed}, the algorithm of its signature"
        ));
    }
    let algorithm = subject.algorithm();
    let name = match algorithm {
        Algorithm::Rsa { .. } => "ssh-rsa",
        ref other => other.as_str(),
    };
    if !accepts(scene, name) {
        let names = certificate_names(name).join(" or ");
        faults.push(format!("{} does not list {names}", list(scene)));
    }
    if let (Some(bits), Some(required)) = (rsa_bits(subject), required_rsa_size(scene))
        && bits < required
    {
        faults.push(format!(
            "its RSA key has {bits} bits, and requiredrsasize is {required}"
        ));
    }
    faults
}

fn rsa_bits(key: &KeyData) -> Option<usize> {
    let modulus = key.rsa()?.n.as_positive_bytes()?;
    let first = modulus.first()?;
    Some(modulus.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_have_the_names_that_sshd_lists() {
        for (algorithm, expected) in [
            ("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"),
            (
                "sk-ssh-ed25519@openssh.com",
                "sk-ssh-ed25519-cert-v01@openssh.com",
            ),
            (
                "ecdsa-sha2-nistp384",
                "ecdsa-sha2-nistp384-cert-v01@openssh.com",
            ),
            ("ssh-rsa", "rsa-sha2-512-cert-v01@openssh.com"),
        ] {
            let names = certificate_names(algorithm);
            assert_eq!(names.first().map(String::as_str), Some(expected));
        }
    }
}
