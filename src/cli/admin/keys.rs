//! `daypass admin keys`: rotate the CA's keys.

mod listed;
mod waiting;

use serde::Serialize;

use super::words::Reason;
use crate::{
    cli::{Failure, Global, failure::Code, output::clean, table::table, target::moment},
    client::{Client, Signed, key::Key},
    ledger::event::CaKeyStep,
    proto::v1,
};
use listed::{CaKey, find, key};
use waiting::{Wait, Wanted};

/// List the CA's keys, and rotate them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Publish a key of the server's configuration, so that hosts learn it. It does not sign yet.
    Stage {
        /// The key's fingerprint, or its beginning: `daypass admin keys` lists them.
        #[arg(value_name = "SHA256:...")]
        key: String,
        #[command(flatten)]
        words: Reason,
    },
    /// Sign with a staged key from now on. The key that signed before retires.
    ///
    /// Waits until every known host has reported that it trusts the key. Hosts that have not joined
    /// report nothing, and are not waited for.
    Activate {
        /// The key's fingerprint, or its beginning.
        #[arg(value_name = "SHA256:...")]
        key: String,
        #[command(flatten)]
        patience: Patience,
        #[command(flatten)]
        words: Reason,
    },
    /// Publish a key no more, so that hosts forget it.
    ///
    /// Waits until the last pass by this key has expired.
    Retire {
        /// The key's fingerprint, or its beginning.
        #[arg(value_name = "SHA256:...")]
        key: String,
        #[command(flatten)]
        patience: Patience,
        #[command(flatten)]
        words: Reason,
    },
}

/// What to do instead of waiting.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Patience {
    /// Do not wait: users of hosts that are behind, or of passes that are out, cannot log in there.
    /// Needs --reason.
    #[arg(long, requires = "reason", conflicts_with = "no_wait")]
    anyway: bool,
    /// Fail with exit code 5 instead of waiting.
    #[arg(long)]
    no_wait: bool,
}

#[derive(Serialize)]
struct Ordered {
    index: u64,
    key: String,
    step: &'static str,
    anyway: bool,
    untrusting: u32,
}

impl Args {
    pub(super) async fn run(
        self,
        client: &Client,
        signed: &Signed,
        key: &Key,
        global: &Global,
    ) -> Result<(), Failure> {
        let now = Patience {
            anyway: false,
            no_wait: false,
        };
        let (step, wanted, patience, words) = match self.action {
            None => return print(&signed.ca_keys().await?, global),
            Some(Action::Stage { key, words }) => (CaKeyStep::Stage, key, now, words),
            Some(Action::Activate {
                key,
                patience,
                words,
            }) => (CaKeyStep::Activate, key, patience, words),
            Some(Action::Retire {
                key,
                patience,
                words,
            }) => (CaKeyStep::Retire, key, patience, words),
        };
        if patience.anyway && words.reason.trim().is_empty() {
            let message = "--anyway needs a reason: --reason TEXT says why nothing is waited for";
            return Err(Failure::new(Code::Usage, message));
        }
        let listed = signed.ca_keys().await?;
        let fingerprint = find(&listed.keys, &wanted)?.fingerprint.clone();
        let wanted = Wanted {
            step,
            fingerprint: &fingerprint,
            how: match (patience.anyway, patience.no_wait) {
                (true, _) => Wait::Never,
                (false, true) => Wait::Fail,
                (false, false) => Wait::AsLongAsItTakes,
            },
        };
        // A wait may outlive the session, and each answer is about the keys of that moment.
        let listed = wanted.wait(client, global, listed).await?;
        let signed = client.signed_in().await?;
        let order = (step, fingerprint.as_str());
        let words = (patience.anyway, words.reason.as_str());
        let answer = signed.order_ca_key(order, words, listed.after, key).await?;
        let ordered = Ordered {
            index: answer.event,
            key: fingerprint,
            step: step.as_str(),
            anyway: patience.anyway,
            untrusting: answer.untrusting,
        };
        global.print(&ordered, |it| said(it, step, listed.known_hosts))
    }
}

fn said(ordered: &Ordered, step: CaKeyStep, known_hosts: u32) -> String {
    let key = &ordered.key;
    let hosts = match known_hosts {
        0 => "No host is known, so none was waited for: run `daypass host sync` on each host, and look at its \
              TrustedUserCAKeys file, before you activate the key."
            .to_owned(),
        count => format!(
            "{count} known {} it with the next `daypass host sync`; hosts that have not joined report nothing.",
            if count == 1 { "host fetches" } else { "hosts fetch" }
        ),
    };
    match step {
        CaKeyStep::Stage => format!(
            "Staged: {key} is published and does not sign yet. {hosts}\nNext: daypass admin keys activate {key}"
        ),
        CaKeyStep::Activate => {
            let left_out = match ordered.untrusting {
                0 => String::new(),
                count => format!(
                    "\nNot waited for: {count} known {} not trust it. No user can log in there until `daypass host sync` has run. If it \
                     refuses the key, run there: daypass host setup --ca-fingerprint {key}",
                    if count == 1 { "host does" } else { "hosts do" }
                ),
            };
            format!(
                "Activated: {key} signs every new pass, on every server of this ledger that has it. Passes by the key before it go \
                 on; daypass admin keys shows until when.{left_out}\nIn daypass.toml of each server, set its state to \"active\" and that of the key before it to \"retired\"."
            )
        }
        CaKeyStep::Retire => format!(
            "Retired: {key} is no longer published, and hosts forget it with their next `daypass host sync`. In daypass.toml of \
             each server, remove its [[ca.key]]; the key that signs now must have state = \"active\" there."
        ),
    }
}

fn print(listed: &v1::ListCaKeysResponse, global: &Global) -> Result<(), Failure> {
    let keys: Vec<CaKey> = listed.keys.iter().map(key).collect();
    let value = serde_json::json!({
        "keys": keys, "is_ordered": listed.is_ordered, "known_hosts": listed.known_hosts,
    });
    global.print(&value, |_| list(&keys, listed))
}

fn list(keys: &[CaKey], listed: &v1::ListCaKeysResponse) -> String {
    let head = ["KEY", "STATE", "SINCE", "HERE", "LAST PASS UNTIL", "HOSTS"];
    let time = |seconds: Option<u64>| seconds.map_or_else(|| "-".to_owned(), moment);
    let rows = keys.iter().map(|key| {
        let trusting = match key.state {
            "staged" | "active" | "retiring" => {
                Some(listed.known_hosts.saturating_sub(key.untrusting))
            }
            _ => key.still_trusted_by,
        };
        let hosts = trusting.map(|count| format!("{count} of {}", listed.known_hosts));
        vec![
            key.fingerprint.clone(),
            key.state.to_owned(),
            time(key.since),
            if key.is_here { "yes" } else { "no" }.to_owned(),
            time(key.last_pass_until),
            hosts.unwrap_or_else(|| "-".to_owned()),
        ]
    });
    let rows: Vec<Vec<String>> = std::iter::once(head.map(str::to_owned).to_vec())
        .chain(rows)
        .collect();
    let mut text = table(&rows);
    for key in keys {
        if let Some(behind) = waiting::behind(key.untrusting, &key.behind) {
            text.push_str(&format!("\n{} {behind}", clean(&key.fingerprint)));
        }
        if let Some(keeping) = waiting::keeping(key.still_trusted_by, &key.still_trusting) {
            text.push_str(&format!("\n{} {keeping}", clean(&key.fingerprint)));
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// The list had `\\u{a}` between the hosts.
    #[test]
    fn each_host_that_is_behind_has_a_line_of_its_own() {
        let behind = |name: &str, why: &str| v1::UntrustingHost {
            name: name.to_owned(),
            reported_at: 0,
            why: why.to_owned(),
        };
        let listed = v1::ListCaKeysResponse {
            keys: vec![v1::CaKey {
                fingerprint: "SHA256:new".to_owned(),
                state: v1::ca_key::State::Staged.into(),
                untrusting: 2,
                behind: vec![behind("web-1", "it\nlies"), behind("web-2", "late")],
                ..v1::CaKey::default()
            }],
            known_hosts: 3,
            ..v1::ListCaKeysResponse::default()
        };
        let keys: Vec<CaKey> = listed.keys.iter().map(key).collect();
        let text = list(&keys, &listed);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "SHA256:new is not trusted by 2 known hosts:",
                "  web-1 (no report counts): it\\u{a}lies",
                "  web-2 (no report counts): late",
            ]
        );
    }
}
