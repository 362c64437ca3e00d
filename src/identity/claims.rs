//! The pure checks of an ID token's claims.
