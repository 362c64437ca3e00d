//! The checks of the host certificates: whether users' ssh accepts what this host shows. And of the
//! reports of a host that has joined.

use ssh_key::{Algorithm, Certificate, EcdsaCurve};

use super::{logins, scene::Scene, state::spoken};
use crate::{
    finding::Finding,
    host::{
        Error, certificate,
        error::InvalidAnswer,
        failed_sync::FailedSync,
        host_keys::HostKey,
        join, reload,
        settings::{Joined, JoinedKey},
    },
};

const CHECK: &str = "host-certificate";

/// Checks the certificates of a host that has joined.
///
/// # Errors
/// Returns the error if a file cannot be read, or `ssh-keygen` is missing.
pub(super) async fn check(scene: &Scene<'_>) -> Result<Vec<Finding>, Error> {
    let Some(joined) = &scene.settings.joined else {
        return Ok(Vec::new());
    };
    let mut findings = Vec::new();
    let mut offered = Vec::new();
    for known in &joined.keys {
        let key = HostKey::at(&known.file, Some(scene.effective)).await?;
        let is_same = |key: &HostKey| key.joined().fingerprint == known.fingerprint;
        if !key.as_ref().is_some_and(is_same) {
            let replaced = InvalidAnswer::HostKeyReplaced {
                key: known.file.clone(),
                name: joined.name.clone(),
            };
            findings.push(Finding::wrong("host-key", replaced.to_string()));
            continue;
        }
        let loaded = join::load(scene.layout, known)?;
        findings.push(one(scene, known, loaded.as_ref()));
        offered.extend(loaded.as_ref().map(algorithm));
    }
    findings.extend(algorithms(scene, &offered));
    findings.extend(rival(scene, joined));
    if reload::is_due(scene.layout) {
        findings.push(Finding::wrong(
            CHECK,
            "the running sshd still has its old host certificates: run `systemctl reload ssh` (on some systems: sshd)",
        ));
    }
    findings.extend(report(scene)?);
    findings.extend(logins::check(scene)?);
    Ok(findings)
}

/// One certificate on disk, of a host key that is the one that joined.
fn one(scene: &Scene<'_>, key: &JoinedKey, certificate: Option<&Certificate>) -> Finding {
    let file = scene.layout.certificate(&key.kind);
    let shown = file.display();
    let Some(certificate) = certificate else {
        return Finding::wrong(
            CHECK,
            format!(
                "{shown} is missing or broken: users are asked whether they trust this host; run `daypass host sync`"
            ),
        );
    };
    let listed = scene.effective.values("hostcertificate");
    if !listed.contains(&file.display().to_string()) {
        return Finding::wrong(
            CHECK,
            format!(
                "sshd does not use {shown}: check that {} is included",
                scene.layout.drop_in().display()
            ),
        );
    }
    let now = scene.now.get();
    let (after, before) = (certificate.valid_after(), certificate.valid_before());
    let renewal = certificate::renewal(certificate).get();
    // The last sixth of a lifetime: half of the time for renewals has passed without one.
    let late = renewal.saturating_add(before.saturating_sub(renewal) / 2);
    if now >= before {
        let ago = spoken(now - before);
        return Finding::wrong(
            CHECK,
            format!("{shown} expired {ago} ago: users' ssh refuses it; run `daypass host sync`"),
        );
    }
    if now < after {
        let ahead = spoken(after - now);
        return Finding::wrong(
            CHECK,
            format!("{shown} is valid in {ahead} only: the clock of this host is wrong"),
        );
    }
    let left = spoken(before - now);
    match now >= late {
        true => Finding::wrong(
            CHECK,
            format!("{shown} is valid for {left} and was not renewed; run `daypass host sync`"),
        ),
        false => Finding::good(
            CHECK,
            format!(
                "the host key {} has a certificate, valid for {left}",
                key.fingerprint
            ),
        ),
    }
}

/// Finds that sshd offers none of the certificates to users.
fn algorithms(scene: &Scene<'_>, offered: &[&str]) -> Option<Finding> {
    const KEYWORD: &str = "hostkeyalgorithms";
    let is_listed = |algorithm: &&str| scene.effective.lists(KEYWORD, algorithm);
    (!offered.is_empty() && !offered.iter().any(is_listed)).then(|| {
        Finding::wrong(
            KEYWORD,
            format!(
                "{KEYWORD} lists none of {}: sshd shows its host certificates to no user",
                offered.join(", ")
            ),
        )
    })
}

/// The name of a certificate's algorithm in `HostKeyAlgorithms`.
fn algorithm(certificate: &Certificate) -> &'static str {
    match certificate.algorithm() {
        Algorithm::Rsa { .. } => "rsa-sha2-512-cert-v01@openssh.com",
        Algorithm::Ecdsa { curve } => match curve {
            EcdsaCurve::NistP256 => "ecdsa-sha2-nistp256-cert-v01@openssh.com",
            EcdsaCurve::NistP384 => "ecdsa-sha2-nistp384-cert-v01@openssh.com",
            EcdsaCurve::NistP521 => "ecdsa-sha2-nistp521-cert-v01@openssh.com",
        },
        // Of the keys that join, only this type is left.
        _ => "ssh-ed25519-cert-v01@openssh.com",
    }
}

fn rival(scene: &Scene<'_>, joined: &Joined) -> Option<Finding> {
    let file = join::rival(scene.effective, scene.layout, joined)?;
    Some(Finding::wrong(
        CHECK,
        format!(
            "sshd also has {}, a certificate of the same host key, and uses the last one: take that `HostCertificate` line out",
            file.display()
        ),
    ))
}

/// Finds that the last report failed.
fn report(scene: &Scene<'_>) -> Result<Option<Finding>, Error> {
    let failed = FailedSync::load_at(&scene.layout.failed_report())?;
    Ok(failed.map(|failed| {
        let ago = spoken(scene.now.seconds_since(failed.tried));
        let error = failed.error;
        Finding::wrong(
            "host-report",
            format!("the last report to the server failed, {ago} ago: {error}"),
        )
    }))
}
