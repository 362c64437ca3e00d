//! `daypass status`: who is signed in and which passes are on disk. If the server answers, also
//! which requests and reviews wait.

use std::time::Duration;

use serde::Serialize;
use ssh_key::Certificate;

use super::{
    Failure, Global,
    failure::Code,
    output::clean,
    requests::page,
    roles::say_removed,
    table::table,
    target::{Target, left, moment},
};
use crate::{
    client::{
        Client, Error,
        cache::{self, PassFiles},
        now,
        requests::RequestView,
        server_info::ServerInfo,
        session::{Login, Session},
    },
    ssh::certificate::role_of,
};

/// Most waiting requests to ask for.
const WAITING: usize = 100;

/// Show your sign-in, your valid passes, and the requests and reviews that wait.
///
/// Exits with 4 if you are not signed in.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Show every server that you have signed in to.
    #[arg(long)]
    all: bool,
}

#[derive(Serialize)]
struct Status {
    signed_in: bool,
    server: Option<String>,
    issuer: Option<String>,
    subject: Option<String>,
    label: Option<String>,
    expires: Option<u64>,
    /// The ledger's verifier key, for `ledger verify --key` and `ledger witness --key` elsewhere.
    ledger_key: Option<String>,
    passes: Vec<PassRow>,
    /// None if the server was not asked, or did not answer.
    requests: Option<Vec<Waiting>>,
    /// Why the user gets no pass; none if no lock covers them, or the server did not answer.
    locked: Option<String>,
}

/// A request or review that waits.
#[derive(Serialize)]
struct Waiting {
    id: u64,
    state: &'static str,
    who: String,
    role: String,
    may_decide: bool,
}

#[derive(Serialize)]
struct PassRow {
    serial: u64,
    role: String,
    key_id: String,
    principals: Vec<String>,
    expires: u64,
    path: String,
    /// The bastion that the pass goes through, and the jump pass for it.
    jump: Option<Jump>,
}

#[derive(Serialize)]
struct Jump {
    bastion: String,
    host: String,
    port: u16,
    login: String,
    serial: u64,
    expires: u64,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 4 if you are not signed in.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = self.target.client()?;
        if self.all {
            return every_server(&client, global).await;
        }
        let status = Status::of(&client, global).await?;
        global.print(&status, text)?;
        if status.signed_in {
            return Ok(());
        }
        Err(sign_in(status.label.is_some()))
    }
}

impl Status {
    /// The status at one server.
    async fn of(client: &Client, global: &Global) -> Result<Self, Failure> {
        if client.login().is_err() {
            return status(client, now());
        }
        let (requests, locked) = asked(client, global).await;
        // After the answer: a revoked pass is gone by then.
        Ok(Self {
            requests,
            locked,
            ..status(client, now())?
        })
    }
}

/// Prints the status at each server, the one for commands that name none with a mark.
async fn every_server(client: &Client, global: &Global) -> Result<(), Failure> {
    let mut servers = Vec::new();
    for client in client.all_servers()? {
        let status = Status::of(&client, global).await?;
        servers.push(OfServer {
            default: client.is_default()?,
            status,
        });
    }
    global.print(&serde_json::json!({ "servers": servers }), |_| {
        let texts = servers.iter().map(OfServer::text);
        texts.collect::<Vec<_>>().join("\n\n")
    })?;
    if servers.iter().any(|server| server.status.signed_in) {
        return Ok(());
    }
    Err(sign_in(
        servers.iter().any(|server| server.status.label.is_some()),
    ))
}

/// The status at one of several servers.
#[derive(Serialize)]
struct OfServer {
    /// Whether commands that name no server are for this one.
    default: bool,
    #[serde(flatten)]
    status: Status,
}

impl OfServer {
    fn text(&self) -> String {
        let mark = if self.default { " (default)" } else { "" };
        let server = self.status.server.as_deref().unwrap_or_default();
        let signed_in = match self.status.label {
            Some(_) => String::new(),
            None => "Not signed in.\n".to_owned(),
        };
        format!(
            "== {}{mark}\n{signed_in}{}",
            clean(server),
            text(&self.status)
        )
    }
}

/// The failure of a user who is not signed in, or whose sign-in has `expired`.
fn sign_in(expired: bool) -> Failure {
    let message = match expired {
        true => "your sign-in has expired; sign in again with: daypass login",
        false => "you are not signed in; sign in with: daypass login",
    };
    Failure::new(Code::SignIn, message)
}

fn status(client: &Client, now: u64) -> Result<Status, Failure> {
    let session = Session::load(&client.state)?;
    let passes = cache::all(&client.state)?;
    let passes = passes
        .iter()
        .filter(|(_, certificate)| certificate.valid_before() > now)
        .map(|(place, certificate)| pass(place, certificate));
    let server_info = match session.address() {
        Some(address) => ServerInfo::cached(&client.state, &address)?,
        None => None,
    };
    let keys = server_info.and_then(|server_info| server_info.ledger_keys().ok());
    let of =
        |field: fn(&Login) -> &String| session.login.as_ref().map(|login| field(login).clone());
    Ok(Status {
        signed_in: client.is_signed_in(),
        passes: passes.collect(),
        issuer: of(|login| &login.issuer),
        subject: of(|login| &login.subject),
        label: of(|login| &login.label),
        expires: session.login.as_ref().map(Login::until),
        ledger_key: keys.map(|keys| keys.newest().to_string()),
        server: session.address().map(|address| address.to_string()),
        requests: None,
        locked: None,
    })
}

/// The requests that wait for this identity, and why it gets no pass. None, with a message, if the
/// server does not answer: the rest of the status is still shown.
async fn asked(client: &Client, global: &Global) -> (Option<Vec<Waiting>>, Option<String>) {
    let asked = async {
        let signed = client.signed_in().await?;
        let access = client.access(&signed, None).await?;
        Ok((access, signed.requests(false, WAITING).await?.0))
    };
    let asked: Result<Result<_, Error>, _> = tokio::time::timeout(PATIENCE, asked).await;
    let why = match asked {
        Ok(Ok((access, views))) => {
            say_removed(global, &access.removed);
            return (Some(views.iter().map(Waiting::of).collect()), access.locked);
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the server does not answer".to_owned(),
    };
    global.say(&format!("daypass: requests are not shown: {why}"));
    (None, None)
}

/// Time limit for asking the server.
const PATIENCE: Duration = Duration::from_secs(5);

impl Waiting {
    fn of(view: &RequestView) -> Self {
        Self {
            id: view.id,
            state: page::word(view.state),
            who: view.page.who.label.clone(),
            role: view.page.ask.role.clone(),
            may_decide: view.may_decide,
        }
    }

    fn text(&self) -> String {
        let next = match (self.state, self.may_decide) {
            ("review-open", true) => format!("; look at it: daypass review {}", self.id),
            ("pending", true) => format!("; look at it: daypass approve {}", self.id),
            _ => String::new(),
        };
        let what = match self.state {
            "review-open" => "emergency, its review is open",
            other => other,
        };
        format!(
            "request {}  {}  {}: {what}{next}",
            self.id,
            clean(&self.who),
            clean(&self.role)
        )
    }
}

/// A pass on disk.
fn pass(place: &PassFiles, certificate: &Certificate) -> PassRow {
    let key_id = certificate.key_id();
    PassRow {
        serial: certificate.serial(),
        role: role_of(key_id).unwrap_or(key_id).to_owned(),
        key_id: key_id.to_owned(),
        principals: certificate.valid_principals().to_vec(),
        expires: certificate.valid_before(),
        path: place.key().display().to_string(),
        jump: place.jump_pass().map(|(via, certificate)| Jump {
            bastion: via.bastion,
            host: via.host,
            port: via.port,
            login: via.login,
            serial: certificate.serial(),
            expires: certificate.valid_before(),
        }),
    }
}

fn text(status: &Status) -> String {
    let mut lines = Vec::new();
    if let (Some(label), Some(server), Some(expires)) =
        (&status.label, &status.server, status.expires)
    {
        lines.push(format!(
            "{} at {}, sign-in: {} ({})",
            clean(label),
            clean(server),
            left(now(), expires),
            moment(expires)
        ));
    }
    lines.extend(
        status
            .locked
            .iter()
            .map(|why| format!("No pass for you: {}", clean(why))),
    );
    lines.push(passes(status));
    lines.extend(status.requests.iter().flatten().map(Waiting::text));
    lines.join("\n")
}

fn passes(status: &Status) -> String {
    if status.passes.is_empty() {
        return "No passes.".to_owned();
    }
    let mut rows = vec![
        ["SERIAL", "ROLE", "LOGINS", "LEFT", "THROUGH", "PATH"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(status.passes.iter().map(|pass| {
        vec![
            pass.serial.to_string(),
            pass.role.clone(),
            pass.principals.join(","),
            left(now(), pass.expires),
            way(pass),
            pass.path.clone(),
        ]
    }));
    table(&rows)
}

/// The bastion, and the serial of the jump pass.
fn way(pass: &PassRow) -> String {
    match &pass.jump {
        None => "-".to_owned(),
        Some(jump) => format!("{} ({})", jump.bastion, jump.serial),
    }
}
