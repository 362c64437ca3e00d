//! Tests of the search index without a store.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod faults;

use proptest::{collection, prelude::*, test_runner::TestRunner};
use sqlx::SqliteConnection;
use time::OffsetDateTime;

use super::{
    checking, file,
    question::{self, WINDOW_SQL, having_sql, step_sql},
    rows::Rows,
    stretches::{LARGE_SQL, SMALL_SQL},
};
use crate::{
    ledger::{
        Event,
        search::{Question, Term, about},
    },
    store::Error,
};

const DAY: i64 = 1_795_305_600;

/// A leaf of one of some kinds. Few people, roles and hosts, so that conditions meet.
fn leaf((index, stride): (u64, u64), (kind, person, role, minutes): (u8, u8, u8, i64)) -> Vec<u8> {
    let seconds = DAY + minutes * 60;
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    let at = at.format(&time::format_description::well_known::Rfc3339);
    let who = format!(
        r#""who":{{"issuer":"https://id.example.com","subject":"u{person}","label":"user{person}@example.com","claims":{{}}}}"#
    );
    let emergency = if kind == 1 {
        r#","emergency":true"#
    } else {
        ""
    };
    let ask = format!(
        r#""ask":{{"role":"role{role}","host":"web-{person}","reason":"INC-{role} {person}"{emergency}}}"#
    );
    let what = match kind {
        0 | 1 => format!(
            r#""type":"issued",{who},{ask},"key":"SHA256:k{person}","binding":"nonce","key_id":"x","principals":["root@group{role}"],"extensions":[],"valid_after":{seconds},"valid_before":{},"policy":"ab","ca":"SHA256:ca","to_be_signed":"cd""#,
            seconds + i64::from(role) * 3600 + 60
        ),
        2 => format!(
            r#""type":"reviewed","request":{},"role":"role{role}",{who},"key":"ssh-ed25519 x","signature":"x","comment":"fine {role}","policy":"ab""#,
            index / stride / 2 * stride
        ),
        3 => format!(
            r#""type":"locked",{who},"target":{{"identity":"u{role}"}},"serials":[{}]"#,
            index / stride / 3 * stride
        ),
        _ => r#""type":"skipped""#.to_owned(),
    };
    format!(r#"{{"index":{index},"at":"{}",{what}}}"#, at.unwrap()).into_bytes()
}

/// Reads leaves, as the ledger does.
async fn leaves(
    entries: &[(u64, Vec<u8>)],
    wanted: Vec<u64>,
) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let entries = entries.iter().filter(|(at, _)| wanted.contains(at));
    Ok(entries.cloned().collect())
}

struct Index {
    _folder: tempfile::TempDir,
    connection: SqliteConnection,
    entries: Vec<(u64, Vec<u8>)>,
    stride: u64,
}

impl Index {
    async fn of(seeds: &[(u8, u8, u8, i64)]) -> Self {
        Self::sparse(seeds, 1).await
    }

    /// Every `stride`-th event only, so that a few of them are in many blocks.
    async fn sparse(seeds: &[(u8, u8, u8, i64)], stride: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = file::open(&folder.path().join(file::NAME)).await.unwrap();
        let entries: Vec<_> = (0..)
            .zip(seeds)
            .map(|(at, seed)| (at * stride, leaf((at * stride, stride), *seed)))
            .collect();
        for part in entries.chunks(100) {
            let leaves = |wanted| leaves(&entries, wanted);
            let appended = file::append(&mut connection, part.to_vec(), leaves).await;
            appended.unwrap();
        }
        Self {
            _folder: folder,
            connection,
            entries,
            stride,
        }
    }

    fn event(&self, at: u64) -> Event {
        let place = usize::try_from(at / self.stride).unwrap();
        Event::parse(&self.entries[place].1).unwrap()
    }

    /// The answer page by page, as the operation reads it.
    async fn answer(&mut self, question: &Question, page: usize) -> Vec<u64> {
        let (mut all, mut from) = (Vec::new(), self.entries.len() as u64 * self.stride - 1);
        loop {
            let found = question::find(&mut self.connection, question, from, page)
                .await
                .unwrap();
            assert!(found.positions.len() <= page);
            all.extend(found.positions);
            match found.next {
                Some(next) => from = next,
                None => break,
            }
        }
        all.retain(|at| self.matches(question, *at));
        all
    }

    /// Checks an event by itself, and with each that it is about.
    fn matches(&self, question: &Question, at: u64) -> bool {
        let event = self.event(at);
        let about = about(&event).into_iter();
        let mut about = about.filter(|it| it % self.stride == 0);
        question.matches(&event) || about.any(|it| question.matches_about(&event, &self.event(it)))
    }

    /// The answer by reading each event.
    fn scan(&self, question: &Question) -> Vec<u64> {
        let mut reviewed = Vec::new();
        for (at, _) in &self.entries {
            reviewed.extend(crate::ledger::search::closed_review(&self.event(*at)));
        }
        let wants_open = question.groups.contains(&vec![Term::unreviewed()]);
        let fits = |at: &u64| self.matches(question, *at) && !(wants_open && reviewed.contains(at));
        let all = self.entries.iter().map(|(at, _)| *at);
        all.rev().filter(fits).collect()
    }
}

fn questions() -> impl Strategy<Value = Question> {
    let term = prop_oneof![
        (0_u8..6).prop_map(|n| vec![
            Term::identity("https://id.example.com", &format!("u{n}")),
            Term::name(&format!("u{n}")),
        ]),
        (0_u8..4).prop_map(|n| vec![Term::role(&format!("role{n}"))]),
        (0_u8..4).prop_map(|n| vec![Term::host(&format!("GROUP{n}"))]),
        Just(vec![Term::kind("issued"), Term::kind("locked")]),
        Just(vec![Term::kind("reviewed")]),
        // As many as a name or a list of passes can have.
        (0_u64..200).prop_map(|n| (n..n + 40).map(Term::about).collect()),
        (0_u64..200).prop_map(|n| vec![Term::about(n)]),
    ];
    let time = || prop::option::of(-100_i64..2000);
    let groups = collection::vec(term, 0..3);
    let rest = (
        any::<bool>(),
        prop::option::of(0_u8..4),
        prop::option::of((0_i64..2000, 1_i64..300)),
    );
    (groups, time(), time(), rest).prop_map(|(mut groups, since, until, (open, reason, valid))| {
        if open {
            groups.push(vec![Term::unreviewed()]);
            groups.push(vec![Term::emergency()]);
        }
        let moment =
            |minutes: i64| OffsetDateTime::from_unix_timestamp(DAY + minutes * 60).unwrap();
        let second = |minutes: i64| u64::try_from(DAY + minutes * 60).unwrap();
        Question {
            groups,
            since: since.map(moment),
            until: until.map(moment),
            valid: valid.map(|(from, length)| (second(from), second(from + length))),
            reason: reason.map(|n| format!("inc-{n}")),
            host: None,
        }
    })
}

fn seeds() -> impl Strategy<Value = Vec<(u8, u8, u8, i64)>> {
    // Minutes in any order: clocks can go back.
    collection::vec((0_u8..5, 0_u8..6, 0_u8..4, 0_i64..2000), 1..700)
}

#[test]
fn an_answer_is_what_reading_every_event_finds() {
    compare_answers(1);
}

#[test]
fn an_answer_over_many_blocks_is_what_reading_every_event_finds() {
    // Each tenth of a block of 65,536 events, and some runs of blocks of 256.
    compare_answers(6_551);
    compare_answers(101);
}

/// Without a condition on terms, a question proposes every index: only for a ledger without gaps.
fn compare_answers(stride: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let strategy = (
        seeds(),
        any::<bool>(),
        collection::vec((questions(), 1_usize..40), 12),
    );
    let mut runner = TestRunner::new(ProptestConfig::with_cases(6));
    let outcome = runner.run(&strategy, |(mut seeds, is_in_order, questions)| {
        if is_in_order {
            seeds.sort_by_key(|(_, _, _, minutes)| *minutes);
        }
        runtime.block_on(async {
            let mut index = Index::sparse(&seeds, stride).await;
            for (mut question, page) in questions {
                if stride > 1 && question.groups.is_empty() {
                    question.groups.push(vec![Term::kind("issued")]);
                }
                let expected = index.scan(&question);
                prop_assert_eq!(
                    index.answer(&question, page).await,
                    expected,
                    "{:?}",
                    question
                );
            }
            Ok(())
        })
    });
    outcome.unwrap();
}

#[tokio::test]
async fn each_row_that_a_person_takes_out_is_missed() {
    let seeds: Vec<_> = (0..60)
        .map(|n| (n % 5, n % 6, n % 4, i64::from(n)))
        .collect();
    let mut index = Index::of(&seeds).await;
    let mut entries = Rows::of(&index.entries);
    let no_more = |_| std::future::ready(Ok::<_, Error>(Vec::new()));
    entries.complete(no_more).await.unwrap();
    checking::compare(&mut index.connection, &entries)
        .await
        .unwrap();
    let rows: Vec<(i64, i64)> = sqlx::query_as("SELECT term, position FROM posting")
        .fetch_all(&mut index.connection)
        .await
        .unwrap();
    assert!(rows.len() > 200);
    for (term, position) in rows {
        sqlx::query("DELETE FROM posting WHERE term = $1 AND position = $2")
            .bind(term)
            .bind(position)
            .execute(&mut index.connection)
            .await
            .unwrap();
        let compared = checking::compare(&mut index.connection, &entries).await;
        assert!(compared.is_err(), "{position}");
        sqlx::query("INSERT INTO posting VALUES ($1, $2)")
            .bind(term)
            .bind(position)
            .execute(&mut index.connection)
            .await
            .unwrap();
    }
    sqlx::query("UPDATE span SET last = last - 1")
        .execute(&mut index.connection)
        .await
        .unwrap();
    assert!(
        checking::compare(&mut index.connection, &entries)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn of_many_events_those_with_a_term_of_each_group_are_found_in_order() {
    let seeds: Vec<_> = (0..60).map(|n| (0, n % 6, n % 4, 0)).collect();
    let mut index = Index::of(&seeds).await;
    let person = [2, 3].map(|n| Term::identity("https://id.example.com", &format!("u{n}")));
    let role = [Term::role("role3")];
    let groups = [&person[..], &role[..]];
    let all: Vec<u64> = (0..80).rev().collect();
    let having = question::having(&mut index.connection, &groups, &all);
    assert_eq!(having.await.unwrap(), [51, 39, 27, 15, 3]);
}

/// A pass's revocation has its serial alone, and was not found by its holder.
#[tokio::test]
async fn what_ended_or_decided_something_is_found_by_its_person_role_and_host() {
    // Of user 2: a pass before many others, and a lock of it in a later batch.
    let mut seeds = vec![(4, 0, 0, 0); 401];
    seeds[100] = (0, 2, 3, 0);
    seeds[300] = (3, 1, 0, 5);
    // The emergency of user 5, and its review in the same batch.
    seeds[200] = (1, 5, 1, 0);
    seeds[400] = (2, 1, 0, 6);
    let mut index = Index::of(&seeds).await;
    let identity = |n: u8| vec![Term::identity("https://id.example.com", &format!("u{n}"))];
    for (case, groups, expected) in [
        ("the holder", vec![identity(2)], vec![300, 100]),
        ("the administrator", vec![identity(1)], vec![400, 300]),
        (
            "the key",
            vec![vec![Term::key("SHA256:k2")]],
            vec![300, 100],
        ),
        ("the role", vec![vec![Term::role("role3")]], vec![300, 100]),
        ("the host", vec![vec![Term::host("web-5")]], vec![400, 200]),
        (
            "a login's group",
            vec![vec![Term::host("group1")]],
            vec![400, 200],
        ),
        (
            "both",
            vec![identity(1), vec![Term::host("web-2")]],
            vec![300],
        ),
        (
            "of none",
            vec![identity(5), vec![Term::host("web-2")]],
            vec![],
        ),
        (
            "the kind is not lent",
            vec![identity(2), vec![Term::kind("issued")]],
            vec![100],
        ),
    ] {
        let question = Question {
            groups,
            ..Question::default()
        };
        for page in [1, 50] {
            assert_eq!(index.answer(&question, page).await, expected, "{case}");
        }
        assert_eq!(index.scan(&question), expected, "{case}");
    }
}

#[tokio::test]
async fn every_statement_of_a_question_uses_the_index() {
    let mut index = Index::of(&[(0, 0, 0, 0)]).await;
    let mut statements = vec![WINDOW_SQL.to_owned()];
    // Who, role, host, kinds, about, unreviewed, emergency: any of them, any one the rarest.
    for chosen in 1_u32..128 {
        let sizes = [3, 1, 1, 2, 1, 1, 1];
        let places = (0..7).filter(|place| chosen & (1 << place) != 0);
        let sizes: Vec<usize> = places.map(|place| sizes[place]).collect();
        statements.extend((0..sizes.len()).map(|driver| step_sql(&sizes, driver)));
    }
    for statement in statements {
        let plan = plan(&mut index.connection, &statement).await;
        let of_postings = plan
            .iter()
            .filter(|line| line.contains("USING PRIMARY KEY"));
        assert!(of_postings.count() > 0, "{statement}: {plan:?}");
        assert!(
            !plan.iter().any(|line| line.starts_with("SCAN")),
            "{statement}: {plan:?}"
        );
    }
    for sizes in [vec![1], vec![3, 8], vec![8, 1, 2]] {
        let statement = having_sql(&sizes);
        let plan = plan(&mut index.connection, &statement).await;
        let found = plan
            .iter()
            .filter(|it| it.contains("(term=? AND position=?)"));
        assert_eq!(found.count(), sizes.len(), "{statement}: {plan:?}");
    }
    for statement in [LARGE_SQL, SMALL_SQL] {
        let plan = plan(&mut index.connection, statement).await;
        let range = "SEARCH span USING PRIMARY KEY (level=? AND block>? AND block<?)";
        assert_eq!(plan, [range], "{statement}");
    }
}

async fn plan(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {statement}");
    let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(sqlx::AssertSqlSafe(explain))
        .fetch_all(connection)
        .await
        .unwrap();
    rows.into_iter().map(|(_, _, _, line)| line).collect()
}
