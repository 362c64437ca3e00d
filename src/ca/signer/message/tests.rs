//! Every message reads back, and nothing else is one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn sign() -> Question {
    Question::Sign(Request {
        known: 7,
        checkpoint: "a note\n".to_owned(),
        consistency: vec![[1; 32], [2; 32]],
        items: vec![
            Item::Pass {
                bytes: vec![3; 100],
                recorded: Recorded {
                    index: 9,
                    leaf: b"{}".to_vec(),
                    inclusion: vec![[4; 32]],
                },
            },
            Item::Document {
                kind: HostDocument::Krl,
                content: b"content".to_vec(),
            },
        ],
    })
}

fn answers() -> Vec<Answer> {
    vec![
        Answer::Status {
            key: vec![1],
            remembered: 7,
            alarm: "why".to_owned(),
        },
        Answer::Verdicts(vec![
            Verdict::Signed(vec![1, 2]),
            Verdict::Refused("why".to_owned()),
            Verdict::Away(String::new()),
        ]),
        Answer::Verdicts(Vec::new()),
        Answer::Stale(7),
        Answer::Refused("why".to_owned()),
    ]
}

#[test]
fn what_is_written_is_read() {
    for question in [Question::Status, sign()] {
        assert_eq!(Question::parse(&question.encode()), Some(question));
    }
    for answer in answers() {
        assert_eq!(Answer::parse(&answer.encode()), Some(answer));
    }
}

#[test]
fn a_message_that_is_cut_off_or_longer_is_none() {
    for question in [Question::Status, sign()] {
        let bytes = question.encode();
        for end in 0..bytes.len() {
            assert_eq!(Question::parse(&bytes[..end]), None, "{end}");
        }
        assert_eq!(Question::parse(&[&bytes[..], &[0]].concat()), None);
    }
    for answer in answers() {
        let bytes = answer.encode();
        for end in 0..bytes.len() {
            assert_eq!(Answer::parse(&bytes[..end]), None, "{end}");
        }
        assert_eq!(Answer::parse(&[&bytes[..], &[0]].concat()), None);
    }
}

#[test]
fn more_messages_or_hashes_than_are_taken_are_none() {
    let Question::Sign(request) = sign() else {
        return;
    };
    let with = |items: usize, hashes: usize| {
        Question::Sign(Request {
            consistency: vec![[0; 32]; hashes],
            items: vec![request.items[1].clone(); items],
            ..request.clone()
        })
    };
    for (items, hashes, is_taken) in [
        (MOST_ITEMS, MOST_HASHES, true),
        (MOST_ITEMS + 1, MOST_HASHES, false),
        (MOST_ITEMS, MOST_HASHES + 1, false),
    ] {
        let parsed = Question::parse(&with(items, hashes).encode());
        assert_eq!(parsed.is_some(), is_taken, "{items} {hashes}");
    }
}

#[test]
fn the_longest_answer_fits_its_frame() {
    let why = "\u{1f511}".repeat(LONGEST_TEXT);
    let verdicts = vec![Verdict::Refused(why); MOST_ITEMS];
    let answer = Answer::Verdicts(verdicts).encode();
    assert!(answer.len() <= LONGEST_ANSWER, "{}", answer.len());
    assert!(Answer::parse(&answer).is_some());
}

proptest! {
    #[test]
    fn no_bytes_are_two_messages(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(question) = Question::parse(&bytes) {
            prop_assert_eq!(question.encode(), bytes.clone());
        }
        if let Some(answer) = Answer::parse(&bytes) {
            prop_assert_eq!(answer.encode(), bytes);
        }
    }
}
