//! One caller's watch of requests: the waiting requests first, then each change.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use time::OffsetDateTime;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::super::{
    convert,
    status::CallError,
    watches::{WatchEvent, WatchSlot},
};
use crate::{
    identity::Identity,
    ledger::state::State,
    operations::{
        self, Authority,
        requests::{self, View, Viewer},
    },
    proto::v1,
    ticks::ticks,
};

/// Time that a caller may leave a change unread.
const STALL: Duration = Duration::from_secs(30);

/// Time between two beats.
const BEAT: Duration = Duration::from_secs(5);

/// Watch, and the changes that it has sent.
pub(super) struct Watch {
    pub(super) authority: Arc<Authority>,
    pub(super) identity: Identity,
    pub(super) viewer: Viewer,
    pub(super) only: Option<u64>,
    /// Whether the caller takes beats.
    pub(super) beats: bool,
    /// For each waiting request: the number of its last change that was sent, and its state then.
    pub(super) told: BTreeMap<u64, (u64, State)>,
    pub(super) slot: WatchSlot,
    pub(super) sender: mpsc::Sender<Result<v1::Request, Status>>,
    /// Cancelled before a server that stops ends the queues of events.
    pub(super) stop: CancellationToken,
}

/// Reason why a watch ends.
enum End {
    /// The caller disconnected, or does not read; or the server stops: a caller that sees the end
    /// of the stream may watch again.
    Gone,
    /// A reason that the caller is told.
    Refused(CallError),
}

impl From<operations::Error> for End {
    fn from(error: operations::Error) -> Self {
        Self::Refused(error.into())
    }
}

impl Watch {
    /// Sends the waiting requests, then each change, until the caller disconnects or the token
    /// expires.
    pub(super) async fn run(
        mut self,
        events: mpsc::Receiver<WatchEvent>,
        clock: impl Fn() -> OffsetDateTime,
    ) {
        let left = self.identity.expires() - clock();
        let left = Duration::try_from(left).unwrap_or_default();
        let sender = self.sender.clone();
        tokio::select! {
            end = self.tell_all(events, clock) => {
                if let Err(End::Refused(refusal)) = end {
                    let _ = timeout(STALL, sender.send(Err(refusal.to_status()))).await;
                }
            }
            () = sleep(left) => {}
            () = sender.closed() => {}
        }
    }

    async fn tell_all(
        &mut self,
        mut events: mpsc::Receiver<WatchEvent>,
        clock: impl Fn() -> OffsetDateTime,
    ) -> Result<(), End> {
        let mut beat = ticks(BEAT);
        if self.beats {
            beat.tick().await;
            self.send(v1::Request::default()).await?;
        }
        self.tell_waiting(clock()).await?;
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                _ = beat.tick(), if self.beats => {
                    self.send(v1::Request::default()).await?;
                    continue;
                }
            };
            match event {
                Some(WatchEvent::Change(change)) => {
                    if let Some(view) = self.viewer.view(&change) {
                        self.tell(view).await?;
                    }
                }
                Some(WatchEvent::Policy) => {
                    self.viewer = Viewer::new(&self.authority, &self.identity);
                    self.slot.see(self.viewer.sight().clone());
                    self.tell_waiting(clock()).await?;
                }
                None if self.stop.is_cancelled() => return Err(End::Gone),
                None => return Err(End::Refused(CallError::WatchEnded)),
            }
        }
    }

    /// Sends the one request that is watched, or all waiting requests.
    async fn tell_waiting(&mut self, now: OffsetDateTime) -> Result<(), End> {
        if let Some(id) = self.only {
            let view = requests::get(&self.authority, &self.identity, id, now).await?;
            return self.tell(view).await;
        }
        let mut after = 0;
        loop {
            let page = requests::ListOptions {
                after,
                ..requests::ListOptions::default()
            };
            let (views, next) = requests::list(&self.authority, &self.viewer, page, now).await?;
            for view in views {
                self.tell(view).await?;
            }
            match next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }

    async fn tell(&mut self, view: View) -> Result<(), End> {
        let id = view.request.id;
        let (revision, state) = (view.request.revision, view.state);
        let is_new = match self.told.get(&id) {
            None => true,
            Some(&(told, before)) => revision > told || (revision == told && state != before),
        };
        if !is_new {
            return Ok(());
        }
        match state {
            State::Pending | State::Approved | State::ReviewOpen => {
                self.told.insert(id, (revision, state));
            }
            // No change follows the end of a request.
            State::Denied
            | State::Cancelled
            | State::Expired
            | State::Redeemed
            | State::Reviewed => {
                self.told.remove(&id);
            }
        }
        self.send(convert::request(&view)).await
    }

    async fn send(&self, message: v1::Request) -> Result<(), End> {
        let sent = self.sender.send(Ok(message));
        match timeout(STALL, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }
}
