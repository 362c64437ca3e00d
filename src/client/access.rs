//! The caller's own lock: the CA gives them no pass until an administrator unlocks them.

use super::{Error, Signed, admin::is_same_people, credentials::authorized, key::Key};
use crate::{
    ledger::order::{Target, Verb},
    proto::v1::{self, PreviewResponse as Preview},
};

impl Signed {
    /// Shows what a lock of the caller by themself would do. It changes nothing.
    ///
    /// # Errors
    /// Returns the server's refusal.
    pub(crate) async fn preview_lock_me(&self) -> Result<Preview, Error> {
        let request = authorized(&self.login, v1::PreviewLockMeRequest {})?;
        let answer = self.server.passes().preview_lock_me(request).await?;
        Ok(answer.into_inner())
    }

    /// Locks the caller. `seen` is the preview that the user was shown.
    ///
    /// # Errors
    /// Returns the server's refusal.
    pub(crate) async fn lock_me(
        &self,
        reason: &str,
        seen: &Preview,
        key: &Key,
    ) -> Result<v1::LockResponse, Error> {
        let target = Target::Identity(self.login.subject.clone());
        let look = async || self.preview_lock_me().await;
        self.repeat((seen, is_same_people), look, async |after| {
            let order = self
                .prove_order(Verb::Lock, &target, reason, after, key)
                .await?;
            let order = Some(order);
            let request = authorized(&self.login, v1::LockMeRequest { order })?;
            Ok(self.server.passes().lock_me(request).await?.into_inner())
        })
        .await
    }
}
