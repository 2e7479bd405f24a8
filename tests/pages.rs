//! `pages`: the restored copy is the live database, page by page, whoever else writes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::stand_in::stand_in;
use crate::support::{Sandbox, check, wait_until};

fn ids(json: &Value) -> Vec<&str> {
    let checks = json["databases"][0]["checks"].as_array().unwrap();
    checks.iter().map(|check| check["id"].as_str().unwrap()).collect()
}

fn verify(sandbox: &Sandbox, code: i32, more: &[&str]) -> Value {
    let json = sandbox.lsrun(&[&["verify", "--format", "json"][..], more].concat());
    let json = json.expect(code).json();
    sandbox.assert_clean();
    json
}

/// Like [`verify`], with a litestream that does more after each restore.
fn verify_behind(sandbox: &Sandbox, script: &str, code: i32, more: &[&str]) -> Value {
    let script = stand_in(sandbox, &format!("\"$real\" \"$@\" || exit\n{script}"));
    let command = sandbox.command(&[&["verify", "--format", "json"][..], more].concat());
    let run: crate::support::Run = crate::support::stand_in::with_litestream(command, &script);
    let json = run.expect(code).json();
    sandbox.assert_clean();
    json
}

/// Removes what litestream keeps of single transactions, here and in the replica.
const FORGET: &str = "rm -f .db.sqlite3-litestream/ltx/0/*.ltx replica/ltx/0/*.ltx";
/// Changes one byte of the copy's last page, beyond what SQLite reads.
const CHANGE: &str = "size=$(stat -c %s \"$output\")
printf x | dd of=\"$output\" bs=1 seek=$((size - 2)) conv=notrunc 2>/dev/null";

#[test]
fn they_are_the_proof_and_the_rows_are_not_read() {
    let sandbox = Sandbox::new();
    let json = verify(&sandbox, 0, &[]);
    let pages = check(&json, "pages");
    assert_eq!(pages["outcome"], "passed");
    assert!(pages["message"].as_str().unwrap().contains("pages, each as in the live"), "{pages}");
    for id in ["schema", "rows", "content"] {
        assert!(!ids(&json).contains(&id), "{id}: {json}");
    }
    // Who names the rows gets them.
    let json = verify(&sandbox, 0, &["--check", "pages", "--check", "content"]);
    assert_eq!(ids(&json)[4..], ["pages", "content"], "{json}");
    let json = verify(&sandbox, 0, &["--skip", "pages"]);
    assert!(!ids(&json).contains(&"pages"));
    for id in ["schema", "rows", "content"] {
        assert_eq!(check(&json, id)["outcome"], "passed");
    }
    let json = verify(&sandbox, 0, &["--read-only"]);
    assert_eq!(check(&json, "pages")["outcome"], "passed");
}

#[test]
fn a_byte_that_sqlite_never_looks_at_is_found() {
    let sandbox = Sandbox::new();
    // The last page is a free one.
    sandbox.sql(
        "db.sqlite3",
        "CREATE TABLE more (x); INSERT INTO more VALUES (randomblob(9000)); DELETE FROM more",
    );
    verify(&sandbox, 0, &[]);
    let json = verify_behind(&sandbox, CHANGE, 10, &[]);
    let pages = check(&json, "pages");
    assert_eq!(pages["outcome"], "failed");
    assert!(pages["message"].as_str().unwrap().contains("1 of "), "{pages}");
    assert_eq!(check(&json, "integrity_check")["outcome"], "passed");
    assert_eq!(check(&json, "content")["outcome"], "passed");
}

#[test]
fn a_copy_of_another_length_is_found() {
    let sandbox = Sandbox::new();
    let longer = "head -c 4096 /dev/zero >>\"$output\"";
    let json = verify_behind(&sandbox, longer, 10, &["--check", "pages"]);
    let message = check(&json, "pages")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("the copy has"), "{message}");
}

#[test]
fn where_they_cannot_be_had_the_rows_take_their_place() {
    let sandbox = Sandbox::new();
    let json = verify_behind(&sandbox, FORGET, 0, &[]);
    let pages = check(&json, "pages");
    assert_eq!(pages["outcome"], "skipped");
    let message = pages["message"].as_str().unwrap();
    assert!(
        message.contains("no longer has a file of TXID") && message.contains("instead"),
        "{message}"
    );
    for id in ["schema", "rows", "content"] {
        assert_eq!(check(&json, id)["outcome"], "passed");
    }
    // Nothing is called verified by nothing.
    let json = verify_behind(&sandbox, FORGET, 11, &["--check", "pages"]);
    assert_eq!(check(&json, "pages")["outcome"], "inconclusive");
    let json = verify_behind(&sandbox, FORGET, 0, &["--fast"]);
    assert_eq!(check(&json, "rows")["outcome"], "passed");
    assert!(!ids(&json).contains(&"content"));
}

#[test]
fn a_log_that_is_gone_is_no_failure() {
    // The copy is of an older log than the one that verify's own connection begins.
    let sandbox = Sandbox::new();
    verify(&sandbox, 0, &[]);
    sandbox.sql("db.sqlite3", "PRAGMA wal_checkpoint(truncate)");
    let json = verify(&sandbox, 0, &["--read-only"]);
    let pages = check(&json, "pages");
    assert_eq!(pages["outcome"], "skipped", "{json}");
    assert_eq!(check(&json, "content")["outcome"], "passed");
}

/// Writers that commit all the time, and applications' checkpoints.
struct Busy {
    over: Arc<AtomicBool>,
    commits: Arc<AtomicUsize>,
    began: Instant,
    writers: Vec<std::thread::JoinHandle<()>>,
}

impl Busy {
    /// Two writers, as fast as they can.
    ///
    /// They pause between commits, as one that never does makes litestream 0.5.17 itself
    /// replicate a damaged database now and then.
    fn start(path: PathBuf) -> Self {
        let (over, commits) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let writers = (0..2).map(|number| {
            let (path, over, commits) = (path.clone(), Arc::clone(&over), Arc::clone(&commits));
            std::thread::spawn(move || {
                let connection = rusqlite::Connection::open(path).unwrap();
                connection.busy_timeout(Duration::from_secs(20)).unwrap();
                connection.execute_batch("PRAGMA synchronous = normal").unwrap();
                let sql = if number == 0 {
                    "INSERT INTO users (name) VALUES (hex(randomblob(200)))"
                } else {
                    "UPDATE users SET name = hex(randomblob(100)) WHERE id = abs(random()) % 500 + 1"
                };
                while !over.load(Ordering::Relaxed) {
                    connection.execute_batch(sql).unwrap();
                    commits.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(1));
                }
            })
        });
        let writers = writers.collect();
        Self { over, commits, began: Instant::now(), writers }
    }

    fn commits_a_second(&self) -> f64 {
        self.commits.load(Ordering::Relaxed) as f64 / self.began.elapsed().as_secs_f64()
    }

    fn end(self) -> f64 {
        let rate = self.commits_a_second();
        self.over.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.join().unwrap();
        }
        rate
    }
}

/// No compaction while a test runs.
const QUIET: &str = "levels: [{interval: 24h}]\n";

#[cfg(target_os = "linux")]
#[test]
fn beside_busy_writers_there_is_a_verdict() {
    const TIMES: usize = 20;
    let sandbox = Sandbox::new();
    let _daemon = Daemon::answering(&sandbox, QUIET);
    verify(&sandbox, 0, &[]);
    let busy = Busy::start(sandbox.path("db.sqlite3"));
    wait_until("they write", || busy.commits.load(Ordering::Relaxed) > 100);
    let mut verified = 0;
    for _ in 0..TIMES {
        let run = sandbox.lsrun(&["verify", "--format", "json"]).expect_one_of(&[0, 11]);
        let json = run.json();
        if run.code == 0 {
            assert_eq!(check(&json, "pages")["outcome"], "passed", "{json}");
            verified += 1;
        } else {
            eprintln!("{json:#}");
        }
    }
    let rate = busy.end();
    eprintln!("{verified} of {TIMES} beside {rate:.0} commits/s");
    assert!(verified * 10 >= TIMES * 9, "{verified} of {TIMES} beside {rate:.0} commits/s");
    sandbox.assert_clean();
}

#[cfg(target_os = "linux")]
#[test]
fn beside_busy_writers_a_missing_row_is_found() {
    let sandbox = Sandbox::new();
    let _daemon = Daemon::start(&sandbox, QUIET);
    verify(&sandbox, 0, &[]);
    let busy = Busy::start(sandbox.path("db.sqlite3"));
    wait_until("they write", || busy.commits.load(Ordering::Relaxed) > 100);
    let rename = "touch restored; while [ ! -e altered ]; do sleep 0.02; done";
    let script =
        stand_in(&sandbox, &format!("\"$real\" \"$@\" || exit\necho \"$output\" >place\n{rename}"));
    let mut command = sandbox.command(&["verify", "--format", "json"]);
    command.env("LSRUN_LITESTREAM", &script).env("LSRUN_ENGINE", "litestream");
    let child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the copy is there", || sandbox.path("restored").exists());
    let copy = std::fs::read_to_string(sandbox.path("place")).unwrap();
    let copy = rusqlite::Connection::open(copy.trim_end()).unwrap();
    copy.execute_batch("DELETE FROM users WHERE id = 2").unwrap();
    copy.close().unwrap();
    sandbox.write("altered", "");
    let run: crate::support::Run = child.wait_with_output().unwrap().into();
    let json = run.expect(10).json();
    assert_eq!(check(&json, "sentinel")["outcome"], "passed");
    assert_eq!(check(&json, "pages")["outcome"], "failed");
    busy.end();
    sandbox.assert_clean();
}
