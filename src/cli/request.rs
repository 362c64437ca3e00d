//! `daypass request`: ask for access that somebody else has to approve.

use std::time::Duration;

use super::{
    Failure, Global,
    failure::Code,
    pass::{self, Details},
    renew::renewing,
    requests::page,
    target::Target,
    waiting::{approved, pending, redeem},
};
use crate::client::{Client, choose::Wish, key::Key, requests::Seen};

/// Ask for a role that somebody else has to approve. Exits with 5 while it waits, unless --wait is said.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// The role.
    role: String,
    /// The host it is for.
    #[arg(long)]
    host: Option<String>,
    #[command(flatten)]
    details: Details,
    /// Do not wait for anybody: a short pass at once, where the role has emergencies; another person reviews it later.
    #[arg(long, conflicts_with_all = ["wait", "request"])]
    emergency: bool,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// 5 where the request waits, 3 where it (or its approval) is denied.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        if self.details.request.is_some() {
            let message = "request opens a new one; redeem one with: daypass pass --request ID";
            return Err(Failure::new(Code::Usage, message));
        }
        let client = self.target.client()?;
        let wish = Wish {
            role: Some(self.role.clone()),
            host: self.host.clone(),
            emergency: self.emergency,
            ..self.details.wish()?
        };
        if self.emergency {
            return urgent(&client, global, wish).await;
        }
        let seen = renewing(&client, global, async || {
            let signed = client.signed_in().await?;
            let key = Key::open(&signed.login.key, &client.state)?;
            signed.open_request(&wish, &key).await
        });
        let seen = seen.await?;
        match self.details.wait {
            Some(limit) => redeemed(&client, global, wish, &seen, limit).await,
            None => {
                page::print(global, &seen)?;
                Err(pending(seen.id, &redeem(&self.role, seen.id)))
            }
        }
    }
}

/// A pass now; its review stays open.
async fn urgent(client: &Client, global: &Global, wish: Wish) -> Result<(), Failure> {
    let passes = renewing(client, global, async || {
        client.fresh(std::slice::from_ref(&wish)).await
    });
    let passes = passes.await?;
    for (_, pass) in &passes {
        let id = pass.certificate.serial();
        global.say(&format!(
            "an emergency: somebody else has to close its review with: daypass requests review {id}"
        ));
    }
    pass::print(
        global,
        passes.iter().map(|(place, pass)| (Some(place), pass)),
    )
}

/// The pass that an opened request becomes.
async fn redeemed(
    client: &Client,
    global: &Global,
    wish: Wish,
    seen: &Seen,
    limit: Duration,
) -> Result<(), Failure> {
    let next = redeem(&seen.page.ask.role, seen.id);
    global.say(&format!("request {} is open", seen.id));
    approved(client, global, seen.id, limit, &next).await?;
    let wish = Wish {
        request: Some(seen.id),
        ..wish
    };
    let passes = renewing(client, global, async || {
        client.fresh(std::slice::from_ref(&wish)).await
    });
    let passes = passes.await?;
    pass::print(
        global,
        passes.iter().map(|(place, pass)| (Some(place), pass)),
    )
}
