//! The login's tokens on a call to the server.

use tonic::{Request, metadata::MetadataValue};

use super::{Error, session::Login};

/// Adds the login's ID token to a call, and beside a renewed one the original. They are marked as
/// sensitive, so that no logger prints them.
///
/// # Errors
/// Returns [`Error::SignIn`] if a token has bytes that a header cannot have.
pub(crate) fn authorized<T>(login: &Login, message: T) -> Result<Request<T>, Error> {
    let sensitive = |text: &str| {
        let mut value = MetadataValue::try_from(text)
            .map_err(|_| Error::sign_in("the session's token is damaged"))?;
        value.set_sensitive(true);
        Ok::<_, Error>(value)
    };
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert(
        "authorization",
        sensitive(&format!("Bearer {}", login.token))?,
    );
    if let Some(original) = &login.original {
        metadata.insert("daypass-original-token", sensitive(original)?);
    }
    Ok(request)
}
