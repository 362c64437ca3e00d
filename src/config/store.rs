//! Turns `[store]` into the address of a database. No error holds the address, because a password
//! may be in it.

use toml::Spanned;

use super::{error::Problem, files, raw, surroundings::Surroundings};
use crate::store::PostgresAddress;

/// The database that servers share; none without the section.
pub(super) fn postgres(
    raw: Option<&Spanned<raw::Store>>,
    around: &Surroundings,
) -> Result<Option<PostgresAddress>, Problem> {
    let Some(raw) = raw else {
        return Ok(None);
    };
    let store = raw.get_ref();
    let address = match (
        &store.postgres,
        &store.postgres_file,
        &store.postgres_credential,
    ) {
        (Some(written), None, None) => {
            let address = parse(written.span(), written.get_ref())?;
            if address.has_password() {
                return Err(Problem::new(
                    written.span(),
                    "the address holds a password: put the whole address into a file of its own (mode 0600), and name that \
                     in postgres_file",
                ));
            }
            address
        }
        (None, Some(file), None) => {
            let text = files::private_file(file, "postgres_file", around)?;
            parse(file.span(), &text)?
        }
        (None, None, Some(name)) => {
            let text = files::private_credential(name, "postgres_file", around)?;
            parse(name.span(), &text)?
        }
        _ => {
            return Err(Problem::new(
                raw.span(),
                "[store] needs exactly one of postgres, postgres_file and postgres_credential; without the section, the \
                 ledger is in the state folder",
            ));
        }
    };
    Ok(Some(address))
}

fn parse(at: std::ops::Range<usize>, text: &str) -> Result<PostgresAddress, Problem> {
    PostgresAddress::parse(text).map_err(|error| Problem::new(at, error.to_string()))
}
