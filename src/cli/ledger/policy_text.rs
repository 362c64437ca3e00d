//! `daypass ledger policy`: prints a policy as the ledger holds it.

use std::io::{self, IsTerminal};

use serde::Serialize;
use time::format_description::well_known::Rfc3339;

use crate::{
    cli::{
        Failure, Global,
        failure::Code,
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

/// Bytes of a hash in hex.
const HASH: usize = 64;

/// The beginning of a hash as the ledger has it.
///
/// # Errors
/// Returns code 2 for what begins no hash: an empty one would mean the policy in force.
fn beginning(word: &str) -> Result<String, Failure> {
    let is_beginning = !word.is_empty() && word.len() <= HASH;
    if is_beginning && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(word.to_ascii_lowercase());
    }
    Err(Failure::new(
        Code::Usage,
        format!(
            "invalid HASH {word:?}: use the 64 hex digits of a policy's hash, or the first ones of them"
        ),
    ))
}

/// Prints the policy whose hash begins so; the one in force without a hash. The bytes are the
/// file's, unless they would reach a terminal that they could command.
pub(super) async fn run(
    global: &Global,
    client: &Client,
    hash: Option<&str>,
) -> Result<(), Failure> {
    let hash = hash.map(beginning).transpose()?.unwrap_or_default();
    let (found, checkpoint) = client.policy_text(&hash).await?;
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
