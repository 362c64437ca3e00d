//! Known names with a spelling close to an unknown one. Pure.

use std::collections::BTreeSet;

/// Most names that are compared.
const MOST_KNOWN: usize = 100_000;

/// Largest number of suggested names for an unknown one.
const MOST_NEAR: usize = 5;

/// Largest number of wrong letters in a suggested name.
const MOST_WRONG: usize = 2;

/// Known names with a spelling close to `name`, closest first. Compares a bounded number of them.
pub(crate) fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted: Vec<char> = name.to_lowercase().chars().collect();
    let near: BTreeSet<(usize, &str)> = known
        .take(MOST_KNOWN)
        .filter(|known| *known != name)
        .filter_map(|known| Some((distance(&wanted, known)?, known)))
        .collect();
    let near = near.into_iter().take(MOST_NEAR);
    near.map(|(_, name)| name.to_owned()).collect()
}

/// The distance of a known name from the wanted one (in lower case); `None` if it is not close. The
/// part of an address before `@` is close to the address.
fn distance(wanted: &[char], known: &str) -> Option<usize> {
    let known: Vec<char> = known.to_lowercase().chars().collect();
    let user = |name: &[char]| name.iter().position(|c| *c == '@');
    let is_user =
        |of: &[char], name: &[char]| user(of).is_some_and(|at| of.get(..at) == Some(name));
    if is_user(&known, wanted) || is_user(wanted, &known) {
        return Some(1);
    }
    let most = MOST_WRONG.min(wanted.len().saturating_sub(1) / 2);
    let wrong = edits(wanted, &known, most)?;
    Some(wrong)
}

/// The number of letters to change, insert, drop or swap with their neighbour (optimal string
/// alignment); `None` if it exceeds `most`.
fn edits(one: &[char], other: &[char], most: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
    let mut previous = None;
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        let mut other_previous = None;
        for (column, other_letter) in other.iter().enumerate() {
            let changed = at(&last, column) + usize::from(letter != other_letter);
            let shorter = at(&last, column + 1) + 1;
            let longer = at(&next, column) + 1;
            let mut least = changed.min(shorter).min(longer);
            if previous == Some(other_letter) && other_previous == Some(letter) && column > 0 {
                least = least.min(at(&before, column - 1) + 1);
            }
            next.push(least);
            other_previous = Some(other_letter);
        }
        if next.iter().min().is_some_and(|least| *least > most) {
            return None;
        }
        before = std::mem::replace(&mut last, next);
        previous = Some(letter);
    }
    last.last().copied().filter(|wrong| *wrong <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_names_are_offered_of_many() {
        let names: Vec<String> = (0..100).map(|n| format!("worker-{n:03}")).collect();
        let known = || names.iter().map(String::as_str);
        assert_eq!(near("worker-10", known()).len(), MOST_NEAR);
        assert!(near(&"w".repeat(100_000), known()).is_empty());
    }

    #[test]
    fn a_bounded_number_of_names_is_compared() {
        let many = std::iter::repeat_n("other", MOST_KNOWN).chain(["rolf"]);
        assert!(near("role", many).is_empty());
    }
}
