//! What a comparison of logs with the ledger prints.

use std::collections::BTreeMap;

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::lines::Lines;
use crate::{
    cli::{
        Failure, Global,
        ledger::source::suspicious,
        local::{self, Zone},
        output::Format,
        table::{fitted, table},
    },
    ledger::reconcile::{Finding, Kind, Reconciled, Unused},
    ssh::sshd_log::LONGEST_LINE,
};

/// The most findings that are printed as text. JSON has all.
const PRINTED: usize = 200;

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

/// # Errors
/// Returns code 1 if a login is not as the ledger has it.
pub(super) fn print(
    global: &Global,
    lines: &Lines,
    size: u64,
    result: Reconciled,
) -> Result<(), Failure> {
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
             fingerprints than SHA256, or the log is of a form that is not read",
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
