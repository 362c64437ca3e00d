//! Work of one request, from the end of its head to the last byte of its answer: the memory that it
//! is charged and the progress that it makes. The bodies of request and answer are wrapped here,
//! because only they see every byte.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio_util::sync::CancellationToken;

use super::{
    activity::Activity,
    budget::{Budget, Charge, REQUEST},
    endpoint::Endpoint,
    limiter::{ConnectionSlot, Network},
};

/// Bytes that a header costs beyond its text (RFC 9113 section 6.5.2).
const HEADER: usize = 32;

/// Largest piece in which an answer is sent, in bytes. Small pieces show that a slow reader of a
/// long answer reads.
const PIECE: usize = 16 * 1024;

/// Request in flight. All that hold a part of it share it. It ends when the last of them is
/// dropped.
pub(super) struct Work {
    activity: Arc<Activity>,
    id: u64,
    network: Network,
    charge: Charge,
    /// Budget of its answer, and the charge once its caller has proven an identity.
    unread: (Budget, OnceLock<Charge>),
    connection: CancellationToken,
}

impl Work {
    /// Starts the work of a request whose head is complete. The token is cancelled if the budget
    /// ends the request before its answer begins. After that, the budget ends the connection.
    pub(super) fn begin(
        slot: &ConnectionSlot,
        endpoint: &Endpoint,
        request: &Request<Incoming>,
    ) -> (Arc<Self>, CancellationToken) {
        let activity = slot.activity().clone();
        let end = CancellationToken::new();
        let network = slot.network();
        let bytes = REQUEST + head(request);
        let work = Self {
            id: activity.begin(),
            activity,
            network,
            charge: endpoint.unproven.charge(network, bytes, end.clone()),
            unread: (endpoint.unread.clone(), OnceLock::new()),
            connection: slot.evicted(),
        };
        (Arc::new(work), end)
    }

    /// Marks the caller as proven and within its rate.
    pub(super) fn prove(&self) {
        self.charge.end();
        let (unread, charge) = &self.unread;
        charge.get_or_init(|| unread.charge(self.network, 0, self.connection.clone()));
        self.activity.prove(self.id);
    }

    /// Returns the charge of its answer's bytes.
    fn answer_charge(&self) -> &Charge {
        self.unread.1.get().unwrap_or(&self.charge)
    }

    /// Starts the answer. From here on hyper holds it, and only the end of the connection stops it.
    pub(super) fn answer(self: Arc<Self>, body: Body) -> Answering {
        self.charge.end_by(self.connection.clone());
        self.activity.answer(self.id);
        Answering {
            body,
            rest: None,
            work: self,
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.activity.end(self.id);
    }
}

/// Counts the bytes of a head as the sender's limit counts them.
fn head(request: &Request<Incoming>) -> usize {
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + HEADER);
    let target = request.uri().path_and_query();
    fields.sum::<usize>() + target.map_or(0, |target| target.as_str().len())
}

/// Body of a request.
pub(super) struct Receiving {
    body: Incoming,
    work: Arc<Work>,
    charged: usize,
    most: usize,
}

impl Receiving {
    /// Wraps a body. Of a stream of messages, at most `most` bytes are held at once, so at most
    /// these are charged.
    pub(super) fn new(body: Incoming, work: Arc<Work>, most: usize) -> Self {
        Self {
            body,
            work,
            charged: 0,
            most,
        }
    }
}

impl hyper::body::Body for Receiving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let more = length.min(self.most - self.charged);
            self.charged += more;
            self.work.charge.grow(more);
            self.work.activity.received(self.work.id);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Body of an answer.
pub(super) struct Answering {
    body: Body,
    /// Unsent rest of a frame of the body.
    rest: Option<(Bytes, Arc<Held>)>,
    work: Arc<Work>,
}

impl Answering {
    /// Takes the next piece of the rest.
    fn piece(&mut self) -> Option<Bytes> {
        let (mut rest, held) = self.rest.take()?;
        let bytes = rest.split_to(PIECE.min(rest.len()));
        self.work.activity.send(self.work.id);
        let piece = Piece {
            bytes,
            held: held.clone(),
        };
        if !rest.is_empty() {
            self.rest = Some((rest, held));
        }
        Some(Bytes::from_owner(piece))
    }
}

impl hyper::body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(piece) = self.piece() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            self.work.activity.wait(self.work.id);
            return Poll::Pending;
        };
        let data = match frame.map(|frame| frame.map(Frame::into_data)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
            Some(Ok(Ok(data))) => data,
        };
        let held = Held::new(&self.work, &data);
        self.rest = Some((data, Arc::new(held)));
        let piece = self.piece().unwrap_or_default();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.as_ref().map_or(0, |(rest, _)| rest.len() as u64);
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = body.upper() {
            hint.set_upper(rest + upper);
        }
        hint.set_lower(rest + body.lower());
        hint
    }
}

/// Memory of one frame of an answer, held until its last piece is written.
struct Held {
    work: Arc<Work>,
    bytes: usize,
}

impl Held {
    /// Charges a frame. Bytes that are shared with other answers are not charged.
    fn new(work: &Arc<Work>, data: &Bytes) -> Self {
        let bytes = match data.is_unique() {
            true => data.len(),
            false => 0,
        };
        work.answer_charge().grow(bytes);
        Self {
            work: work.clone(),
            bytes,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.work.answer_charge().shrink(self.bytes);
    }
}

/// Piece of an answer that hyper has not yet written.
struct Piece {
    bytes: Bytes,
    held: Arc<Held>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let work = &self.held.work;
        work.activity.sent(work.id);
    }
}
