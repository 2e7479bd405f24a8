//! `verify --random-point`: any of the points that a backup can be restored to.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Sandbox, check};

/// With this many points.
fn with_points(points: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    for _ in 0..points {
        sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('new')");
        sandbox.lsrun(&["replicate", "-once"]).expect(0);
    }
    sandbox
}

fn verify(sandbox: &Sandbox, code: i32) -> Value {
    sandbox.lsrun(&["verify", "--random-point", "--format", "json"]).expect(code).json()
}

/// The TXIDs that `lsrun points` lists.
fn points(sandbox: &Sandbox) -> BTreeSet<String> {
    let json = sandbox.lsrun(&["points", "default", "--json"]).expect(0).json();
    let points = json["points"].as_array().unwrap();
    points.iter().map(|point| point["txid"].as_str().unwrap().to_owned()).collect()
}

fn chosen(report: &Value) -> String {
    report["databases"][0]["facts"]["random_point"].as_str().unwrap().to_owned()
}

#[test]
fn each_time_it_is_any_of_the_points() {
    let sandbox = with_points(4);
    let points = points(&sandbox);
    assert!(points.len() > 2, "{points:?}");
    let mut seen = BTreeSet::new();
    // The same one 12 times in a row: once in a hundred thousand.
    for _ in 0..12 {
        let report = verify(&sandbox, 0);
        let txid = chosen(&report);
        assert!(points.contains(&txid), "{txid} of {points:?}");
        let database = &report["databases"][0];
        assert_eq!(database["facts"]["points"], points.len(), "{report:#}");
        assert_eq!(database["txid"], txid.as_str(), "{report:#}");
        assert!(database["remark"].as_str().unwrap().contains(&txid), "{report:#}");
        let message = check(&report, "point")["message"].as_str().unwrap();
        assert!(message.contains(&txid) && message.contains(" points"), "{message}");
        for id in ["restore", "integrity_check", "foreign_key_check"] {
            assert_eq!(check(&report, id)["outcome"], "passed", "{report:#}");
        }
        seen.insert(txid);
    }
    assert!(seen.len() > 1, "always {seen:?}");
    let run = sandbox.lsrun(&["verify", "--random-point"]).expect(0);
    run.says(&["✓ default verified (at a random point, TXID "]);
    sandbox.assert_clean();
}

#[test]
fn it_needs_no_live_database() {
    let sandbox = with_points(3);
    let points = points(&sandbox);
    for name in sandbox.names("").iter().filter(|name| name.starts_with("db.sqlite3")) {
        std::fs::remove_file(sandbox.path(name)).unwrap();
    }
    let seen: BTreeSet<String> = (0..12).map(|_| chosen(&verify(&sandbox, 0))).collect();
    assert!(seen.len() > 1 && seen.is_subset(&points), "{seen:?} of {points:?}");
    assert!(!sandbox.path("db.sqlite3").exists());
    sandbox.assert_clean();
}

#[test]
fn a_point_that_does_not_restore_is_a_failure_and_no_backup_is_one() {
    let sandbox = with_points(3);
    // Every point needs the first file.
    let file = sandbox.path("replica/ltx/0").join(sandbox.names("replica/ltx/0").remove(0));
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&file, bytes).unwrap();
    let report = verify(&sandbox, 10);
    assert_eq!(check(&report, "restore")["outcome"], "failed", "{report:#}");
    std::fs::remove_dir_all(sandbox.path("replica/ltx")).unwrap();
    let report = verify(&sandbox, 10);
    assert_eq!(check(&report, "point")["outcome"], "failed", "{report:#}");
    sandbox.assert_clean();
}

#[test]
fn it_excludes_another_point_and_what_reads_no_copy() {
    let sandbox = Sandbox::new();
    for other in [&["--at", "latest"][..], &["--incremental"]] {
        let words = [&["verify", "--random-point"], other].concat();
        sandbox.lsrun(&words).expect(2).says(&["--random-point and ", "exclude each other"]);
    }
    let run = sandbox.lsrun(&["verify", "--random-point", "--incremental"]);
    run.says(&["an older point is proved by a restored copy of it"]);
    sandbox.lsrun(&["verify", "--random-point", "--full"]).expect(10);
}
