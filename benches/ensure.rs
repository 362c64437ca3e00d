//! The price of plain ssh: `daypass ensure`, which ssh runs before each login.
//!
//! `cargo bench --bench ensure`: in a dev world with a valid pass on disk, `ensure` runs beside
//! `daypass --version`, which does nothing, and beside `true`, in turn. The ratio to `--version` is
//! what the look at the pass costs; the target is less than 10 ms in all. The server is stopped
//! first, so a run that asks it fails.

use std::{
    error::Error,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use daypass::dev::world::{Options, World};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const DAYPASS: &str = env!("CARGO_BIN_EXE_daypass");

/// Rounds; each runs every program once.
const ROUNDS: usize = 200;

const HOST: &str = "web-1";

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = tempfile::tempdir()?;
    let options = Options {
        program: Some(DAYPASS.into()),
        without_sshd: true,
        ..Options::default()
    };
    let dir = folder.path().join("world");
    let mut world = runtime.block_on(World::start_with(&dir, options))?;
    let ensure = ["ensure", "--host", HOST];
    for words in [&["login", "--as", "alice"][..], &ensure] {
        let took = run(command(DAYPASS, words, &world))?;
        println!("{}: {:.1} ms", words.join(" "), milliseconds(took));
    }
    runtime.block_on(world.stop_daemon())?;
    let programs: [(&str, &str, &[&str]); 3] = [
        ("true", "true", &[]),
        ("daypass --version", DAYPASS, &["--version"]),
        ("daypass ensure", DAYPASS, &ensure),
    ];
    let mut times = programs.map(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for ((_, program, words), times) in programs.iter().zip(&mut times) {
            times.push(run(command(program, words, &world))?);
        }
    }
    let [_, start, _] = &mut times;
    let start = quantile(start, 50);
    for ((name, ..), times) in programs.iter().zip(&mut times) {
        let (middle, slow) = (quantile(times, 50), quantile(times, 99));
        println!(
            "{name:<18} p50 {:>6.2} ms  p99 {:>6.2} ms  {:>5.2} x --version",
            milliseconds(middle),
            milliseconds(slow),
            middle.as_secs_f64() / start.as_secs_f64()
        );
    }
    Ok(())
}

fn command(program: impl AsRef<Path>, words: &[&str], world: &World) -> Command {
    let mut command = Command::new(program.as_ref());
    command
        .args(words)
        .envs(world.variables().iter().map(|(name, value)| (name, value)))
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// The time of a command that must succeed.
fn run(mut command: Command) -> Outcome<Duration> {
    let began = Instant::now();
    let status = command.status()?;
    match status.success() {
        true => Ok(began.elapsed()),
        false => Err(format!("{command:?} failed").into()),
    }
}

/// The time that `percent` of them do not exceed.
fn quantile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times
        .get(times.len() * percent / 100)
        .copied()
        .unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
