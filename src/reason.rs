//! Stable reason codes: what programs act on.
//!
//! One code stands in `ErrorInfo.reason` on the wire, in the ledger's `denied` events, in the log's
//! `code`, in the label of metrics and in `error.reason` of `--format json`. A code never changes
//! its meaning; the sentence beside it may.

// Tokens, and proofs of possession (`identity`).

/// The call carries no token.
pub(crate) const TOKEN_MISSING: &str = "TOKEN_MISSING";
/// A token or a part of it is over its size limit.
pub(crate) const TOKEN_TOO_LARGE: &str = "TOKEN_TOO_LARGE";
/// The token is not a JWS in compact form, or its JSON is invalid.
pub(crate) const TOKEN_MALFORMED: &str = "TOKEN_MALFORMED";
/// The issuer's configuration does not list the token's algorithm.
pub(crate) const TOKEN_ALGORITHM: &str = "TOKEN_ALGORITHM";
/// The token is of another type, such as an access token.
pub(crate) const TOKEN_TYPE: &str = "TOKEN_TYPE";
/// No configured issuer is the token's.
pub(crate) const TOKEN_ISSUER: &str = "TOKEN_ISSUER";
/// The token is for another audience.
pub(crate) const TOKEN_AUDIENCE: &str = "TOKEN_AUDIENCE";
/// The token has expired.
pub(crate) const TOKEN_EXPIRED: &str = "TOKEN_EXPIRED";
/// The token is not valid yet.
pub(crate) const TOKEN_NOT_YET_VALID: &str = "TOKEN_NOT_YET_VALID";
/// A claim is missing or invalid.
pub(crate) const TOKEN_CLAIMS: &str = "TOKEN_CLAIMS";
/// The token refers to its groups instead of listing them.
pub(crate) const TOKEN_OVERAGE: &str = "TOKEN_OVERAGE";
/// The issuer has no key with the token's `kid`.
pub(crate) const TOKEN_KEY: &str = "TOKEN_KEY";
/// The token's signature does not verify.
pub(crate) const TOKEN_SIGNATURE: &str = "TOKEN_SIGNATURE";
/// The token is bound to another key, or to none although its issuer binds keys.
pub(crate) const KEY_BINDING: &str = "KEY_BINDING";
/// The sign-in is too old to be renewed any more: a new one is needed.
pub(crate) const SESSION_OVER: &str = "SESSION_OVER";
/// The emergency challenge is unknown or has expired.
pub(crate) const CHALLENGE: &str = "CHALLENGE";
/// An emergency key is not registered, or its signature does not verify.
pub(crate) const EMERGENCY_KEY: &str = "EMERGENCY_KEY";
/// The signature that proves possession of the key does not verify.
pub(crate) const POSSESSION: &str = "POSSESSION";
/// The issuer's keys cannot be fetched.
pub(crate) const ISSUER_UNAVAILABLE: &str = "ISSUER_UNAVAILABLE";

// Denials by the policy (`policy::denial`).

/// The policy has no such role.
pub(crate) const ROLE_UNKNOWN: &str = "ROLE_UNKNOWN";
/// The role is not open to this identity.
pub(crate) const NOT_ALLOWED: &str = "NOT_ALLOWED";
/// A condition of the role failed to evaluate.
pub(crate) const CONDITION_ERROR: &str = "CONDITION_ERROR";
/// A parameter is missing, unknown or invalid.
pub(crate) const PARAMETER: &str = "PARAMETER";
/// The role requires a reason that matches its pattern.
pub(crate) const REASON_REQUIRED: &str = "REASON_REQUIRED";
/// The role is not for this host.
pub(crate) const HOST: &str = "HOST";
/// A principal is outside the grammar or the limits.
pub(crate) const PRINCIPAL: &str = "PRINCIPAL";
/// No source address is left, or the caller's is unknown.
pub(crate) const SOURCE: &str = "SOURCE";
/// No lifetime is left.
pub(crate) const TTL: &str = "TTL";
/// The role does not grant a requested extension.
pub(crate) const EXTENSION: &str = "EXTENSION";
/// Two restrictions require different forced commands.
pub(crate) const COMMAND: &str = "COMMAND";
/// The role is closed at this time of the week.
pub(crate) const HOURS: &str = "HOURS";
/// The role requires a newer or stronger sign-in.
pub(crate) const STEP_UP_REQUIRED: &str = "STEP_UP_REQUIRED";
/// The identity may not decide the request, or too few people have approved it.
pub(crate) const APPROVAL: &str = "APPROVAL";
/// A registered key asks for something other than an emergency.
pub(crate) const EMERGENCY_ONLY: &str = "EMERGENCY_ONLY";
/// Too few registered people signed the emergency.
pub(crate) const QUORUM: &str = "QUORUM";
/// Decisions and orders require a token that is bound to the key.
pub(crate) const UNBOUND_TOKEN: &str = "UNBOUND_TOKEN";

// What the ledger's state does not admit (`ledger`).

/// The identity, key or role is locked.
pub(crate) const LOCKED: &str = "LOCKED";
/// There is no request with this id.
pub(crate) const NO_SUCH_REQUEST: &str = "NO_SUCH_REQUEST";
/// The requester cannot decide their own request.
pub(crate) const OWN_REQUEST: &str = "OWN_REQUEST";
/// The identity has decided this request already.
pub(crate) const ALREADY_DECIDED: &str = "ALREADY_DECIDED";
/// The request has been decided, or ended.
pub(crate) const REQUEST_CLOSED: &str = "REQUEST_CLOSED";
/// The request waits for approval.
pub(crate) const REQUEST_PENDING: &str = "REQUEST_PENDING";
/// The request expired.
pub(crate) const REQUEST_EXPIRED: &str = "REQUEST_EXPIRED";
/// The request was redeemed already.
pub(crate) const REQUEST_REDEEMED: &str = "REQUEST_REDEEMED";
/// The request is another identity's, or for another key.
pub(crate) const OTHER_HOLDER: &str = "OTHER_HOLDER";
/// The request was approved for another ask.
pub(crate) const OTHER_ASK: &str = "OTHER_ASK";
/// The identity has too many open requests.
pub(crate) const TOO_MANY_REQUESTS: &str = "TOO_MANY_REQUESTS";
/// There is no lock on this target.
pub(crate) const NO_SUCH_LOCK: &str = "NO_SUCH_LOCK";
/// There is no pass with this serial.
pub(crate) const NO_SUCH_PASS: &str = "NO_SUCH_PASS";
/// A revocation lists other serials than its target has.
pub(crate) const REVOKED_SERIALS: &str = "REVOKED_SERIALS";
/// The emergency challenge was used already.
pub(crate) const CHALLENGE_USED: &str = "CHALLENGE_USED";
/// Every pass of this time was revoked before the pass was recorded.
pub(crate) const REVOKED_MEANWHILE: &str = "REVOKED_MEANWHILE";
/// The ledger was restored from a backup, and no administrator has accepted that yet.
pub(crate) const LEDGER_RESTORED: &str = "LEDGER_RESTORED";
/// An order names a size of the ledger that is too small or too large.
pub(crate) const ORDER_SIZE: &str = "ORDER_SIZE";
/// A jump pass does not belong to the pass that it names.
pub(crate) const JUMP: &str = "JUMP";
/// An administrator's order has no valid signature.
pub(crate) const ORDER_UNSIGNED: &str = "ORDER_UNSIGNED";
/// Another order about the same target came first.
pub(crate) const ORDER_STALE: &str = "ORDER_STALE";
/// An order lists other identities than its target covers.
pub(crate) const ORDER_COVERS: &str = "ORDER_COVERS";
/// An order names a time outside the calendar.
pub(crate) const ORDER_TIME: &str = "ORDER_TIME";
/// The key asked for this request, or has decided it already.
pub(crate) const KEY_USED: &str = "KEY_USED";
/// The policy was replaced before the decision was recorded.
pub(crate) const POLICY_CHANGED: &str = "POLICY_CHANGED";

// Refusals by operations and server.

/// The policy's `[audit]` does not include the caller.
pub(crate) const AUDIT_DENIED: &str = "AUDIT_DENIED";
/// The policy's `[admin]` does not include the caller.
pub(crate) const ADMIN_DENIED: &str = "ADMIN_DENIED";
/// A field of the request is missing, too long or invalid.
pub(crate) const ASK_MALFORMED: &str = "ASK_MALFORMED";
/// The CA issues no pass for such a key.
pub(crate) const SUBJECT_KEY: &str = "SUBJECT_KEY";
/// The grant cannot be written as a certificate.
pub(crate) const NOT_ISSUABLE: &str = "NOT_ISSUABLE";
/// The ledger has no such entry.
pub(crate) const NO_SUCH_ENTRY: &str = "NO_SUCH_ENTRY";
/// The notification that must precede an emergency was not delivered.
pub(crate) const PAGE_FAILED: &str = "PAGE_FAILED";
/// The ledger cannot be read or written.
pub(crate) const STORE_UNAVAILABLE: &str = "STORE_UNAVAILABLE";
/// The CA key could not sign.
pub(crate) const CA_UNAVAILABLE: &str = "CA_UNAVAILABLE";
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
