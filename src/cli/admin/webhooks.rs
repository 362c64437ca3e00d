//! `daypass admin webhooks`: the state of deliveries, and another try for those that were given up.

use serde::Serialize;

use crate::{
    cli::{Failure, Global, failure::Code, output::clean, table::table, target::moment},
    client::Signed,
    proto::v1::{self, retry_webhooks_request::Which},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the deliveries that were given up.
    Dead {
        /// Only those of this webhook.
        name: Option<String>,
    },
    /// Send a signed test notification now, and show the receiver's answer.
    Test {
        /// The webhook.
        name: String,
    },
    /// Try deliveries again that were given up.
    Retry {
        /// The webhook.
        name: String,
        #[command(flatten)]
        which: Chosen,
    },
}

/// Exactly one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Chosen {
    /// The event's index.
    index: Option<u64>,
    /// Everything that was given up.
    #[arg(long)]
    all: bool,
}

#[derive(Serialize)]
struct Webhook {
    name: String,
    delivered: u64,
    pending: u64,
    dead: usize,
    last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliverer: Option<String>,
}

#[derive(Serialize)]
struct Test {
    delivered: bool,
    status: Option<u32>,
    milliseconds: u64,
    error: Option<String>,
}

#[derive(Serialize)]
struct Dead {
    webhook: String,
    index: u64,
    #[serde(rename = "type")]
    kind: String,
    attempts: u32,
    error: String,
    at: u64,
}

impl Args {
    pub(super) async fn run(self, signed: &Signed, global: &Global) -> Result<(), Failure> {
        match self.action {
            None => print_all(global, signed.webhooks().await?),
            Some(Action::Dead { name }) => print_dead(global, signed.webhooks().await?, name),
            Some(Action::Test { name }) => {
                let answer = signed.test_webhook(&name).await?;
                print_test(global, &name, answer)
            }
            Some(Action::Retry { name, which }) => {
                let which = which.index.map_or(Which::All(true), Which::Index);
                let count = signed.retry_webhooks(&name, which).await?;
                global.print(&serde_json::json!({ "count": count }), |_| match count {
                    1 => "1 delivery is tried again.".to_owned(),
                    _ => format!("{count} deliveries are tried again."),
                })
            }
        }
    }
}

/// Exits with 1 if the receiver did not take the notification.
fn print_test(global: &Global, name: &str, answer: v1::TestWebhookResponse) -> Result<(), Failure> {
    let test = Test {
        delivered: answer.error.is_empty(),
        status: Some(answer.status).filter(|status| *status != 0),
        milliseconds: answer.milliseconds,
        error: Some(answer.error).filter(|error| !error.is_empty()),
    };
    let took = format!("after {} ms", test.milliseconds);
    if global.is_json() || test.delivered {
        global.print(&test, |test| {
            let status = test.status.unwrap_or_default();
            format!("{name} took the test: it answered {status} {took}.")
        })?;
    }
    match &test.error {
        None => Ok(()),
        Some(error) => Err(Failure::new(
            Code::Failure,
            format!("{name} did not take the test: {} {took}", clean(error)),
        )),
    }
}

fn print_all(global: &Global, webhooks: Vec<v1::Webhook>) -> Result<(), Failure> {
    let webhooks = webhooks.into_iter().map(|it| Webhook {
        name: it.name,
        delivered: it.delivered,
        pending: it.pending,
        dead: it.dead.len(),
        last_error: Some(it.last_error).filter(|error| !error.is_empty()),
        deliverer: Some(it.deliverer).filter(|deliverer| !deliverer.is_empty()),
    });
    let webhooks: Vec<Webhook> = webhooks.collect();
    global.print(&serde_json::json!({ "webhooks": webhooks }), |_| {
        if webhooks.is_empty() {
            return "No webhooks are configured.".to_owned();
        }
        let is_shared = webhooks.iter().any(|it| it.deliverer.is_some());
        let mut head = vec!["NAME", "DELIVERED", "PENDING", "DEAD", "LAST ERROR"];
        head.extend(is_shared.then_some("DELIVERED BY"));
        let head: Vec<_> = head.into_iter().map(str::to_owned).collect();
        let rows = webhooks.iter().map(|it| {
            let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let mut row = vec![
                it.name.clone(),
                it.delivered.to_string(),
                it.pending.to_string(),
                it.dead.to_string(),
                or_none(&it.last_error),
            ];
            row.extend(is_shared.then(|| or_none(&it.deliverer)));
            row
        });
        let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
        table(&rows)
    })
}

fn print_dead(
    global: &Global,
    webhooks: Vec<v1::Webhook>,
    name: Option<String>,
) -> Result<(), Failure> {
    let is_wanted = |it: &v1::Webhook| name.as_ref().is_none_or(|name| *name == it.name);
    let wanted: Vec<_> = webhooks.into_iter().filter(is_wanted).collect();
    if let (Some(name), true) = (&name, wanted.is_empty()) {
        let message =
            format!("there is no webhook {name:?}; list them with: daypass admin webhooks");
        return Err(Failure::new(Code::Failure, message));
    }
    let dead = wanted.into_iter().flat_map(|webhook| {
        let name = webhook.name;
        webhook.dead.into_iter().map(move |dead| Dead {
            webhook: name.clone(),
            index: dead.index,
            kind: dead.r#type,
            attempts: dead.attempts,
            error: dead.error,
            at: dead.at,
        })
    });
    let dead: Vec<Dead> = dead.collect();
    global.print(&serde_json::json!({ "dead": dead }), |_| {
        if dead.is_empty() {
            return "No delivery was given up.".to_owned();
        }
        let head = ["NAME", "INDEX", "TYPE", "GIVEN UP", "ATTEMPTS", "ERROR"].map(str::to_owned);
        let rows = dead.iter().map(|it| {
            vec![
                it.webhook.clone(),
                it.index.to_string(),
                it.kind.clone(),
                moment(it.at),
                it.attempts.to_string(),
                it.error.clone(),
            ]
        });
        let rows: Vec<_> = std::iter::once(head.to_vec()).chain(rows).collect();
        table(&rows)
    })
}
