//! `daypass policy`: checks, tests and explains a policy file, offline. Replays past decisions
//! against it.

mod explain;
mod file;
pub(super) mod history;
mod replay;

use std::path::{Path, PathBuf};

use serde::Serialize;
use time::OffsetDateTime;

use self::file::{count, load};
use super::{Failure, Global, failure::Code, output::clean};
use crate::{
    config::{Config, SERVER_FILE},
    policy::{Policy, testing::TestOutcome},
};

/// Check, test and explain a policy file, and replay past decisions against it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Load a policy, and warn of roles that are too broad or out of reach.
    Check(Check),
    /// Run the policy's `[[test]]` blocks.
    Test(Source),
    /// Say why a person does or does not get a role, and what would be needed.
    Explain(explain::Args),
    /// Show which past decisions of the ledger a new policy would change.
    Replay(replay::Args),
}

/// The path of the policy.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The policy file.
    file: Option<PathBuf>,
    /// The policy file.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Check {
    #[command(flatten)]
    source: Source,
    /// The server's configuration, whose issuers and webhooks the policy must fit. By default the
    /// `daypass.toml` beside the policy, if there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 1 if the policy does not load, a test fails, or a past decision would change.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self.action {
            Action::Check(args) => args.run(global),
            Action::Test(source) => test(global, &source.path()),
            Action::Explain(args) => args.run(global, now()),
            Action::Replay(args) => args.run(global, now()).await,
        }
    }
}

impl Source {
    fn path(&self) -> PathBuf {
        self.file
            .clone()
            .or_else(|| self.policy.clone())
            .unwrap_or_default()
    }
}

/// The clock, read once for each command.
#[allow(
    clippy::disallowed_methods,
    reason = "the edge reads the clock; the policy takes `now`"
)]
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[derive(Serialize)]
struct Checked {
    policy: String,
    hash: String,
    roles: Vec<String>,
    warnings: Vec<String>,
}

impl Check {
    fn run(self, global: &Global) -> Result<(), Failure> {
        let path = self.source.path();
        let policy = load(&path)?;
        let beside = path.with_file_name(SERVER_FILE);
        let mut warnings = policy.warnings();
        match self.config {
            Some(config) => {
                let config = Config::load(&config).map_err(|error| Failure::from_error(&error))?;
                fit(&policy, &config)?;
            }
            None if beside.exists() => match Config::load(&beside) {
                Ok(config) => fit(&policy, &config)?,
                Err(error) => warnings.push(format!(
                    "was not compared with the configuration, which does not load: {error}"
                )),
            },
            None if !policy.registry().is_empty() => warnings.push(
                "names issuers in [[emergency_identity]] that were not compared with the \
                 configuration; add --config daypass.toml"
                    .to_owned(),
            ),
            None => {}
        }
        check(global, &path, &policy, warnings)
    }
}

/// The faults for which the daemon would refuse this policy with this configuration.
fn fit(policy: &Policy, config: &Config) -> Result<(), Failure> {
    let issuers = config.issuers.iter().map(|issuer| issuer.url.as_str());
    policy
        .expect_issuers(&issuers.collect::<Vec<_>>())
        .and_then(|()| match config.can_page() {
            true => Ok(()),
            false => policy.expect_no_page_before(),
        })
        .map_err(|error| Failure::from_error(&error))
}

fn check(
    global: &Global,
    path: &Path,
    policy: &Policy,
    warnings: Vec<String>,
) -> Result<(), Failure> {
    let checked = Checked {
        policy: path.display().to_string(),
        hash: policy.hash().to_owned(),
        roles: policy
            .roles()
            .iter()
            .map(|role| role.name.clone())
            .collect(),
        warnings,
    };
    global.print(&checked, |checked| {
        let mut lines: Vec<_> = checked
            .warnings
            .iter()
            .map(|warning| format!("warning: {}", clean(warning)))
            .collect();
        lines.push(format!(
            "{}: loads, with {} and {}",
            clean(&checked.policy),
            count(checked.roles.len(), "role"),
            count(checked.warnings.len(), "warning")
        ));
        lines.join("\n")
    })
}

#[derive(Serialize)]
struct Tested {
    policy: String,
    passed: usize,
    failed: usize,
    tests: Vec<TestOutcome>,
}

fn test(global: &Global, path: &Path) -> Result<(), Failure> {
    let tests = load(path)?.run_tests(now());
    let passed = tests.iter().filter(|test| test.passed).count();
    let tested = Tested {
        policy: path.display().to_string(),
        passed,
        failed: tests.len() - passed,
        tests,
    };
    global.print(&tested, tested_text)?;
    match tested.failed {
        0 => Ok(()),
        failed => Err(Failure::new(
            Code::Failure,
            format!("{} failed in {}", count(failed, "test"), path.display()),
        )),
    }
}

fn tested_text(tested: &Tested) -> String {
    let mut lines = Vec::new();
    for test in &tested.tests {
        let word = if test.passed { "ok  " } else { "FAIL" };
        lines.push(format!(
            "{word}  {}:{}  {}  {}",
            clean(&tested.policy),
            test.line,
            clean(&test.describe),
            clean(&test.expected)
        ));
        if !test.passed {
            lines.push(format!("      got {}", clean(&test.got)));
        }
    }
    lines.push(format!(
        "{} passed, {} failed",
        count(tested.passed, "test"),
        tested.failed
    ));
    lines.join("\n")
}
