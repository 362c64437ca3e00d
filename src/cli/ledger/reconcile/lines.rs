//! Reads sshd's logs into the comparison.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read},
    path::Path,
};

use jiff::tz::TimeZone;
use time::OffsetDateTime;

use crate::{
    cli::{Failure, failure::Code},
    ledger::reconcile::Reconciler,
    ssh::sshd_log::{self, Accepted, LONGEST_LINE, LogLine},
};

/// How to get a host's log.
pub(super) const JOURNAL: &str =
    "journalctl -o json -t sshd -t sshd-session | daypass ledger reconcile";

/// The first bytes of a gzip file (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Lines of the logs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    pub(super) of_sshd: u64,
    pub(super) otherwise: u64,
    pub(super) unreadable: u64,
    pub(super) too_long: u64,
    /// Those whose time does not say its zone.
    pub(super) zoneless: u64,
}

/// A reading of logs.
pub(super) struct Reading<'a> {
    /// The host of lines that name none.
    pub(super) host: Option<&'a str>,
    /// The zone of times that do not say theirs.
    pub(super) zone: TimeZone,
    pub(super) now: OffsetDateTime,
    pub(super) lines: Lines,
}

impl Reading<'_> {
    /// Reads a log into the comparison.
    ///
    /// # Errors
    /// Returns code 2 for a file that cannot be read, or that lacks the host's name.
    pub(super) fn read(&mut self, file: &Path, reconciler: &mut Reconciler) -> Result<(), Failure> {
        let is_stdin = file.as_os_str() == "-";
        if is_stdin && io::stdin().is_terminal() {
            return Err(usage(format!(
                "stdin is a terminal: name log files, or on a host: {JOURNAL}"
            )));
        }
        let failed =
            |error: io::Error| usage(format!("failed to read {}: {error}", file.display()));
        let opened: Box<dyn Read> = match is_stdin {
            true => Box::new(io::stdin()),
            false => Box::new(File::open(file).map_err(failed)?),
        };
        let mut log = BufReader::with_capacity(LONGEST_LINE, opened);
        if log.fill_buf().map_err(failed)?.starts_with(&GZIP) {
            return Err(usage(format!(
                "{name} is compressed: zcat {name} | daypass ledger reconcile",
                name = file.display()
            )));
        }
        let (mut line, mut number) = (Vec::new(), 0_u64);
        while sshd_log::next_line(&mut log, &mut line)
            .map_err(failed)?
            .is_some()
        {
            number += 1;
            if line.len() > LONGEST_LINE {
                self.lines.too_long += 1;
                continue;
            }
            if let Some(line) = sshd_log::read_line(&line) {
                let place = || format!("line {number} of {}", file.display());
                self.take(line, reconciler, place).map_err(usage)?;
            }
        }
        Ok(())
    }

    /// Takes in a line of sshd. Each shows that the log is of its host and its time.
    fn take(
        &mut self,
        line: LogLine,
        reconciler: &mut Reconciler,
        place: impl Fn() -> String,
    ) -> Result<(), String> {
        self.lines.of_sshd += 1;
        self.lines.zoneless += u64::from(line.time.is_some_and(|it| !it.has_zone()));
        let at = line.time.and_then(|it| it.moment(self.now, &self.zone));
        let host = line.host.as_deref().or(self.host);
        match (line.accepted, host) {
            (Some(Accepted::ByCertificate(login)), Some(host)) => reconciler.note(login, host, at),
            (Some(Accepted::ByCertificate(_)), None) => {
                return Err(format!("{} names no host: add --host NAME", place()));
            }
            (other, host) => {
                match other {
                    Some(Accepted::Unreadable(_)) => self.lines.unreadable += 1,
                    Some(_) => self.lines.otherwise += 1,
                    None => {}
                }
                host.map_or(Ok(()), |host| reconciler.cover(host, at))
            }
        }
        .map_err(|error| error.to_string())
    }
}

fn usage(message: String) -> Failure {
    Failure::new(Code::Usage, message)
}
