//! One request's work, from the end of its head to the last byte of its answer: what it is charged,
//! what progress it makes. The bodies of request and answer are wrapped here, for only they see the
//! bytes pass.

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
    door::Door,
    limiter::{ConnectionSlot, Network},
};

/// What a header costs beside its text (RFC 9113, 6.5.2).
const HEADER: usize = 32;

/// An answer goes out in pieces of at most this size, so that a slow reader of a long one is seen
/// to read.
const PIECE: usize = 16 * 1024;

/// One request in flight. Shared by all that hold a part of it: it ends when the last of them is
/// gone.
pub(super) struct Work {
    activity: Arc<Activity>,
    id: u64,
    network: Network,
    charge: Charge,
    /// What its answer is charged to once its caller has proven an identity.
    unread: (Budget, OnceLock<Charge>),
    connection: CancellationToken,
}

impl Work {
    /// The head of `request` is complete. The token is cancelled if the request has to give way
    /// before its answer begins; from there on its connection does.
    pub(super) fn begin(
        place: &ConnectionSlot,
        door: &Door,
        request: &Request<Incoming>,
    ) -> (Arc<Self>, CancellationToken) {
        let activity = place.activity().clone();
        let end = CancellationToken::new();
        let network = place.network();
        let bytes = REQUEST + head(request);
        let work = Self {
            id: activity.begin(),
            activity,
            network,
            charge: door.unproven.charge(network, bytes, end.clone()),
            unread: (door.unread.clone(), OnceLock::new()),
            connection: place.evicted(),
        };
        (Arc::new(work), end)
    }

    /// The caller has proven an identity, and is within its rate.
    pub(super) fn prove(&self) {
        self.charge.end();
        let (unread, charge) = &self.unread;
        charge.get_or_init(|| unread.charge(self.network, 0, self.connection.clone()));
        self.activity.prove(self.id);
    }

    /// What holds its answer's bytes.
    fn answer_charge(&self) -> &Charge {
        self.unread.1.get().unwrap_or(&self.charge)
    }

    /// The answer begins: from here on hyper has it, and only the connection's end takes it back.
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

/// The bytes of a head, as its sender's limit counts them.
fn head(request: &Request<Incoming>) -> usize {
    let fields = request.headers().iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + HEADER);
    let target = request.uri().path_and_query();
    fields.sum::<usize>() + target.map_or(0, |target| target.as_str().len())
}

/// A message on its way in.
pub(super) struct Receiving {
    body: Incoming,
    work: Arc<Work>,
    charged: usize,
    most: usize,
}

impl Receiving {
    /// Of a stream of messages no more than `most` bytes are held at once, so no more are charged.
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

/// An answer on its way out.
pub(super) struct Answering {
    body: Body,
    /// What is left of a frame of the body.
    rest: Option<(Bytes, Arc<Held>)>,
    work: Arc<Work>,
}

impl Answering {
    /// The next piece of what is left.
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

/// The memory of one frame of an answer, until its last piece is written.
struct Held {
    work: Arc<Work>,
    bytes: usize,
}

impl Held {
    /// What is published once and sent to all costs nothing more.
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

/// A piece of an answer that hyper has not written yet.
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
