//! Opening a request without asking for the pass.

use super::view::View;
use crate::{
    operations::{
        error::Error,
        issuance::{Issuance, Step},
    },
    policy::Decision,
};

impl Issuance<'_> {
    /// Opens a request, and never issues a pass.
    ///
    /// # Errors
    /// As [`Issuance::issue`]. Returns [`Error::Invalid`] if the role needs no approval.
    pub(crate) async fn open(self) -> Result<View, Error> {
        if self.ask.request.is_some() || self.ask.emergency {
            let problem = "a request is opened without `request` and `emergency`".to_owned();
            return self.refuse(Error::Invalid(problem)).await;
        }
        self.expect_recordable().await?;
        self.decide(Open).await
    }
}

/// Opens a request, and nothing else.
struct Open;

impl Step for Open {
    type Outcome = View;

    async fn take(&mut self, it: &Issuance<'_>) -> Result<Option<View>, Error> {
        match it.decision() {
            Decision::NeedsApproval(pending) => it.file(&pending).await.map(Some),
            Decision::Denied(denial) => it.refuse(Error::Denied(denial)).await,
            Decision::Granted(_) => {
                let role = &it.ask.role;
                let problem = format!("role {role:?} needs no approval: ask for the pass");
                it.refuse(Error::Invalid(problem)).await
            }
        }
    }
}
