//! Proofs of the ledger, as the server sends them: unverified.

use super::{Error, connect::Server, credentials::authorized, session::Login};
use crate::{ledger::tree::Hash, proto::v1};

/// Fetches the proof that the entry at `index` is in the ledger of this size.
///
/// # Errors
/// Returns the server's refusal.
pub(super) async fn inclusion(
    server: &Server,
    login: &Login,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, Error> {
    use v1::prove_request::{Inclusion, Proof};
    let request = v1::ProveRequest {
        proof: Some(Proof::Inclusion(Inclusion { index, size })),
    };
    let request = authorized(login, request)?;
    hashes(server.ledger().prove(request).await?.into_inner().hashes)
}

/// Fetches the proof that the ledger of `old` entries is the beginning of that of `new`.
///
/// # Errors
/// Returns the server's refusal.
pub(super) async fn consistency(
    server: &Server,
    login: &Login,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, Error> {
    use v1::prove_request::{Consistency, Proof};
    let request = v1::ProveRequest {
        proof: Some(Proof::Consistency(Consistency {
            old_size: old,
            new_size: new,
        })),
    };
    let answer = server
        .ledger()
        .prove(authorized(login, request)?)
        .await?
        .into_inner();
    hashes(answer.hashes)
}

/// Reads the SHA-256 hashes of a proof.
///
/// # Errors
/// Returns [`Error::Untrusted`] if one is of another length.
fn hashes(raw: Vec<Vec<u8>>) -> Result<Vec<Hash>, Error> {
    raw.into_iter()
        .map(|hash| Hash::try_from(hash.as_slice()))
        .collect::<Result<_, _>>()
        .map_err(|_| Error::Untrusted("a proof has an invalid SHA-256 hash".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_of_invalid_hashes_is_refused() {
        assert!(hashes(vec![vec![0; 32]]).is_ok());
        assert!(hashes(vec![vec![0; 31]]).is_err());
    }
}
