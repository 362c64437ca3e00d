//! `daypass ledger`: reads the record and verifies it.

mod decisions;
mod listing;
mod policy_text;
mod reconcile;
mod shown;
mod source;
mod witness;

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
    local::Zone,
    output::{clean, copy_out},
    progress::Progress,
    target::Target,
};
use decisions::{Decided, Decisions};
use listing::Listing;
use shown::{lines, refer_to_text, related};
use source::{now, open, suspicious};

use crate::{
    client::{Client, audit::Entry},
    ledger::{Event, handover::Handover, listed::named, verify::VerifyReport},
    os_error,
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
    /// List events, newest first; with conditions, only those that fit all of them.
    ///
    /// Prints `--format csv` too, for spreadsheets.
    List(#[command(flatten)] Box<Listing>),
    /// Show one event, proven to be in the ledger.
    ///
    /// The serial of a pass is the index of its event.
    Show {
        /// The serial of a pass, or the index of an event.
        serial: u64,
        /// Show times in UTC on a terminal too.
        #[arg(long)]
        utc: bool,
    },
    /// Verify the server's whole ledger, or an export offline.
    Verify {
        /// An export (`-`: stdin). By default the server's ledger is downloaded.
        file: Option<PathBuf>,
        /// The ledger's verifier key (NAME+HASH+KEY). By default the last one that the server
        /// named.
        #[arg(long, requires = "file")]
        key: Option<String>,
        /// Decide every pass again, by the policy that was in force, and name each one that this
        /// policy does not give.
        #[arg(long)]
        decisions: bool,
    },
    /// Print a policy as the ledger holds it, proven to be in it.
    ///
    /// The ledger has the text of each policy from the change on that put it in force.
    Policy {
        /// The policy's hash, or a beginning of it. By default the policy in force.
        #[arg(value_name = "HASH")]
        hash: Option<String>,
    },
    /// Follow a server's ledger as an independent witness, without a sign-in.
    ///
    /// Keeps every signed checkpoint, and demands from the server's tiles that each one continues
    /// the last. Exits with 7 if a server contradicts itself, the record or another server, and
    /// with 6 if no server answers.
    Witness(witness::Args),
    /// Compare the logins in sshd's logs with the passes that were issued.
    ///
    /// Names each login by a certificate that the ledger lacks or has otherwise (a copied CA key),
    /// that was used outside its time or on another host, and passes that were never used. Exits
    /// with 1 if a login is not as the ledger has it (unknown, other_ca, altered, lost or
    /// unreadable), with 0 if the findings are late or elsewhere alone, and with 2 if no line of
    /// the logs is of sshd. On a host:
    /// `journalctl -o json -t sshd -t sshd-session | daypass ledger reconcile`
    Reconcile(reconcile::Args),
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
    /// The handovers of its key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    handovers: Vec<Handover>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decisions: Option<Decided>,
}

impl Args {
    /// Whether the command can print CSV.
    pub(crate) fn prints_csv(&self) -> bool {
        matches!(self.action, Action::List(_))
    }

    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 3 if the policy does not let you read the ledger, and 1 if it does not verify.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = self.target.client()?;
        match self.action {
            Action::List(listing) => listing.run(global, &client.signed_in().await?, now()).await,
            Action::Show { serial, utc } => {
                let zone = if utc {
                    Zone::UTC
                } else {
                    Zone::of(global.format)
                };
                show(global, &client, serial, &zone).await
            }
            Action::Verify {
                file,
                key,
                decisions,
            } => {
                let decided = decisions.then(Decisions::begin).transpose()?;
                match file {
                    None => verify_server(global, &client, decided).await,
                    Some(file) => verify_file(global, client, (file, key), decided).await,
                }
            }
            Action::Reconcile(args) => args.run(global, client).await,
            Action::Witness(args) => args.run(global, &client).await,
            Action::Policy { hash } => policy_text::run(global, &client, hash.as_deref()).await,
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

/// Prints one event, then those that it names and those that name it.
async fn show(global: &Global, client: &Client, serial: u64, zone: &Zone) -> Result<(), Failure> {
    let (entry, checkpoint) = client.entry(serial).await?;
    let mut event = entry.event()?;
    let others = match client.related(serial, &named(&event)).await {
        Ok((others, is_cut)) => {
            if is_cut {
                global.say("note: more events belong to this one than are listed");
            }
            others
        }
        Err(error) => {
            global.say(&format!("note: related events are not listed: {error}"));
            Vec::new()
        }
    };
    let others: Vec<Value> = others.iter().map(Entry::event).collect::<Result<_, _>>()?;
    if let Value::Object(fields) = &mut event {
        // A reported login has the serial of the certificate that was shown.
        let own = fields.entry("serial");
        own.or_insert_with(|| serial.into());
        fields.insert("proven_in_size".to_owned(), checkpoint.size.into());
        if !others.is_empty() {
            fields.insert("related".to_owned(), others.clone().into());
        }
    }
    global.print(&event, |event| {
        let mut event = event.clone();
        refer_to_text(&mut event);
        if let Value::Object(fields) = &mut event {
            fields.remove("related");
        }
        let mut text = format!(
            "{}\nproven: event {serial} is in the ledger of {} entries",
            lines(&event, now(), zone),
            checkpoint.size
        );
        // Below the proof, which is of the event alone.
        if !others.is_empty() {
            let others = others.iter().map(|event| related(event, zone));
            let others: Vec<_> = others.collect();
            text.push_str(&format!(
                "\nrelated, as the server lists them (`daypass ledger show INDEX` proves one):\n{}",
                others.join("\n")
            ));
        }
        text
    })
}

async fn verify_server(
    global: &Global,
    client: &Client,
    mut decided: Option<Decisions>,
) -> Result<(), Failure> {
    let (progress, mut sink) = (Progress::events(), io::sink());
    let report = {
        let mut each = decided.as_mut().map(taken_by);
        let each = each.as_mut().map(|each| each as _);
        let exported = client.verified_export(&mut sink, each, |events| progress.show(events));
        exported.await?
    };
    drop(progress);
    verified(global, &report, decided)
}

/// Verifies on a thread of its own: this one listens for Ctrl-C, also while a pipe is silent.
async fn verify_file(
    global: &Global,
    client: Client,
    (file, key): (PathBuf, Option<String>),
    mut decided: Option<Decisions>,
) -> Result<(), Failure> {
    let (mut export, length) = open(&file)?;
    let progress = Progress::bytes(length);
    let show = progress.shown_by();
    let work = move || {
        let report = {
            let mut each = decided.as_mut().map(taken_by);
            let each = each.as_mut().map(|each| each as _);
            client.verify_offline(&mut export, key.as_deref(), each, show)?
        };
        Ok::<_, Failure>((report, decided))
    };
    let work = tokio::task::spawn_blocking(work).await;
    drop(progress);
    let (report, decided) = work.map_err(|error| Failure::from_error(&error))??;
    verified(global, &report, decided)
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
        .map_err(|error| failed(os_error::plain(error)))?;
    let progress = Progress::events();
    let mut file = io::BufWriter::new(aside.as_file_mut());
    let exported = client.verified_export(&mut file, None, |events| progress.show(events));
    let report = exported.await?;
    drop(progress);
    file.flush().map_err(failed)?;
    drop(file);
    if is_stdout {
        return copy_out(&mut aside.reopen().map_err(failed)?);
    }
    aside.as_file().sync_all().map_err(failed)?;
    aside.persist(out).map_err(|error| failed(error.error))?;
    verified(global, &report, None)
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

/// Hands the events to the decisions.
fn taken_by(decisions: &mut Decisions) -> impl FnMut(Vec<Event>) + Send {
    |events| decisions.take(events)
}

/// A line for each handover of the ledger's key.
fn keys(handovers: &[Handover]) -> String {
    let line = |it: &Handover| format!("\nkey from entry {} on: {}", it.size, it.new);
    handovers.iter().map(line).collect()
}

/// Prints the result.
///
/// # Errors
/// Returns code 1 if a pass was found that its policy does not give.
fn verified(
    global: &Global,
    report: &VerifyReport,
    decisions: Option<Decisions>,
) -> Result<(), Failure> {
    let root = base16ct::lower::encode_string(&report.checkpoint.root);
    let decisions = decisions.map(Decisions::finish);
    let wrong = decisions.as_ref().map_or(0, Decided::wrong);
    let verified = Verified {
        verified: true,
        origin: report.checkpoint.origin.clone(),
        size: report.events,
        passes: report.passes,
        root,
        handovers: report.handovers.clone(),
        decisions,
    };
    global.print(&verified, |it| {
        let decisions = it.decisions.as_ref();
        format!(
            "The ledger {} verifies: {} events, {} of them passes.\nroot {}{}{}",
            clean(&it.origin),
            it.size,
            it.passes,
            it.root,
            keys(&it.handovers),
            decisions.map_or(String::new(), |it| format!("\n{}", it.text()))
        )
    })?;
    match wrong {
        0 => Ok(()),
        1 => Err(suspicious("1 pass is not as the policy in force gave it")),
        wrong => Err(suspicious(&format!(
            "{wrong} passes are not as the policies in force gave them"
        ))),
    }
}
