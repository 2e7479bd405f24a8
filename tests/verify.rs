//! `lsrun verify` with the real litestream: every way to the replica, and the
//! faults that must not pass as good backups.

use crate::support::daemon::Daemon;
use crate::support::{PROJECT, Sandbox, check};

fn outcome(json: &serde_json::Value) -> (&str, &str) {
    let database = &json["databases"][0];
    (
        database["outcome"].as_str().unwrap(),
        database["replication"]["method"].as_str().unwrap_or("none"),
    )
}

#[test]
fn without_a_daemon_litestream_replicates_once() {
    let sandbox = Sandbox::new();
    let json = sandbox.lsrun(&["--format", "json", "verify", "default"]).expect(0).json();
    assert_eq!(outcome(&json), ("verified", "once"));
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["outcome"], "verified");
    let database = &json["databases"][0];
    assert_eq!(database["alias"], "default");
    assert_eq!(database["txid"].as_str().unwrap().len(), 16);
    assert!(database["restore"]["bytes"].as_u64().unwrap() > 0);
    assert_eq!(check(&json, "sentinel")["outcome"], "passed");
    assert_eq!(check(&json, "integrity_check")["outcome"], "passed");
    assert_eq!(sandbox.integer("db.sqlite3", "SELECT count(*) FROM users"), 3);
    sandbox.assert_clean();
}

#[test]
fn a_daemon_with_a_socket_is_asked() {
    let sandbox = Sandbox::new();
    let _daemon = Daemon::answering(&sandbox, "");
    let json = sandbox.lsrun(&["verify", "--format", "json"]).expect(0).json();
    assert_eq!(outcome(&json), ("verified", "socket"));
    assert!(sandbox.path("control.sock").exists(), "the daemon keeps its socket");
    sandbox.assert_clean();
}

#[cfg(target_os = "linux")]
#[test]
fn a_daemon_without_a_socket_is_watched() {
    let sandbox = Sandbox::new();
    let _daemon = Daemon::start(&sandbox, "");
    let json = sandbox.lsrun(&["verify", "--format", "json"]).expect(0).json();
    assert_eq!(outcome(&json), ("verified", "polling"));
    sandbox.assert_clean();
}

#[cfg(target_os = "linux")]
#[test]
fn a_stopped_daemon_is_inconclusive_and_never_a_failure() {
    let sandbox = Sandbox::new();
    let daemon = Daemon::start(&sandbox, "");
    daemon.signal(rustix::process::Signal::STOP);
    let run = sandbox.lsrun(&["verify", "--format", "json", "--timeout", "2s"]).expect(11);
    let json = run.json();
    assert_eq!(json["outcome"], "inconclusive");
    assert_eq!(check(&json, "sync")["outcome"], "inconclusive");
    daemon.signal(rustix::process::Signal::CONT);
    sandbox.assert_clean();
}

#[test]
fn a_damaged_backup_fails_and_the_live_database_stays() {
    // With a daemon's socket everything is up to date, so that the damage stays.
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["verify"]).expect(0);
    let level = sandbox.path("replica/ltx/0");
    let first = std::fs::read_dir(&level).unwrap().flatten().map(|it| it.path()).min().unwrap();
    let whole = std::fs::read(&first).unwrap();
    std::fs::write(&first, &whole[..whole.len() / 2]).unwrap();
    let json = sandbox.lsrun(&["verify", "--format", "json"]).expect(10).json();
    assert_eq!(json["outcome"], "failed");
    assert_eq!(check(&json, "restore")["outcome"], "failed");
    assert_eq!(sandbox.integer("db.sqlite3", "SELECT count(*) FROM users"), 3);
    sandbox.assert_clean();
}

#[test]
fn assertions_fail_the_run_and_name_themselves() {
    let sandbox = Sandbox::new();
    let verify = "verify:\n  assertions:\n    default:\n    - {name: there are users, sql: select count(*) from users}\n    - {name: nobody is bob, sql: \"select count(*) = 0 from users where name = 'bob'\"}\n    - {name: broken, sql: select nothing}\n";
    sandbox.write("lsrun.yml", &format!("{PROJECT}{verify}"));
    let json = sandbox.lsrun(&["verify", "--format", "json"]).expect(12).json();
    assert_eq!(check(&json, "assertion:there are users")["outcome"], "passed");
    let failed = check(&json, "assertion:nobody is bob");
    assert_eq!(failed["outcome"], "failed");
    let message = failed["message"].as_str().unwrap();
    assert!(message.starts_with("returned 0, expected a true value: select count"), "{message}");
    assert!(message.ends_with("it is false in the live database as well"), "{message}");
    assert_eq!(check(&json, "assertion:broken")["outcome"], "inconclusive");
}

#[test]
fn several_databases_one_bad_one_never_stops_the_others() {
    let sandbox = Sandbox::new();
    sandbox.sql("two.sqlite3", "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    sandbox.write(
        "lsrun.yml",
        "databases: {default: db.sqlite3, missing: gone.sqlite3, two: two.sqlite3}
litestream:
  dbs:
  - {path: default, replica: {type: file, path: r/default}}
  - {path: missing, replica: {type: file, path: r/missing}}
  - {path: two, replica: {type: file, path: r/two}}
",
    );
    let run = sandbox.lsrun(&["verify", "--format", "json"]).expect(11);
    let json = run.json();
    let outcomes: Vec<_> =
        json["databases"].as_array().unwrap().iter().map(|it| it["outcome"].as_str()).collect();
    assert_eq!(outcomes, [Some("verified"), Some("inconclusive"), Some("verified")]);
    assert!(!sandbox.path("gone.sqlite3").exists());
    sandbox.lsrun(&["verify", "two", "default"]).expect(0).says(&["2 databases: 2 verified"]);
    sandbox.assert_clean();
}

#[test]
fn other_tools_columns_and_old_rows_of_the_sentinel_table_are_tolerated() {
    let sandbox = Sandbox::new();
    sandbox.sql(
        "db.sqlite3",
        "CREATE TABLE _litestream_verification (id INTEGER PRIMARY KEY, code TEXT, created TEXT, host TEXT DEFAULT 'x');
         INSERT INTO _litestream_verification (code, created) VALUES ('old', '2020-01-01 00:00:00');",
    );
    sandbox.lsrun(&["verify"]).expect(0);
    let old = "SELECT count(*) FROM _litestream_verification WHERE code = 'old'";
    assert_eq!(sandbox.integer("db.sqlite3", old), 0);
    assert_eq!(sandbox.integer("db.sqlite3", "SELECT count(*) FROM _litestream_verification"), 1);
}
