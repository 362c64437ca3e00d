//! `daypass admin hosts`: let hosts join, and remove them.

use std::time::Duration;

use serde::Serialize;
use url::Url;

use super::words::Reason;
use crate::{
    cli::{Failure, Global, failure::Code, output::clean, target::moment, values::duration},
    client::{Client, Signed, hosts::new_code, key::Key, now},
    ledger::{event::NewHost, join_code, state::LONGEST_INVITATION},
    unix_seconds::UnixSeconds,
};

/// Let hosts join, and remove them. `daypass hosts` lists them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a join code for a host, and say what to run there.
    ///
    /// The code is shown once, and the server gets its hash only. It opens one join.
    Add {
        /// The host's name, as users type it after `ssh`: exact, in lower case.
        name: String,
        /// Its group in the policy.
        #[arg(long, required_unless_present = "rekey", conflicts_with = "rekey")]
        group: Option<String>,
        /// Another name or address of the host; may be repeated.
        #[arg(long = "alias", value_name = "NAME", conflicts_with = "rekey")]
        aliases: Vec<String>,
        /// How long the code is taken, at most 7d.
        #[arg(
            long,
            value_name = "DURATION",
            default_value = "1h",
            value_parser = invitation
        )]
        expires: Duration,
        /// The host is known, and may join again with other host keys.
        #[arg(long)]
        rekey: bool,
        #[command(flatten)]
        words: Reason,
    },
    /// Forget a host: it gets no new certificate, and its reports are refused.
    Remove {
        /// The host's name.
        name: String,
        #[command(flatten)]
        words: Reason,
    },
}

#[derive(Serialize)]
struct Added {
    index: u64,
    name: String,
    code: String,
    expires_at: u64,
    server: String,
}

#[derive(Serialize)]
struct Removed {
    index: u64,
    name: String,
    certificates: Vec<u64>,
}

impl Args {
    pub(super) async fn run(
        self,
        client: &Client,
        signed: &Signed,
        key: &Key,
        global: &Global,
    ) -> Result<(), Failure> {
        match self.action {
            Action::Add {
                name,
                group,
                aliases,
                expires,
                rekey,
                words,
            } => {
                let code = new_code();
                let host = NewHost {
                    name,
                    group: group.unwrap_or_default(),
                    aliases,
                    code: hash(&code)?,
                    expires_at: UnixSeconds(now()).saturating_add(expires),
                    rekey,
                };
                let index = signed.add_host(&host, &words.reason, key).await?;
                let added = Added {
                    index,
                    name: host.name,
                    code,
                    expires_at: host.expires_at.get(),
                    server: typed(client.address()?.urls()),
                };
                global.print(&added, said)
            }
            Action::Remove { name, words } => {
                let answer = signed.remove_host(&name, &words.reason, key).await?;
                let removed = Removed {
                    index: answer.event,
                    name,
                    certificates: answer.certificates,
                };
                global.print(&removed, forgotten)
            }
        }
    }
}

/// The server's addresses as a person types them: without the `/` that a URL ends in.
fn typed(addresses: &[Url]) -> String {
    let typed = addresses.iter().map(|it| it.as_str().trim_end_matches('/'));
    typed.collect::<Vec<_>>().join(",")
}

/// How long a join code is taken.
fn invitation(word: &str) -> Result<Duration, String> {
    let bounds = Duration::from_secs(1)..=LONGEST_INVITATION;
    let long = duration(word)?;
    match bounds.contains(&long) {
        true => Ok(long),
        false => Err("a join code is taken for at least 1s and at most 7d".to_owned()),
    }
}

fn hash(code: &str) -> Result<String, Failure> {
    let hash = join_code::hash(code).map(|hash| base16ct::lower::encode_string(&hash));
    // Cannot happen: the code was made here.
    hash.ok_or_else(|| Failure::new(Code::Failure, "the join code is malformed"))
}

fn said(added: &Added) -> String {
    format!(
        "{} may join until {}. Run on it, as root:\n  daypass host setup --server {} --join {}",
        added.name,
        moment(added.expires_at),
        clean(&added.server),
        added.code
    )
}

fn forgotten(removed: &Removed) -> String {
    match removed.certificates.len() {
        0 => format!("{} is removed.", removed.name),
        count => format!(
            "{} is removed: it gets no new certificate. {count} of its certificates {} still valid, and {} revoked now: users' \
             ssh refuses {} once they have fetched a pass.",
            removed.name,
            if count == 1 { "was" } else { "were" },
            if count == 1 { "is" } else { "are" },
            if count == 1 { "it" } else { "them" },
        ),
    }
}
