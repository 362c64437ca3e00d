//! `daypass request`: ask for access that somebody else has to approve.

use std::time::Duration;

use super::{
    Failure, Global,
    failure::Code,
    pass::{self, Details, say_review},
    renew::renewing,
    requests::page,
    target::Target,
    waiting::{approved, pending, redeem},
};
use crate::client::{Client, choose::Wish, emergency::Signer, key::Key, requests::Seen};

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
            ..self.details.wish()?
        };
        if wish.emergency {
            return urgent(&client, global, wish, self.details.signer(global).await?).await;
        }
        if self.details.wait.is_some() {
            client.prepare_place(&wish)?;
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
async fn urgent(
    client: &Client,
    global: &Global,
    wish: Wish,
    signer: Option<Signer>,
) -> Result<(), Failure> {
    let passes = match signer {
        Some(signer) => vec![client.fresh_by_key(&wish, &signer, None).await?],
        None => {
            let passes = renewing(client, global, async || {
                client.fresh(std::slice::from_ref(&wish)).await
            });
            passes.await?
        }
    };
    for (_, pass) in &passes {
        say_review(global, pass);
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
