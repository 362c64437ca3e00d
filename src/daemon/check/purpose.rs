//! What a check of the server's files is for.

/// Whether identity providers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Files only.
    Offline,
    /// Files, and the providers' discovery documents and keys.
    Online,
}

/// What a check is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A start or a restart: everything must be right.
    Start(Reach),
    /// A reload of a running daemon. It reads `daypass.toml`, the policy and the TLS certificate:
    /// only faults that it would take in are wrong. Those of other files are warnings, because a
    /// restart would meet them and a reload does not.
    Reload,
}
