//! `host setup --print-audience`.

use super::{SetupOptions, roots, sshd_before};
use crate::host::{
    Error, Settings,
    files::Layout,
    host_keys::HostKey,
    join::{self, TokenAudience},
    server::Server,
    sshd::Connection,
};

/// The audience that a token must have for this host to join with it. Writes nothing.
///
/// # Errors
/// Returns [`Error::Usage`] if it is not clear which issuer is meant, and the error of the step
/// that failed.
pub(crate) async fn print_audience(
    layout: &Layout,
    options: &SetupOptions,
    issuer: Option<&str>,
) -> Result<TokenAudience, Error> {
    let options = &options.completed(layout)?;
    let sshd = sshd_before(layout, options).await?;
    let roots = roots(options).await?;
    let settings = Settings {
        server: options.server.clone(),
        groups: Vec::new(),
        principals_user: options.principals_user.clone(),
        own_tls_ca: roots.is_some(),
        also_trust: false,
        joined: None,
        logins: None,
    };
    let server = Server::new(&settings, roots.as_deref(), options.deadline)?;
    let trust = server.trust().await?;
    let effective = sshd.effective(&Connection::unlisted()).await?;
    join::audience(&trust, issuer, &HostKey::all(&effective).await?)
}
