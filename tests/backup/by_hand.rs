//! Files of an older copy that an operator puts back by hand, in each combination: the server
//! says what is wrong, loses nothing, and grants nothing on a copy that is marked.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use super::{
    DAYPASS, Site, accounts, fail, names, root, succeed,
    support::{files::chmod, server::Process},
};

impl Site {
    /// A site with a copy of an older day in `old` and today's in `new`. It is stopped.
    async fn of_two_days() -> Self {
        let site = Self::new().await;
        copy(&site.state(), &site.path("old"));
        site.issue(3).await;
        copy(&site.state(), &site.path("new"));
        site
    }

    fn mark(&self) -> Command {
        let mut command = Command::new(DAYPASS);
        command.args(["restore", "--by-hand"]);
        self.configured(command)
    }

    /// What a start that is refused logs.
    async fn refusal(&self) -> String {
        self.refusal_of(self.0.spawn(&[])).await
    }

    async fn refusal_of(&self, mut process: Process) -> String {
        assert!(self.0.api(&mut process).await.is_none(), "it starts");
        assert_eq!(process.ended().await.code(), Some(1));
        self.0.log().lines().last().unwrap().to_owned()
    }

    /// Puts today's files back, as they were.
    fn put_back(&self, name: &str) {
        fs::remove_dir_all(self.state()).unwrap();
        copy(&self.path(name), &self.state());
    }

    /// The size in the checkpoint.
    fn size(&self) -> u64 {
        let checkpoint = fs::read_to_string(self.state().join("checkpoint")).unwrap();
        checkpoint.lines().nth(1).unwrap().parse().unwrap()
    }

    /// Demands that the server goes on from today's ledger.
    async fn goes_on_from_today(&self, case: &str) {
        let before = self.size();
        self.issue(1).await;
        assert!(self.size() > before, "{case}");
    }
}

/// `cp -a`
fn copy(from: &Path, to: &Path) {
    let mut cp = Command::new("cp");
    succeed("cp", cp.arg("-a").arg(from).arg(to));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_different_days_are_refused_and_nothing_is_lost() {
    let site = Site::of_two_days().await;
    // The write-ahead log is left behind: the last events are in it alone.
    let mut process = site.0.spawn(&[]);
    drop(site.0.expect_api(&mut process).await);
    process.kill();
    process.ended().await;
    assert!(site.state().join("ledger.db-wal").exists());
    copy(&site.state(), &site.path("crashed"));

    let without_log = |site: &Site| {
        for name in ["ledger.db-wal", "ledger.db-shm"] {
            fs::remove_file(site.state().join(name)).unwrap();
        }
    };
    let old_database = |site: &Site| {
        fs::copy(site.path("old/ledger.db"), site.state().join("ledger.db")).unwrap();
    };
    let old_checkpoint = |site: &Site| {
        fs::copy(site.path("old/checkpoint"), site.state().join("checkpoint")).unwrap();
    };
    type Change<'a> = &'a dyn Fn(&Site);
    let cases: [(&str, &str, Change<'_>, bool); 4] = [
        (
            "the database without its log",
            "crashed",
            &without_log,
            false,
        ),
        ("only the database", "new", &old_database, false),
        (
            "the older database and log",
            "crashed",
            &|site| {
                old_database(site);
                without_log(site);
            },
            false,
        ),
        // The database has its own signed head, so an older checkpoint is of no harm.
        ("only the checkpoint", "new", &old_checkpoint, true),
    ];
    for (case, from, change, is_whole) in cases {
        site.put_back(from);
        change(&site);
        if is_whole {
            site.goes_on_from_today(case).await;
            continue;
        }
        let words = fail(case, &mut site.mark());
        for part in ["ledger.db", "checkpoint"] {
            assert!(words.contains(part), "{case}: {words}");
        }
        assert!(!site.state().join("restored").exists(), "{case}: no mark");
        let logged = site.refusal().await;
        assert!(
            logged.contains("checkpoint") && logged.contains("ut back"),
            "{case}: {logged}"
        );
        // What it says is what helps: the newest pair.
        site.put_back(from);
        site.goes_on_from_today(case).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_a_checkpoint_does_not_go_on_by_itself() {
    let site = Site::of_two_days().await;
    for from in ["old", "new"] {
        site.put_back(from);
        fs::remove_file(site.state().join("checkpoint")).unwrap();
        let logged = site.refusal().await;
        assert!(logged.contains("checkpoint"), "{logged}");
        let words = fail(from, &mut site.mark());
        assert!(words.contains("checkpoint is missing"), "{words}");
        assert!(!site.state().join("restored").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_older_copy_that_is_marked_grants_nothing() {
    let site = Site::of_two_days().await;
    for (case, files) in [
        ("the folder", &[][..]),
        ("the pair", &["ledger.db", "checkpoint"][..]),
    ] {
        site.put_back(if files.is_empty() { "old" } else { "new" });
        for file in files {
            fs::copy(site.path("old").join(file), site.state().join(file)).unwrap();
        }
        let words = succeed(case, &mut site.mark());
        assert!(words.contains("accept-restore"), "{case}: {words}");
        // Twice is as once.
        succeed(case, &mut site.mark());
        site.assert_restored(case).await;
        // So it is after another start, and after a mark that came late.
        site.assert_restored(case).await;
    }
    site.put_back("old");
    site.issue(1).await;
    succeed("a late mark", &mut site.mark());
    site.assert_restored("a late mark").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_or_a_ledger_of_another_server_are_refused() {
    let site = Site::of_two_days().await;
    let other = Site::new().await;
    let put = |from: &Site, name: &str| {
        fs::copy(from.path(name), site.path(name)).unwrap();
    };
    let keys: Vec<String> = names(site.0.folder())
        .into_iter()
        .filter(|name| name.contains("key"))
        .collect();
    assert!(keys.iter().any(|name| name == "ledger_key"), "{keys:?}");
    copy(&site.path("ledger_key"), &site.path("own"));
    put(&other, "ledger_key");
    for words in [
        fail("another ledger key", &mut site.mark()),
        site.refusal().await,
    ] {
        assert!(words.contains("the configured ledger key"), "{words}");
    }
    fs::rename(site.path("own"), site.path("ledger_key")).unwrap();
    site.goes_on_from_today("its own key").await;

    copy(&site.state(), &site.path("kept"));
    fs::remove_dir_all(site.state()).unwrap();
    copy(&other.state(), &site.state());
    for words in [
        fail("another ledger", &mut site.mark()),
        site.refusal().await,
    ] {
        assert!(words.contains("the configured ledger key"), "{words}");
    }
    site.put_back("kept");
    site.goes_on_from_today("its own ledger").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_runs_nothing_is_marked_and_no_older_file_comes_to_count() {
    let site = Site::of_two_days().await;
    let mut process = site.0.spawn(&[]);
    drop(site.0.expect_api(&mut process).await);
    let words = fail("it runs", &mut site.mark());
    assert!(words.contains("in use"), "{words}");
    let words = fail("it runs", &mut site.restore(&site.path("old")));
    assert!(words.contains("manifest.json"), "no backup: {words}");
    // The operator's mistake: files are replaced below the running server.
    for name in ["ledger.db", "checkpoint"] {
        fs::remove_file(site.state().join(name)).unwrap();
        fs::copy(site.path("old").join(name), site.state().join(name)).unwrap();
    }
    let mut process = process;
    process.kill();
    process.ended().await;
    // What it wrote last does not fit to them.
    let logged = site.refusal().await;
    assert!(logged.contains("Put back the newest copy"), "{logged}");
    site.put_back("new");
    site.goes_on_from_today("the newest copy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_the_servers_account_cannot_use_are_named_with_the_line_that_mends_it() {
    root::expect_root("backup", "files of another user");
    let site = Site::of_two_days().await;
    let owner = accounts::id(0);
    let chown = |who: u32, path: &Path| {
        let mut chown = Command::new("chown");
        succeed(
            "chown",
            chown.arg("-R").arg(format!("{who}:{who}")).arg(path),
        );
    };
    let id = owner.to_string();
    let prefix = ["setpriv", "--clear-groups", "--reuid", &id, "--regid", &id];
    let by_owner = |command: &Command| {
        let mut setpriv = Command::new(prefix[0]);
        setpriv.args(&prefix[1..]).arg(command.get_program());
        setpriv.args(command.get_args()).stdin(Stdio::null());
        setpriv
    };
    chown(owner, site.0.folder());
    type Spoil<'a> = &'a dyn Fn();
    let cases: [(&str, Spoil<'_>, &str); 4] = [
        (
            "root's database",
            &|| {
                chown(0, &site.state().join("ledger.db"));
                chmod(&site.state().join("ledger.db"), 0o600);
            },
            "ledger.db",
        ),
        (
            "root's checkpoint",
            &|| {
                chown(0, &site.state().join("checkpoint"));
                chmod(&site.state().join("checkpoint"), 0o600);
            },
            "checkpoint",
        ),
        ("root's folder", &|| chown(0, &site.state()), "state"),
        (
            "a folder of all users",
            &|| chmod(&site.state(), 0o777),
            "chmod",
        ),
    ];
    for (case, spoil, part) in cases {
        chown(owner, &site.state());
        chmod(&site.state(), 0o700);
        spoil();
        let words = fail(case, &mut by_owner(&site.mark()));
        assert!(words.contains(part), "{case}: {words}");
        let words = site.refusal_of(site.0.spawn(&prefix)).await;
        assert!(words.contains(part), "{case}: {words}");
        assert!(!site.state().join("restored").exists(), "{case}");
    }
    // Files that other users may read are made the owner's own.
    chown(owner, &site.state());
    chmod(&site.state(), 0o700);
    chmod(&site.state().join("ledger.db"), 0o644);
    succeed("a readable database", &mut by_owner(&site.mark()));
}
