//! `lsrun restore` on a disk that is full, or that nobody can write to: the live
//! database does not change, and nothing is left next to it.

use std::process::Command;

use crate::support::{Run, Sandbox, wrap};

/// A small database in `data`, whose backup was large once: at this transaction.
fn shrunk() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("data")).unwrap();
    let project = std::fs::read_to_string(sandbox.path("lsrun.yml")).unwrap();
    sandbox.write("lsrun.yml", &project.replace(": db.sqlite3", ": data/db.sqlite3"));
    sandbox.sql(
        "data/db.sqlite3",
        "PRAGMA journal_mode = wal; CREATE TABLE users (name TEXT); INSERT INTO users VALUES ('ann');
         CREATE TABLE big (x); INSERT INTO big VALUES (randomblob(20000000))",
    );
    let json = sandbox.lsrun(&["verify", "--fast", "--format", "json"]).expect(0).json();
    let txid = json["databases"][0]["txid"].as_str().unwrap().to_owned();
    sandbox.sql(
        "data/db.sqlite3",
        "DROP TABLE big; INSERT INTO users VALUES ('new'); VACUUM; PRAGMA wal_checkpoint(TRUNCATE)",
    );
    (sandbox, txid)
}

fn restore_to(txid: &str) -> [&str; 5] {
    ["restore", "-force", "-txid", txid, "default"]
}

/// What is in a folder, with the content of each file.
fn content(sandbox: &Sandbox) -> Vec<(String, Vec<u8>)> {
    let names = sandbox.names("data").into_iter().filter(|name| !name.ends_with("-litestream"));
    names
        .map(|name| (name.clone(), std::fs::read(sandbox.path("data").join(name)).unwrap()))
        .collect()
}

#[test]
fn a_quota_that_is_used_up_leaves_the_database() {
    let (sandbox, txid) = shrunk();
    let before = content(&sandbox);
    let lsrun = sandbox.command(&restore_to(&txid));
    let mut command = Command::new("sh");
    // In blocks of 512 bytes: 5 MB.
    command.args(["-c", "ulimit -f 10000; exec \"$@\"", "sh"]);
    let run = wrap::run(command, &lsrun).expect_one_of(&[11, 22]);
    assert_eq!(content(&sandbox), before, "{}", run.stderr);
    sandbox.assert_clean();
}

/// lsrun in a mount namespace of its own, in which `data` is a file system of this
/// `size`, with the same database in it, to which `then` is done. What differs there
/// afterwards comes back. None if the system does not allow this namespace.
#[cfg(target_os = "linux")]
fn on_another_disk(
    sandbox: &Sandbox,
    size: &str,
    then: &str,
    arguments: &[&str],
) -> Option<(Run, String)> {
    if !wrap::can_mount(sandbox) {
        return None;
    }
    let script = format!(
        "cp data/db.sqlite3 staged && mount -t tmpfs -o size={size} tmpfs data && cp staged data/db.sqlite3 && {then}
         list() {{ ls -A data; sha256sum data/db.sqlite3; }}
         list >before; \"$@\"; code=$?; list >after
         diff before after >difference; exit $code"
    );
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &script, "sh"]);
    let run = wrap::run(command, &sandbox.command(arguments));
    Some((run, std::fs::read_to_string(sandbox.path("difference")).unwrap()))
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_gets_full_leaves_the_database() {
    let (sandbox, txid) = shrunk();
    let arguments = restore_to(&txid);
    match on_another_disk(&sandbox, "12m", "true", &arguments) {
        Some((run, difference)) => {
            let run = run.expect_one_of(&[11, 22]);
            assert!(run.stderr.contains("no space left") || run.stdout.contains("no space left"));
            assert_eq!(difference, "");
        }
        // The other test of this kind needs no namespace.
        None => a_quota_that_is_used_up_leaves_the_database(),
    }
    sandbox.assert_clean();
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_nobody_can_write_to_leaves_the_database() {
    let (sandbox, _txid) = shrunk();
    let arguments = ["restore", "-force", "default"];
    match on_another_disk(&sandbox, "12m", "mount -o remount,ro data", &arguments) {
        Some((run, difference)) => {
            run.expect(11).says(&["Read-only file system"]);
            assert_eq!(difference, "");
        }
        // There is one such folder everywhere.
        None => {
            sandbox.lsrun(&["restore", "-o", "/proc/copy.sqlite3", "default"]).expect(11);
        }
    }
    sandbox.assert_clean();
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_gets_full_during_the_swap_leaves_the_database() {
    let (sandbox, _txid) = shrunk();
    sandbox.sql(
        "data/db.sqlite3",
        "CREATE TABLE big (x); INSERT INTO big VALUES (randomblob(8000000))",
    );
    let json = sandbox.lsrun(&["verify", "--fast", "--format", "json"]).expect(0).json();
    let txid = json["databases"][0]["txid"].as_str().unwrap();
    sandbox.sql(
        "data/db.sqlite3",
        "UPDATE big SET x = randomblob(8000000); PRAGMA wal_checkpoint(TRUNCATE)",
    );
    let arguments = restore_to(txid);
    // 8 MB each: the database and its restored copy, the kept one, the log.
    for (size, code) in [("20m", 11), ("28m", 11), ("40m", 0)] {
        let Some((run, difference)) = on_another_disk(&sandbox, size, "true", &arguments) else {
            return a_quota_that_is_used_up_leaves_the_database();
        };
        let run = run.expect(code);
        if code == 0 {
            assert!(difference.contains(".before-restore-"), "{difference}");
        } else {
            run.says(&["cannot replace", "disk is full"]);
            assert_eq!(difference, "", "{size}");
        }
    }
    sandbox.assert_clean();
}
