//! `daypass policy replay`: decides every past ask of the ledger by a new policy file, and shows
//! each decision that would change.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use serde::Serialize;
use time::OffsetDateTime;

use super::{
    file::{count, load},
    history::{Requests, past},
};
use crate::{
    cli::{
        Failure, Global, failure::Code, output::clean, progress::Progress, table::table,
        target::Target,
    },
    ledger::{
        event::Event,
        moment::{Moment, utc_day},
    },
    policy::{
        Policy,
        replay::{Change, RecordedAsk},
    },
};

/// The new policy, and the past asks.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// The new policy file.
    file: PathBuf,
    /// Only asks since then: a duration before now (30d), a date, or an RFC 3339 time.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// An export of the ledger (`daypass ledger export`). By default the server's ledger is
    /// downloaded and verified.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
}

#[derive(Serialize)]
struct Replayed {
    policy: String,
    hash: String,
    judged: usize,
    changes: Vec<Change>,
    not_judged: Vec<NotJudged>,
}

/// An ask that this replay cannot decide.
#[derive(Serialize)]
struct NotJudged {
    index: u64,
    why: String,
}

impl Args {
    pub(super) async fn run(self, global: &Global, now: OffsetDateTime) -> Result<(), Failure> {
        let policy = load(&self.file)?;
        let since = self
            .since
            .as_deref()
            .map(|text| since(text, now))
            .transpose()?;
        let mut replay = Replay::new(&policy, &self.file, since);
        match &self.export {
            Some(path) => replay.read(path)?,
            None => {
                let (client, progress) = (self.target.client()?, Progress::events());
                let show = |events| progress.show(events);
                let mut each =
                    |events: Vec<Event>| events.into_iter().for_each(|it| replay.take(it));
                let (mut sink, each) = (io::sink(), Some(&mut each as _));
                client.verified_export(&mut sink, each, show).await?;
            }
        }
        let replayed = replay.replayed;
        global.print(&replayed, text)?;
        match replayed.changes.len() {
            0 => Ok(()),
            changes => Err(Failure::new(
                Code::Failure,
                format!("{} would change", count(changes, "decision")),
            )),
        }
    }
}

fn since(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, Failure> {
    // The table has times in UTC.
    let moment = Moment::parse(text, now, utc_day);
    moment.map(|moment| moment.start()).map_err(|instead| {
        Failure::new(Code::Usage, format!("invalid --since {text:?}: {instead}"))
    })
}

/// A replay that takes the events in their order.
struct Replay<'a> {
    policy: &'a Policy,
    since: Option<OffsetDateTime>,
    requests: Requests,
    replayed: Replayed,
}

impl<'a> Replay<'a> {
    fn new(policy: &'a Policy, file: &Path, since: Option<OffsetDateTime>) -> Self {
        Self {
            policy,
            since,
            requests: Requests::default(),
            replayed: Replayed {
                policy: file.display().to_string(),
                hash: policy.hash().to_owned(),
                judged: 0,
                changes: Vec::new(),
                not_judged: Vec::new(),
            },
        }
    }

    /// Takes the events of an export, one a line, before the first empty line.
    fn read(&mut self, path: &Path) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            Failure::new(
                Code::Failure,
                format!("failed to read {}: {error}", path.display()),
            )
        };
        let lines = BufReader::new(File::open(path).map_err(failed)?).split(b'\n');
        for (index, leaf) in (0..).zip(lines) {
            let leaf = leaf.map_err(failed)?;
            if leaf.is_empty() {
                break;
            }
            match Event::parse(&leaf) {
                Err(_) if index == 0 => {
                    return Err(Failure::new(
                        Code::Usage,
                        "the file is not an export of a ledger: make one with daypass ledger export",
                    ));
                }
                Err(error) => self.replayed.leave(index, error.to_string()),
                Ok(event) => self.take(event),
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Event) {
        self.requests.note(&event);
        if self.since.is_none_or(|since| event.at >= since) {
            let index = event.index;
            let redeemed = self.requests.redeemed(&event);
            let past = past(event, redeemed);
            self.replayed.judge(self.policy, index, past);
        }
    }
}

impl Replayed {
    fn judge(&mut self, policy: &Policy, index: u64, past: Option<Result<RecordedAsk, String>>) {
        match past {
            None => {}
            Some(Err(why)) => self.leave(index, why),
            Some(Ok(past)) => {
                self.judged += 1;
                self.changes.extend(policy.replay(&past));
            }
        }
    }

    fn leave(&mut self, index: u64, why: String) {
        self.not_judged.push(NotJudged { index, why });
    }
}

fn text(replayed: &Replayed) -> String {
    let mut lines = Vec::new();
    if !replayed.changes.is_empty() {
        let head = ["INDEX", "AT", "WHO", "ROLE", "WAS", "WOULD BE", "WHY"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(replayed.changes.iter().map(row));
        lines.push(table(&rows));
    }
    for left in &replayed.not_judged {
        lines.push(format!("not judged: {}: {}", left.index, clean(&left.why)));
    }
    lines.push(format!(
        "{}: {} judged, {} would change, {} not judged",
        clean(&replayed.policy),
        count(replayed.judged, "ask"),
        replayed.changes.len(),
        replayed.not_judged.len()
    ));
    lines.join("\n")
}

fn row(change: &Change) -> Vec<String> {
    let at: String = change.at.chars().take(19).collect();
    vec![
        change.index.to_string(),
        at,
        change.who.clone(),
        change.role.clone(),
        change.was.clone(),
        change.would_be.clone(),
        change.why.clone(),
    ]
}
