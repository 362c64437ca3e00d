//! One connection to the signer: frames of a bounded length, each within a deadline.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::service::{Service, Turn};
use crate::ca::signer::message::{Answer, LONGEST_REQUEST, Question};

/// The longest from the first byte of a question to its last, and for the answer.
const FRAME: Duration = Duration::from_secs(5);

/// The longest that a caller asks nothing. A daemon asks more often while it issues, and dials
/// again if it does not. A peer that is gone without a word keeps no place.
const IDLE: Duration = Duration::from_secs(5 * 60);

/// The longest that a caller keeps others waiting, after it was asked to come back at once.
const BACK: Duration = Duration::from_secs(2);

/// Answers until the caller leaves, is slow, or says something else than a question.
pub(super) async fn serve(service: &Service, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut turn = None;
    loop {
        let question = match read(&mut stream, turn.as_ref(), IDLE).await {
            Ok(Some(question)) => question,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "a caller is cut off");
                return;
            }
        };
        let Some(question) = Question::parse(&question) else {
            tracing::error!("refused: not a question");
            let refused = Answer::Refused("not a question".to_owned());
            let _ = write(&mut stream, &refused).await;
            return;
        };
        let (answer, kept) = service.answer(question, turn.take()).await;
        turn = kept;
        if let Err(error) = write(&mut stream, &answer).await {
            tracing::warn!(%error, "a caller did not take its answer");
            return;
        }
    }
}

/// The next question; none if the caller has left, or has asked nothing for `idle`. If others wait,
/// it has less time.
async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    turn: Option<&Turn>,
    idle: Duration,
) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    let first = stream.read(length.split_at_mut(1).0);
    let first = match turn {
        None => match timeout(idle, first).await {
            Ok(first) => first?,
            Err(_) => return Ok(None),
        },
        Some(_) => timeout(BACK, first).await.map_err(|_| late())??,
    };
    if first == 0 {
        return Ok(None);
    }
    timeout(FRAME, async {
        stream.read_exact(length.split_at_mut(1).1).await?;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
        if length > LONGEST_REQUEST {
            return Err(io::Error::other("its question is too long"));
        }
        // Grows with what arrives, not with what is claimed.
        let mut bytes = Vec::new();
        let taken = u64::try_from(length).map_err(io::Error::other)?;
        stream.take(taken).read_to_end(&mut bytes).await?;
        match bytes.len() == length {
            true => Ok(Some(bytes)),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    })
    .await
    .map_err(|_| late())?
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), answer: &Answer) -> io::Result<()> {
    let bytes = answer.encode();
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    timeout(FRAME, async {
        stream.write_u32(length).await?;
        stream.write_all(&bytes).await?;
        stream.flush().await
    })
    .await
    .map_err(|_| late())?
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it is slow")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Peers that were gone without a word kept the signer's places for good.
    #[tokio::test]
    async fn a_caller_that_asks_nothing_is_left_and_one_that_asks_in_time_is_not() {
        let idle = Duration::from_millis(50);
        let (mut caller, mut stream) = tokio::io::duplex(64);
        let asked = timeout(Duration::from_secs(30), read(&mut stream, None, idle)).await;
        assert_eq!(asked.unwrap().unwrap(), None);
        caller.write_all(&[0, 0, 0, 1, 1]).await.unwrap();
        let asked = read(&mut stream, None, Duration::from_secs(30)).await;
        assert_eq!(asked.unwrap(), Some(vec![1]));
    }
}
