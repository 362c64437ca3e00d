//! `/metrics`: what Prometheus' own tool accepts, complete from the start, and true.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

use crate::process::{Daemon, Home, get};

/// What an operator's alerts are about: all of it is there before the first call.
const FROM_THE_START: &[&str] = &[
    "daypass_build_info{version=",
    "daypass_accept_errors_total 0",
    "daypass_calls_total{method=\"Passes/Issue\",code=\"OK\"} 0",
    "daypass_calls_total{method=\"Admin/Lock\",code=\"OK\"} 0",
    "daypass_calls_total{method=\"Passes/Issue\",code=\"PERMISSION_DENIED\"} 0",
    "daypass_calls_total{method=\"Requests/Watch\",code=\"ABANDONED\"} 0",
    "daypass_call_seconds_bucket{method=\"Passes/Issue\",le=\"+Inf\"} 0",
    "daypass_call_seconds_count{method=\"Requests/Watch\"} 0",
    "daypass_denials_total{reason=\"NOT_ALLOWED\"} 0",
    "daypass_denials_total{reason=\"LOCKED\"} 0",
    "daypass_denials_total{reason=\"CA_UNAVAILABLE\"} 0",
    "daypass_token_refusals_total{reason=\"TOKEN_EXPIRED\"} 0",
    "daypass_token_refusals_total{reason=\"ISSUER_UNAVAILABLE\"} 0",
    "daypass_requests_ended_total{cause=\"unproven_bytes\"} 0",
    "daypass_log_lines_left_out_total{kind=\"TOKEN_MISSING\"} 0",
    "daypass_ca_key_info{fingerprint=\"SHA256:",
    "daypass_connections ",
    "daypass_connections_closed_total{cause=\"full\"} 0",
    "daypass_issuer_ready{issuer=\"corp\"} 0",
    "daypass_krl_made_timestamp_seconds ",
    "daypass_krl_size_bytes ",
    "daypass_krl_version ",
    "daypass_last_reload_successful 1",
    "daypass_last_reload_timestamp_seconds ",
    "daypass_ledger_size ",
    "daypass_ledger_writable 1",
    "daypass_locks 0",
    "daypass_panics_total 0",
    "daypass_passes_live 0",
    "daypass_passes_total 0",
    "daypass_rate_limited_total 0",
    "daypass_reloads_total{outcome=\"failure\"} 0",
    "daypass_reloads_total{outcome=\"success\"} 0",
    "daypass_requests_pending 0",
    "daypass_requests_approved 0",
    "daypass_reviews_open 0",
    "daypass_start_timestamp_seconds ",
    "daypass_tls_certificate_expiry_timestamp_seconds ",
];

async fn metrics(home: &Home, daemon: &Daemon) -> String {
    let answer = get(daemon.address, &home.path("tls.pem"), "/metrics").await;
    answer.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_accepts_the_metrics_which_are_there_from_the_start() {
    let home = Home::new();
    let daemon = home.start();
    let text = metrics(&home, &daemon).await;
    for &expected in FROM_THE_START {
        assert!(
            text.lines().any(|line| line.starts_with(expected)),
            "{expected}: {text}"
        );
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: apt-get install prometheus");
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!((output.stdout, output.stderr), (Vec::new(), Vec::new()));

    // Every metric has a line of help, also one that is new.
    let names = |prefix: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
        lines
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("# TYPE "), names("# HELP "));
    assert!(daemon.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_makes_a_new_series() {
    let home = Home::new();
    let daemon = home.start();
    let series = |text: String| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(name, _)| name.to_owned())
            .collect()
    };
    let before = series(metrics(&home, &daemon).await);
    // Bounded, so that a Prometheus is not flooded.
    assert!((600..1500).contains(&before.len()), "{}", before.len());
    let mut login = crate::process::daypass();
    login.args(["whoami", "--no-input", "--state-dir"]);
    login.arg(home.path("client")).arg("--server");
    login.arg(format!("https://localhost:{}", daemon.address.port()));
    login.arg("--ca-file").arg(home.path("tls.pem"));
    assert!(!login.output().unwrap().status.success());
    for path in ["/krl", "/checkpoint", "/nothing"] {
        let _ = get(daemon.address, &home.path("tls.pem"), path).await;
    }
    let after = series(metrics(&home, &daemon).await);
    let new: Vec<_> = after.difference(&before).collect();
    assert_eq!(new, Vec::<&String>::new());
    assert!(daemon.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_reload_shows_until_one_succeeds() {
    let home = Home::new();
    let daemon = home.start();
    let shows = |text: String, expected: &[&str]| {
        for line in expected {
            assert!(text.lines().any(|it| it == *line), "{line}: {text}");
        }
    };
    home.edit("policy.toml", "[limits]", "[limits");
    daemon.signal("HUP");
    daemon.logged("reload failed");
    let bad = [
        "daypass_last_reload_successful 0",
        "daypass_reloads_total{outcome=\"failure\"} 1",
    ];
    shows(metrics(&home, &daemon).await, &bad);
    home.edit("policy.toml", "[limits", "[limits]");
    daemon.signal("HUP");
    daemon.logged("reloaded: the policy is unchanged");
    let good = [
        "daypass_last_reload_successful 1",
        "daypass_reloads_total{outcome=\"success\"} 1",
    ];
    shows(metrics(&home, &daemon).await, &good);
    assert!(daemon.stop().success());
}
