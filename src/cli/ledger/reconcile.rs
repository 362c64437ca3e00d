//! `daypass ledger reconcile`: compares the logins in sshd's logs with the passes of the ledger.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read},
    path::{Path, PathBuf},
};

use jiff::tz::TimeZone;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::source::{now, open, suspicious};
use crate::{
    cli::{
        Failure, Global,
        failure::Code,
        local::{self, Zone},
        output::Format,
        progress::Progress,
        table::{fitted, table},
    },
    client::Client,
    ledger::reconcile::{Finding, Kind, Reconciled, Reconciler, Unused},
    ssh::sshd_log::{self, Accepted, LONGEST_LINE},
};

/// The most findings that are printed as text. JSON has all.
const PRINTED: usize = 200;

/// How to get a host's log.
const JOURNAL: &str = "journalctl -o json -t sshd -t sshd-session | daypass ledger reconcile -";

/// Options of the comparison.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Logs of sshd (`-`: stdin): the journal as JSON, auth.log, secure, or what `sshd -E` writes.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The host that lines without a host's name are of.
    #[arg(long)]
    host: Option<String>,
    /// These are the logs of every host: a pass that was asked for without a host is unused, too,
    /// if they lack it.
    #[arg(long)]
    all_hosts: bool,
    /// The fingerprint of a CA key that is not this server's, and that hosts trust too. Its logins
    /// are counted only. May be repeated.
    #[arg(long, value_name = "SHA256:...", value_parser = fingerprint)]
    other_ca: Vec<String>,
    /// An export of the ledger, instead of the server's.
    #[arg(long, value_name = "EXPORT")]
    ledger: Option<PathBuf>,
    /// The ledger's verifier key, as for `daypass ledger verify`.
    #[arg(long, requires = "ledger")]
    key: Option<String>,
}

fn fingerprint(text: &str) -> Result<String, String> {
    match text.strip_prefix("SHA256:") {
        Some(hash) if hash.len() == 43 => Ok(text.to_owned()),
        Some(_) | None => {
            Err("use the fingerprint that `ssh-keygen -l -f CA.pub` prints (SHA256:...)".to_owned())
        }
    }
}

/// Lines of the logs.
#[derive(Clone, Copy, Debug, Default)]
struct Lines {
    logins: u64,
    otherwise: u64,
    unreadable: u64,
    too_long: u64,
}

#[derive(Serialize)]
struct Printed {
    /// Logins by certificates, without those of other CAs.
    logins: u64,
    good: u64,
    by_other_cas: u64,
    not_by_certificate: u64,
    /// Logins by certificates whose line is cut off or of another form.
    unreadable: u64,
    findings: Vec<Shown>,
    never_used: NeverUsed,
    /// Events of the ledger.
    size: u64,
}

/// A finding with its times as text.
#[derive(Serialize)]
struct Shown {
    kind: Kind,
    why: String,
    serial: u64,
    host: String,
    login: String,
    from: String,
    key_id: String,
    first: Option<String>,
    last: Option<String>,
    count: u64,
}

#[derive(Serialize)]
struct NeverUsed {
    #[serde(flatten)]
    unused: Unused,
    by: Vec<Grant>,
}

/// Passes of one person and role that were not used.
#[derive(Serialize)]
struct Grant {
    who: String,
    role: String,
    passes: u64,
}

impl Args {
    /// # Errors
    /// Returns code 1 if a login was found that the ledger lacks or has otherwise, and 2 for a file
    /// that is not a log of sshd.
    pub(super) async fn run(self, global: &Global, client: Client) -> Result<(), Failure> {
        let others: BTreeSet<String> = self.other_ca.iter().cloned().collect();
        let mut reconciler = Reconciler::new(others, self.all_hosts);
        let mut lines = Lines::default();
        for file in &self.files {
            lines.read(file, self.host.as_deref(), &mut reconciler)?;
        }
        if lines.logins + lines.unreadable == 0 && lines.otherwise == 0 {
            return Err(Failure::new(
                Code::Usage,
                format!("no accepted login of sshd is in these files; on a host: {JOURNAL}"),
            ));
        }
        let (size, reconciler) = self.compared(client, reconciler).await?;
        print(global, lines, size, reconciler.finish())
    }

    /// Takes in the whole ledger, which must verify.
    async fn compared(
        &self,
        client: Client,
        mut reconciler: Reconciler,
    ) -> Result<(u64, Reconciler), Failure> {
        let Some(file) = &self.ledger else {
            let (progress, mut sink) = (Progress::events(), io::sink());
            let mut each = |events: Vec<_>| reconciler.take_all(events);
            let each = Some(&mut each as _);
            let exported = client.verified_export(&mut sink, each, |events| progress.show(events));
            let size = exported.await?.events;
            return Ok((size, reconciler));
        };
        let (mut export, length) = open(file)?;
        let progress = Progress::bytes(length);
        let (show, key) = (progress.shown_by(), self.key.clone());
        let work = move || {
            let mut each = |events: Vec<_>| reconciler.take_all(events);
            let each = Some(&mut each as _);
            let report = client.verify_offline(&mut export, key.as_deref(), each, show)?;
            Ok::<_, Failure>((report.events, reconciler))
        };
        let work = tokio::task::spawn_blocking(work).await;
        drop(progress);
        work.map_err(|error| Failure::from_error(&error))?
    }
}

impl Lines {
    /// Reads a log into the comparison.
    fn read(
        &mut self,
        file: &Path,
        host: Option<&str>,
        reconciler: &mut Reconciler,
    ) -> Result<(), Failure> {
        let usage = |message: String| Failure::new(Code::Usage, message);
        if file.as_os_str() == "-" && io::stdin().is_terminal() {
            return Err(usage(format!("stdin is a terminal; on a host: {JOURNAL}")));
        }
        let failed =
            |error: io::Error| usage(format!("failed to read {}: {error}", file.display()));
        let opened: Box<dyn Read> = match file.as_os_str() == "-" {
            true => Box::new(io::stdin()),
            false => Box::new(File::open(file).map_err(failed)?),
        };
        let mut log = BufReader::with_capacity(LONGEST_LINE, opened);
        if log.fill_buf().map_err(failed)?.starts_with(&GZIP) {
            return Err(usage(format!(
                "{name} is compressed: zcat {name} | daypass ledger reconcile -",
                name = file.display()
            )));
        }
        let zone = TimeZone::system();
        let (mut line, mut number) = (Vec::new(), 0_u64);
        while sshd_log::next_line(&mut log, &mut line)
            .map_err(failed)?
            .is_some()
        {
            number += 1;
            if line.len() > LONGEST_LINE {
                self.too_long += 1;
                continue;
            }
            match sshd_log::read(&line) {
                None => {}
                Some(Accepted::Otherwise) => self.otherwise += 1,
                Some(Accepted::Unreadable(_)) => self.unreadable += 1,
                Some(Accepted::ByCertificate(login)) => {
                    self.logins += 1;
                    let at = login.time.and_then(|it| it.moment(now(), &zone));
                    let named = host.map(str::to_owned).or_else(|| login.host.clone());
                    let Some(named) = named else {
                        return Err(usage(format!(
                            "line {number} of {} names no host: add --host NAME",
                            file.display()
                        )));
                    };
                    let noted = reconciler.note(login, &named, at);
                    noted.map_err(|error| usage(error.to_string()))?;
                }
            }
        }
        Ok(())
    }
}

/// The first bytes of a gzip file (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

fn print(global: &Global, lines: Lines, size: u64, result: Reconciled) -> Result<(), Failure> {
    let alarms = result.findings.iter();
    let alarms = alarms.filter(|it| it.kind.is_alarm()).count() as u64 + lines.unreadable;
    let printed = Printed {
        logins: result.logins,
        good: result.good,
        by_other_cas: result.others,
        not_by_certificate: lines.otherwise,
        unreadable: lines.unreadable,
        findings: result.findings.iter().map(shown).collect(),
        never_used: NeverUsed {
            by: grants(&result.unused.by),
            unused: result.unused,
        },
        size,
    };
    if lines.too_long > 0 {
        global.say(&format!(
            "note: {} lines are longer than {LONGEST_LINE} bytes and were not read",
            lines.too_long
        ));
    }
    global.print(&printed, |it| text(it, &result.findings))?;
    match alarms {
        0 => Ok(()),
        1 => Err(suspicious("1 login is not as the ledger has it")),
        more => Err(suspicious(&format!(
            "{more} logins are not as the ledger has them"
        ))),
    }
}

fn shown(finding: &Finding) -> Shown {
    let time = |at: Option<OffsetDateTime>| at.and_then(|at| at.format(&Rfc3339).ok());
    let certificate = finding.certificate.as_ref();
    Shown {
        kind: finding.kind,
        why: finding.why.clone(),
        serial: certificate.map_or(0, |it| it.serial),
        host: finding.host.clone(),
        login: finding.login.clone(),
        from: finding.from.clone(),
        key_id: certificate.map_or_else(String::new, |it| it.key_id.clone()),
        first: time(finding.first),
        last: time(finding.last),
        count: finding.count,
    }
}

fn grants(by: &BTreeMap<(String, String), u64>) -> Vec<Grant> {
    let mut grants: Vec<Grant> = by
        .iter()
        .map(|((who, role), passes)| Grant {
            who: who.clone(),
            role: role.clone(),
            passes: *passes,
        })
        .collect();
    grants.sort_by_key(|it| std::cmp::Reverse(it.passes));
    grants
}

/// For people: a table of findings, passes that were not used, and a sentence.
fn text(printed: &Printed, findings: &[Finding]) -> String {
    let mut parts = Vec::new();
    if !findings.is_empty() {
        parts.push(table_of(findings));
    }
    if findings.len() > PRINTED {
        let more = findings.len() - PRINTED;
        parts.push(format!("and {more} more, which --format json prints"));
    }
    let unused = &printed.never_used;
    if unused.unused.count > 0 {
        let head = ["NEVER USED", "WHO", "ROLE"].map(str::to_owned).to_vec();
        let rows = unused.by.iter().take(20);
        let rows = rows.map(|it| vec![it.passes.to_string(), it.who.clone(), it.role.clone()]);
        let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
        parts.push(table(&rows));
    }
    parts.push(format!(
        "{} logins by certificates compared with a ledger of {} events, which verifies: {} as they \
         were issued.",
        printed.logins, printed.size, printed.good
    ));
    let counts = [
        (printed.not_by_certificate, "Logins without a certificate"),
        (printed.by_other_cas, "Logins by other CAs"),
        (
            printed.unreadable,
            "Logins by certificates that cannot be read, since sshd cut the line or prints other \
             fingerprints than SHA256",
        ),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    parts.extend(counts.map(|(count, what)| format!("{what}: {count}.")));
    parts.join("\n")
}

fn table_of(findings: &[Finding]) -> String {
    let zone = Zone::of(Format::Text);
    let head = [
        "FINDING", "LAST", "HOST", "LOGIN", "FROM", "SERIAL", "KEY ID", "COUNT", "WHY",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(findings.iter().take(PRINTED).map(|it| {
        let utc = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
        let time = |at| zone.format(at).unwrap_or_else(|| utc(at));
        let certificate = it.certificate.as_ref();
        vec![
            it.kind.word().to_owned(),
            it.last.map_or("-".to_owned(), time),
            it.host.clone(),
            it.login.clone(),
            it.from.clone(),
            certificate.map_or_else(String::new, |it| it.serial.to_string()),
            certificate.map_or_else(String::new, |it| it.key_id.clone()),
            it.count.to_string(),
            it.why.clone(),
        ]
    }));
    match local::width() {
        Some(width) => fitted(&rows, 2, width),
        None => table(&rows),
    }
}
