//! The next steps that `daypass init` prints. Each command is on a line of its own, and works as
//! printed.

use std::path::Path;

use super::{
    made::{Made, MadeSigner, TLS_CERTIFICATE},
    owner::{UNITS_USER, is_root},
    signer::UNITS_SIGNER,
};
use crate::{
    cli::{output, quoting::quoted},
    config::{POLICY_FILE, SERVER_FILE, SIGNER_FILE},
};

/// The files and the next steps as text.
pub(super) fn steps(made: &Made) -> String {
    let dir = output::clean(&made.dir.display().to_string()).into_owned();
    let file = |name: &str| quoted(&format!("{}/{name}", dir.trim_end_matches('/')));
    let mut text = format!(
        "Made in {dir}: {}\nCA key  {}\n",
        made.files.join(", "),
        made.ca_key,
    );
    if let Some(signer) = &made.signer {
        let dir = signer.dir.display().to_string();
        let files = signer.files.join(", ");
        text = format!("Made in {}: {files}\n{text}", output::clean(&dir));
    }
    if let Some(key) = &made.host_ca_key {
        text.push_str(&format!("hosts   {key}\n"));
    }
    text.push_str(&format!("ledger  {}\n\nNext:\n", made.ledger));
    for (number, step) in all(made, &dir, file).iter().enumerate() {
        text.push_str(&format!("  {}. {}\n", number + 1, step.join("\n       ")));
    }
    let secrets = match made.host_ca_key {
        Some(_) => "ca_key, host_ca_key and ledger_key",
        None => "ca_key and ledger_key",
    };
    text + &format!(
        "\nKeep {secrets} secret and backed up: a person with ca_key can log in everywhere."
    )
}

/// Each step: a title, then its commands.
fn all(made: &Made, dir: &str, file: impl Fn(&str) -> String) -> Vec<Vec<String>> {
    let (server, policy, certificate) =
        (file(SERVER_FILE), file(POLICY_FILE), file(TLS_CERTIFICATE));
    let mut steps = Vec::new();
    if made.example_issuer {
        steps.push(vec![format!(
            "Put your OIDC issuer into {server}: url and client_id."
        )]);
    }
    if made.web {
        steps.push(vec![format!(
            "Register {}/web/callback at your OIDC issuer, as a second redirect URI of this client.",
            made.server
        )]);
    }
    steps.push(vec![
        format!("Say in {policy} who gets what; the tests at its end say what must stay so:"),
        format!("daypass policy test {policy}"),
    ]);
    if let Some(signer) = &made.signer {
        steps.extend(run_signer(signer));
    }
    // Only the owner can read the files, so the owner makes the check.
    let run_as = run_as(made.owner.as_deref());
    steps.push(vec![
        "Check all of it:".to_owned(),
        format!("{run_as}daypass serve --config {server} --check"),
    ]);
    steps.push(run(made, dir, &server, &run_as));
    let known = match &made.self_signed {
        Some(fingerprint) => format!(" --server-fingerprint {fingerprint}"),
        None => String::new(),
    };
    if made.self_signed.is_some() {
        steps.push(vec![format!(
            "Users sign in with `daypass login --server {}{known}` the first time, or have {certificate} (DAYPASS_CA_FILE).",
            made.server
        )]);
    }
    steps.push(vec![
        "On each host of the policy's group `web`:".to_owned(),
        format!(
            "daypass host setup --server {} --group web --ca-fingerprint {}{known}",
            made.server, made.ca_key
        ),
    ]);
    if made.host_ca_key.is_some() {
        steps.push(vec![
            "For each host, as an administrator; it prints the command for the host, which gets host certificates:".to_owned(),
            format!("daypass admin hosts add NAME --group web"),
        ]);
    }
    steps
}

/// What is before a command that an account is to run.
fn run_as(owner: Option<&str>) -> String {
    match owner {
        Some(owner) if is_root() => format!("runuser -u {owner} -- "),
        Some(_) | None => String::new(),
    }
}

/// The steps that start the signer, before the server that cannot do without it.
fn run_signer(signer: &MadeSigner) -> [Vec<String>; 2] {
    let dir = signer.dir.display().to_string();
    let dir = output::clean(&dir);
    let file = quoted(&format!("{}/{SIGNER_FILE}", dir.trim_end_matches('/')));
    let run_as = run_as(signer.owner.as_deref());
    let by_hand = format!("{run_as}daypass signer --config {file}");
    let title = "Say in its [[ceiling]] what a pass may allow at most, and run the signer, which keeps the CA key:";
    let is_units =
        std::path::absolute(&signer.dir).is_ok_and(|dir| dir == Path::new(SIGNER_FOLDER));
    let run = match signer.owner.as_deref() {
        Some(UNITS_SIGNER) if is_units => vec![
            title.to_owned(),
            "daypass systemd install signer".to_owned(),
            "systemctl daemon-reload && systemctl enable --now daypass-signer.service".to_owned(),
        ],
        Some(_) | None => vec![title.to_owned(), by_hand.clone()],
    };
    let check = vec!["Check it:".to_owned(), format!("{by_hand} --check")];
    [run, check]
}

/// The configuration folder of the signer's unit.
const SIGNER_FOLDER: &str = "/etc/daypass-signer";

/// The configuration folder of the units in systemd/.
const UNITS_FOLDER: &str = "/etc/daypass";

/// The step that starts the server: by the units, whose account must own the files, or by hand.
fn run(made: &Made, dir: &str, server: &str, run_as: &str) -> Vec<String> {
    let by_hand = format!("{run_as}daypass serve --config {server}");
    let is_units = std::path::absolute(&made.dir).is_ok_and(|dir| dir == Path::new(UNITS_FOLDER));
    match &made.owner {
        Some(owner) if owner == UNITS_USER && is_units => vec![
            "Run it by its units:".to_owned(),
            "daypass systemd install server".to_owned(),
            "systemctl daemon-reload && systemctl enable --now daypass.socket daypass.service"
                .to_owned(),
        ],
        None if is_root() => vec![
            format!(
                "Run it. These files are root's; for its units, which run as {UNITS_USER}, give them away first:"
            ),
            by_hand,
            format!(
                "chown -R {UNITS_USER}: {}    # before the units",
                quoted(dir)
            ),
        ],
        Some(_) | None => vec!["Run it:".to_owned(), by_hand],
    }
}
