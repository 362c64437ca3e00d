//! Answers as the history has them.

use daypass::ssh::krl::Krl;
use sha2::{Digest, Sha256};
use ssh_encoding::Encode;
use ssh_key::{Certificate, HashAlg};

use crate::{
    history::{HeldPass, Outcome, Revocations},
    support::issued::Issued,
};

pub(super) fn issued(issued: &Issued) -> Outcome {
    match &issued.pending {
        Some(request) => Outcome::Filed(request.id),
        None => Outcome::Pass(Box::new(pass(&issued.certificate))),
    }
}

fn pass(text: &str) -> HeldPass {
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
        principals: certificate.valid_principals().iter().cloned().collect(),
        command: certificate.critical_options().get("force-command").cloned(),
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
        text: text.to_owned(),
    }
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
    Outcome::Checkpoint {
        size,
        root: root.try_into().unwrap(),
    }
}
