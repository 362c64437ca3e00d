//! The check of the TLS certificate: that it loads with its key, is for the server's name, and has
//! not expired.

use time::OffsetDateTime;

use super::purpose::Purpose;
use crate::{
    config::Config,
    daemon::{
        error::{Error, chain},
        served,
    },
    finding::Finding,
    server::Tls,
};

/// A certificate that ends within this part of its lifetime, or within [`SOON`], is to be replaced.
const LAST_PART: i32 = 4;

/// The longest time before the end at which a certificate counts as ending soon.
const SOON: time::Duration = time::Duration::days(30);

/// The name of the check.
const CHECK: &str = "tls";

/// Checks the certificate. Before a reload, a fault of the certificate that the server has in use
/// is a warning.
pub(super) fn check(config: &Config, purpose: Purpose, now: OffsetDateTime) -> Vec<Finding> {
    let Some(files) = &config.tls else {
        let message = "the server speaks plain text, on loopback only";
        return vec![Finding::good(CHECK, message)];
    };
    let tls = match Tls::load(&files.certificate, &files.key) {
        Ok(tls) => tls,
        Err(error) => {
            return vec![Finding::wrong(CHECK, chain(&Error::from(error)))];
        }
    };
    let file = files.certificate.display().to_string();
    let findings = examine(&tls, &file, &config.name, now);
    if purpose != Purpose::Reload || !served::is_recorded(&config.state, &tls) {
        return findings;
    }
    let why = "; the server has it in use already, so that a reload changes nothing about it";
    let softened = findings.into_iter().map(|finding| finding.softened(why));
    softened.collect()
}

/// Checks names and times of a certificate that has loaded with its key.
fn examine(tls: &Tls, file: &str, name: &str, now: OffsetDateTime) -> Vec<Finding> {
    let facts = match tls.facts() {
        Ok(facts) => facts,
        Err(problem) => return vec![Finding::wrong(CHECK, format!("{file}: {problem}"))],
    };
    let mut findings = Vec::new();
    if !facts.is_for(name) {
        let names = facts.names().join(", ");
        findings.push(Finding::wrong(
            CHECK,
            format!("the TLS certificate {file} is for {names}, and the server's name is {name}: clients refuse it"),
        ));
    }
    if now < facts.not_before {
        findings.push(Finding::wrong(
            CHECK,
            format!(
                "the TLS certificate {file} is not valid before {}: compare this machine's clock",
                day(facts.not_before)
            ),
        ));
    }
    let left = facts.not_after - now;
    let soon = SOON.min((facts.not_after - facts.not_before) / LAST_PART);
    if left <= time::Duration::ZERO {
        findings.push(Finding::wrong(
            CHECK,
            format!(
                "the TLS certificate {file} expired on {}: clients refuse it",
                day(facts.not_after)
            ),
        ));
    } else if left < soon {
        findings.push(Finding::warning(
            CHECK,
            format!("the TLS certificate {file} expires on {}, in {} days: replace it, and reload the server", day(facts.not_after), left.whole_days()),
        ));
    }
    if findings.is_empty() {
        let (until, by) = (day(facts.not_after), recognized_by(tls));
        let message = format!("the TLS certificate is for {name}, until {until}{by}");
        findings.push(Finding::good(CHECK, message));
    }
    findings
}

/// What a client with no root for a private certificate may name instead.
fn recognized_by(tls: &Tls) -> String {
    let fingerprint = tls.fingerprint();
    let named = fingerprint.map(|it| format!("; clients may name it: --server-fingerprint {it}"));
    named.unwrap_or_default()
}

fn day(time: OffsetDateTime) -> String {
    time.date().to_string()
}
