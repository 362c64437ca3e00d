//! A backup whose list or files were changed on the medium: nothing of it is put back, and the file
//! is named.

use std::{fs, path::Path, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    DAYPASS, Site, fail, names, policy, succeed,
    support::{env::TestEnv, files::write_secret},
};

impl Site {
    fn backup_with_keys(&self, dir: &Path) {
        let mut command = Command::new(DAYPASS);
        command.arg("backup").arg(dir).arg("--with-keys");
        succeed("backup", &mut self.configured(command));
    }
}

/// A restore by the configuration of the copy.
fn restore_all(dir: &Path) -> Command {
    let mut command = Command::new(DAYPASS);
    command.arg("restore").arg(dir);
    command.stdin(std::process::Stdio::null());
    command
}

fn list(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join("manifest.json")).unwrap()).unwrap()
}

fn write_list(dir: &Path, list: &Value) {
    fs::write(dir.join("manifest.json"), list.to_string()).unwrap();
}

/// Another value of the same kind.
fn other(value: &Value, name: &str) -> Value {
    match value {
        Value::Bool(it) => json!(!it),
        Value::Number(it) => json!(it.as_u64().unwrap() ^ 0o44),
        Value::String(it) if it.len() == 64 => {
            json!(it.replace(&it[..1], if it.starts_with('0') { "1" } else { "0" }))
        }
        Value::String(it) if name == "format" => json!(it.replace('1', "2")),
        Value::String(it) => json!(format!("{it}x")),
        Value::Null | Value::Array(_) | Value::Object(_) => panic!("{value}"),
    }
}

/// Lists that each differ from this one in one field.
fn altered(list: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, value) in list.as_object().unwrap() {
        if name != "files" {
            let mut changed = list.clone();
            changed[name] = other(value, name);
            found.push((name.clone(), changed));
        }
    }
    for (name, value) in list["files"][0].as_object().unwrap() {
        let mut changed = list.clone();
        changed["files"][0][name] = other(value, name);
        found.push((format!("files[0].{name}"), changed));
    }
    let mut without = list.clone();
    without["files"].as_array_mut().unwrap().pop();
    found.push(("a file less".to_owned(), without));
    let mut more = list.clone();
    let again = json!({"name": "file-9-x", "path": "/etc/cron.d/x", "is_secret": false, "sha256": "00".repeat(32)});
    more["files"].as_array_mut().unwrap().push(again);
    found.push(("a file more".to_owned(), more));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_with_any_field_altered_is_refused_and_nothing_is_written() {
    let site = Site::new().await;
    let backup = site.path("backup");
    site.backup_with_keys(&backup);
    site.lose_state("lost");
    // All but the configuration, so that files of the copy would be put back.
    fs::remove_file(site.path("policy.toml")).unwrap();
    let before = names(site.0.folder());
    let good = list(&backup);
    let cases = altered(&good);
    assert!(cases.len() >= 18, "{}", cases.len());
    for (case, changed) in cases {
        write_list(&backup, &changed);
        let words = fail(&case, &mut restore_all(&backup));
        let is_named = words.contains("manifest.json") || words.contains("file-");
        assert!(is_named, "{case}: {words}");
        assert_eq!(names(site.0.folder()), before, "{case}: {words}");
    }
    write_list(&backup, &good);
    // The same facts in another form are other bytes.
    let words = fail("another form", &mut restore_all(&backup));
    assert!(
        words.contains("manifest.json is not the list that was signed"),
        "{words}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_of_a_backup_is_named_and_nothing_is_written() {
    let site = Site::new().await;
    let backup = site.path("backup");
    site.backup_with_keys(&backup);
    site.lose_state("lost");
    fs::remove_file(site.path("policy.toml")).unwrap();
    let before = names(site.0.folder());
    let files = names(&backup);
    assert!(files.len() > 8, "{files:?}");
    for name in files {
        let path = backup.join(&name);
        let good = fs::read(&path).unwrap();
        let mut flipped = good.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        let cut = good[..good.len() - 1].to_vec();
        for (case, bytes) in [("flipped", flipped), ("cut", cut), ("empty", Vec::new())] {
            fs::write(&path, bytes).unwrap();
            for mut restore in [restore_all(&backup), site.restore(&backup)] {
                if name == "file-1-policy.toml" && restore.get_args().count() > 2 {
                    // Its own policy is missing.
                    continue;
                }
                let words = fail(&format!("{name} {case}"), &mut restore);
                assert!(
                    words.contains(&name)
                        || words.contains("manifest.json")
                        || name == "manifest.json" && words.contains("file-"),
                    "{name} {case}: {words}"
                );
                assert_eq!(names(site.0.folder()), before, "{name} {case}");
            }
        }
        fs::write(&path, good).unwrap();
    }
    succeed("as it was", &mut restore_all(&backup));
    site.assert_restored("as it was").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_without_its_signature_needs_the_operators_word() {
    let site = Site::new().await;
    let backup = site.path("backup");
    succeed("backup", &mut site.backup(&backup));
    site.lose_state("lost");
    let signature = fs::read(backup.join("manifest.sig")).unwrap();
    fs::remove_file(backup.join("manifest.sig")).unwrap();
    let words = fail("without", &mut site.restore(&backup));
    for part in ["manifest.sig is missing", "--unsigned"] {
        assert!(words.contains(part), "{words}");
    }
    assert!(!site.state().exists());
    let words = succeed("told", site.restore(&backup).arg("--unsigned"));
    assert!(words.contains("has no signature"), "{words}");
    site.assert_restored("unsigned").await;
    fs::remove_dir_all(site.state()).unwrap();

    // A signature that is there must count, also then.
    let other = Site::new().await;
    succeed("another server's", &mut other.backup(&other.path("backup")));
    let others = fs::read(other.path("backup").join("manifest.sig")).unwrap();
    fs::write(backup.join("manifest.sig"), others).unwrap();
    let words = fail("another's", site.restore(&backup).arg("--unsigned"));
    assert!(words.contains("manifest.sig"), "{words}");
    fs::write(backup.join("manifest.sig"), signature).unwrap();
    let words = fail(
        "another server's backup",
        &mut site.restore(&other.path("backup")),
    );
    assert!(words.contains("the keys of the same server"), "{words}");
    assert!(!site.state().exists());
    succeed("its own", &mut site.restore(&backup));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_back_with_their_modes_and_keys_for_their_owner_alone() {
    use super::support::files::{chmod, mode};
    let site = Site::new().await;
    let backup = site.path("backup");
    chmod(&site.path("policy.toml"), 0o644);
    site.backup_with_keys(&backup);
    for name in names(&backup) {
        assert_eq!(mode(&backup.join(&name)), 0o600, "{name}");
    }
    assert_eq!(mode(&backup), 0o700);
    site.lose_state("lost");
    let kept = list(&backup);
    let files = kept["files"].as_array().unwrap();
    let paths: Vec<&Path> = files
        .iter()
        .map(|it| Path::new(it["path"].as_str().unwrap()))
        .collect();
    for path in &paths {
        fs::remove_file(path).unwrap();
    }
    succeed("restore", &mut restore_all(&backup));
    for (path, file) in paths.iter().zip(files) {
        let expected = match file["is_secret"].as_bool().unwrap() {
            true => 0o600,
            false => u32::try_from(file["mode"].as_u64().unwrap()).unwrap(),
        };
        assert_eq!(mode(path), expected, "{path:?}");
    }
    assert_eq!(mode(&site.path("policy.toml")), 0o644);
    site.assert_restored("all of it").await;
}

/// The restored server did not start: what its sections name was not in the copy.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_every_file_that_the_configuration_names() {
    let section = "[[webhook]]\nname = \"ops\"\nurl = \"https://127.0.0.1:9/\"\n\
                   secret_file = \"ops.secret\"\nca_file = \"ops.pem\"\n\
                   networks = [\"127.0.0.1/32\"]\n";
    let env = TestEnv::new().policy(policy::SHELL).configuration(section);
    let secret = format!("whsec_{}", STANDARD.encode([7; 32]));
    write_secret(&env.folder().join("ops.secret"), &secret);
    let root = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(env.folder().join("ops.pem"), root.cert.pem()).unwrap();
    let site = Site(env.prepare().await);
    site.issue(1).await;
    let backup = site.path("backup");
    site.backup_with_keys(&backup);
    site.lose_state("lost");
    let named = ["ops.secret", "ops.pem"];
    for name in named {
        fs::remove_file(site.path(name)).unwrap();
    }
    succeed("restore", &mut restore_all(&backup));
    site.assert_restored("with its sections' files").await;
    // Without keys, the copy has no secret.
    let plain = site.path("plain");
    succeed("backup", &mut site.backup(&plain));
    let kept = names(&plain).join(" ");
    assert!(
        kept.contains("ops.pem") && !kept.contains("ops.secret"),
        "{kept}"
    );
}
