//! The ways in which the dev issuer can misbehave, for tests of its clients.

/// Answers of discovery and the key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// As the specifications say.
    Normal,
    /// 500 to both.
    Status500,
    /// No answer until the behaviour changes, 60 s at most.
    Slow,
    /// A web page instead of JSON.
    Html,
    /// A key set without keys.
    Empty,
    /// 50 MB of JSON.
    Huge,
    /// Two keys of the same `kid`.
    DuplicateKid,
    /// Discovery names another issuer.
    OtherIssuer,
    /// Discovery names a key set by plain HTTP on another host.
    PlainKeys,
    /// A redirect to `/elsewhere/...`, which answers as the specifications say.
    Redirect,
    /// Discovery, or the answer to a device, holds this text under this name.
    Names(&'static str, &'static str),
}
