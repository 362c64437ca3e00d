//! The address of `daypass signer`: a socket, or mutual TLS with this side's files.

use std::path::PathBuf;

use toml::Spanned;

use super::{
    error::Problem, files::path, raw, settings::SignerAddress, surroundings::Surroundings,
};
use crate::outbound::MutualTls;

const TLS: &str = "tls://";

/// The signer of a key, if it is behind one.
pub(super) fn address(
    raw: &raw::CaKey,
    around: &Surroundings,
) -> Result<Option<SignerAddress>, Problem> {
    let files = [
        ("signer_certificate", &raw.signer_certificate),
        ("signer_key", &raw.signer_key),
        ("signer_roots", &raw.signer_roots),
    ];
    let signer = raw.signer.as_ref();
    let Some((signer, address)) = signer.and_then(|it| Some((it, it.get_ref().strip_prefix(TLS)?)))
    else {
        if let Some((name, file)) = files
            .iter()
            .find_map(|(name, file)| Some((name, file.as_ref()?)))
        {
            let message = format!("{name} is for signer = \"tls://HOST:PORT\": remove it");
            return Err(Problem::new(file.span(), message));
        }
        let socket = signer.map(|it| Spanned::new(it.span(), PathBuf::from(it.get_ref())));
        let socket = socket.map(|socket| path(&socket, around)).transpose()?;
        return Ok(socket.map(SignerAddress::Socket));
    };
    let parts = address.rsplit_once(':');
    let parts = parts.and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let Some((host, port)) = parts.filter(|(host, port)| !host.is_empty() && *port > 0) else {
        let message = "signer is not tls://HOST:PORT, with the name in the signer's certificate";
        return Err(Problem::new(signer.span(), message));
    };
    let [certificate, key, roots] = files.map(|(name, file)| match file {
        Some(file) => path(file, around),
        None => {
            let message = format!("signer = \"tls://...\" needs {name}: add it");
            Err(Problem::new(signer.span(), message))
        }
    });
    Ok(Some(SignerAddress::Tls {
        host: host.to_owned(),
        port,
        files: MutualTls {
            certificate: certificate?,
            key: key?,
            roots: roots?,
        },
    }))
}
