//! Waits until a key may take its next step, and says for what.

use std::time::Duration;

use super::listed::{Behind, find, key};
use crate::{
    cli::{
        Failure, Global, failure::Code, interrupt, output::clean, renew::renewing, target::moment,
        waiting::typed,
    },
    client::{Client, now},
    ledger::event::CaKeyStep,
    proto::v1,
    reason,
};

/// How often the server is asked again.
const EVERY: Duration = Duration::from_secs(10);

/// The most hosts that a line names.
const NAMED: usize = 5;

/// What to do while a step is not safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    Never,
    Fail,
    AsLongAsItTakes,
}

/// The step that the user typed.
pub(super) struct Wanted<'a> {
    pub(super) step: CaKeyStep,
    pub(super) fingerprint: &'a str,
    pub(super) how: Wait,
}

/// Why a step is not safe yet.
struct Obstacle {
    code: &'static str,
    text: String,
}

impl Wanted<'_> {
    /// Waits, and says on stderr for what, each time that it changes. Returns the list of keys by
    /// which the step is safe.
    ///
    /// # Errors
    /// Returns [`Code::Pending`] if the user does not wait, [`Code::Interrupted`] after Ctrl-C, and
    /// the server's refusals. Nothing was changed then.
    pub(super) async fn wait(
        &self,
        client: &Client,
        global: &Global,
        mut listed: v1::ListCaKeysResponse,
    ) -> Result<v1::ListCaKeysResponse, Failure> {
        let mut told = String::new();
        loop {
            let key = find(&listed.keys, self.fingerprint)?;
            let Some(obstacle) = self.obstacle(key).filter(|_| self.how != Wait::Never) else {
                return Ok(listed);
            };
            if self.how == Wait::Fail {
                let message = format!("nothing was changed: {}", obstacle.text);
                return Err(Failure::new(Code::Pending, message).because(obstacle.code));
            }
            if told != obstacle.text {
                global.say(&format!("waiting: {}", obstacle.text));
                told = obstacle.text;
            }
            let again = async {
                tokio::time::sleep(EVERY).await;
                let look = async || client.signed_in().await?.ca_keys().await;
                renewing(client, global, look).await
            };
            listed = tokio::select! {
                listed = again => listed?,
                () = interrupt::told() => return Err(self.interrupted()),
            };
        }
    }

    fn interrupted(&self) -> Failure {
        let message = format!(
            "nothing was changed. To go on waiting, run: {}\nTo do it without waiting, add --anyway --reason TEXT",
            typed()
        );
        Failure::new(Code::Interrupted, message)
    }

    fn obstacle(&self, wire: &v1::CaKey) -> Option<Obstacle> {
        let key = key(wire);
        match (self.step, key.state) {
            (CaKeyStep::Activate, "staged" | "retiring") => {
                let behind = behind(key.untrusting, &key.behind)?;
                Some(Obstacle {
                    code: reason::CA_KEY_UNTRUSTED,
                    text: format!("{} {behind}", self.fingerprint),
                })
            }
            (CaKeyStep::Retire, "retiring") => {
                let until = key.last_pass_until.filter(|until| *until > now())?;
                Some(Obstacle {
                    code: reason::CA_KEY_IN_USE,
                    text: format!(
                        "the last pass by {} is valid until {}",
                        self.fingerprint,
                        moment(until)
                    ),
                })
            }
            // The server says why such a step is not the next one.
            _ => None,
        }
    }
}

/// Which hosts do not trust a key, such as `is not trusted by 1 known host:` and a line for each.
/// The server's words are clean. None if there are none.
pub(super) fn behind(count: u32, named: &[Behind]) -> Option<String> {
    if count == 0 {
        return None;
    }
    let hosts = if count == 1 { "host" } else { "hosts" };
    let mut text = format!("is not trusted by {count} known {hosts}:");
    for host in named.iter().take(NAMED) {
        let reported = match host.reported_at {
            Some(at) => format!("reported {}", moment(at)),
            None => "no report counts".to_owned(),
        };
        text.push_str(&format!(
            "\n  {} ({reported}): {}",
            clean(&host.host),
            clean(&host.why)
        ));
    }
    text.push_str(&more(count, named.len()));
    Some(text)
}

/// Which hosts still trust a key that is retired, as [`behind`].
pub(super) fn keeping(count: Option<u32>, named: &[String]) -> Option<String> {
    let count = count.filter(|count| *count > 0)?;
    let hosts = if count == 1 { "host" } else { "hosts" };
    let mut text = format!(
        "is retired, and still trusted by {count} known {hosts}, by the last report: run `daypass host sync` there"
    );
    for host in named.iter().take(NAMED) {
        text.push_str(&format!("\n  {}", clean(host)));
    }
    text.push_str(&more(count, named.len()));
    Some(text)
}

/// The line about the hosts that are not named.
fn more(count: u32, named: usize) -> String {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    match count.saturating_sub(named.min(NAMED)) {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    }
}
