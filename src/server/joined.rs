//! A stream without vectored writes, so that h2 joins the frames of one answer.
//!
//! With vectored writes, h2 sends a message of 256 bytes or more on its own, before the trailers
//! behind it: two TLS records and two system calls for each pass. Without them it copies messages
//! below 1 KiB, and a pass of the usual size leaves as one record.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream. It says that it has no vectored writes, and changes nothing else.
pub(super) struct Joined<S>(pub(super) S);

impl<S: AsyncRead + Unpin> AsyncRead for Joined<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Joined<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{
        io::IoSlice,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, Request, Response};
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// Counts the writes that reach the peer. It has vectored writes, as TLS streams have.
    struct Counting(DuplexStream, Arc<AtomicUsize>);

    impl AsyncRead for Counting {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(context, buffer)
        }
    }

    impl AsyncWrite for Counting {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut self.0).poll_write(context, bytes)
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut self.0).poll_write_vectored(context, slices)
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(context)
        }

        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(context)
        }
    }

    /// Answers one request with a message and trailers, as gRPC does. Returns the number of writes.
    async fn writes_of<S>(message: usize, over: impl FnOnce(Counting) -> S) -> usize
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (near, far) = duplex(64 * 1024);
        let writes = Arc::<AtomicUsize>::default();
        let stream = over(Counting(near, writes.clone()));
        let server = async {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            writes.store(0, Ordering::Relaxed);
            let mut body = respond.send_response(Response::new(()), false).unwrap();
            let bytes = Bytes::from(vec![7; message]);
            body.send_data(bytes, false).unwrap();
            let status = (
                "grpc-status".parse().unwrap(),
                HeaderValue::from_static("0"),
            );
            body.send_trailers(HeaderMap::from_iter([status])).unwrap();
            while connection.accept().await.is_some() {}
        };
        let caller = async {
            let (mut client, connection) = h2::client::handshake(far).await.unwrap();
            let connection = tokio::spawn(connection);
            let request = Request::get("https://localhost/").body(()).unwrap();
            let (response, _) = client.send_request(request, true).unwrap();
            let mut body = response.await.unwrap().into_body();
            assert_eq!(body.data().await.unwrap().unwrap().len(), message);
            assert!(body.trailers().await.unwrap().is_some());
            let counted = writes.load(Ordering::Relaxed);
            connection.abort();
            counted
        };
        tokio::join!(server, caller).1
    }

    #[tokio::test]
    async fn a_message_and_its_trailers_leave_in_one_write() {
        assert_eq!(writes_of(600, |stream| stream).await, 2, "h2 joins them");
        for message in [100, 600, 1000] {
            let counted = writes_of(message, Joined).await;
            assert_eq!(counted, 1, "a message of {message} bytes");
        }
    }
}
