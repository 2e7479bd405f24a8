//! `lsrun restore`: onto nothing, to another file, over a database, and every way
//! in which it must leave the live database as it was.

use crate::support::daemon::Daemon;
use crate::support::{PROJECT, Sandbox};

/// A sandbox whose three users are in the backup, and a fourth is not.
fn backed_up() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["verify"]).expect(0);
    sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('new')");
    sandbox
}

const USERS: &str = "SELECT count(*) FROM users";

#[test]
fn onto_a_missing_database() {
    let sandbox = backed_up();
    for name in ["db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm"] {
        let _missing = std::fs::remove_file(sandbox.path(name));
    }
    sandbox.lsrun(&["restore", "default"]).expect(0).says(&["default restored"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    sandbox.assert_clean();
}

#[test]
fn to_another_file_relative_to_the_working_directory() {
    let sandbox = backed_up();
    sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    assert_eq!(sandbox.integer("copy.sqlite3", USERS), 3);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
}

#[test]
fn an_existing_database_is_never_replaced_without_force() {
    let sandbox = backed_up();
    sandbox.lsrun(&["restore", "default"]).expect(11).says(&["exists already", "-force"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    sandbox
        .lsrun(&["restore", "-if-db-not-exists", "default"])
        .expect(0)
        .says(&["skipped", "exists already"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
}

#[test]
fn with_force_the_old_one_is_kept_whole() {
    let sandbox = backed_up();
    sandbox
        .lsrun(&["restore", "-force", "default"])
        .expect(0)
        .says(&["the old database is kept as"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    let kept: Vec<String> = sandbox
        .names("")
        .into_iter()
        .filter(|name| name.starts_with("db.sqlite3.before-restore-"))
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(sandbox.integer(&kept[0], USERS), 4);
    // The new one replicates on.
    sandbox.lsrun(&["verify"]).expect(0);
}

#[test]
fn a_stale_log_beside_a_missing_database_is_not_replayed_into_the_new_one() {
    let sandbox = backed_up();
    let log = vec![7_u8; 4096];
    std::fs::remove_file(sandbox.path("db.sqlite3")).unwrap();
    let _missing = std::fs::remove_file(sandbox.path("db.sqlite3-shm"));
    std::fs::write(sandbox.path("db.sqlite3-wal"), &log).unwrap();
    sandbox.lsrun(&["restore", "default"]).expect(0);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    assert_eq!(sandbox.integer("db.sqlite3", "SELECT count(*) FROM pragma_integrity_check"), 1);
}

#[test]
fn no_backup_leaves_the_database_as_it_was() {
    let sandbox = Sandbox::new();
    for flags in [&["-force"][..], &["-force", "-txid", "5"]] {
        let arguments = [&["restore"][..], flags, &["default"]].concat();
        sandbox.lsrun(&arguments).expect(11).says(&["no matching backup"]);
    }
    sandbox
        .lsrun(&["restore", "-force", "-if-replica-exists", "default"])
        .expect(0)
        .says(&["skipped", "no backup"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    assert_eq!(sandbox.names(""), ["db.sqlite3", "lsrun.yml", "tmp"]);
}

#[test]
fn a_variable_that_is_not_set_is_no_missing_backup() {
    let sandbox = Sandbox::new();
    sandbox.write("lsrun.yml", &PROJECT.replace("path: replica", "path: $NOT_SET_ANYWHERE"));
    for flags in [&["-o", "copy.sqlite3"][..], &["-if-replica-exists", "-o", "copy.sqlite3"]] {
        let arguments = [&["restore"][..], flags, &["default"]].concat();
        sandbox.lsrun(&arguments).expect(20).says(&["NOT_SET_ANYWHERE is not set"]);
    }
}

#[test]
fn a_damaged_backup_leaves_the_database_as_it_was() {
    let sandbox = backed_up();
    let level = sandbox.path("replica/ltx/0");
    for file in std::fs::read_dir(&level).unwrap().flatten() {
        let bytes = std::fs::read(file.path()).unwrap();
        std::fs::write(file.path(), &bytes[..bytes.len() / 2]).unwrap();
    }
    sandbox.lsrun(&["restore", "-force", "default"]).expect(22).says(&["error:", "restore"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    sandbox.assert_clean();
}

#[test]
fn a_database_in_use_is_not_replaced() {
    let sandbox = backed_up();
    let user = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    user.execute_batch("BEGIN; SELECT * FROM users").unwrap();
    sandbox.lsrun(&["restore", "-force", "default"]).expect(11).says(&["in use"]);
    user.execute_batch("COMMIT").unwrap();
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
}

#[cfg(target_os = "linux")]
#[test]
fn a_database_that_a_daemon_replicates_is_not_replaced() {
    let sandbox = backed_up();
    let _daemon = Daemon::start(&sandbox, "");
    crate::support::wait_until("the daemon has the database open", || {
        !lsrun::litestream::daemon::running(&sandbox.path("db.sqlite3")).is_empty()
    });
    sandbox.lsrun(&["restore", "-force", "default"]).expect(11).says(&["litestream daemon"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
}

#[test]
fn dry_run_says_what_would_happen_and_writes_nothing() {
    let sandbox = backed_up();
    let before = sandbox.names("");
    let run = sandbox.lsrun(&["restore", "-dry-run", "-json", "-force", "default"]).expect(0);
    let json = run.json();
    assert_eq!(json["replaces"], true);
    assert_eq!(json["max_txid"].as_str().unwrap().len(), 16);
    assert_eq!(sandbox.names(""), before);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
}

#[test]
fn from_a_url_without_a_project() {
    let sandbox = backed_up();
    let url = format!("file://{}", sandbox.path("replica").display());
    std::fs::remove_file(sandbox.path("lsrun.yml")).unwrap();
    let json = sandbox.lsrun(&["restore", "-json", "-o", "copy.sqlite3", &url]).expect(0).json();
    assert_eq!(json["db_path"], sandbox.path("copy.sqlite3").to_str().unwrap());
    assert_eq!(sandbox.integer("copy.sqlite3", USERS), 3);
    sandbox.lsrun(&["restore", &url]).expect(2).says(&["needs -o"]);
}

#[test]
fn a_pre_restore_hook_can_refuse() {
    let sandbox = backed_up();
    sandbox.plugin("protect");
    sandbox.write(
        "lsrun.yml",
        &format!(
            "{PROJECT}plugins: {{settings: {{protect: {{config: {{reason: ask first}}}}}}}}\n"
        ),
    );
    sandbox
        .lsrun(&["restore", "-force", "default"])
        .expect(33)
        .says(&["protect refused", "ask first"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
}

#[test]
fn a_check_that_fails_keeps_the_copy_out() {
    let sandbox = backed_up();
    sandbox.plugin("row-count");
    let settings = "plugins: {settings: {row-count: {config: {table: users, min: 100}}}}\n";
    sandbox.write("lsrun.yml", &format!("{PROJECT}{settings}"));
    sandbox.lsrun(&["restore", "-force", "default"]).expect(10).says(&["users has 3 rows"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    assert!(!sandbox.names("").iter().any(|name| name.contains("lsrun-")));
}
