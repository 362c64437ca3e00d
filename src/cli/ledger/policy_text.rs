//! `daypass ledger policy`: prints a policy as the ledger holds it.

use std::io::{self, IsTerminal};

use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use crate::{
    cli::{
        Failure, Global,
        output::{clean_lines, write_bytes},
    },
    client::Client,
};

/// A policy's text, with its event.
#[derive(Serialize)]
struct Shown<'a> {
    policy: &'a str,
    index: u64,
    at: String,
    proven_in_size: u64,
    text: &'a str,
}

/// Prints the policy whose hash begins so; the one in force without a hash. The bytes are the
/// file's, unless they would reach a terminal that they could command.
pub(super) async fn run(
    global: &Global,
    client: &Client,
    hash: Option<&str>,
) -> Result<(), Failure> {
    let (found, checkpoint) = client.policy_text(hash.unwrap_or_default()).await?;
    if global.is_json() {
        let shown = Shown {
            policy: &found.policy,
            index: found.index,
            at: found.at.format(&Rfc3339).unwrap_or_default(),
            proven_in_size: checkpoint.size,
            text: &found.text,
        };
        return global.print(&shown, |_| String::new());
    }
    if io::stdout().is_terminal() {
        return write_bytes(clean_lines(&found.text).as_bytes());
    }
    write_bytes(found.text.as_bytes())
}
