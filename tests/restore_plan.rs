//! What `lsrun restore` says before it does anything.

use crate::support::Sandbox;
use crate::support::backups::{USERS, backed_up};

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
fn the_plan_tells_the_point_its_age_the_size_and_the_time() {
    let sandbox = backed_up();
    let words = ["from", "file ", "point", "TXID 00000000", "ago", "size", "takes about"];
    for arguments in [
        &["restore", "-dry-run", "default"][..],
        &["restore", "-dry-run", "-force", "default"],
        &["restore", "-force", "default"],
        &["restore", "-o", "copy.sqlite3", "default"],
    ] {
        sandbox.lsrun(arguments).expect(0).says(&words);
    }
    let plan = |arguments: &[&str]| sandbox.lsrun(arguments).expect(0).json();
    let json = plan(&["restore", "-dry-run", "-json", "-o", "other.sqlite3", "default"]);
    assert!(json["replaced"].is_null() && json["replaces"] == false, "{json}");
    assert!(json["bytes"].as_u64().unwrap() > 100, "{json}");
    assert!(json["expected_ms"].as_u64().unwrap() < 60_000, "{json}");
    let age = json["age_ms"].as_u64().unwrap();
    assert!(age < 3_600_000, "{json}");
    let written: jiff::Timestamp = json["timestamp"].as_str().unwrap().parse().unwrap();
    assert!((jiff::Timestamp::now() - written).as_secs() < 3600, "{json}");
}

#[test]
fn where_nothing_was_restored_before_no_time_is_promised() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    let json = sandbox.lsrun(&["restore", "-dry-run", "-json", "default"]).expect(0).json();
    assert!(json["expected_ms"].is_null(), "{json}");
    sandbox.lsrun(&["restore", "-dry-run", "default"]).expect(0).says_not("takes about");
}

#[test]
fn the_plan_tells_what_would_be_replaced_and_how_far_it_is_ahead() {
    let sandbox = backed_up();
    for name in ["b", "c"] {
        sandbox.sql("db.sqlite3", &format!("INSERT INTO users (name) VALUES ('{name}')"));
        sandbox.lsrun(&["replicate", "-once"]).expect(0);
    }
    let plan = |arguments: &[&str]| sandbox.lsrun(arguments).expect(0).json();
    let newest = plan(&["restore", "-dry-run", "-json", "default"]);
    assert_eq!(newest["replaced"]["transactions_ahead"], 0, "{newest}");
    assert_eq!(newest["replaced"]["txid"], newest["max_txid"]);
    assert!(newest["replaced"]["bytes"].as_u64().unwrap() >= 8192, "{newest}");
    let older = ["restore", "-dry-run", "-txid", "1"];
    let json = plan(&[&older[..], &["-json", "default"]].concat());
    let ahead = json["replaced"]["transactions_ahead"].as_u64().unwrap();
    let txid = json["replaced"]["txid"].as_str().unwrap();
    assert_eq!(ahead, u64::from_str_radix(txid, 16).unwrap() - 1, "{json}");
    let words = format!("{ahead} replicated transactions ahead of it");
    sandbox.lsrun(&[&older[..], &["default"]].concat()).expect(0).says(&["replaces", &words]);
}

#[test]
fn what_the_replaced_database_holds_and_the_backup_lacks_is_told() {
    let sandbox = backed_up();
    sandbox.sql(
        "db.sqlite3",
        "CREATE TABLE late (x); INSERT INTO late VALUES (1); CREATE TABLE same (x);",
    );
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    sandbox.sql(
        "db.sqlite3",
        "UPDATE late SET x = 2; INSERT INTO users (name) VALUES ('newest'); CREATE TABLE new (x);",
    );
    let expected = serde_json::json!([
        "late: 1 row in both, with other values",
        "new: 0 rows now, missing in the backup",
        "users: 5 rows now, 4 rows in the backup",
    ]);
    let before = sandbox.names("");
    let compare = ["restore", "-dry-run", "--compare", "default"];
    sandbox
        .lsrun(&compare)
        .expect(0)
        .says(&["differs from the backup", "users: 5 rows now, 4 rows in"]);
    let run = sandbox.lsrun(&[&compare[..], &["-json"]].concat()).expect(0);
    assert_eq!(run.json()["replaced_differs"], expected);
    assert_eq!(sandbox.names(""), before);
    // It is shown before it is too late, and it is in the report.
    let run = sandbox.lsrun(&["restore", "-force", "--format", "json", "default"]).expect(0);
    assert_eq!(run.json()["databases"][0]["facts"]["replaced_differs"], expected);
    run.says(&["users: 5 rows now, 4 rows in the backup"]);
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0).says(&["has the same content"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
}

#[test]
fn a_database_that_cannot_be_read_is_no_reason_not_to_replace_it() {
    let sandbox = backed_up();
    for left in ["db.sqlite3-wal", "db.sqlite3-shm"] {
        let _missing = std::fs::remove_file(sandbox.path(left));
    }
    sandbox.write("db.sqlite3", &"no database at all ".repeat(1000));
    sandbox.lsrun(&["restore", "default"]).expect(11);
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0).says(&["cannot be read"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    // It is as broken as before when it is brought back.
    sandbox.lsrun(&["restore", "--undo", "default"]).expect(0);
    assert!(std::fs::read(sandbox.path("db.sqlite3")).unwrap().starts_with(b"no database"));
}
