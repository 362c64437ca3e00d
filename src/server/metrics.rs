//! Metrics of the server, and their rendering for `/metrics`.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use time::OffsetDateTime;

use crate::{ledger::event::LoginFinding, reason};

/// Renders the metrics.
pub(crate) type Handle = PrometheusHandle;

/// Upper bounds of the latency histogram, in seconds.
const SECONDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

const GOOD: &str = "success";
const BAD: &str = "failure";

/// All counters, each with its `HELP` line.
const COUNTERS: &[(&str, &str)] = &[
    (
        "daypass_accept_errors_total",
        "Connections that the system did not hand over.",
    ),
    ("daypass_calls_total", "Calls by method and outcome."),
    (
        "daypass_connections_closed_total",
        "Closed connections by cause.",
    ),
    ("daypass_connections_total", "Accepted connections."),
    (
        "daypass_denials_total",
        "Calls that were refused for a reason other than the token, by reason.",
    ),
    (
        "daypass_foreign_logins_total",
        "Reported logins that the ledger does not explain, by finding.",
    ),
    ("daypass_ledger_commits_total", "Commits to the ledger."),
    (
        "daypass_ledger_events_total",
        "Events written to the ledger since the start.",
    ),
    (
        "daypass_log_lines_left_out_total",
        "Log lines that were only counted, by kind.",
    ),
    ("daypass_panics_total", "Requests that ended by a bug."),
    ("daypass_passes_total", "Issued passes since the start."),
    ("daypass_rate_limited_total", "Calls over a rate limit."),
    ("daypass_reloads_total", "Reloads by outcome."),
    (
        "daypass_requests_ended_total",
        "Requests that were ended to bound memory, by cause.",
    ),
    (
        "daypass_signer_calls_total",
        "Calls to `daypass signer`; each is for the passes that were recorded together.",
    ),
    (
        "daypass_signer_refusals_total",
        "Passes and documents that `daypass signer` did not sign.",
    ),
    ("daypass_token_refusals_total", "Refused tokens by reason."),
    (
        "daypass_webhook_deliveries_total",
        "Attempts to deliver by webhook and outcome.",
    ),
];

/// The counters with labels.
const LABELLED: &[&str] = &[
    "daypass_calls_total",
    "daypass_connections_closed_total",
    "daypass_denials_total",
    "daypass_foreign_logins_total",
    "daypass_log_lines_left_out_total",
    "daypass_reloads_total",
    "daypass_requests_ended_total",
    "daypass_token_refusals_total",
    "daypass_webhook_deliveries_total",
];

/// The causes of the end of a connection.
const CLOSE_CAUSES: &[&str] = &[
    "asked_to_go",
    "cut",
    "evicted",
    "finished",
    "full",
    "handshake",
    "handshake_timeout",
    "proxy_header",
    "proxy_header_timeout",
    "silent",
];

/// The causes of the end of a request to bound memory.
const END_CAUSES: &[&str] = &["unproven_bytes", "unread_answers"];

/// The methods of calls.
const METHODS: &[&str] = &[
    "Admin/AddHost",
    "Admin/ChangeLedgerKey",
    "Admin/ListCaKeys",
    "Admin/ListLocks",
    "Admin/ListWebhooks",
    "Admin/Lock",
    "Admin/OrderCaKey",
    "Admin/Preview",
    "Admin/RemoveHost",
    "Admin/RetryWebhooks",
    "Admin/Revoke",
    "Admin/TestWebhook",
    "Admin/Unlock",
    "Hosts/Join",
    "Hosts/List",
    "Hosts/ReportLogins",
    "Hosts/Sync",
    "Ledger/Export",
    "Ledger/FindPolicy",
    "Ledger/GetCheckpoint",
    "Ledger/List",
    "Ledger/Prove",
    "Passes/EmergencyChallenge",
    "Passes/Explain",
    "Passes/Issue",
    "Passes/IssueFor",
    "Passes/ListPasses",
    "Passes/ListRoles",
    "Passes/LockMe",
    "Passes/PreviewLockMe",
    "Passes/WhoAmI",
    "Requests/Approve",
    "Requests/Cancel",
    "Requests/Deny",
    "Requests/Get",
    "Requests/List",
    "Requests/Open",
    "Requests/Review",
    "Requests/Watch",
];

/// The outcomes of calls: the gRPC codes of the server's refusals, and what has none.
const CODES: &[&str] = &[
    "OK",
    "ABANDONED",
    "FAILED_PRECONDITION",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
];

/// All gauges, each with its `HELP` line.
const GAUGES: &[(&str, &str)] = &[
    ("daypass_build_info", "Always 1; the label is the version."),
    (
        "daypass_ca_key_answers",
        "1 if the CA key that signs is in this process, or its ssh-agent, token or signer answers.",
    ),
    (
        "daypass_ca_key_info",
        "Always 1, for each CA key with its fingerprint and state.",
    ),
    ("daypass_connections", "Open connections."),
    (
        "daypass_hosts_behind",
        "Known hosts that are behind, as the ledger says.",
    ),
    (
        "daypass_hosts_expected",
        "Hosts that have a join code and have not joined.",
    ),
    ("daypass_hosts_joined", "Known hosts that have joined."),
    (
        "daypass_issuer_ready",
        "1 if tokens of the issuer can be verified now.",
    ),
    (
        "daypass_krl_made_timestamp_seconds",
        "Unix time at which the revocation list got its content.",
    ),
    ("daypass_krl_size_bytes", "Size of the revocation list."),
    ("daypass_krl_version", "Version of the revocation list."),
    (
        "daypass_last_reload_successful",
        "1 if the last reload put everything in force.",
    ),
    (
        "daypass_last_reload_timestamp_seconds",
        "Unix time of the last reload, or of the start.",
    ),
    (
        "daypass_ledger_intact",
        "0 if the background reading of the ledger found damage.",
    ),
    (
        "daypass_ledger_scrub_target_events",
        "Events that the background reading reads in this round; 0 if the start read them all.",
    ),
    (
        "daypass_ledger_scrubbed_events",
        "Events that the background reading has read in this round.",
    ),
    ("daypass_ledger_size", "Events in the ledger."),
    (
        "daypass_ledger_writable",
        "1 if events can be recorded now; without that no pass is issued.",
    ),
    ("daypass_locks", "Locks in force."),
    (
        "daypass_passes_live",
        "Passes that have not expired and are not revoked.",
    ),
    (
        "daypass_requests_approved",
        "Requests that wait to be redeemed.",
    ),
    (
        "daypass_requests_pending",
        "Requests that wait for approvals.",
    ),
    (
        "daypass_reviews_open",
        "Emergencies that no other person has reviewed yet.",
    ),
    (
        "daypass_search_indexed_events",
        "Events in the search index; fewer than `daypass_ledger_size` while it is made again.",
    ),
    ("daypass_start_timestamp_seconds", "Unix time of the start."),
    (
        "daypass_tls_certificate_expiry_timestamp_seconds",
        "Unix time at which the TLS certificate ends.",
    ),
    ("daypass_watches", "Open streams that follow requests."),
    (
        "daypass_webhook_dead",
        "Deliveries that were given up, by webhook.",
    ),
    (
        "daypass_webhook_pending",
        "Deliveries that wait, by webhook.",
    ),
];

/// The gauges that are 0 until something happens.
const AT_REST: &[&str] = &["daypass_connections", "daypass_watches"];

/// All histograms, each with its `HELP` line.
const HISTOGRAMS: &[(&str, &str)] = &[("daypass_call_seconds", "Time of calls by method.")];

/// Installs the process's recorder at the first call. Returns the same recorder's handle each time.
///
/// # Errors
/// If the recorder cannot be built.
pub(crate) fn install() -> Result<Handle, BuildError> {
    static HANDLE: OnceLock<Handle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)?
        .build_recorder();
    let handle = HANDLE.get_or_init(|| recorder.handle()).clone();
    // Fails only if the program has installed a recorder of its own. Then `/metrics` is empty.
    let _ = metrics::set_global_recorder(recorder);
    describe();
    begin();
    Ok(handle)
}

/// Records the outcome of a reload, and its time. The start counts as a good one.
pub(crate) fn reloaded(is_good: bool, now: OffsetDateTime) {
    let outcome = if is_good { GOOD } else { BAD };
    metrics::counter!("daypass_reloads_total", "outcome" => outcome).increment(1);
    last_reload(is_good, now);
}

/// Counts a reported login that the ledger does not explain.
pub(super) fn foreign_login(finding: LoginFinding) {
    metrics::counter!("daypass_foreign_logins_total", "finding" => finding.as_str()).increment(1);
}

/// Records the start of the daemon.
pub(crate) fn started(now: OffsetDateTime) {
    let seconds = now.unix_timestamp() as f64;
    metrics::gauge!("daypass_start_timestamp_seconds").set(seconds);
    last_reload(true, now);
}

fn last_reload(is_good: bool, now: OffsetDateTime) {
    let seconds = now.unix_timestamp() as f64;
    metrics::gauge!("daypass_last_reload_successful").set(f64::from(u8::from(is_good)));
    metrics::gauge!("daypass_last_reload_timestamp_seconds").set(seconds);
}

/// Gives each metric its `HELP` line.
fn describe() {
    for (name, help) in COUNTERS {
        metrics::describe_counter!(*name, *help);
    }
    for (name, help) in GAUGES {
        metrics::describe_gauge!(*name, *help);
    }
    for (name, help) in HISTOGRAMS {
        metrics::describe_histogram!(*name, *help);
    }
}

/// Makes every counter and histogram appear with 0, so that its first increase is one.
fn begin() {
    for (name, _) in COUNTERS.iter().filter(|(name, _)| !LABELLED.contains(name)) {
        metrics::counter!(*name).increment(0);
    }
    for outcome in [GOOD, BAD] {
        metrics::counter!("daypass_reloads_total", "outcome" => outcome).increment(0);
    }
    for cause in CLOSE_CAUSES {
        metrics::counter!("daypass_connections_closed_total", "cause" => *cause).increment(0);
    }
    for cause in END_CAUSES {
        metrics::counter!("daypass_requests_ended_total", "cause" => *cause).increment(0);
    }
    for reason in reason::TOKENS {
        metrics::counter!("daypass_token_refusals_total", "reason" => *reason).increment(0);
    }
    for reason in [reason::POLICY, reason::LEDGER, reason::OPERATIONS].concat() {
        metrics::counter!("daypass_denials_total", "reason" => reason).increment(0);
    }
    for finding in LoginFinding::ALL {
        let finding = finding.as_str();
        metrics::counter!("daypass_foreign_logins_total", "finding" => finding).increment(0);
    }
    for method in METHODS {
        let _ = metrics::histogram!("daypass_call_seconds", "method" => *method);
        for code in CODES {
            let counter =
                metrics::counter!("daypass_calls_total", "method" => *method, "code" => *code);
            counter.increment(0);
        }
    }
    // Callers without a proven identity cause these lines.
    for kind in reason::TOKENS.iter().chain(&[reason::RATE_LIMITED]) {
        metrics::counter!("daypass_log_lines_left_out_total", "kind" => *kind).increment(0);
    }
    for (name, _) in GAUGES.iter().filter(|(name, _)| AT_REST.contains(name)) {
        metrics::gauge!(*name).set(0.0);
    }
    metrics::gauge!("daypass_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use regex::Regex;

    use super::*;

    /// The text of every file of the server, without this one.
    fn sources() -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server");
        let mut open = vec![folder];
        let mut text = String::new();
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(
                    fs::read_dir(path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
            } else if !path.ends_with("metrics.rs") {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
        text
    }

    #[test]
    fn each_method_and_cause_of_the_server_is_counted_from_the_start() {
        let sources = sources();
        let found = |pattern: &str| -> BTreeSet<String> {
            let found = Regex::new(pattern).unwrap();
            let found = found.captures_iter(&sources);
            found.map(|it| it[1].to_owned()).collect()
        };
        let listed = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect();
        let methods = r#""((?:Admin|Hosts|Ledger|Passes|Requests)/[A-Z][A-Za-z]+)""#;
        assert_eq!(found(methods), listed(METHODS));
        let closed = r#"(?:closed\(|closed_total", "cause" => |=> )"([a-z_]+)""#;
        let causes: BTreeSet<String> = listed(CLOSE_CAUSES);
        let missing: Vec<_> = causes.difference(&found(closed)).cloned().collect();
        assert_eq!(missing, Vec::<String>::new());
        let codes = found(r#"(?:Code::[A-Za-z]+|_) => "([A-Z_]+)","#);
        let mut made: BTreeSet<String> = listed(CODES);
        for without_refusal in ["OK", "ABANDONED"] {
            assert!(made.remove(without_refusal));
        }
        assert_eq!(codes, made);
        let direct = found(r#"closed\("([a-z_]+)"\)"#);
        assert!(direct.is_subset(&causes), "{direct:?}");
    }
}
