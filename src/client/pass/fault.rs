//! The first of several facts about a pass that does not hold. Pure.

/// Returns the fault of the first fact that does not hold.
pub(super) fn first_fault(facts: &[(bool, &str)]) -> Result<(), String> {
    match facts.iter().find(|(holds, _)| !holds) {
        Some((_, fault)) => Err((*fault).to_owned()),
        None => Ok(()),
    }
}
