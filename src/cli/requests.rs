//! `daypass requests`: lists, shows and decides requests.

pub(super) mod page;

use std::path::PathBuf;

use serde_json::json;

use super::{
    Failure, Global, browser, failure::Code, login::is_interactive, output::clean, renew::renewing,
    target::Target, waiting::asked,
};
use crate::{
    client::{
        Client,
        key::Key,
        presence,
        requests::{self, RequestView, State},
    },
    ledger::state::Verb,
};

/// Default of `--limit`.
const LIMIT: u32 = 1000;

/// List the requests that you opened or may decide.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Also list those that ended recently.
    #[arg(long)]
    all: bool,
    /// The most requests to list, the oldest first.
    #[arg(long, default_value_t = LIMIT, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print the requests that wait, then each change as it happens, until Ctrl-C.
    ///
    /// With --format json, each line is one object.
    Watch,
    /// Show one request: who asks for what, and its state.
    Show {
        /// The request's number.
        id: u64,
    },
    /// Open the page of a request in your browser, if the server has one.
    ///
    /// Prints its address without a terminal or a browser, and with --no-input.
    Open {
        /// The request's number.
        id: u64,
        /// The browser's command. By default $BROWSER, else that of the desktop.
        #[arg(
            long,
            value_name = "COMMAND",
            default_value = "",
            hide_default_value = true
        )]
        browser: String,
    },
    /// Approve a request with a signature by your key.
    ///
    /// Shows the request first and, on a terminal, asks whether you mean it.
    Approve(Approval),
    /// Deny a request. It cannot be approved afterwards.
    Deny(Decision),
    /// Withdraw your own request.
    Cancel(Decision),
    /// Close the review of another person's emergency.
    Review(Decision),
}

/// Show one request: who asks for what, and its state.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    target: Target,
    /// The request's number.
    id: u64,
}

impl Show {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 1 if there is no such request, or you may not see it.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        page::print(global, &one(&self.target.client()?, global, self.id).await?)
    }
}

/// Makes a decision a command of its own.
macro_rules! command {
    ($(#[$help:meta])* $name:ident($args:ident)) => {
        $(#[$help])*
        #[derive(Debug, clap::Args)]
        pub(crate) struct $name {
            #[command(flatten)]
            target: Target,
            #[command(flatten)]
            decision: $args,
        }

        impl $name {
            /// Runs the command.
            ///
            /// # Errors
            /// Returns code 3 if the decision does not count, and 4 if you are not signed in.
            pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
                decide(&self.target.client()?, global, self.decision, Verb::$name).await
            }
        }
    };
}

command! {
    /// Approve a request with a signature by your key.
    ///
    /// Shows the request first and, on a terminal, asks whether you mean it.
    Approve(Approval)
}
command! {
    /// Deny a request. It cannot be approved afterwards.
    Deny(Decision)
}
command! {
    /// Withdraw your own request.
    Cancel(Decision)
}
command! {
    /// Close the review of another person's emergency.
    Review(Decision)
}

#[derive(Debug, clap::Args)]
struct Decision {
    /// The request's number.
    id: u64,
    /// A comment for the ledger; it is part of what you sign.
    #[arg(long, default_value = "", hide_default_value = true)]
    comment: String,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    yes: bool,
}

/// A decision that may have to show the user's presence.
#[derive(Debug, clap::Args)]
struct Approval {
    #[command(flatten)]
    decision: Decision,
    /// The file of the security key (or its .pub file) that shows your presence, for roles that
    /// demand it. Default: the first of your registered keys in the ssh-agent.
    #[arg(long, value_name = "PATH")]
    security_key: Option<PathBuf>,
}

impl From<Decision> for Approval {
    fn from(decision: Decision) -> Self {
        Self {
            decision,
            security_key: None,
        }
    }
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 3 if a decision does not count, and 4 if you are not signed in.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        if self.all && self.action.is_some() {
            return Err(Failure::new(
                Code::Usage,
                "--all goes with the list only: daypass requests --all",
            ));
        }
        let client = self.target.client()?;
        match self.action {
            None => list(&client, global, self.all, self.limit).await,
            Some(Action::Watch) => watch(&client, global).await,
            Some(Action::Show { id }) => page::print(global, &one(&client, global, id).await?),
            Some(Action::Open { id, browser }) => open(&client, global, id, &browser).await,
            Some(Action::Approve(it)) => decide(&client, global, it, Verb::Approve).await,
            Some(Action::Deny(it)) => decide(&client, global, it, Verb::Deny).await,
            Some(Action::Cancel(it)) => decide(&client, global, it, Verb::Cancel).await,
            Some(Action::Review(it)) => decide(&client, global, it, Verb::Review).await,
        }
    }
}

async fn list(client: &Client, global: &Global, all: bool, limit: u32) -> Result<(), Failure> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let listed = renewing(client, global, async || {
        client.signed_in().await?.requests(all, most).await
    });
    let (view, is_more) = listed.await?;
    page::print_all(global, &view)?;
    if is_more {
        global.say(&format!(
            "These are the first {limit}. List more with --limit."
        ));
    }
    Ok(())
}

async fn one(client: &Client, global: &Global, id: u64) -> Result<RequestView, Failure> {
    renewing(client, global, async || {
        client.signed_in().await?.request(id).await
    })
    .await
}

/// Opens the page of a request that the user may see.
async fn open(client: &Client, global: &Global, id: u64, command: &str) -> Result<(), Failure> {
    let page = renewing(client, global, async || {
        let signed = client.signed_in().await?;
        let Some(page) = signed.server_info.page_of(id) else {
            return Ok(None);
        };
        signed.request(id).await.map(|_| Some(page))
    });
    let Some(page) = page.await? else {
        let message = format!(
            "this server has no page, for its configuration has no [web]; run: daypass show {id}"
        );
        return Err(Failure::new(Code::Failure, message));
    };
    let is_wanted = !command.is_empty() || is_interactive(global) && browser::is_likely();
    let may_open = !global.no_input && is_wanted;
    let opened = match may_open {
        true => browser::opens(command)(page.clone()).await,
        false => Err("no browser can be opened from here".to_owned()),
    };
    if let Err(why) = &opened {
        global.say(&format!("daypass: {}; open this address:", clean(why)));
    }
    let answer = json!({ "url": page, "opened": opened.is_ok() });
    global.print(&answer, |_| match opened.is_ok() {
        true => format!("Opened {page}"),
        false => page.clone(),
    })
}

async fn watch(client: &Client, global: &Global) -> Result<(), Failure> {
    let mut changes = renewing(client, global, async || client.watch(0).await).await?;
    loop {
        page::print_line(global, &changes.next().await?)?;
    }
}

/// Shows the request, asks for confirmation, and sends the decision. What is shown comes from the
/// bytes whose hash is then signed.
async fn decide(
    client: &Client,
    global: &Global,
    approval: impl Into<Approval>,
    verb: Verb,
) -> Result<(), Failure> {
    let Approval {
        decision,
        security_key,
    } = approval.into();
    let view = one(client, global, decision.id).await?;
    fits(&view, verb)?;
    global.say(&page::text(&view));
    if !decision.yes && is_interactive(global) {
        let question = format!("{} request {}? [y/N] ", verb.as_str(), view.id);
        if !matches!(asked(&question).await?.as_str(), "y" | "Y" | "yes") {
            return Err(Failure::new(Code::Failure, "nothing was decided"));
        }
    }
    let presence = match &view.presence {
        Some(lines) if verb == Verb::Approve => {
            let may_ask = is_interactive(global);
            let signer = presence::signer(lines, security_key.as_deref(), may_ask).await?;
            global.say("Touch your security key when it blinks.");
            Some(signer)
        }
        Some(_) | None => None,
    };
    let signed_decision = requests::Decision {
        verb,
        comment: &decision.comment,
        presence: presence.as_ref(),
    };
    let decided = renewing(client, global, async || {
        let signed = client.signed_in().await?;
        let key = Key::open(&signed.login.key, &client.state)?;
        signed.decide(&view, signed_decision, &key).await
    });
    page::print_outcome(global, &decided.await?)
}

/// Refuses to review a request, and to decide an emergency.
fn fits(view: &RequestView, verb: Verb) -> Result<(), Failure> {
    let is_review = verb == Verb::Review;
    if view.page.is_review == is_review {
        return Ok(());
    }
    let what = match view.state {
        State::ReviewOpen | State::Reviewed => "is an emergency: use review",
        State::Pending
        | State::Approved
        | State::Denied
        | State::Cancelled
        | State::Redeemed
        | State::Expired
        | State::Unspecified => "is not an emergency: use approve, deny or cancel",
    };
    Err(Failure::new(Code::Usage, format!("{} {what}", view.id)))
}
