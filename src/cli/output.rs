//! The options every command has, and how results are printed: JSON on stdout only, messages on stderr.

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document on stdout.
    Json,
}

/// Options every command has.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// Print results as text or JSON.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "DAYPASS_FORMAT"
    )]
    pub format: Format,
    /// Never ask anything; fail instead.
    #[arg(long, global = true, env = "DAYPASS_NO_INPUT")]
    pub no_input: bool,
}
