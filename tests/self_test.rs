//! `verify --self-test`: private copies are damaged, and each damage has to be found.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::support::{Sandbox, check};

const TABLES: &str = "CREATE TABLE owners (id INTEGER PRIMARY KEY, name TEXT NOT NULL); \
    CREATE TABLE pets (id INTEGER PRIMARY KEY, owner REFERENCES owners, name TEXT); \
    CREATE INDEX pets_by_name ON pets (name); \
    INSERT INTO owners (name) VALUES ('ada'), ('bob'); \
    INSERT INTO pets (owner, name) VALUES (1, 'rex'), (2, 'tom'), (2, NULL)";

const DAMAGES: [(&str, &str); 7] = [
    ("flipped-page", "found by pages"),
    ("missing-row", "found by pages"),
    ("missing-index-entry", "found by integrity_check"),
    ("broken-reference", "found by foreign_key_check"),
    ("older-point", "found by pages"),
    ("truncated-file", "found by restore"),
    ("swapped-files", "found by restore"),
];

fn verify(sandbox: &Sandbox, code: i32, more: &[&str]) -> Value {
    let words = [&["verify", "--self-test", "--format", "json"], more].concat();
    sandbox.lsrun(&words).expect(code).json()
}

#[track_caller]
fn assert_test(report: &Value, kind: &str, outcome: &str, says: &str) {
    let test = check(report, &format!("self_test:{kind}"));
    assert_eq!(test["outcome"], outcome, "{kind}: {report:#}");
    assert!(test["message"].as_str().unwrap().contains(says), "{kind}: {test:#}");
}

/// Every file below a folder, with its content.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(content(&path));
        } else {
            all.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
    all
}

#[test]
fn each_damage_is_found_and_nothing_else_is_touched() {
    let sandbox = Sandbox::new();
    sandbox.sql("db.sqlite3", TABLES);
    // The first proof replicates, so that there are two points and two files.
    sandbox.lsrun(&["verify"]).expect(0);
    sandbox.sql("db.sqlite3", "INSERT INTO pets (owner, name) VALUES (1, 'kim')");
    let report = verify(&sandbox, 0, &[]);
    for (kind, found) in DAMAGES {
        assert_test(&report, kind, "passed", found);
    }
    // Nothing but the row gives it away.
    assert_test(&report, "missing-row", "passed", ": 1 page ");
    assert_test(&report, "flipped-page", "passed", ": 1 page ");
    let before = content(&sandbox.path("replica"));
    let pets = sandbox.integer("db.sqlite3", "SELECT count(*) FROM pets");
    let report = verify(&sandbox, 0, &["--at", "latest"]);
    assert_test(&report, "missing-index-entry", "passed", "found by integrity_check");
    assert_eq!(content(&sandbox.path("replica")), before);
    assert_eq!(sandbox.integer("db.sqlite3", "SELECT count(*) FROM pets"), pets);
    sandbox.assert_clean();
}

#[test]
fn what_does_not_apply_or_is_left_out_is_said() {
    let sandbox = Sandbox::empty();
    sandbox.write("lsrun.yml", crate::support::PROJECT);
    sandbox.sql("db.sqlite3", "CREATE TABLE t (a)");
    let report = verify(&sandbox, 0, &[]);
    assert_test(
        &report,
        "missing-index-entry",
        "skipped",
        "no index that is sorted by bytes has an entry",
    );
    assert_test(&report, "broken-reference", "skipped", "no row refers to another");
    assert_test(&report, "swapped-files", "skipped", "from one file");
    assert_test(&report, "older-point", "skipped", "no older point");
    let report = verify(&sandbox, 0, &["--skip", "integrity_check"]);
    assert_test(&report, "missing-index-entry", "skipped", "not looked for");
    let report = verify(&sandbox, 0, &["--check", "foreign_key_check"]);
    assert_test(&report, "flipped-page", "skipped", "not looked for");
    sandbox.assert_clean();
}
