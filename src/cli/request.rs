//! `daypass request`: asks for access that another person must approve.

use std::time::Duration;

use super::{
    Failure, Global,
    details::Details,
    failure::Code,
    pass::{self, say_review},
    renew::renewing,
    requests::page,
    target::Target,
    waiting::{approved, explained, pending, use_of},
};
use crate::client::{
    Client, choose::PassRequest, emergency::Signer, key::Key, requests::RequestView,
};

/// Ask for a role that another person must approve.
///
/// Exits with 5 while the request waits, unless you use --wait.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The role.
    role: String,
    /// The host it is for.
    #[arg(long)]
    host: Option<String>,
    #[command(flatten)]
    details: Details,
    #[command(flatten)]
    target: Target,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 5 if the request waits, and 3 if the request or its approval is denied.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        if self.details.request.is_some() {
            let message = "--request does not open a request: redeem an approved one with: daypass pass --request ID";
            return Err(Failure::new(Code::Usage, message));
        }
        let client = self.target.client_for(self.host.as_deref())?;
        let pass_request = PassRequest {
            role: Some(self.role.clone()),
            host: self.host.clone(),
            ..self.details.pass_request()?
        };
        if pass_request.emergency {
            return urgent(
                &client,
                global,
                pass_request,
                self.details.signer(global).await?,
            )
            .await;
        }
        if self.details.wait.is_some() {
            client.prepare_place(&pass_request)?;
        }
        let view = renewing(&client, global, async || {
            let signed = client.signed_in().await?;
            let key = Key::open(&signed.login.key, &client.state)?;
            let view = signed.open_request(&pass_request, &key).await?;
            client.remember_request(&view).await?;
            let page = signed.server_info.page_of(view.id);
            Ok((view, page))
        });
        let (view, page) = view.await?;
        let say_page = || {
            if let Some(page) = page.filter(|_| !global.is_json()) {
                global.say(&format!("daypass: approvers can open {page}"));
            }
        };
        match self.details.wait {
            Some(limit) => {
                say_page();
                redeemed(&client, global, pass_request, &view, limit).await
            }
            None => {
                page::print(global, &view)?;
                let next = use_of(&self.role, self.host.as_deref());
                if view.was_open {
                    global.say(&format!("daypass: request {} is open already", view.id));
                }
                if view.is_approved()? {
                    let said = format!("request {} is approved; run: {next}", view.id);
                    global.say(&format!("daypass: {said}"));
                    return Ok(());
                }
                say_page();
                Err(pending(view.id, &next))
            }
        }
    }
}

/// Gets an emergency pass, whose review stays open.
async fn urgent(
    client: &Client,
    global: &Global,
    pass_request: PassRequest,
    signer: Option<Signer>,
) -> Result<(), Failure> {
    let pass_request = explained(global, pass_request).await?;
    let passes = match signer {
        Some(signer) => vec![client.fresh_by_key(&pass_request, &signer, None).await?],
        None => {
            let passes = renewing(client, global, async || {
                client.fresh(std::slice::from_ref(&pass_request)).await
            });
            passes.await?
        }
    };
    for (_, pass) in &passes {
        say_review(global, pass.certificate.serial());
    }
    pass::print(
        global,
        passes.iter().map(|(place, pass)| (Some(place), pass)),
    )
}

/// Opens a request, waits for its approval if asked to, and gets the pass.
async fn redeemed(
    client: &Client,
    global: &Global,
    pass_request: PassRequest,
    view: &RequestView,
    limit: Duration,
) -> Result<(), Failure> {
    let next = use_of(&view.page.ask.role, view.page.ask.host.as_deref());
    let already = if view.was_open { " already" } else { "" };
    global.say(&format!("request {} is open{already}", view.id));
    approved(client, global, view.id, limit, &next).await?;
    let pass_request = PassRequest {
        request: Some(view.id),
        ..pass_request
    };
    let passes = renewing(client, global, async || {
        client.fresh(std::slice::from_ref(&pass_request)).await
    });
    let passes = passes.await?;
    pass::print(
        global,
        passes.iter().map(|(place, pass)| (Some(place), pass)),
    )
}
