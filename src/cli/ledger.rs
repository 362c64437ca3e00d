//! `daypass ledger`: reads the record and verifies it.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::Value;

use super::{
    Failure, Global,
    failure::Code,
    output::{clean, copy_out, table},
    progress::Progress,
    target::Target,
};
use crate::{
    client::{Client, Error, audit::Entry},
    ledger::verify::VerifyReport,
};

/// Read the record of every decision, and verify it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List events, newest first.
    List {
        /// List from this index on, oldest first.
        #[arg(long)]
        from: Option<u64>,
        /// The most events to list.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Show one event, proven to be in the ledger.
    ///
    /// The serial of a pass is the index of its event.
    Show {
        /// The serial of a pass, or the index of an event.
        serial: u64,
    },
    /// Verify the server's whole ledger, or an export offline.
    Verify {
        /// An export (`-`: stdin). By default the server's ledger is downloaded.
        file: Option<PathBuf>,
        /// The ledger's verifier key (NAME+HASH+KEY). By default the last one that the server
        /// named.
        #[arg(long, requires = "file")]
        key: Option<String>,
    },
    /// Go on after the server's ledger was restored from a backup, by the statement of an
    /// administrator whose key this client did not know before.
    ///
    /// Ask the administrator for the key's fingerprint, not by way of the server.
    Accept {
        /// The fingerprint of the administrator's key, as the refusal and `ssh-keygen -l` print it.
        #[arg(value_name = "SHA256:...")]
        key: String,
    },
    /// Download and verify the whole ledger, for `daypass ledger verify FILE`.
    Export {
        /// The file to write (`-`: stdout).
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Serialize)]
struct Verified {
    verified: bool,
    origin: String,
    size: u64,
    passes: u64,
    root: String,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 3 if the policy does not let you read the ledger, and 1 if it does not verify.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = self.target.client()?;
        match self.action {
            Action::List { from, limit } => {
                let signed = client.signed_in().await?;
                list(global, &signed.entries(from, limit).await?)
            }
            Action::Show { serial } => {
                let (entry, checkpoint) = client.entry(serial).await?;
                let mut event = entry.event()?;
                if let Value::Object(fields) = &mut event {
                    fields.insert("serial".to_owned(), serial.into());
                    fields.insert("proven_in_size".to_owned(), checkpoint.size.into());
                }
                global.print(&event, |event| {
                    format!(
                        "{}\nproven: in the ledger of {} entries",
                        lines(event),
                        checkpoint.size
                    )
                })
            }
            Action::Verify { file: None, .. } => {
                let progress = Progress::events();
                let show = |events| progress.show(events);
                let report = client.verified_export(&mut io::sink(), show).await?;
                drop(progress);
                verified(global, &report)
            }
            Action::Verify {
                file: Some(file),
                key,
            } => {
                let (mut export, length) = open(&file)?;
                let progress = Progress::bytes(length);
                let report = client.verify_offline(&mut export, key.as_deref(), |bytes| {
                    progress.show(bytes);
                })?;
                drop(progress);
                verified(global, &report)
            }
            Action::Accept { key } => {
                client.signed_in_accepting(Some(&key)).await?;
                global.print(&serde_json::json!({ "in_step": true }), |_| {
                    "This client is in step with the server's ledger.".to_owned()
                })
            }
            Action::Export { out } => export(global, &client, &out).await,
        }
    }
}

/// Downloads into a file beside `out`, or without a name for stdout, and shows it only if it
/// verifies.
async fn export(global: &Global, client: &Client, out: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::new(
            Code::Failure,
            format!("failed to write {}: {error}", out.display()),
        )
    };
    let is_stdout = out.as_os_str() == "-";
    let folder = match out.parent() {
        Some(folder) if !is_stdout && folder != Path::new("") => folder.to_owned(),
        Some(_) | None if !is_stdout => PathBuf::from("."),
        Some(_) | None => std::env::temp_dir(),
    };
    if !is_stdout {
        check_place(out)?;
    }
    let mut aside = tempfile::Builder::new()
        .prefix(".daypass-")
        .tempfile_in(folder)
        .map_err(failed)?;
    let progress = Progress::events();
    let mut file = io::BufWriter::new(aside.as_file_mut());
    let exported = client.verified_export(&mut file, |events| progress.show(events));
    let report = exported.await?;
    drop(progress);
    file.flush().map_err(failed)?;
    drop(file);
    if is_stdout {
        return copy_out(&mut aside.reopen().map_err(failed)?);
    }
    aside.as_file().sync_all().map_err(failed)?;
    aside.persist(out).map_err(|error| failed(error.error))?;
    verified(global, &report)
}

/// Checks that only an older export or an empty file is replaced.
///
/// # Errors
/// Returns code 2 if another file is there.
fn check_place(out: &Path) -> Result<(), Failure> {
    let mut start = [0; EXPORT.len()];
    let is_free = match std::fs::symlink_metadata(out) {
        Err(_) => true,
        Ok(metadata) if !metadata.is_file() => false,
        Ok(metadata) if metadata.len() == 0 => true,
        Ok(_) => File::open(out)
            .and_then(|mut file| file.read_exact(&mut start))
            .is_ok_and(|()| start == EXPORT),
    };
    if is_free {
        return Ok(());
    }
    let message = format!(
        "{} exists and is not an export of a ledger: choose another file with --out",
        out.display()
    );
    Err(Failure::new(Code::Usage, message))
}

/// The first bytes of each export.
const EXPORT: [u8; 11] = *b"{\"index\":0,";

fn list(global: &Global, entries: &[Entry]) -> Result<(), Failure> {
    let events: Vec<Value> = entries
        .iter()
        .map(Entry::event)
        .collect::<Result<_, Error>>()?;
    global.print(&serde_json::json!({ "events": events }), |_| {
        let mut rows = vec![
            ["INDEX", "AT", "EVENT", "WHO", "ROLE", "WHAT"]
                .map(str::to_owned)
                .to_vec(),
        ];
        rows.extend(events.iter().map(row));
        table(&rows)
    })
}

fn row(event: &Value) -> Vec<String> {
    let text = |pointer: &str| {
        let value = event.pointer(pointer);
        value.map(plain).unwrap_or_default()
    };
    let first = |pointers: &[&str]| {
        let texts = pointers.iter().map(|pointer| text(pointer));
        texts
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    };
    let mut about = what(event).unwrap_or_else(|| {
        first(&[
            "/command",
            "/target/identity",
            "/target/key",
            "/target/role",
            "/target/serial",
            "/target/before",
            "/reason",
            "/principals",
            "/cause",
            "/policy",
            "/version",
            "/key",
        ])
    });
    if event.get("cut") == Some(&Value::Bool(true)) {
        about.push_str(" (ask cut)");
    }
    vec![
        text("/index"),
        text("/at").chars().take(19).collect(),
        text("/type"),
        text("/who/label"),
        first(&["/ask/role", "/role"]),
        about,
    ]
}

/// The subject of an event, if it is not one field of it.
fn what(event: &Value) -> Option<String> {
    let text = |pointer: &str| event.pointer(pointer).map(plain);
    if let Some(request) = text("/request") {
        let words = text("/comment").map(|words| format!(": {words}"));
        return Some(format!("request {request}{}", words.unwrap_or_default()));
    }
    if text("/type").as_deref() == Some("denials") {
        return Some(more_denials(event));
    }
    if let Some(bastion) = text("/jump/bastion") {
        return Some(format!("jump through {bastion}"));
    }
    let is_emergency = event.pointer("/ask/emergency") == Some(&Value::Bool(true));
    let is_pass = text("/type").as_deref() == Some("issued");
    let redeemed = text("/ask/request").map(|id| format!("request {id}"));
    let why = is_emergency.then(|| "emergency".to_owned()).or(redeemed);
    let gives = text("/command").or_else(|| text("/principals"))?;
    Some(format!("{} ({})", gives, why.filter(|_| is_pass)?))
}

/// `36 more denials: NOT_ALLOWED 30, HOST 6`, with the number of identities if there are several.
fn more_denials(event: &Value) -> String {
    let number = |name: &str| event.get(name).and_then(Value::as_u64).unwrap_or_default();
    let of = match number("identities") {
        0 | 1 => String::new(),
        many => format!(" of {many} identities"),
    };
    let reasons = event.get("reasons").and_then(Value::as_object);
    let reasons = reasons.into_iter().flatten();
    let reasons: Vec<_> = reasons.map(|(code, n)| format!("{code} {n}")).collect();
    format!(
        "{} more denials{of}: {}",
        number("count"),
        reasons.join(", ")
    )
}

/// A value on one line. Strings have no quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// `name: value` for every field. Inner objects are indented.
fn lines(event: &Value) -> String {
    let mut out = Vec::new();
    write_lines(event, 0, &mut out);
    out.join("\n")
}

/// Levels of an event that are indented. Deeper ones, of a hostile event, are printed flat.
const DEEPEST: usize = 4;

fn write_lines(value: &Value, depth: usize, out: &mut Vec<String>) {
    let Value::Object(fields) = value else { return };
    let indent = "  ".repeat(depth);
    for (name, value) in fields {
        match value {
            Value::Object(_) if depth < DEEPEST => {
                out.push(format!("{indent}{}:", clean(name)));
                write_lines(value, depth + 1, out);
            }
            _ => out.push(format!("{indent}{}: {}", clean(name), clean(&plain(value)))),
        }
    }
}

fn verified(global: &Global, report: &VerifyReport) -> Result<(), Failure> {
    let root = base16ct::lower::encode_string(&report.checkpoint.root);
    let verified = Verified {
        verified: true,
        origin: report.checkpoint.origin.clone(),
        size: report.events,
        passes: report.passes,
        root,
    };
    global.print(&verified, |it| {
        format!(
            "The ledger {} verifies: {} events, {} of them passes.\nroot {}",
            clean(&it.origin),
            it.size,
            it.passes,
            it.root
        )
    })
}

/// The export and its length, if that is known.
fn open(file: &Path) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    if file.as_os_str() == "-" {
        return Ok((Box::new(io::stdin()), None));
    }
    let opened = File::open(file).map_err(|error| {
        Failure::new(
            Code::Usage,
            format!("failed to read {}: {error}", file.display()),
        )
    })?;
    let length = opened.metadata().ok().map(|metadata| metadata.len());
    Ok((Box::new(opened), length))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn counts_of_denials_read_as_a_sentence() {
        let golden = include_str!("../../tests/golden/denials.jsonl").lines();
        let rows: Vec<_> = golden
            .map(|line| row(&serde_json::from_str(line).unwrap()))
            .collect();
        let count = "36 more denials: HOST 6, NOT_ALLOWED 30";
        assert_eq!(rows[1][2..], ["denials", "alice@example.com", "", count]);
        let count = "36 more denials of 20 identities: HOST 6, NOT_ALLOWED 30";
        assert_eq!(rows[2][2..], ["denials", "", "", count]);
    }
}
