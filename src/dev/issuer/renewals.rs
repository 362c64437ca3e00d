//! Refresh tokens (RFC 6749, section 6), with the habits of the provider that is imitated: whether
//! a token is spent by its use, and what happens if a spent one is used again. No HTTP here.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;
use time::OffsetDateTime;

use super::signed_in::SignedIn;
use crate::dev::random_text;

/// The refresh token in the answer to a refresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Rotation {
    /// A new one. The earlier one is spent; its use ends every token of the sign-in.
    #[default]
    Once,
    /// A new one. The earlier ones stay valid.
    New,
    /// The same one again.
    Same,
    /// None. The one of the sign-in stays valid.
    Absent,
}

/// Refresh tokens.
#[derive(Default)]
pub(super) struct Renewals {
    tokens: HashMap<String, Token>,
}

#[derive(Clone)]
struct Token {
    signed_in: SignedIn,
    /// The first token of the sign-in.
    family: String,
    spent: Option<OffsetDateTime>,
}

/// A renewed sign-in.
pub(super) struct Renewed {
    pub(super) signed_in: SignedIn,
    /// The refresh token in the answer.
    pub(super) token: Option<String>,
}

impl Renewals {
    /// Keeps a sign-in for its refresh token, which is returned.
    pub(super) fn keep(&mut self, signed_in: SignedIn) -> String {
        let family = random_text();
        let token = Token {
            signed_in,
            family: family.clone(),
            spent: None,
        };
        self.tokens.insert(family.clone(), token);
        family
    }

    /// Renews a sign-in. A spent token is taken again for the time `reuse`.
    pub(super) fn renew(
        &mut self,
        refresh_token: &str,
        rotation: Rotation,
        reuse: Duration,
        now: OffsetDateTime,
    ) -> Option<Renewed> {
        let token = self.tokens.get(refresh_token)?.clone();
        if token.spent.is_some_and(|spent| now - spent >= reuse) {
            self.tokens.retain(|_, other| other.family != token.family);
            return None;
        }
        let next = match rotation {
            Rotation::Absent => None,
            Rotation::Same => Some(refresh_token.to_owned()),
            Rotation::New | Rotation::Once => Some(self.follow(&token)),
        };
        if rotation == Rotation::Once
            && let Some(used) = self.tokens.get_mut(refresh_token)
        {
            used.spent.get_or_insert(now);
        }
        Some(Renewed {
            signed_in: SignedIn {
                is_renewed: true,
                ..token.signed_in
            },
            token: next,
        })
    }

    /// The next token of a sign-in.
    fn follow(&mut self, token: &Token) -> String {
        let text = random_text();
        let next = Token {
            spent: None,
            ..token.clone()
        };
        self.tokens.insert(text.clone(), next);
        text
    }

    /// Forgets every refresh token.
    pub(super) fn end(&mut self) {
        self.tokens.clear();
    }
}
