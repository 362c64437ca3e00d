//! One call after the other to a signer, over one connection.

use std::{sync::Arc, time::Duration};

use ssh_key::Signature;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    address::Stream,
    place::{Message, Place, Waiting},
};
use crate::{
    ca::{
        key::{Away, Unsigned},
        signer::message::{
            Answer, Item, LONGEST_ANSWER, LONGEST_REQUEST, Question, Request, Verdict,
        },
    },
    ledger::evidence::Evidence,
};

/// The longest that one call takes, proofs and all. A hung signer is given up before the next
/// call, and callers have a deadline of their own.
const DEADLINE: Duration = Duration::from_secs(5);

pub(super) struct Caller {
    place: Arc<Place>,
    connection: Option<Stream>,
    /// The size of the ledger that the signer remembers, as far as it is known.
    known: Option<u64>,
}

impl Caller {
    pub(super) fn new(place: Arc<Place>) -> Self {
        Self {
            place,
            connection: None,
            known: None,
        }
    }

    /// Whether the signer has the key, remembers this ledger, and signs.
    pub(super) async fn find(&mut self) -> Result<(), Away> {
        self.within(async |caller: &mut Self| {
            caller.status().await?;
            match caller.place.ledger.get() {
                // It is shown where the ledger is now, and says so if that is another one.
                Some(_) => caller.exchange(&[]).await.map(drop),
                None => Ok(()),
            }
        })
        .await
    }

    /// Whether the signer still has the key and signs. Shows it nothing, so that it writes nothing.
    pub(super) async fn look(&mut self) -> Result<(), Away> {
        self.within(async |caller: &mut Self| {
            match caller.ask(&Question::Status).await? {
                // It is busy with other calls, so it is there.
                Answer::Refused(_) => Ok(()),
                status => caller.remembered(status).map(drop),
            }
        })
        .await
    }

    /// Has the messages signed, and answers each caller.
    pub(super) async fn sign(&mut self, batch: Vec<Waiting>) {
        if batch.is_empty() {
            return;
        }
        let messages: Vec<&Message> = batch.iter().map(|waiting| &waiting.message).collect();
        let verdicts = self
            .within(async |caller: &mut Self| caller.exchange(&messages).await)
            .await;
        match verdicts {
            Err(away) => {
                for waiting in batch {
                    drop(waiting.answer.send(Err(away.clone().into())));
                }
            }
            Ok(verdicts) => {
                for (waiting, verdict) in batch.into_iter().zip(verdicts) {
                    if let Verdict::Refused(why) = &verdict {
                        tracing::error!(why, "the signer refuses to sign");
                        metrics::counter!("daypass_signer_refusals_total").increment(1);
                    }
                    drop(waiting.answer.send(signature(verdict)));
                }
            }
        }
    }

    /// A call within the deadline. A connection that a call has failed on is not used again.
    async fn within<T>(
        &mut self,
        call: impl AsyncFnOnce(&mut Self) -> Result<T, Away>,
    ) -> Result<T, Away> {
        let called = timeout(DEADLINE, call(self)).await;
        let called = called.unwrap_or_else(|_| {
            Err(Away(format!(
                "the signer gives no answer within {DEADLINE:?}"
            )))
        });
        if called.is_err() {
            self.connection = None;
            self.known = None;
        }
        called
    }

    async fn status(&mut self) -> Result<u64, Away> {
        let status = self.ask(&Question::Status).await?;
        let remembered = self.remembered(status)?;
        self.show_keys().await?;
        self.known = Some(remembered);
        Ok(remembered)
    }

    /// The size that the signer remembers, if it has the key and signs.
    fn remembered(&self, status: Answer) -> Result<u64, Away> {
        let Answer::Status {
            key,
            remembered,
            alarm,
        } = status
        else {
            return Err(self.odd());
        };
        if !alarm.is_empty() {
            return Err(Away(format!("the signer refuses: {alarm}")));
        }
        if self.place.key.to_bytes().ok() != Some(key) {
            return Err(Away(format!(
                "the signer at {} has another key",
                self.place.address
            )));
        }
        Ok(remembered)
    }

    /// Shows the signer how the ledger came to its key, so that it follows while the key that it
    /// knows still signs too.
    async fn show_keys(&mut self) -> Result<(), Away> {
        let ledger = self.place.ledger.get();
        let handovers = ledger.map_or_else(Vec::new, |ledger| ledger.handovers());
        if handovers.is_empty() {
            return Ok(());
        }
        match self.ask(&Question::Keys(handovers)).await? {
            Answer::Status { .. } => Ok(()),
            Answer::Refused(why) => Err(Away(format!("the signer refuses: {why}"))),
            Answer::Verdicts(_) | Answer::Stale(_) => Err(self.odd()),
        }
    }

    /// Shows the signer the ledger and these messages. If it remembers a newer ledger, which
    /// another server has shown it, the proofs are made once more from there; it waits for them.
    async fn exchange(&mut self, messages: &[&Message]) -> Result<Vec<Verdict>, Away> {
        let mut known = match self.known {
            Some(known) => known,
            None => self.status().await?,
        };
        for _ in 0..2 {
            let (size, question) = self.question(known, messages).await?;
            match self.ask(&question).await? {
                Answer::Verdicts(verdicts) if verdicts.len() == messages.len() => {
                    self.known = Some(size);
                    return Ok(verdicts);
                }
                Answer::Stale(remembered) => known = remembered,
                Answer::Refused(why) => return Err(Away(format!("the signer refuses: {why}"))),
                Answer::Verdicts(_) | Answer::Status { .. } => return Err(self.odd()),
            }
        }
        Err(Away(
            "the signer did not wait for the proofs that it asked for".to_owned(),
        ))
    }

    async fn question(&self, known: u64, messages: &[&Message]) -> Result<(u64, Question), Away> {
        let ledger = self.place.ledger.get();
        let ledger = ledger.ok_or_else(|| Away("the ledger is not open".to_owned()))?;
        let serials = messages.iter().filter_map(|message| match message {
            Message::Pass { serial, .. } | Message::HostCertificate { serial, .. } => Some(*serial),
            Message::Document { .. } => None,
        });
        let serials: Vec<u64> = serials.collect();
        let evidence = ledger.evidence(known, &serials).await?;
        Ok((evidence.size, Question::Sign(request(messages, evidence))))
    }

    /// Asks over the connection that is there. If the signer has been started anew since, it is
    /// asked once more: it signs the same again.
    async fn ask(&mut self, question: &Question) -> Result<Answer, Away> {
        let bytes = question.encode();
        metrics::counter!("daypass_signer_calls_total").increment(1);
        if bytes.len() > LONGEST_REQUEST {
            return Err(Away("the request is too large for the signer".to_owned()));
        }
        if let Some(connection) = self.connection.take()
            && let Ok(answer) = self.ask_over(connection, &bytes).await
        {
            return Ok(answer);
        }
        let failed = |error: std::io::Error| {
            Away(format!(
                "the signer at {} does not answer: {error}",
                self.place.address
            ))
        };
        let connection = self.place.address.connect().await;
        let connection = connection.map_err(failed)?;
        let answered = self.ask_over(connection, &bytes).await;
        answered.map_err(|error| {
            Away(format!(
                "the signer at {} does not answer: {error}; it may not take calls of this server, or have just been \
                 stopped: see its log",
                self.place.address
            ))
        })
    }

    async fn ask_over(
        &mut self,
        mut connection: Stream,
        question: &[u8],
    ) -> std::io::Result<Answer> {
        let invalid = |what: &str| std::io::Error::other(what.to_owned());
        let length = u32::try_from(question.len()).map_err(std::io::Error::other)?;
        connection.write_u32(length).await?;
        connection.write_all(question).await?;
        connection.flush().await?;
        let length = connection.read_u32().await?;
        let length = usize::try_from(length).map_err(std::io::Error::other)?;
        if length > LONGEST_ANSWER {
            return Err(invalid("its answer is too long"));
        }
        let mut bytes = vec![0; length];
        connection.read_exact(&mut bytes).await?;
        let answer = Answer::parse(&bytes).ok_or_else(|| invalid("its answer is not one"))?;
        self.connection = Some(connection);
        Ok(answer)
    }

    fn odd(&self) -> Away {
        Away(format!(
            "the signer at {} gave the answer to another question: is it of this version?",
            self.place.address
        ))
    }
}

fn request(messages: &[&Message], evidence: Evidence) -> Request {
    let mut request = Request::over(&evidence);
    let mut recorded = evidence.recorded.into_iter();
    request.items = messages
        .iter()
        .filter_map(|message| match message {
            Message::Pass { bytes, .. } => Some(Item::Pass {
                bytes: bytes.clone(),
                recorded: recorded.next()?,
            }),
            Message::HostCertificate { bytes, .. } => Some(Item::HostCertificate {
                bytes: bytes.clone(),
                recorded: recorded.next()?,
            }),
            Message::Document { kind, content } => Some(Item::Document {
                kind: *kind,
                content: content.clone(),
            }),
        })
        .collect();
    request
}

fn signature(verdict: Verdict) -> Result<Signature, Unsigned> {
    match verdict {
        Verdict::Signed(bytes) => Signature::try_from(bytes.as_slice())
            .map_err(|_| Unsigned::Away(Away("the signer gave no signature".to_owned()))),
        Verdict::Refused(why) => Err(Unsigned::Refused(why)),
        Verdict::Away(why) => Err(Unsigned::Away(Away(why))),
    }
}
