//! Terms by which events are found, and questions made of them. Pure.
//!
//! The search index is derived from the leaves: for each event it has the terms that [`terms()`]
//! gives, and those that the events which it ended or decided lend it ([`about`], [`lent`]). A term
//! is a hash, so the index never decides anything: each found event is checked again by
//! [`Question::matches`], which a collision or a changed index cannot deceive.

mod question;
mod terms;

pub(crate) use question::{AtHost, Question};
pub(crate) use terms::{Term, about, closed_review, lent, terms, validity};
