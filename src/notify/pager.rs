//! The page before an emergency: every webhook that takes emergencies is told at once, and one
//! answer is enough.

use std::{fmt, sync::Arc, time::Duration};

use time::OffsetDateTime;
use tokio::task::JoinSet;

use super::{delivery::Receiver, notification::Notification, worker::count};
use crate::ledger::event::Issued;

/// Deadline for all attempts together, because the caller waits for the pass.
pub(super) const WITHIN: Duration = Duration::from_secs(10);

/// The webhooks that did not acknowledge a page, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unanswered(pub(super) Vec<(String, String)>);

impl Unanswered {
    /// `oncall-chat (no answer within 5s), pager (answered 500)`.
    pub(crate) fn receivers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, why)| (&**name, &**why))
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self
            .receivers()
            .map(|(name, why)| format!("{name} ({why})"));
        f.write_str(&each.collect::<Vec<_>>().join(", "))
    }
}

/// The page: the pass to be, and the id that all receivers get.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// Used once.
    pub id: String,
    /// The pass that is about to be recorded.
    pub issued: Issued,
    /// When it was asked for.
    pub at: OffsetDateTime,
}

/// Tells all webhooks. Returns the name of the first that acknowledges; the others are still told.
pub(super) async fn page(
    receivers: Vec<Arc<Receiver>>,
    server: &str,
    page: Page,
) -> Result<String, Unanswered> {
    let mut missing: Vec<String> = receivers.iter().map(|it| it.name().to_owned()).collect();
    let mut attempts = JoinSet::new();
    let (page, server) = (Arc::new(page), Arc::<str>::from(server));
    for receiver in receivers {
        let (page, server) = (page.clone(), server.clone());
        attempts.spawn(async move {
            let notification = Notification::page(&page.issued, &server, page.at);
            let told = receiver.tell(&page.id, &notification, page.at);
            let outcome = match tokio::time::timeout(WITHIN, told).await {
                Ok(outcome) => outcome.map_err(|failure| failure.to_string()),
                Err(_) => Err(too_late()),
            };
            count(
                receiver.name(),
                if outcome.is_ok() {
                    "delivered"
                } else {
                    "failed"
                },
            );
            (receiver.name().to_owned(), outcome)
        });
    }
    let mut unanswered = Unanswered::default();
    while let Some(ended) = attempts.join_next().await {
        let Ok((name, outcome)) = ended else { continue };
        missing.retain(|one| *one != name);
        match outcome {
            Ok(()) => {
                attempts.detach_all();
                return Ok(name);
            }
            Err(why) => unanswered.0.push((name, why)),
        }
    }
    // A webhook that is missing here panicked.
    let missing = missing
        .into_iter()
        .map(|name| (name, "it failed".to_owned()));
    unanswered.0.extend(missing);
    unanswered.0.sort();
    Err(unanswered)
}

pub(super) fn too_late() -> String {
    format!("no answer within {}", humantime::format_duration(WITHIN))
}
