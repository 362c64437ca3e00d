//! Stable reason codes: what programs act on.
//!
//! One code stands in `ErrorInfo.reason` on the wire, in the ledger's `denied` events, in the log's
//! `code`, in the label of metrics and in `error.reason` of `--format json`. A code never changes
//! its meaning; the sentence beside it may.

/// Declares codes, each with its own name as its text, and the list of them.
macro_rules! codes {
    ($(#[$about:meta])* $list:ident: $($(#[doc = $doc:literal])* $code:ident,)*) => {
        $($(#[doc = $doc])* pub(crate) const $code: &str = stringify!($code);)*
        $(#[$about])* pub(crate) const $list: &[&str] = &[$($code),*];
    };
}

// Tokens, and proofs of possession (`identity`).

codes! {
    /// Refusals of tokens and proofs.
    TOKENS:
    /// The call carries no token.
    TOKEN_MISSING,
    /// A token or a part of it is over its size limit.
    TOKEN_TOO_LARGE,
    /// The token is not a JWS in compact form, or its JSON is invalid.
    TOKEN_MALFORMED,
    /// The issuer's configuration does not list the token's algorithm.
    TOKEN_ALGORITHM,
    /// The token is of another type, such as an access token.
    TOKEN_TYPE,
    /// No configured issuer is the token's.
    TOKEN_ISSUER,
    /// The token is for another audience.
    TOKEN_AUDIENCE,
    /// The token has expired.
    TOKEN_EXPIRED,
    /// The token is not valid yet.
    TOKEN_NOT_YET_VALID,
    /// A claim is missing or invalid.
    TOKEN_CLAIMS,
    /// The token refers to its groups instead of listing them.
    TOKEN_OVERAGE,
    /// The issuer has no key with the token's `kid`.
    TOKEN_KEY,
    /// The token's signature does not verify.
    TOKEN_SIGNATURE,
    /// The token is bound to another key, or to none although its issuer binds keys.
    KEY_BINDING,
    /// The sign-in is too old to be renewed any more: a new one is needed.
    SESSION_OVER,
    /// The emergency challenge is unknown or has expired.
    CHALLENGE,
    /// An emergency key is not registered, or its signature does not verify.
    EMERGENCY_KEY,
    /// The signature that proves possession of the key does not verify.
    POSSESSION,
    /// The consent to a pass on behalf of a user is void, or cannot be a consent.
    CONSENT,
    /// The issuer's keys cannot be fetched.
    ISSUER_UNAVAILABLE,
}

// Denials by the policy (`policy::denial`).

codes! {
    /// Denials by the policy.
    POLICY:
    /// The policy has no such role.
    ROLE_UNKNOWN,
    /// The role is not open to this identity.
    NOT_ALLOWED,
    /// A condition of the role failed to evaluate.
    CONDITION_ERROR,
    /// A parameter is missing, unknown or invalid.
    PARAMETER,
    /// The role requires a reason that matches its pattern.
    REASON_REQUIRED,
    /// The role is not for this host.
    HOST,
    /// A principal is outside the grammar or the limits.
    PRINCIPAL,
    /// No source address is left, or the caller's is unknown.
    SOURCE,
    /// No lifetime is left.
    TTL,
    /// The role does not grant a requested extension.
    EXTENSION,
    /// Two restrictions require different forced commands.
    COMMAND,
    /// The role is closed at this time of the week.
    HOURS,
    /// The role requires a newer or stronger sign-in.
    STEP_UP_REQUIRED,
    /// The identity may not decide the request, or too few people have approved it.
    APPROVAL,
    /// The approval lacks the signature of a registered passkey or security key.
    PRESENCE_REQUIRED,
    /// A registered key asks for something other than an emergency.
    EMERGENCY_ONLY,
    /// Too few registered people signed the emergency.
    QUORUM,
    /// Decisions and orders require a token that is bound to the key.
    UNBOUND_TOKEN,
    /// The role gives no pass on behalf of its user to this identity, or not for such an ask.
    ON_BEHALF,
}

// What the ledger's state does not admit (`ledger`).

codes! {
    /// Refusals by the ledger's state.
    LEDGER:
    /// The identity, key or role is locked.
    LOCKED,
    /// There is no request with this id.
    NO_SUCH_REQUEST,
    /// The requester cannot decide their own request.
    OWN_REQUEST,
    /// The identity has decided this request already.
    ALREADY_DECIDED,
    /// The request has been decided, or ended.
    REQUEST_CLOSED,
    /// The request waits for approval.
    REQUEST_PENDING,
    /// The request expired.
    REQUEST_EXPIRED,
    /// The request was redeemed already.
    REQUEST_REDEEMED,
    /// The request is another identity's, or for another key.
    OTHER_HOLDER,
    /// The request was approved for another ask.
    OTHER_ASK,
    /// The identity has too many open requests.
    TOO_MANY_REQUESTS,
    /// There is no lock on this target.
    NO_SUCH_LOCK,
    /// There is no pass with this serial.
    NO_SUCH_PASS,
    /// A revocation lists other serials than its target has.
    REVOKED_SERIALS,
    /// The emergency challenge was used already.
    CHALLENGE_USED,
    /// The user's consent has given a pass already.
    CONSENT_USED,
    /// The user's consent was void before the pass was recorded.
    CONSENT_EXPIRED,
    /// Every pass of this time was revoked before the pass was recorded.
    REVOKED_MEANWHILE,
    /// The ledger was restored from a backup, and no administrator has accepted that yet.
    LEDGER_RESTORED,
    /// An order names a size of the ledger that is too small or too large.
    ORDER_SIZE,
    /// A jump pass does not belong to the pass that it names.
    JUMP,
    /// An administrator's order has no valid signature.
    ORDER_UNSIGNED,
    /// Another order about the same target came first.
    ORDER_STALE,
    /// An order lists other identities than its target covers.
    ORDER_COVERS,
    /// An order names a time outside the calendar.
    ORDER_TIME,
    /// The key asked for this request, or has decided it already.
    KEY_USED,
    /// The policy was replaced before the decision was recorded.
    POLICY_CHANGED,
    /// A join code is unknown or has expired.
    HOST_CODE_INVALID,
    /// A join code was used by a host with other keys.
    HOST_CODE_USED,
    /// A host is known with other host keys.
    HOST_KEY_CHANGED,
    /// Host keys are malformed, or another host's.
    HOST_KEYS,
    /// There is no such host.
    NO_SUCH_HOST,
    /// The host is known already.
    HOST_KNOWN,
    /// Another host has this name.
    HOST_NAME,
    /// An order about a host is malformed.
    HOST_ORDER,
    /// Too many hosts are known.
    TOO_MANY_HOSTS,
    /// A host certificate is not one of its host.
    HOST_CERTIFICATE,
    /// The ledger says already that the host is behind or current.
    HOST_MARK,
    /// A login that the ledger does not explain is recorded already, or its host has too many.
    FOREIGN_LOGIN,
    /// A host's report is as old as its last one, or its clock differs.
    HOST_REPORT,
    /// Another CA key signs now.
    CA_KEY_CHANGED,
    /// The CA key cannot take this step.
    CA_KEY_STATE,
    /// An order about a CA key is malformed.
    CA_KEY_ORDER,
    /// Passes of the CA key are still valid.
    CA_KEY_IN_USE,
    /// Known hosts do not trust the CA key yet.
    CA_KEY_UNTRUSTED,
    /// The server does not have the CA key, or the key does not sign.
    CA_KEY_MISSING,
    /// The ledger cannot be handed over to this key.
    LEDGER_KEY,
}

// Refusals by operations.

codes! {
    /// Refusals by operations.
    OPERATIONS:
    /// The policy's `[audit]` does not include the caller.
    AUDIT_DENIED,
    /// The policy's `[admin]` does not include the caller.
    ADMIN_DENIED,
    /// A field of the request is missing, too long or invalid.
    ASK_MALFORMED,
    /// The CA issues no pass for such a key.
    SUBJECT_KEY,
    /// The grant cannot be written as a certificate, or is beyond what `daypass signer` signs.
    NOT_ISSUABLE,
    /// The ledger has no such entry.
    NO_SUCH_ENTRY,
    /// The notification that must precede an emergency was not delivered.
    PAGE_FAILED,
    /// The ledger cannot be read or written.
    STORE_UNAVAILABLE,
    /// The CA key could not sign.
    CA_UNAVAILABLE,
}

// Refusals by the server.

/// The caller is over its rate, or the server over its memory for unproven callers.
pub(crate) const RATE_LIMITED: &str = "RATE_LIMITED";
/// The identity, or the server, has too many watches.
pub(crate) const TOO_MANY_WATCHES: &str = "TOO_MANY_WATCHES";
/// The watch was evicted, or did not read its changes.
pub(crate) const WATCH_ENDED: &str = "WATCH_ENDED";
/// The call ran over its time.
pub(crate) const TIMEOUT: &str = "TIMEOUT";
/// The server failed.
pub(crate) const INTERNAL: &str = "INTERNAL";

// Failures that only the client sees (`--format json`).

/// The server refused without a reason of ours.
pub(crate) const DENIED: &str = "DENIED";
/// The request was denied by an approver.
pub(crate) const REQUEST_DENIED: &str = "REQUEST_DENIED";
/// The request was withdrawn.
pub(crate) const REQUEST_CANCELLED: &str = "REQUEST_CANCELLED";
/// The issuer refused the sign-in.
pub(crate) const LOGIN_REFUSED: &str = "LOGIN_REFUSED";
/// Ledger and remembered checkpoint contradict each other.
pub(crate) const LEDGER_FORK: &str = "LEDGER_FORK";
/// The server's answer is inconsistent.
pub(crate) const UNTRUSTED_ANSWER: &str = "UNTRUSTED_ANSWER";
/// The command needs a confirmation and cannot ask for it.
pub(crate) const CONFIRMATION_NEEDED: &str = "CONFIRMATION_NEEDED";

// Words beside a code.

/// How they begin if they are about the user who consented to a pass, and not about the caller.
pub(crate) const OF_USER: &str = "of the user on whose behalf you ask: ";
