//! The messages between a daemon and `daypass signer`: SSH's data types (RFC 4251 section 5) in
//! frames of a bounded length. Pure.
//!
//! A request is a byte of its kind, then its fields; an answer alike. Nothing may follow the last
//! field. A frame is its length as a u32, then so many bytes.

use crate::{
    ca::to_sign::HostDocument,
    ledger::{
        evidence::{Evidence, Recorded},
        handover::{self, Handover},
        tree::Hash,
    },
    ssh::wire::{Reader, put_length, put_string},
};

/// The most bytes of a request.
pub(crate) const LONGEST_REQUEST: usize = 8 * 1024 * 1024;

/// The most bytes of an answer.
pub(crate) const LONGEST_ANSWER: usize = 1024 * 1024;

/// The most messages in one request.
pub(crate) const MOST_ITEMS: usize = 64;

/// The most bytes of a refusal's text.
const LONGEST_TEXT: usize = 4096;

/// The most hashes of one proof. A tree of 2^64 leaves needs fewer.
const MOST_HASHES: usize = 130;

/// What a daemon asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Which key is it, and what does it remember?
    Status,
    /// Sign this.
    Sign(Request),
    /// Follow the ledger's key by these handovers.
    Keys(Vec<Handover>),
}

/// Messages to sign, and the evidence behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// The size of the checkpoint from which `consistency` starts.
    pub(crate) known: u64,
    /// A checkpoint of the ledger: a signed note.
    pub(crate) checkpoint: String,
    /// The proof that the ledger goes on from `known`.
    pub(crate) consistency: Vec<Hash>,
    /// The messages.
    pub(crate) items: Vec<Item>,
}

/// One message to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A pass.
    Pass {
        /// The to-be-signed bytes.
        bytes: Vec<u8>,
        /// Its event.
        recorded: Recorded,
    },
    /// A host certificate.
    HostCertificate {
        /// The to-be-signed bytes.
        bytes: Vec<u8>,
        /// Its event.
        recorded: Recorded,
    },
    /// A document for hosts.
    Document {
        /// Its kind.
        kind: HostDocument,
        /// Its content.
        content: Vec<u8>,
    },
}

/// What a signer answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The key's blob, the size that is remembered, and why nothing is signed, if so.
    Status {
        key: Vec<u8>,
        remembered: u64,
        alarm: String,
    },
    /// A verdict for each message, in order.
    Verdicts(Vec<Verdict>),
    /// The proof starts from an earlier checkpoint: ask again at once, from this size.
    Stale(u64),
    /// Nothing of the request is signed.
    Refused(String),
}

/// The outcome for one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The signature, in SSH's form.
    Signed(Vec<u8>),
    /// It is not signed, now or later.
    Refused(String),
    /// The key did not sign; it may later.
    Away(String),
}

impl Request {
    /// A request without messages.
    pub(crate) fn over(evidence: &Evidence) -> Self {
        Self {
            known: evidence.known,
            checkpoint: evidence.checkpoint.clone(),
            consistency: evidence.consistency.clone(),
            items: Vec::new(),
        }
    }
}

const STATUS: u8 = 1;
const SIGN: u8 = 2;
const VERDICTS: u8 = 3;
const STALE: u8 = 4;
const REFUSED: u8 = 5;
const KEYS: u8 = 6;

const PASS: u8 = 1;
const DOCUMENT: u8 = 2;
const HOST_CERTIFICATE: u8 = 3;

const SIGNED: u8 = 1;
const NEVER: u8 = 2;
const AWAY: u8 = 3;

impl Question {
    /// The bytes of the question.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let request = match self {
            Self::Status => return vec![STATUS],
            Self::Keys(handovers) => {
                let mut out = vec![KEYS];
                // Cannot fail: it holds numbers and texts only.
                let json = serde_json::to_vec(handovers).unwrap_or_default();
                put_string(&mut out, &json);
                return out;
            }
            Self::Sign(request) => request,
        };
        let mut out = vec![SIGN];
        out.extend_from_slice(&request.known.to_be_bytes());
        put_string(&mut out, request.checkpoint.as_bytes());
        put_string(&mut out, request.consistency.as_flattened());
        put_length(&mut out, request.items.len());
        for item in &request.items {
            put_item(&mut out, item);
        }
        out
    }

    /// Reads a question; none if it is not one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let question = match reader.byte()? {
            STATUS => Self::Status,
            SIGN => Self::Sign(request(&mut reader)?),
            KEYS => Self::Keys(handovers(reader.string()?)?),
            _ => return None,
        };
        reader.is_empty().then_some(question)
    }
}

fn put_item(out: &mut Vec<u8>, item: &Item) {
    match item {
        Item::Pass { bytes, recorded } => put_recorded(out, PASS, bytes, recorded),
        Item::HostCertificate { bytes, recorded } => {
            put_recorded(out, HOST_CERTIFICATE, bytes, recorded);
        }
        Item::Document { kind, content } => {
            out.push(DOCUMENT);
            put_string(out, kind.namespace().as_str().as_bytes());
            put_string(out, content);
        }
    }
}

fn put_recorded(out: &mut Vec<u8>, kind: u8, bytes: &[u8], recorded: &Recorded) {
    out.push(kind);
    put_string(out, bytes);
    out.extend_from_slice(&recorded.index.to_be_bytes());
    put_string(out, &recorded.leaf);
    put_string(out, recorded.inclusion.as_flattened());
}

fn request(reader: &mut Reader<'_>) -> Option<Request> {
    let known = reader.u64()?;
    let checkpoint = reader.text()?.to_owned();
    let consistency = hashes(reader)?;
    let count = usize::try_from(reader.u32()?).ok()?;
    if count > MOST_ITEMS {
        return None;
    }
    let items = (0..count).map(|_| item(reader)).collect::<Option<_>>()?;
    Some(Request {
        known,
        checkpoint,
        consistency,
        items,
    })
}

/// Handovers as JSON. Nothing of them is verified.
fn handovers(json: &[u8]) -> Option<Vec<Handover>> {
    let read = || serde_json::from_slice(json).ok();
    (json.len() <= handover::LONGEST).then(read).flatten()
}

fn item(reader: &mut Reader<'_>) -> Option<Item> {
    Some(match reader.byte()? {
        PASS => Item::Pass {
            bytes: reader.string()?.to_vec(),
            recorded: recorded(reader)?,
        },
        HOST_CERTIFICATE => Item::HostCertificate {
            bytes: reader.string()?.to_vec(),
            recorded: recorded(reader)?,
        },
        DOCUMENT => {
            let namespace = reader.text()?;
            let kinds = [
                HostDocument::Krl,
                HostDocument::CaKeys,
                HostDocument::Recovery,
            ];
            let mut kinds = kinds.into_iter();
            Item::Document {
                kind: kinds.find(|kind| kind.namespace().as_str() == namespace)?,
                content: reader.string()?.to_vec(),
            }
        }
        _ => return None,
    })
}

fn recorded(reader: &mut Reader<'_>) -> Option<Recorded> {
    Some(Recorded {
        index: reader.u64()?,
        leaf: reader.string()?.to_vec(),
        inclusion: hashes(reader)?,
    })
}

fn hashes(reader: &mut Reader<'_>) -> Option<Vec<Hash>> {
    let (hashes, rest) = reader.string()?.as_chunks::<32>();
    (rest.is_empty() && hashes.len() <= MOST_HASHES).then(|| hashes.to_vec())
}

impl Answer {
    /// The bytes of the answer.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Status {
                key,
                remembered,
                alarm,
            } => {
                out.push(STATUS);
                put_string(&mut out, key);
                out.extend_from_slice(&remembered.to_be_bytes());
                put_text(&mut out, alarm);
            }
            Self::Verdicts(verdicts) => {
                out.push(VERDICTS);
                put_length(&mut out, verdicts.len());
                for verdict in verdicts {
                    put_verdict(&mut out, verdict);
                }
            }
            Self::Stale(remembered) => {
                out.push(STALE);
                out.extend_from_slice(&remembered.to_be_bytes());
            }
            Self::Refused(why) => {
                out.push(REFUSED);
                put_text(&mut out, why);
            }
        }
        out
    }

    /// Reads an answer; none if it is not one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let answer = match reader.byte()? {
            STATUS => Self::Status {
                key: reader.string()?.to_vec(),
                remembered: reader.u64()?,
                alarm: reader.text()?.to_owned(),
            },
            VERDICTS => {
                let count = usize::try_from(reader.u32()?).ok()?;
                if count > MOST_ITEMS {
                    return None;
                }
                let verdicts = (0..count).map(|_| verdict(&mut reader));
                Self::Verdicts(verdicts.collect::<Option<_>>()?)
            }
            STALE => Self::Stale(reader.u64()?),
            REFUSED => Self::Refused(reader.text()?.to_owned()),
            _ => return None,
        };
        reader.is_empty().then_some(answer)
    }
}

fn put_verdict(out: &mut Vec<u8>, verdict: &Verdict) {
    match verdict {
        Verdict::Signed(signature) => {
            out.push(SIGNED);
            put_string(out, signature);
        }
        Verdict::Refused(why) => {
            out.push(NEVER);
            put_text(out, why);
        }
        Verdict::Away(why) => {
            out.push(AWAY);
            put_text(out, why);
        }
    }
}

fn verdict(reader: &mut Reader<'_>) -> Option<Verdict> {
    Some(match reader.byte()? {
        SIGNED => Verdict::Signed(reader.string()?.to_vec()),
        NEVER => Verdict::Refused(reader.text()?.to_owned()),
        AWAY => Verdict::Away(reader.text()?.to_owned()),
        _ => return None,
    })
}

/// A text of a bounded length, so that every answer fits its frame.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let end = text.floor_char_boundary(LONGEST_TEXT);
    put_string(out, text.get(..end).unwrap_or_default().as_bytes());
}

#[cfg(test)]
mod tests;
