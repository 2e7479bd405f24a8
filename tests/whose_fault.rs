//! Before a backup is blamed, the live database is checked: what is wrong there as well
//! is not a fault of the backup. And what only the application has is not damage.

use std::path::Path;

use crate::support::daemon::Daemon;
use crate::support::damaged::{MANY, UNINDEXED};
use crate::support::stand_in::altered;
use crate::support::{PROJECT, Sandbox, check};

fn json(sandbox: &Sandbox, code: i32, more: &[&str]) -> serde_json::Value {
    let run = sandbox.lsrun(&[&["verify", "--format", "json"][..], more].concat());
    let json = run.expect(code).json();
    sandbox.assert_clean();
    json
}

fn message<'a>(json: &'a serde_json::Value, id: &str) -> &'a str {
    check(json, id)["message"].as_str().unwrap()
}

/// The page at which the table or index begins.
fn root(database: &Path, name: &str) -> u64 {
    let connection = rusqlite::Connection::open(database).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    connection.query_row(sql, [name], |row| row.get::<_, i64>(0)).unwrap().try_into().unwrap()
}

/// Overwrites a page of the file, as a disk does.
fn overwrite(database: &Path, page: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().write(true).open(database).unwrap();
    file.write_all_at(&[0x5a; 4096], (page - 1) * 4096).unwrap();
}

/// A backup that was good, and then the live database is damaged so.
fn damaged_index(sandbox: &Sandbox) -> String {
    sandbox.sql("db.sqlite3", MANY);
    let good = json(sandbox, 0, &[]);
    sandbox.sql("db.sqlite3", UNINDEXED);
    good["databases"][0]["txid"].as_str().unwrap().to_owned()
}

#[test]
fn a_damaged_live_database_is_named_everywhere_and_its_backup_is_not_blamed() {
    let sandbox = Sandbox::new();
    let good = damaged_index(&sandbox);
    let report = json(&sandbox, 12, &["--junit", "junit.xml", "--prometheus", "metrics.prom"]);
    let database = &report["databases"][0];
    assert_eq!((&report["outcome"], &database["outcome"]), (&"failed".into(), &"failed".into()));
    assert_eq!(database["fault"], "live", "{report}");
    assert_eq!(database["last_good"]["txid"], good, "{report}");
    let failed = check(&report, "integrity_check");
    assert_eq!((&failed["outcome"], &failed["fault"]), (&"failed".into(), &"live".into()));
    let text = message(&report, "integrity_check");
    assert!(text.contains("missing from index big_x"), "{text}");
    assert!(text.contains("its backup is a faithful copy"), "{text}");
    assert_eq!(check(&report, "pages")["outcome"], "passed");
    let xml = std::fs::read_to_string(sandbox.path("junit.xml")).unwrap();
    assert!(xml.contains("type=\"live-damaged\""), "{xml}");
    let metrics = std::fs::read_to_string(sandbox.path("metrics.prom")).unwrap();
    for line in [
        "lsrun_verify_live_damaged{alias=\"default\"} 1",
        "lsrun_verify_outcome{alias=\"default\",outcome=\"failed\"} 1",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}:\n{metrics}");
    }
    let mut command = sandbox.command(&["verify"]);
    let run = crate::support::Run::from(command.env("GITHUB_ACTIONS", "true").output().unwrap());
    let run = run.expect(12).says(&[
        "the live database itself is damaged",
        "its backup is not to blame",
        "its backup is a faithful copy",
        "delete nothing",
        "::error title=the live database default is damaged",
    ]);
    run.says_not("reset");
    // What is advised leads to what is promised.
    let advice = format!("lsrun verify --at {good} default");
    let run = run.says(&[&advice]);
    drop(run);
    let words: Vec<&str> = advice.split(' ').skip(1).collect();
    sandbox.lsrun(&words).expect(0).says(&["verified"]);
}

#[test]
fn beside_a_daemon_as_well() {
    let sandbox = Sandbox::new();
    sandbox.sql("db.sqlite3", MANY);
    let _daemon = Daemon::answering(&sandbox, "");
    json(&sandbox, 0, &[]);
    sandbox.sql("db.sqlite3", UNINDEXED);
    let report = json(&sandbox, 12, &[]);
    assert_eq!(report["databases"][0]["fault"], "live", "{report}");
    // Without the row there is no state that is surely the sentinel's.
    let report = json(&sandbox, 12, &["--check", "integrity_check"]);
    assert_eq!(report["databases"][0]["fault"], "live", "{report}");
}

#[test]
fn a_damaged_page_of_the_live_database_is_not_replicated() {
    let sandbox = Sandbox::new();
    sandbox.sql("db.sqlite3", MANY);
    json(&sandbox, 0, &[]);
    sandbox.sql("db.sqlite3", "PRAGMA wal_checkpoint(truncate)");
    let before = sandbox.names("replica/ltx/0");
    let database = sandbox.path("db.sqlite3");
    for name in ["big", "_litestream_verification"] {
        overwrite(&database, root(&database, name));
        let report = json(&sandbox, 12, &[]);
        assert_eq!(report["databases"][0]["fault"], "live", "{report}");
        assert_eq!(check(&report, "integrity_check")["outcome"], "passed", "{report}");
        assert_eq!(sandbox.names("replica/ltx/0"), before);
    }
    let run = sandbox.lsrun(&["verify"]).expect(12).says(&["the live database", "delete nothing"]);
    run.says_not("reset");
    // Not even a database any more.
    overwrite(&database, 1);
    let report = json(&sandbox, 12, &[]);
    assert_eq!(report["databases"][0]["fault"], "live", "{report}");
    assert_eq!(check(&report, "integrity_check")["outcome"], "passed", "{report}");
    assert_eq!(sandbox.names("replica/ltx/0"), before);
    // What it says, that the backup is good, is so.
    sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    assert_eq!(sandbox.integer("copy.sqlite3", "SELECT count(*) FROM big"), 3000);
}

#[test]
fn a_damaged_page_beside_a_daemon() {
    let sandbox = Sandbox::new();
    sandbox.sql("db.sqlite3", MANY);
    let _daemon = Daemon::answering(&sandbox, "");
    json(&sandbox, 0, &[]);
    let database = sandbox.path("db.sqlite3");
    overwrite(&database, root(&database, "big"));
    let report = json(&sandbox, 12, &[]);
    assert_eq!(report["databases"][0]["fault"], "live", "{report}");
}

#[test]
fn broken_references_of_the_live_database_are_a_note_and_those_of_the_copy_alone_a_failure() {
    let sandbox = Sandbox::new();
    sandbox.sql(
        "db.sqlite3",
        "PRAGMA foreign_keys = off;
         CREATE TABLE orders (id INTEGER PRIMARY KEY, user INTEGER REFERENCES users (id));
         INSERT INTO orders (user) VALUES (1), (98), (99);",
    );
    let report = json(&sandbox, 0, &[]);
    assert!(message(&report, "foreign_key_check").contains("orders: 2 rows"), "{report}");
    // A point is proved without the live database: nobody says whose fault it is.
    let report = json(&sandbox, 11, &["--at", "latest"]);
    assert!(message(&report, "foreign_key_check").contains("not examined (--at)"), "{report}");
    let sql = "PRAGMA foreign_keys = off; DELETE FROM users WHERE id = 1";
    let report = altered(&sandbox, sql, None, 10);
    assert_eq!(check(&report, "foreign_key_check")["outcome"], "failed", "{report}");
    assert_eq!(report["databases"][0]["fault"], "backup", "{report}");
}

#[test]
fn an_assertion_is_the_backups_fault_only_where_the_live_database_keeps_it() {
    let sandbox = Sandbox::new();
    let verify = "verify:\n  assertions:\n    default:\n    - {name: bob, sql: \"select count(*) from users where name = 'bob'\"}\n";
    sandbox.write("lsrun.yml", &format!("{PROJECT}{verify}"));
    let report = altered(&sandbox, "DELETE FROM users WHERE name = 'bob'", None, 10);
    let text = message(&report, "assertion:bob");
    assert!(text.contains("it is true in the live database"), "{text}");
    assert_eq!(check(&report, "assertion:bob")["fault"], "backup", "{report}");
    sandbox.sql("db.sqlite3", "DELETE FROM users WHERE name = 'bob'");
    let report = json(&sandbox, 12, &[]);
    assert_eq!(check(&report, "assertion:bob")["fault"], "live", "{report}");
    // The live database is not examined: the failure stays one.
    let report = json(&sandbox, 10, &["--at", "latest"]);
    assert!(message(&report, "assertion:bob").contains("not examined (--at)"), "{report}");
}

#[test]
fn a_copy_that_is_damaged_alone_is_the_backups_fault() {
    let sandbox = Sandbox::new();
    sandbox.sql("db.sqlite3", MANY);
    // `altered` wants an intact copy; so the damage is one that it does not look for.
    let sql = "PRAGMA ignore_check_constraints = on; DELETE FROM big WHERE id = 7";
    let report = altered(&sandbox, sql, None, 10);
    assert_eq!(report["databases"][0]["fault"], "backup", "{report}");
    let run = sandbox.lsrun(&["verify"]).expect(0);
    run.says_not("next:");
}

/// What only the application has.
fn application(sandbox: &Sandbox) {
    use rusqlite::functions::FunctionFlags;
    let connection = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection
        .create_scalar_function("MD5", 1, flags, |context| {
            let text: Option<String> = context.get(0)?;
            Ok(text.map(|text| format!("{:032}", text.len())))
        })
        .unwrap();
    connection.create_collation("german", |a, b| b.cmp(a)).unwrap();
    connection
        .execute_batch(
            "CREATE INDEX users_md5 ON users (MD5(name));
             CREATE TABLE words (word TEXT COLLATE german, made TEXT AS (MD5(word)));
             CREATE INDEX words_word ON words (word);
             CREATE TABLE checked (x TEXT CHECK (length(MD5(x)) = 32));
             INSERT INTO words (word) VALUES ('Zebra'), ('Apfel');
             INSERT INTO checked VALUES ('a');",
        )
        .unwrap();
}

#[test]
fn functions_and_collations_of_the_application_are_no_damage() {
    let sandbox = Sandbox::new();
    application(&sandbox);
    let report = json(&sandbox, 0, &[]);
    let text = message(&report, "integrity_check");
    for line in [
        "checked: CHECK constraints were not evaluated (unknown function: MD5())",
        "users: quick_check only (unknown function: MD5())",
        "words: its pages only (unknown function: MD5())",
    ] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
    assert_eq!(check(&report, "pages")["outcome"], "passed");
    let restored = sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    restored.says(&["users: quick_check only"]);
    let quick = ["restore", "-integrity-check", "quick", "-o", "quick.sqlite3", "default"];
    sandbox.lsrun(&quick).expect(0);
    // Beside them damage is seen.
    sandbox.sql("db.sqlite3", MANY);
    sandbox.sql("db.sqlite3", UNINDEXED);
    let report = json(&sandbox, 12, &[]);
    assert!(message(&report, "integrity_check").contains("index big_x"), "{report}");
    sandbox
        .lsrun(&["restore", "-o", "more.sqlite3", "default"])
        .expect(10)
        .says(&["the backup is damaged", "lsrun points default lists all of them"]);
    sandbox.lsrun(&["points", "default"]).expect(0);
}

#[test]
fn a_check_constraint_that_is_broken_is_seen() {
    let sandbox = Sandbox::new();
    sandbox.sql(
        "db.sqlite3",
        "CREATE TABLE stock (item TEXT, count INT CHECK (count >= 0));
         PRAGMA ignore_check_constraints = on;
         INSERT INTO stock VALUES ('pen', -1);",
    );
    let report = json(&sandbox, 12, &[]);
    assert!(message(&report, "integrity_check").contains("CHECK constraint failed in stock"));
    assert_eq!(report["databases"][0]["fault"], "live", "{report}");
}
