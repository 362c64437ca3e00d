//! `daypass pass`, and the options of every command that asks for a pass.

use std::path::PathBuf;

use serde::Serialize;

use super::{
    Failure, Global,
    details::Details,
    failure::Code,
    jumped::Jumped,
    login_name::login_of,
    outage,
    output::clean,
    target::{Target, left, moment},
    waiting::{explained, typed, waiting},
};
use crate::{
    client::{
        Client, Error, cache::PassFiles, choose::PassRequest, emergency::Signer, now, pass::Pass,
    },
    ssh::options::CriticalOption,
};

/// Get a pass for scripts, without running ssh.
///
/// Every call asks the server. Passes that are on disk are not reused.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The role; repeat it for several passes. By default the role that demands nothing.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// The host it is for.
    #[arg(long)]
    host: Option<String>,
    #[command(flatten)]
    details: Details,
    #[command(flatten)]
    target: Target,
    /// Make the pass work from this network only; it must be within the role's. May be repeated.
    #[arg(long = "source-address", value_name = "CIDR")]
    source_addresses: Vec<String>,
    /// Write PATH, PATH.pub and PATH-cert.pub, instead of files in the state folder.
    #[arg(long, value_name = "PATH", conflicts_with = "agent")]
    out: Option<PathBuf>,
    /// Put the pass into the ssh-agent until it expires, and not on disk.
    #[arg(long)]
    agent: bool,
}

/// Tells the user that another person reviews the emergency.
pub(super) fn say_review(global: &Global, serial: u64) {
    global.say(&format!(
        "this was an emergency: another person must close its review with: daypass review {serial}"
    ));
}

#[derive(Serialize)]
struct Printed {
    serial: u64,
    role: String,
    key_id: String,
    principals: Vec<String>,
    /// The login name to use: your local name if the pass has it, else the first in alphabetical
    /// order.
    login: Option<String>,
    command: Option<String>,
    source_addresses: Vec<String>,
    extensions: Vec<String>,
    valid_after: u64,
    valid_before: u64,
    certificate: String,
    /// The key file. None if the key is in the agent alone.
    path: Option<String>,
    /// The jump pass, if the pass goes through a bastion.
    jump: Option<Jumped>,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 3 if the server denies it, and 4 if a sign-in is needed and there is no
    /// terminal.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = self.target.client_for(self.host.as_deref())?;
        let wishes = self.wishes(explained(global, self.details.pass_request()?).await?);
        let target = match (&self.out, wishes.as_slice()) {
            (Some(_), [_, _, ..]) => {
                return Err(Failure::new(
                    Code::Usage,
                    "--out writes one pass: name one --role",
                ));
            }
            (Some(path), _) => Some(PassFiles::named(path)?),
            (None, _) => None,
        };
        if self.details.request.is_some() && wishes.len() > 1 {
            let message = "--request redeems one request: name one --role";
            return Err(Failure::new(Code::Usage, message));
        }
        if let Some(signer) = self.details.signer(global).await? {
            return self
                .by_key(global, &client, &wishes, &signer, target.as_ref())
                .await;
        }
        let mut passes = Vec::new();
        for pass_request in &wishes {
            let next = |_| typed();
            let wait = self.details.wait;
            let pass = waiting(
                &client,
                global,
                pass_request,
                wait,
                next,
                async |pass_request: &PassRequest| {
                    self.get(&client, pass_request, target.as_ref()).await
                },
            );
            let advised = |failure| outage::advised_for(failure, "pass", pass_request);
            let (place, pass) = pass.await.map_err(advised)?;
            if pass_request.emergency {
                say_review(global, pass.certificate.serial());
            }
            passes.push((place, pass));
        }
        print(
            global,
            passes.iter().map(|(place, pass)| (place.as_ref(), pass)),
        )
    }

    /// Gets emergency passes by a registered key.
    async fn by_key(
        &self,
        global: &Global,
        client: &Client,
        wishes: &[PassRequest],
        signer: &Signer,
        target: Option<&PassFiles>,
    ) -> Result<(), Failure> {
        if self.agent {
            let message = "--agent and --emergency-key do not go together: use --out";
            return Err(Failure::new(Code::Usage, message));
        }
        let mut passes = Vec::new();
        for pass_request in wishes {
            let (place, pass) = client.fresh_by_key(pass_request, signer, target).await?;
            say_review(global, pass.certificate.serial());
            passes.push((place, pass));
        }
        let passes = passes.iter().map(|(place, pass)| (Some(place), pass));
        print(global, passes)
    }

    /// Gets the pass for a wish and puts it at `target`, into the agent or into the state folder.
    async fn get(
        &self,
        client: &Client,
        pass_request: &PassRequest,
        target: Option<&PassFiles>,
    ) -> Result<(Option<PassFiles>, Pass), Error> {
        match target {
            Some(place) => Ok((
                Some(place.clone()),
                client.fresh_at(pass_request, place).await?,
            )),
            None if self.agent => Ok((None, client.fresh_in_agent(pass_request).await?)),
            None => {
                let passes = client.fresh(std::slice::from_ref(pass_request)).await?;
                let pass = passes.into_iter().next();
                let (place, pass) = pass
                    .ok_or_else(|| Error::other("the server answered without a pass: try again"))?;
                Ok((Some(place), pass))
            }
        }
    }

    /// One wish for each role, with the options of `details`.
    fn wishes(&self, details: PassRequest) -> Vec<PassRequest> {
        let pass_request = PassRequest {
            host: self.host.clone(),
            source_addresses: self.source_addresses.clone(),
            ..details
        };
        if self.roles.is_empty() {
            return vec![pass_request];
        }
        let named = self.roles.iter().map(|role| PassRequest {
            role: Some(role.clone()),
            ..pass_request.clone()
        });
        named.collect()
    }
}

/// Prints passes and their files. In JSON, one pass is one object, and several are a list.
pub(super) fn print<'a>(
    global: &Global,
    passes: impl Iterator<Item = (Option<&'a PassFiles>, &'a Pass)>,
) -> Result<(), Failure> {
    let printed = passes.map(|(place, pass)| Printed::of(pass, place));
    let printed = printed.collect::<Result<Vec<_>, _>>()?;
    match printed.as_slice() {
        [one] => global.print(one, text),
        many => global.print(&many, |many| {
            many.iter().map(text).collect::<Vec<_>>().join("\n\n")
        }),
    }
}

impl Printed {
    fn of(pass: &Pass, place: Option<&PassFiles>) -> Result<Self, Failure> {
        let certificate = &pass.certificate;
        let options = certificate.critical_options();
        let source = options.get(CriticalOption::SourceAddress.name());
        Ok(Self {
            serial: certificate.serial(),
            role: pass.role.clone(),
            key_id: certificate.key_id().to_owned(),
            principals: certificate.valid_principals().to_vec(),
            login: login_of(certificate)?,
            command: pass.command.clone(),
            source_addresses: source
                .map(|list| list.split(',').map(str::to_owned).collect())
                .unwrap_or_default(),
            extensions: certificate.extensions().keys().cloned().collect(),
            valid_after: certificate.valid_after(),
            valid_before: certificate.valid_before(),
            certificate: certificate
                .to_openssh()
                .map_err(|error| Failure::from_error(&error))?,
            path: place.map(|place| place.key().display().to_string()),
            jump: Jumped::of(pass, place)?,
        })
    }
}

fn text(pass: &Printed) -> String {
    let mut lines = vec![
        format!("pass {}  {}", pass.serial, clean(&pass.key_id)),
        format!("  logs in as  {}", clean(&pass.principals.join(", "))),
        format!(
            "  valid       {} (until {})",
            left(now(), pass.valid_before),
            moment(pass.valid_before)
        ),
    ];
    if let Some(command) = &pass.command {
        lines.push(format!("  runs        {}", clean(command)));
    }
    if !pass.source_addresses.is_empty() {
        lines.push(format!(
            "  only from   {}",
            clean(&pass.source_addresses.join(", "))
        ));
    }
    match &pass.path {
        Some(path) => lines.push(format!("  files       {path}, .pub, -cert.pub")),
        None => lines.push("  in the ssh-agent until it expires".to_owned()),
    }
    lines.extend(pass.jump.iter().flat_map(Jumped::lines));
    lines.join("\n")
}
