//! Files that the configuration names: paths, systemd credentials and certificates.

use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use toml::Spanned;
use zeroize::Zeroizing;

use super::{error::Problem, surroundings::Surroundings};
use crate::modes;

/// An address or a few secrets; more than this is another kind of file.
const LONGEST_SECRET: u64 = 16 * 1024;

pub(super) fn path(path: &Spanned<PathBuf>, around: &Surroundings) -> Result<PathBuf, Problem> {
    if path.get_ref().as_os_str().is_empty() {
        return Err(Problem::new(
            path.span(),
            "the path is empty: name a file, relative to this one or absolute",
        ));
    }
    Ok(around.path(path.get_ref()))
}

/// The file of a systemd credential (systemd.exec(5), LoadCredential=). `instead` is the key to use
/// without systemd.
pub(super) fn credential(
    name: &Spanned<String>,
    instead: &str,
    around: &Surroundings,
) -> Result<PathBuf, Problem> {
    let value = name.get_ref();
    if value.is_empty() || value.starts_with('.') || value.contains('/') {
        let message = format!(
            "{value:?} is not the name of a systemd credential: write the NAME of LoadCredential=NAME:PATH"
        );
        return Err(Problem::new(name.span(), message));
    }
    let Some(folder) = &around.credentials_directory else {
        let message = format!(
            "credential {value:?} cannot be read because $CREDENTIALS_DIRECTORY is not set: start by systemd with LoadCredential={value}:PATH, or use {instead}"
        );
        return Err(Problem::new(name.span(), message));
    };
    Ok(folder.join(value))
}

/// The text of a file that only this user may read.
pub(super) fn private_file(
    file: &Spanned<PathBuf>,
    key: &str,
    around: &Surroundings,
) -> Result<Zeroizing<String>, Problem> {
    // A value in a path's place is not repeated in the message: it may be the secret itself.
    let written = file.get_ref().to_string_lossy();
    if written.starts_with("whsec_") || written.contains("://") {
        let message = format!("{key} names a file: put the value into one, and its path here");
        return Err(Problem::new(file.span(), message));
    }
    let path = path(file, around)?;
    let refuse =
        |why: String| Problem::new(file.span(), format!("{key} {}: {why}", path.display()));
    modes::read_secret(&path, LONGEST_SECRET).map_err(|problem| refuse(problem.to_string()))
}

/// The text of a credential. systemd has restricted its readers.
pub(super) fn private_credential(
    name: &Spanned<String>,
    instead: &str,
    around: &Surroundings,
) -> Result<Zeroizing<String>, Problem> {
    let path = credential(name, instead, around)?;
    modes::read_secret(&path, LONGEST_SECRET)
        .map_err(|problem| Problem::new(name.span(), format!("credential {problem}")))
}

/// The most bytes of a file of CA certificates. The system's whole bundle has a quarter of that.
const LONGEST_PEM: u64 = 1024 * 1024;

/// The certificates in the file, as PEM. Nothing else of the file is kept: it may hold a private
/// key by mistake, and an issuer's roots are published.
pub(super) fn ca_certificates(
    file: &Spanned<PathBuf>,
    around: &Surroundings,
) -> Result<Vec<u8>, Problem> {
    let path = path(file, around)?;
    let refuse =
        |why: String| Problem::new(file.span(), format!("ca_file {}: {why}", path.display()));
    let pem =
        modes::read_trusted(&path, LONGEST_PEM).map_err(|problem| refuse(problem.to_string()));
    let Some(pem) = around.or_stand_in(pem.map(Some), || None)? else {
        return Ok(Vec::new());
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(found) if !found.is_empty() => Ok(found.iter().flat_map(pem_text).collect()),
        _ => Err(refuse("holds no PEM certificate".into())),
    }
}

/// RFC 7468, section 5.1.
fn pem_text(certificate: &CertificateDer<'_>) -> Vec<u8> {
    let body = STANDARD.encode(certificate);
    let mut text = b"-----BEGIN CERTIFICATE-----\n".to_vec();
    for line in body.as_bytes().chunks(64) {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.extend_from_slice(b"-----END CERTIFICATE-----\n");
    text
}
