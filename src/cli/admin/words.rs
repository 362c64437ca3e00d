//! The options that several orders of an administrator have.

/// The words of an order for the ledger.
#[derive(Debug, clap::Args)]
pub(super) struct Reason {
    /// Why; it is kept in the ledger.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) reason: String,
}

/// An order that asks for confirmation if it may be a mistake.
#[derive(Debug, clap::Args)]
pub(super) struct Confirmed {
    #[command(flatten)]
    pub(super) words: Reason,
    /// Do not ask for confirmation, even for an unknown name or your own.
    #[arg(long)]
    pub(super) yes: bool,
}
