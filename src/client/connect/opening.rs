//! The first bytes of a connection: if they cannot be written, the server took nothing.
//!
//! A server that dies once the connection is made, as while it is replaced, resets it. The HTTP/2
//! client then fails at its preface (RFC 9113, 3.4), before it has a call to send, and says so in
//! the same words as of a call that was lost on its way. The mark tells the two apart.

use std::{
    error::Error as StdError,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::outbound::Stream;

/// The server had ended the connection before the first write on it.
#[derive(Debug, thiserror::Error)]
#[error("it ended the connection before anything was sent: {0}")]
struct NothingSent(io::Error);

/// A stream whose first write, if it fails, fails with the mark.
pub(super) struct Opening {
    stream: Box<dyn Stream>,
    has_written: bool,
}

impl Opening {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            has_written: false,
        }
    }
}

/// Whether this error has the mark. Not its causes: an I/O error hides its own.
pub(super) fn is_nothing_sent(error: &(dyn StdError + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error
        .and_then(io::Error::get_ref)
        .is_some_and(|inner| inner.is::<NothingSent>())
}

impl AsyncWrite for Opening {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if self.has_written {
            return written;
        }
        self.has_written = matches!(written, Poll::Ready(Ok(_)));
        written.map_err(|error| io::Error::new(error.kind(), NothingSent(error)))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.has_written {
            // The first part that is not empty: a write may be shorter than asked for.
            let part = parts.iter().find(|part| !part.is_empty());
            return self.poll_write(context, part.map_or(&[], |part| part));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncRead for Opening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}
