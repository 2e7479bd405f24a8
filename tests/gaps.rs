//! A database that is written while nothing replicates it, and whose log is started
//! again before litestream comes back.

use std::process::Command;

use crate::support::daemon::Daemon;
use crate::support::gap::{UNSEEN, behind_a_gap, has_all};
use crate::support::{PROJECT, Run, Sandbox, litestream};

/// What all of this is for. When this fails, litestream is mended, and `gap.rs` can go
/// once no older one is supported.
#[test]
fn litestream_leaves_out_what_it_did_not_see() {
    let (sandbox, _user) = behind_a_gap();
    let config = sandbox.lsrun(&["config"]).expect(0).stdout;
    sandbox.write("litestream.yml", &config);
    let run: Run = Command::new(litestream())
        .args(["replicate", "-once", "-config"])
        .arg(sandbox.path("litestream.yml"))
        .current_dir(sandbox.path(""))
        .output()
        .unwrap()
        .into();
    run.expect(0);
    sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    assert_eq!(sandbox.integer("copy.sqlite3", UNSEEN), 1);
    let seen = "SELECT count(*) FROM users WHERE name = 'seen'";
    assert_eq!(sandbox.integer("copy.sqlite3", seen), 1);
    // And it is found out.
    sandbox.lsrun(&["verify"]).expect(10);
}

#[test]
fn verify_closes_the_gap() {
    let (sandbox, _user) = behind_a_gap();
    sandbox.lsrun(&["verify"]).expect(0).says(&["sends the whole database"]);
    has_all(&sandbox);
}

#[test]
fn replicate_once_closes_the_gap() {
    let (sandbox, _user) = behind_a_gap();
    sandbox.lsrun(&["replicate", "-once"]).expect(0).says(&["sends the whole database"]);
    has_all(&sandbox);
}

#[test]
fn a_gap_is_closed_beside_a_reader() {
    let (sandbox, user) = behind_a_gap();
    let reader = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    user.execute("INSERT INTO users (name) VALUES ('later')", []).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM users").unwrap();
    sandbox.lsrun(&["replicate", "-once"]).expect(0).says(&["sends the whole database"]);
    has_all(&sandbox);
}

#[test]
fn a_gap_is_not_forgotten_while_the_replica_is_away() {
    let (sandbox, _user) = behind_a_gap();
    std::fs::rename(sandbox.path("replica"), sandbox.path("away")).unwrap();
    sandbox.write("replica", "no folder");
    for _ in 0..2 {
        let run = sandbox.lsrun(&["replicate", "-once"]);
        assert_ne!(run.code, 0, "{run:?}");
    }
    sandbox.bring_the_replica_back();
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    has_all(&sandbox);
}

#[test]
fn a_gap_of_a_database_that_is_too_busy_is_told() {
    let (sandbox, user) = behind_a_gap();
    user.execute_batch("BEGIN IMMEDIATE").unwrap();
    let told = ["litestream would leave something out", "less busy"];
    sandbox.lsrun(&["replicate", "-once"]).expect(11).says(&told);
    user.execute_batch("ROLLBACK").unwrap();
    sandbox.lsrun(&["replicate", "-once"]).expect(0).says(&["sends the whole database"]);
    has_all(&sandbox);
}

#[test]
fn databases_of_a_folder_are_looked_at_as_well() {
    let (sandbox, _user) = behind_a_gap();
    let folder = sandbox.path("");
    let project = format!(
        "litestream:\n  dbs:\n  - {{dir: '{0}', pattern: 'db.sqlite3', replica: {{type: file, path: '{0}/replica'}}}}\n",
        folder.display()
    );
    sandbox.write("lsrun.yml", &project);
    let run = sandbox.lsrun(&["replicate", "-once"]).expect(0);
    run.says(&["sends the whole database"]);
    sandbox.lsrun(&["verify"]).expect(0);
}

#[test]
fn an_idle_database_costs_nothing() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    let files = sandbox.names("replica/ltx/0");
    for _ in 0..3 {
        sandbox.lsrun(&["replicate", "-once"]).expect(0).says_not("sends the whole database");
    }
    assert_eq!(sandbox.names("replica/ltx/0"), files);
}

#[test]
fn beside_a_daemon_nothing_replicates_once() {
    let sandbox = Sandbox::new();
    let _daemon = Daemon::start(&sandbox, "addr: ''");
    sandbox
        .lsrun(&["replicate", "-once"])
        .expect(20)
        .says(&["already replicates default", "two daemons on one database damage its replica"]);
}

#[test]
fn every_database_has_its_own() {
    let (sandbox, _user) = behind_a_gap();
    sandbox.sql("other.sqlite3", "PRAGMA journal_mode = wal; CREATE TABLE t (x)");
    let project = PROJECT.replace("litestream:", "  other: other.sqlite3\nlitestream:");
    let entry = "  - {path: other, replica: {type: file, path: others}}\n";
    sandbox.write("lsrun.yml", &format!("{project}{entry}"));
    let run = sandbox.lsrun(&["replicate", "-once"]).expect(0).says(&["default was written"]);
    run.says_not("other was written");
}
