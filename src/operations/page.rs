//! The page before an emergency: without an acknowledgement there is no pass.

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::{authority::Authority, error::Error};
use crate::{
    ledger::{
        EventKind, LedgerState,
        event::{Applicant, Issued},
    },
    notify::{Page, Unanswered},
    policy::Context,
    reason,
};

/// Pages, and returns once a receiver has acknowledged it. `nonce` is the pass's own.
///
/// If the caller disconnects meanwhile, the page goes on all the same, and the ledger says so.
///
/// # Errors
/// Returns [`Error::PageFailed`] if no receiver acknowledges, and [`Error::Rejection`] if the
/// caller is locked; each is recorded once.
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
                    // The caller is gone, and the store has logged its own error.
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

/// Refuses callers who are locked, and challenges that were answered before: neither may page. The
/// store's writer checks again when the pass is recorded.
async fn expect_unlocked(
    authority: &Authority,
    issued: &Issued,
    context: Context,
) -> Result<(), Error> {
    let applicant = Applicant::new(&issued.who, Some(&issued.key), Some(&issued.ask.role));
    let state = |state: &LedgerState| {
        state.expect_unlocked(&applicant)?;
        state.admit_emergency(issued)
    };
    let Err(rejection) = authority.store.state(state) else {
        return Ok(());
    };
    let denial = EventKind::Issued(Box::new(issued.clone())).refused(&rejection);
    if let Some(denial) = denial {
        authority.store.refuse(denial, context.now).await?;
    }
    Err(Error::Rejection(rejection))
}

/// The `denied` event of an ask whose page failed, without its sentence.
struct Denial(Box<Issued>);

impl Denial {
    fn of(issued: &Issued) -> Self {
        Self(Box::new(issued.clone()))
    }

    fn with(self, detail: String) -> EventKind {
        let issued = self.0;
        EventKind::Denied {
            who: issued.who,
            ask: issued.ask,
            key: Some(issued.key),
            reason: reason::PAGE_FAILED.to_owned(),
            detail,
            policy: issued.policy,
            cut: false,
            unbound: false,
            by: issued.on_behalf.map(|it| Box::new(it.by)),
        }
    }
}

fn words(unanswered: &Unanswered) -> String {
    format!(
        "no receiver acknowledged the page, so there is no pass: {unanswered}. Try again, call the people who would have been \
         paged, and let an administrator look at `daypass admin webhooks`"
    )
}

/// Derives the page's id. It is a hash, because the nonce stays secret until the certificate shows
/// it.
fn page_id(nonce: &[u8; 32]) -> String {
    let hash = Sha256::new()
        .chain_update(b"daypass page")
        .chain_update(nonce)
        .finalize();
    let mut hash = base16ct::lower::encode_string(&hash);
    hash.truncate(32);
    format!("page_{hash}")
}
