//! The `daypass` binary: one TLS provider, a runtime whose threads have the stack that CEL needs,
//! and exit codes.

use std::{
    ffi::OsString,
    fs,
    future::{Future as _, pending, poll_fn},
    pin::pin,
    process::ExitCode,
    task::Poll,
    thread,
    time::Duration,
};

use daypass::cli::{Cli, Failure, Format, failure::Code, interrupt, output};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

/// Stack of every thread that may evaluate a policy. CEL's evaluator recurses, and a stack overflow
/// aborts the process.
const STACK: usize = 32 * 1024 * 1024;

pub(crate) fn main() -> ExitCode {
    // Fails only if a provider is installed already, and this is the first line of the process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match Cli::of_process() {
        Ok(cli) => report(on_big_stack(cli)),
        Err(error) => usage(&error),
    }
}

/// Runs the command on a thread of its own: the system chooses the size of the main thread's stack.
fn on_big_stack(cli: Cli) -> (Format, Result<(), Failure>) {
    let format = cli.format();
    let thread = thread::Builder::new()
        .name("daypass".into())
        .stack_size(STACK)
        .spawn(move || in_runtime(cli));
    let outcome = match thread.map(thread::JoinHandle::join) {
        Ok(Ok(outcome)) => outcome,
        // The panic's own message is on stderr.
        Ok(Err(_)) => Err(Failure::new(Code::Failure, "")),
        Err(error) => Err(Failure::new(
            Code::Failure,
            format!("failed to start a thread: {error}"),
        )),
    };
    (format, outcome)
}

fn in_runtime(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .build()
        .map_err(|error| {
            Failure::new(
                Code::Failure,
                format!("failed to start the runtime: {error}"),
            )
        })?;
    let outcome = runtime.block_on(interruptible(cli));
    // A thread that still blocks, for example on the terminal, must not keep the process alive.
    runtime.shutdown_background();
    outcome
}

/// Runs the command until Ctrl-C, SIGTERM or SIGHUP. Each drops the command, which removes its
/// files and ends its children, and exits with 128 and the signal's number. A command that waits
/// for [`interrupt::told`] says its own last words. One that blocks, for example because the reader
/// of its output has stopped, is left after [`GRACE`]; a second signal does not wait.
async fn interruptible(cli: Cli) -> Result<(), Failure> {
    if cli.ends_on_its_own_signals() {
        return cli.run().await;
    }
    // Listens from here on, not only from the first `recv`.
    let mut signals = Signals::listen()?;
    tokio::spawn(leave(Signals::listen()?));
    let mut command = pin!(cli.run());
    tokio::select! {
        outcome = &mut command => outcome,
        code = signals.next() => {
            interrupt::tell();
            poll_fn(|context| Poll::Ready(last_words(command.as_mut().poll(context), code))).await
        }
    }
}

/// The signals that end a command.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None if it is ignored, as by `nohup`.
    hang_up: Option<Signal>,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let hang_up = (!is_ignored(SignalKind::hangup())).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: hang_up.transpose()?,
        })
    }

    /// Waits for one of them. Returns the exit code.
    async fn next(&mut self) -> Code {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Code::Interrupted,
            _ = self.terminate.recv() => Code::Terminated,
            _ = hang_up => Code::HungUp,
        }
    }
}

/// Whether this process was started with that signal ignored. Known on Linux alone.
fn is_ignored(kind: SignalKind) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = kind.as_raw_value() - 1;
    mask.is_some_and(|mask| mask >> bit & 1 == 1)
}

/// The time in which an interrupted command removes its files.
const GRACE: Duration = Duration::from_secs(2);

/// Ends the process when the command does not do so after a signal.
async fn leave(mut signals: Signals) {
    let code = signals.next().await;
    let _ = timeout(GRACE, signals.next()).await;
    std::process::exit(code as i32);
}

/// The outcome of an interrupted command: its own, if it was told and has ended. It knows Ctrl-C
/// alone, so the code of another signal is set here.
fn last_words(polled: Poll<Result<(), Failure>>, code: Code) -> Result<(), Failure> {
    let outcome = match polled {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(Failure::new(code, "")),
    };
    outcome.map_err(|failure| match failure.code == Code::Interrupted as u8 {
        true => Failure {
            code: code as u8,
            ..failure
        },
        false => failure,
    })
}

fn report((format, outcome): (Format, Result<(), Failure>)) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::print_failure(format, &failure);
            ExitCode::from(failure.code)
        }
    }
}

/// Prints help and version on stdout with code 0, and wrong usage on stderr with code 2. Wrong
/// usage is a JSON object if JSON was asked for.
fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && asks_for_json(std::env::args_os()) {
        let failure = Failure::new(Code::Usage, error.render().to_string().trim_end());
        return report((Format::Json, Err(failure)));
    }
    let _ = error.print();
    ExitCode::from(if error.use_stderr() {
        Code::Usage as u8
    } else {
        0
    })
}

/// Whether JSON was asked for, in arguments that did not parse.
fn asks_for_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let arguments: Vec<_> = arguments.collect();
    let by_flag = arguments.iter().any(|word| word == "--format=json")
        || arguments
            .windows(2)
            .any(|pair| matches!(pair, [flag, value] if flag == "--format" && value == "json"));
    by_flag || std::env::var_os("DAYPASS_FORMAT").is_some_and(|value| value == "json")
}
