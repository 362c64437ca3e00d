//! Answers as the history has them.

use daypass::ssh::krl::Krl;
use sha2::{Digest, Sha256};
use ssh_encoding::Encode;
use ssh_key::{Certificate, HashAlg, PublicKey};

use crate::{
    history::{Checkpoint, HeldPass, Outcome, Revocations},
    support::issued::Issued,
};

pub(super) fn issued(issued: &Issued) -> Outcome {
    match &issued.pending {
        Some(request) => Outcome::Filed(request.id),
        None => Outcome::Pass(Box::new(pass(&issued.certificate))),
    }
}

/// What [`super::laptop`] prints in place of ssh: a certificate, and the public key of the private
/// key beside it.
pub(super) fn offered(text: &str) -> HeldPass {
    let (certificate, key) = text.trim_end().split_once('\n').unwrap_or((text, ""));
    let key = PublicKey::from_openssh(key).map(|key| key.fingerprint(HashAlg::Sha256));
    HeldPass {
        key: key.map_or_else(|_| "none".to_owned(), |key| key.to_string()),
        ..pass(certificate)
    }
}

/// The answer to a host.
pub(super) fn certified(certificates: &[String]) -> Outcome {
    let held = certificates.iter().map(|text| held(text, true));
    Outcome::Certified(held.collect())
}

fn pass(text: &str) -> HeldPass {
    held(text, false)
}

fn held(text: &str, is_host: bool) -> HeldPass {
    let certificate = Certificate::from_openssh(text).unwrap();
    let bytes = certificate.to_bytes().unwrap();
    let signature = 4 + certificate.signature().encoded_len().unwrap();
    let ca = certificate.signature_key().fingerprint(HashAlg::Sha256);
    let names = certificate.extensions().keys();
    HeldPass {
        serial: certificate.serial(),
        key: certificate
            .public_key()
            .fingerprint(HashAlg::Sha256)
            .to_string(),
        key_id: certificate.key_id().to_owned(),
        principals: certificate.valid_principals().iter().cloned().collect(),
        command: certificate.critical_options().get("force-command").cloned(),
        sources: certificate
            .critical_options()
            .get("source-address")
            .cloned(),
        extensions: names
            .map(|name| name.trim_start_matches("permit-").to_owned())
            .collect(),
        valid_after: certificate.valid_after(),
        valid_before: certificate.valid_before(),
        signed: base16ct::lower::encode_string(&Sha256::digest(&bytes[..bytes.len() - signature])),
        ca: ca.to_string(),
        is_signed_by_ca: certificate
            .validate_at(certificate.valid_after(), [&ca])
            .is_ok(),
        flaws: flaws(&certificate, &bytes, text, is_host),
        text: text.to_owned(),
    }
}

/// Bytes of the largest pass: a few principals, a command and a signature.
const LARGEST: usize = 8 * 1024;

/// The critical options that passes of a run may have.
const OPTIONS: [&str; 2] = ["force-command", "source-address"];

/// The extensions that OpenSSH knows.
const EXTENSIONS: [&str; 6] = [
    "no-touch-required",
    "permit-X11-forwarding",
    "permit-agent-forwarding",
    "permit-port-forwarding",
    "permit-pty",
    "permit-user-rc",
];

/// A lint of its own, from PROTOCOL.certkeys.
fn flaws(certificate: &Certificate, bytes: &[u8], text: &str, is_host: bool) -> Vec<String> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let sent = text
        .split(' ')
        .nth(1)
        .map(|blob| STANDARD.decode(blob.trim()));
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    let principals = certificate.valid_principals();
    let distinct: std::collections::BTreeSet<_> = principals.iter().collect();
    let id = certificate.key_id();
    let has_options =
        !certificate.critical_options().is_empty() || !certificate.extensions().is_empty();
    let checks = [
        (
            "it is of the wrong kind, or a host's with options",
            certificate.cert_type().is_host() == is_host && !(is_host && has_options),
        ),
        (
            "its encoding is not canonical",
            sent == Some(Ok(bytes.to_vec())),
        ),
        ("it is too large", bytes.len() <= LARGEST),
        ("its nonce is short", certificate.nonce().len() >= 16),
        ("it has no serial", certificate.serial() != 0),
        (
            "its key id is not printable",
            !id.is_empty() && id.len() <= 255 && id.chars().all(|c| c.is_ascii_graphic()),
        ),
        (
            "it has no principal, or one twice",
            !principals.is_empty() && distinct.len() == principals.len(),
        ),
        (
            "a principal is not a name",
            principals
                .iter()
                .all(|it| !it.is_empty() && it.chars().all(is_name)),
        ),
        (
            "it has an unknown critical option",
            certificate
                .critical_options()
                .iter()
                .all(|(name, value)| OPTIONS.contains(&&**name) && !value.is_empty()),
        ),
        (
            "it has an unknown extension, or one with a value",
            certificate
                .extensions()
                .iter()
                .all(|(name, value)| EXTENSIONS.contains(&&**name) && value.is_empty()),
        ),
        (
            "it is valid for ever or never",
            certificate.valid_after() < certificate.valid_before()
                && certificate.valid_before() < u64::MAX,
        ),
    ];
    let broken = checks.into_iter().filter(|(_, is_well)| !is_well);
    broken.map(|(flaw, _)| flaw.to_owned()).collect()
}

pub(crate) fn revocations(bytes: Vec<u8>) -> Revocations {
    let list = Krl::parse(&bytes).unwrap();
    let (version, entries) = (list.version(), list.len());
    Revocations {
        version,
        bytes,
        entries,
        ..Revocations::default()
    }
}

/// Size and root of a signed note. Its signature is verified with the whole ledger at the end.
pub(super) fn checkpoint(note: &str) -> Outcome {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let mut lines = note.lines().skip(1);
    let size = lines.next().unwrap().parse().unwrap();
    let root = STANDARD.decode(lines.next().unwrap()).unwrap();
    Outcome::Checkpoint(Checkpoint {
        size,
        root: root.try_into().unwrap(),
        note: note.to_owned(),
        is_signed: false,
    })
}
