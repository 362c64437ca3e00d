//! Signing out.

use super::{pending, refresh};
use crate::client::{Client, Error, agent, cache, key::Key, offered, session::Session};

impl Client {
    /// Removes key, token, passes and offered names, from disk and from the agent. Keeps the
    /// server's address, its description and its last checkpoint. Returns whether the user was
    /// signed in.
    ///
    /// # Errors
    /// Returns [`Error::File`] if a file cannot be removed.
    pub(crate) async fn logout(&self) -> Result<bool, Error> {
        let _lock = self.state.lock(self.settings().say).await?;
        let _renewing = refresh::lock(&self.state, self.settings().say).await?;
        let mut session = Session::load(&self.state)?;
        let login = session.login.take();
        let was_signed_in = login.is_some();
        agent::remove_ours(&self.state).await?;
        cache::clear(&self.state)?;
        offered::forget(&self.state)?;
        Key::forget(&self.state)?;
        pending::forget(&self.state)?;
        session.save(&self.state)?;
        self.forget_refresh_token(login.as_ref()).await?;
        Ok(was_signed_in)
    }
}
