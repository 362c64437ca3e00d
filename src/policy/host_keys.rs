//! The `[[host]]` blocks of the policy file as written. Decides nothing.

use toml::Spanned;

use crate::reference::keys;

keys! {
    /// Machines that join as known hosts with their own ID token, without a join code. See `daypass
    /// help hosts`.
    struct Host {
        /// the condition, over `claims`, `issuer` and `subject` of the machine's token, which must
        /// be bound to its host key.
        allow: Spanned<String>,
        /// the names that such a machine may have, such as `"{claims.instance}.internal"`. It joins
        /// with one of them.
        names: Spanned<Vec<Spanned<String>>>,
        /// the host group that it joins.
        group: Spanned<String>,
    }
}
