//! The page before an emergency: no acknowledgement, no pass.

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::{Authority, Error};
use crate::{
    ledger::{
        What,
        event::{Applicant, Issued},
    },
    notify::{Page, Unanswered},
    policy::Context,
    reason,
};

/// Pages, and comes back once somebody has acknowledged it. `nonce` is the pass's own.
///
/// Whoever hangs up meanwhile has paged people all the same: that too is in the ledger.
///
/// # Errors
/// [`Error::PageFailed`] and [`Error::Objection`], each recorded once.
pub(super) async fn before(
    authority: &Authority,
    issued: &Issued,
    context: Context,
    nonce: &[u8; 32],
) -> Result<(), Error> {
    expect_unlocked(authority, issued, context).await?;
    let page = Page {
        id: page_id(nonce),
        issued: issued.clone(),
        at: context.now,
    };
    let (notifier, store) = (authority.notifier.clone(), authority.store.clone());
    let (server, now) = (authority.server_name.clone(), context.now);
    let (answer, answered) = oneshot::channel();
    let denial = Denial::of(issued);
    tokio::spawn(async move {
        match notifier.page(&server, page).await {
            Ok(by) => {
                tracing::info!(by, "an emergency's page was acknowledged");
                if answer.send(Ok(())).is_err() {
                    let gone = "the caller was gone when the page was acknowledged".to_owned();
                    // Nobody is there to hear of an error; the store has logged it.
                    let _ = store.refuse(denial.with(gone), now).await;
                }
            }
            Err(unanswered) => {
                let words = words(&unanswered);
                let recorded = store.refuse(denial.with(words.clone()), now).await;
                let error = recorded.map_or_else(Error::from, |()| Error::PageFailed(words));
                let _ = answer.send(Err(error));
            }
        }
    });
    let gone = || Error::PageFailed("the page could not be sent: tell the operator".to_owned());
    answered.await.map_err(|_| gone())?
}

/// Whoever is locked out, or comes with a challenge that was answered before, pages nobody. The store's writer looks again when the pass is recorded.
async fn expect_unlocked(
    authority: &Authority,
    issued: &Issued,
    context: Context,
) -> Result<(), Error> {
    let applicant = Applicant::new(&issued.who, Some(&issued.key), Some(&issued.ask.role));
    let standing = |standing: &crate::ledger::Standing| {
        standing.expect_unlocked(&applicant)?;
        standing.admit_emergency(issued)
    };
    let Err(objection) = authority.store.standing(standing) else {
        return Ok(());
    };
    let denial = What::Issued(Box::new(issued.clone())).refused(&objection);
    if let Some(denial) = denial {
        authority.store.refuse(denial, context.now).await?;
    }
    Err(Error::Objection(objection))
}

/// The `denied` event of an ask whose page failed, less its sentence.
struct Denial(Box<Issued>);

impl Denial {
    fn of(issued: &Issued) -> Self {
        Self(Box::new(issued.clone()))
    }

    fn with(self, detail: String) -> What {
        let issued = self.0;
        What::Denied {
            who: issued.who,
            ask: issued.ask,
            key: Some(issued.key),
            reason: reason::PAGE_FAILED.to_owned(),
            detail,
            policy: issued.policy,
            cut: false,
            unbound: false,
        }
    }
}

fn words(unanswered: &Unanswered) -> String {
    format!(
        "nobody acknowledged the page, so there is no pass: {unanswered}. Try again, call the people who would have been \
         paged, and let an administrator look at `daypass admin webhooks`"
    )
}

/// The certificate shows the nonce itself; the id does not give it away before that.
fn page_id(nonce: &[u8; 32]) -> String {
    let hash = Sha256::new()
        .chain_update(b"daypass page")
        .chain_update(nonce)
        .finalize();
    let hash: String = hash
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("page_{hash}")
}
