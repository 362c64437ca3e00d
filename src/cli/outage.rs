//! The command for access that cannot wait, while the identity provider is down.

use std::env;

use super::{Failure, quoting::quoted};
use crate::{client::choose::PassRequest, reason};

/// Names a registered key.
pub(super) const KEY_VARIABLE: &str = "DAYPASS_EMERGENCY_KEY";

/// The failure with the command, if the identity provider is down.
pub(super) fn advised(failure: Failure) -> Failure {
    if failure.reason.as_deref() != Some(reason::ISSUER_UNAVAILABLE) {
        return failure;
    }
    let message = format!("{}\n{}", failure.message, anywhere());
    Failure { message, ..failure }
}

/// An advised failure with the command for this access: `daypass COMMAND ...`.
pub(super) fn advised_for(failure: Failure, command: &str, wanted: &PassRequest) -> Failure {
    match failure.message.strip_suffix(&anywhere()) {
        Some(start) => Failure {
            message: format!("{start}{}", advice(command, wanted)),
            ..failure
        },
        None => failure,
    }
}

fn anywhere() -> String {
    advice("ssh HOST", &PassRequest::default())
}

fn advice(command: &str, wanted: &PassRequest) -> String {
    let or = |word: &Option<String>, else_: &str| match word {
        Some(word) => quoted(word),
        None => else_.to_owned(),
    };
    let mut words = format!("daypass {command} --role {}", or(&wanted.role, "ROLE"));
    for (name, value) in &wanted.params {
        words += &format!(" --param {}", quoted(&format!("{name}={value}")));
    }
    let key = match env::var_os(KEY_VARIABLE).is_some_and(|path| !path.is_empty()) {
        true => "--emergency",
        false => "--emergency-key FILE",
    };
    let reason = or(&wanted.reason, "TEXT");
    format!(
        "Access that cannot wait needs no sign-in if the server knows your emergency key: \
         {words} --reason {reason} {key}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_that_of_the_access_that_was_asked_for() {
        let down = Failure {
            code: 6,
            message: "down".to_owned(),
            reason: Some(reason::ISSUER_UNAVAILABLE.to_owned()),
        };
        let wanted = PassRequest {
            role: Some("logs".to_owned()),
            params: [("unit".to_owned(), "a b".to_owned())].into(),
            reason: Some("INC-1 disk".to_owned()),
            ..PassRequest::default()
        };
        let advised = advised_for(advised(down), "ssh ops@web-1", &wanted);
        assert!(
            advised.message.contains(
                "daypass ssh ops@web-1 --role logs --param 'unit=a b' --reason 'INC-1 disk' --emergency"
            ),
            "{advised:?}"
        );
        let other = Failure {
            reason: None,
            ..advised_for(
                Failure {
                    code: 6,
                    message: "x".to_owned(),
                    reason: None,
                },
                "ssh a",
                &wanted,
            )
        };
        assert_eq!(super::advised(other).message, "x");
    }
}
