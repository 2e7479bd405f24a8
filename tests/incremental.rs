//! Proofs that read only what is new: `verify --incremental` and `verify.full_every`.

use serde_json::Value;

use crate::s3::{self, SECRET};
use crate::support::daemon::Daemon;
use crate::support::s3::{BUCKET, S3};
use crate::support::{PROJECT, Sandbox, check};

/// With whole proofs a day apart.
fn daily() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("lsrun.yml", &format!("{PROJECT}verify: {{full_every: 1d}}\n"));
    sandbox
}

fn verify(sandbox: &Sandbox, code: i32, more: &[&str]) -> Value {
    let words = [&["verify", "--format", "json"], more].concat();
    sandbox.lsrun(&words).expect(code).json()
}

fn ids(report: &Value) -> Vec<&str> {
    let checks = report["databases"][0]["checks"].as_array().unwrap();
    checks.iter().map(|check| check["id"].as_str().unwrap()).collect()
}

/// Whether nothing was restored, and both clocks are told.
#[track_caller]
fn assert_incremental(report: &Value) {
    assert_eq!(report["databases"][0]["facts"]["incremental"], true, "{report:#}");
    assert!(report["databases"][0]["facts"]["whole_proof_age_ms"].is_u64(), "{report:#}");
    assert!(report["databases"][0]["remark"].as_str().unwrap().contains("whole"), "{report:#}");
    for id in ["sync", "files", "pages", "sentinel"] {
        assert_eq!(check(report, id)["outcome"], "passed", "{report:#}");
    }
    assert!(!ids(report).contains(&"restore") && !ids(report).contains(&"integrity_check"));
}

#[track_caller]
fn assert_whole(report: &Value) {
    for id in ["sentinel", "restore", "pages", "integrity_check", "foreign_key_check", "whole"] {
        assert_eq!(check(report, id)["outcome"], "passed", "{report:#}");
    }
    assert_eq!(report["databases"][0]["remark"], Value::Null);
}

#[test]
fn between_whole_proofs_only_new_files_are_read() {
    let sandbox = daily();
    let _daemon = Daemon::start(&sandbox, "");
    assert_whole(&verify(&sandbox, 0, &[]));
    let mut known = 0;
    for _ in 0..4 {
        sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('new')");
        let report = verify(&sandbox, 0, &[]);
        assert_incremental(&report);
        // Not where the daemon has just merged all of them.
        let message = check(&report, "files")["message"].as_str().unwrap();
        known += i32::from(message.contains(" known, "));
    }
    assert!(known > 1, "{known}");
    let run = sandbox.lsrun(&["verify"]).expect(0);
    run.says(&["✓ default verified (incremental, whole "]);
    assert_whole(&verify(&sandbox, 0, &["--full"]));
    // A check of a copy that is named is made.
    let named = verify(&sandbox, 0, &["--check", "integrity_check"]);
    assert_eq!(check(&named, "integrity_check")["outcome"], "passed");
    // Without the key everything is read each time, unless it is asked for.
    sandbox.write("lsrun.yml", PROJECT);
    let report = verify(&sandbox, 0, &[]);
    assert!(ids(&report).contains(&"integrity_check") && !ids(&report).contains(&"whole"));
    assert_incremental(&verify(&sandbox, 0, &["--incremental"]));
    sandbox.lsrun(&["verify", "--incremental", "--full"]).expect(2);
    sandbox.assert_clean();
}

#[test]
fn a_whole_proof_is_made_when_it_is_due_and_after_anything_wrong() {
    let sandbox = daily();
    assert_whole(&verify(&sandbox, 0, &[]));
    assert_incremental(&verify(&sandbox, 0, &[]));
    sandbox.write("lsrun.yml", &format!("{PROJECT}verify: {{full_every: 1ms}}\n"));
    assert_whole(&verify(&sandbox, 0, &[]));
    let rule = "{name: few, sql: select count(*) < 3 from users}";
    let project =
        format!("{PROJECT}verify: {{full_every: 1d, assertions: {{default: [{rule}]}}}}\n");
    sandbox.write("lsrun.yml", &project);
    // The assertion belongs to a copy: the next whole proof says that it is broken.
    assert_incremental(&verify(&sandbox, 0, &[]));
    verify(&sandbox, 12, &["--full"]);
    let report = verify(&sandbox, 12, &[]);
    assert!(ids(&report).contains(&"integrity_check"), "{report:#}");
}

#[test]
fn what_is_damaged_is_found_and_said_by_a_whole_proof() {
    let sandbox = daily();
    assert_whole(&verify(&sandbox, 0, &[]));
    assert_incremental(&verify(&sandbox, 0, &[]));
    sandbox.damage_the_newest_file();
    let report = verify(&sandbox, 10, &[]);
    assert_eq!(check(&report, "files")["outcome"], "skipped");
    assert_eq!(check(&report, "restore")["outcome"], "failed", "{report:#}");
    // Also when the state is gone.
    let report = verify(&sandbox, 10, &["--full"]);
    assert_eq!(check(&report, "restore")["outcome"], "failed");
}

#[test]
fn beside_compaction_and_a_writer_proofs_stay_incremental() {
    let sandbox = daily();
    let more = "levels: [{interval: 1s}, {interval: 2s}, {interval: 4s}]\n\
                snapshot: {interval: 1h}\n\
                l0-retention: 1500ms\nl0-retention-check-interval: 500ms\n";
    let _daemon = Daemon::start(&sandbox, more);
    verify(&sandbox, 0, &[]);
    let connection = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    let mut known = 0;
    for round in 0..15 {
        for _ in 0..20 {
            let sql = "INSERT INTO users (name) VALUES (hex(randomblob(900)));
                       UPDATE users SET name = hex(randomblob(400)) WHERE id % 5 = 1";
            connection.execute_batch(sql).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(15));
        }
        let report = verify(&sandbox, 0, &[]);
        // Where the log started anew a copy is compared.
        if report["databases"][0]["facts"]["incremental"] == true {
            assert_incremental(&report);
            let message = check(&report, "files")["message"].as_str().unwrap();
            known += i32::from(message.contains(" known, "));
        }
        assert_eq!(report["outcome"], "verified", "round {round}: {report:#}");
    }
    assert!(known > 5, "{known} of 15");
}

#[test]
fn only_the_pages_need_no_copy() {
    let sandbox = Sandbox::new();
    let report = verify(&sandbox, 0, &["--check", "pages"]);
    assert!(!ids(&report).contains(&"restore"), "{report:#}");
    assert_eq!(check(&report, "files")["outcome"], "passed");
    assert_eq!(check(&report, "pages")["outcome"], "passed");
    assert_eq!(report["databases"][0]["remark"], Value::Null);
    sandbox.assert_clean();
}

#[test]
fn a_replica_in_a_bucket_is_read_and_known_by_its_etags() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    let project = s3::project(&server.endpoint(), BUCKET, "addr: ''");
    sandbox.write("lsrun.yml", &format!("{project}verify: {{full_every: 1d}}\n"));
    let verify = |code: i32| {
        let words = ["verify", "--format", "json"];
        s3::with_keys(&sandbox, "LITESTREAM", SECRET, &words).expect(code).json()
    };
    let whole = verify(0);
    assert_whole(&whole);
    let message = check(&whole, "restore")["message"].as_str().unwrap();
    assert!(message.contains("read in full and checked"), "{message}");
    assert_eq!(check(&whole, "litestream")["outcome"], "passed");
    for _ in 0..2 {
        sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('new')");
        let report = verify(0);
        assert_incremental(&report);
        let message = check(&report, "files")["message"].as_str().unwrap();
        assert!(message.contains(" known, "), "{message}");
    }
    // What a file was exchanged for is read, and is no backup.
    let level = server.objects().join("shop/0000");
    let mut files: Vec<_> = std::fs::read_dir(level).unwrap().flatten().collect();
    files.retain(|file| file.file_name().to_string_lossy().ends_with(".ltx"));
    files.sort_by_key(std::fs::DirEntry::file_name);
    let oldest = files[0].path();
    let mut bytes = std::fs::read(&oldest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&oldest, bytes).unwrap();
    let report = verify(10);
    assert_eq!(check(&report, "restore")["outcome"], "failed", "{report:#}");
    sandbox.assert_clean();
}
