//! The settings in which two configuration files differ, by their names. Pure.

use std::collections::BTreeSet;

use toml::{Table, Value};

/// The dotted names of the settings that differ. Comments and layout do not count. An entry of a
/// list is named by its `name`, if it has one, or by its place: `issuer.corp.client_id`,
/// `ca.key.2.file`. One that is new or gone is named alone.
pub(super) fn names(one: &Table, other: &Table) -> Vec<String> {
    let mut found = BTreeSet::new();
    tables("", one, other, &mut found);
    found.into_iter().collect()
}

fn tables(path: &str, one: &Table, other: &Table, found: &mut BTreeSet<String>) {
    let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    for key in keys {
        values(&join(path, key), one.get(key), other.get(key), found);
    }
}

fn values(path: &str, one: Option<&Value>, other: Option<&Value>, found: &mut BTreeSet<String>) {
    match (one, other) {
        (Some(one), Some(other)) if one == other => {}
        (Some(Value::Table(one)), Some(Value::Table(other))) => tables(path, one, other, found),
        (Some(Value::Array(one)), Some(Value::Array(other)))
            if one.iter().chain(other).all(Value::is_table) =>
        {
            let (one, other) = (entries(one), entries(other));
            tables(path, &one, &other, found);
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

/// A list of tables as one table, by name or place.
fn entries(list: &[Value]) -> Table {
    let named = list.iter().enumerate().map(|(at, entry)| {
        let name = entry.get("name").and_then(Value::as_str);
        let name = name.map_or_else(|| (at + 1).to_string(), str::to_owned);
        (name, entry.clone())
    });
    named.collect()
}

fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_named_by_its_place() {
        let base = "a = 1\nlist = [1]\n[log]\nlevel = \"info\"\n[[issuer]]\nname = \"corp\"\nurl = \"u\"\n\
            [[ca.key]]\nfile = \"a\"\n[[ca.key]]\nfile = \"b\"\n";
        for (from, to, expected) in [
            ("a = 1", "a = 1 # why", &[][..]),
            ("a = 1", "a = 2", &["a"]),
            ("a = 1", "", &["a"]),
            ("list = [1]", "list = [1, 2]", &["list"]),
            ("level = \"info\"", "level = \"debug\"", &["log.level"]),
            (
                "level = \"info\"",
                "format = \"json\"",
                &["log.format", "log.level"],
            ),
            ("url = \"u\"", "url = \"v\"", &["issuer.corp.url"]),
            ("\"corp\"", "\"new\"", &["issuer.corp", "issuer.new"]),
            ("file = \"b\"", "file = \"c\"", &["ca.key.2.file"]),
            ("[[ca.key]]\nfile = \"b\"\n", "", &["ca.key.2"]),
        ] {
            let changed = base.replacen(from, to, 1);
            let (base, changed) = (base.parse().unwrap(), changed.parse().unwrap());
            assert_eq!(names(&base, &changed), expected, "{from} -> {to}");
        }
    }
}
