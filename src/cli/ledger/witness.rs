//! `daypass ledger witness`: follows a server's ledger, and alarms if it contradicts itself.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    cli::{
        Failure, Global,
        failure::Code,
        output::{clean, clean_lines, write_line},
        target::moment,
        values::duration,
    },
    client::{
        Client,
        follow::{Alarm, Following, Seen, Sighting, Trouble, Witness},
        now,
    },
    ledger::handover::Handover,
};

/// Options of `daypass ledger witness`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Addresses of the servers of one ledger, https://HOST:PORT. By default the server of the last
    /// login.
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// The ledger's verifier key (NAME+HASH+KEY). By default the one that the server named at your
    /// login.
    #[arg(long)]
    key: Option<String>,
    /// Look once and exit, for cron and timers.
    #[arg(long)]
    once: bool,
    /// The pause between two looks.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "1m",
        value_parser = duration,
        conflicts_with = "once"
    )]
    interval: Duration,
    /// Exit with 6 if no server has answered for so long.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "1h",
        value_parser = duration,
        conflicts_with = "once"
    )]
    max_silence: Duration,
    /// Go on after the ledger was restored from a backup, by the statement of the administrator
    /// whose key has this fingerprint.
    #[arg(long, value_name = "SHA256:...")]
    accept: Option<String>,
}

/// The shortest pause between two looks: a server limits the rate of one address.
const SHORTEST: Duration = Duration::from_secs(1);

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 7 for a contradiction, 6 if no server answers, and 1 if the record cannot be
    /// written.
    pub(super) async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let mut witness = client.witness(&Following {
            addresses: self.addresses.clone(),
            key: self.key.clone(),
            accept: self.accept.clone(),
        })?;
        let awake = AtomicU64::new(0);
        tokio::select! {
            ended = self.follow(global, &mut witness, &awake) => ended,
            never = count(&awake) => match never {},
        }
    }

    /// Looks again and again. `awake` are the seconds for which this process was awake: its own
    /// sleep is no server's silence.
    async fn follow(
        &self,
        global: &Global,
        witness: &mut Witness,
        awake: &AtomicU64,
    ) -> Result<(), Failure> {
        let mut heard = 0;
        loop {
            let silent = look(global, witness, self.once).await?;
            let now = awake.load(Relaxed);
            match silent {
                None if self.once => return Ok(()),
                None => heard = now,
                Some(why) if self.once || now - heard >= self.max_silence.as_secs() => {
                    return Err(Failure::new(Code::Unreachable, why));
                }
                Some(_) => (),
            }
            sleep(self.interval.max(SHORTEST)).await;
        }
    }
}

/// Counts the seconds for which this process is awake, for ever. A stop of any length is one.
async fn count(awake: &AtomicU64) -> Infallible {
    loop {
        sleep(Duration::from_secs(1)).await;
        awake.fetch_add(1, Relaxed);
    }
}

/// Looks at each server once, and shows what has changed, or everything. Returns the reason if none
/// has answered.
///
/// # Errors
/// Returns code 7 for a contradiction, and 1 if the record cannot be written.
async fn look(
    global: &Global,
    witness: &mut Witness,
    everything: bool,
) -> Result<Option<String>, Failure> {
    let servers: Vec<String> = witness.servers().map(str::to_owned).collect();
    let (mut is_heard, mut silent) = (false, Vec::new());
    for (at, server) in servers.iter().enumerate() {
        match witness.look(at).await {
            Ok(seen) => {
                is_heard = true;
                if everything || seen.sighting != Sighting::Unchanged || !seen.handovers.is_empty()
                {
                    show(global, server, &seen)?;
                }
            }
            Err(Trouble::Silent(why)) => {
                let why = format!("{server}: {why}");
                global.say(&format!("no answer that counts from {why}"));
                silent.push(why);
            }
            Err(Trouble::Alarm(alarm)) => return Err(alarmed(global, witness, &alarm)?),
            Err(Trouble::Failed(error)) => return Err(error.into()),
        }
    }
    Ok((!is_heard).then(|| format!("no server can be witnessed: {}", silent.join("; "))))
}

fn show(global: &Global, server: &str, seen: &Seen) -> Result<(), Failure> {
    for Handover { size, new, .. } in &seen.handovers {
        global.say(&format!(
            "note: the ledger has another key from entry {size} on, {new}; the key before it has signed that, and this \
             witness follows it"
        ));
    }
    if let Some(spoken) = &seen.restored {
        global.say(&format!("note: {spoken}"));
    }
    let (checkpoint, at) = (&seen.checkpoint, now());
    let root = base16ct::lower::encode_string(&checkpoint.root);
    let line = json!({
        "at": at,
        "server": server,
        "sighting": seen.sighting,
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": root,
        "handovers": seen.handovers,
    });
    global.print(&line, |_| {
        let how = match seen.sighting {
            Sighting::First => "the first checkpoint that is kept",
            Sighting::Unchanged => "unchanged",
            Sighting::Continues => "continues the last one",
            Sighting::Behind => "behind another server, and consistent with it",
            Sighting::Restored => "restored, as an administrator stated",
        };
        let size = checkpoint.size;
        format!("{}  {}  {size} entries, {how}", moment(at), clean(server))
    })
}

/// Prints both notes. Returns the failure.
fn alarmed(global: &Global, witness: &Witness, alarm: &Alarm) -> Result<Failure, Failure> {
    let known = alarm.known.as_deref().unwrap_or("none\n");
    let folder = witness.folder();
    let evidence: Value = json!({ "alarm": alarm, "kept_in": folder });
    match global.is_json() {
        true => write_line(&evidence.to_string())?,
        false => write_line(&clean_lines(&format!(
            "the checkpoint that was known:\n\n{known}\nthe checkpoint that {} shows:\n\n{}",
            alarm.server, alarm.shown
        )))?,
    }
    Ok(Failure::new(
        Code::Contradiction,
        format!(
            "LEDGER ALARM: {}: {}. Both notes are kept in {} as evidence: tell your security team",
            alarm.server,
            alarm.why,
            folder.display()
        ),
    ))
}
