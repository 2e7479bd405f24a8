//! What ends a run: deadlines of a call, of a query and of the whole, SIGINT and
//! SIGTERM. In every state it ends within seconds, and finished work is reported.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::puppet::Puppet;
use crate::support::{Run, Sandbox, check, wait_until};

/// So long may it take on a machine that does other things; the grace is 10 s.
const SECONDS: Duration = Duration::from_secs(25);

const TWO: &str = "
databases: {good: good.sqlite3, stuck: stuck.sqlite3}
litestream:
  dbs:
  - {path: good, replica: {type: file, path: replica-good}}
  - {path: stuck, replica: {type: file, path: replica-stuck}}
";

/// A project of two databases, with plugins for the one that gets stuck.
fn two(puppets: &[Puppet]) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["good.sqlite3", "stuck.sqlite3"] {
        sandbox.sql(name, "PRAGMA journal_mode = wal; CREATE TABLE users (id INTEGER PRIMARY KEY)");
    }
    sandbox.puppets("", puppets);
    let text = std::fs::read_to_string(sandbox.path("lsrun.yml")).unwrap();
    let plugins = text.lines().find(|line| line.starts_with("plugins:")).unwrap();
    sandbox.write("lsrun.yml", &format!("{TWO}{plugins}\n"));
    sandbox
}

fn stuck(deeds: &[&str]) -> Puppet {
    let manifest = "limits: {cpu-ms: 600000, timeout-ms: 3600000}\n";
    Puppet::new("holdup", deeds).manifest(manifest).with("databases", json!(["stuck"]))
}

/// `verify` of both, with everything that it can write.
fn start(sandbox: &Sandbox, more: &[&str]) -> Child {
    let stderr = std::fs::File::create(sandbox.path("stderr")).unwrap();
    let mut command = sandbox.command(&["verify", "--format", "json", "--jobs", "2"]);
    command.args(["--junit", "junit.xml", "--prometheus", "metrics.prom"]).args(more);
    command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap()
}

fn said(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path("stderr")).unwrap_or_default()
}

/// Waits until the good one is done and the other one is where it stays.
fn until_stuck(sandbox: &Sandbox) {
    wait_until("one is done and one is stuck", || {
        let said = said(sandbox);
        said.contains("verified in") && said.contains("holdup: here")
    });
}

/// Ends it and checks what is left.
fn ended(sandbox: &Sandbox, child: Child, signal: Signal, code: i32) -> Value {
    let started = Instant::now();
    kill_process(Pid::from_child(&child), signal).unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert!(started.elapsed() < SECONDS, "{:?}\n{}", started.elapsed(), said(sandbox));
    let run = run.expect(code);
    left(sandbox, &run)
}

fn left(sandbox: &Sandbox, run: &Run) -> Value {
    let report = run.json();
    let databases = report["databases"].as_array().unwrap();
    assert_eq!(databases.len(), 2, "{report}");
    let of = |name: &str| databases.iter().find(|it| it["alias"] == name).unwrap();
    assert_eq!(of("good")["outcome"], "verified", "{report}");
    assert_eq!(of("stuck")["outcome"], "inconclusive", "{report}");
    // Its result is there.
    let checks = of("stuck")["checks"].as_array().unwrap();
    assert!(
        checks.iter().any(|it| it["id"] == "sentinel" && it["outcome"] == "passed"),
        "{report}"
    );
    let junit = std::fs::read_to_string(sandbox.path("junit.xml")).unwrap();
    assert!(junit.contains("name=\"good\"") && junit.contains("name=\"stuck\""), "{junit}");
    let metrics = std::fs::read_to_string(sandbox.path("metrics.prom")).unwrap();
    assert!(metrics.contains("{alias=\"good\",outcome=\"verified\"} 1"), "{metrics}");
    sandbox.lsrun(&["history"]).expect(0).says(&["good"]);
    sandbox.assert_clean();
    report
}

#[test]
fn a_guest_that_computes_is_ended_by_a_signal() {
    let sandbox = two(&[stuck(&["log info here", "loop"])]);
    let child = start(&sandbox, &[]);
    until_stuck(&sandbox);
    let report = ended(&sandbox, child, Signal::INT, 130);
    assert!(report.to_string().contains("interrupted"), "{report}");
}

#[test]
fn endless_sql_is_ended_by_a_signal() {
    let endless = "sql WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let sandbox = two(&[stuck(&["log info here", endless])]);
    let child = start(&sandbox, &[]);
    until_stuck(&sandbox);
    ended(&sandbox, child, Signal::TERM, 143);
}

/// A check that says `here` on its standard output, and sleeps for an hour.
fn sleeper() -> Vec<u8> {
    let wat = r#"(component $C
  (import "lsrun:host/types@0.1.0" (instance $types
    (export "database" (type (sub resource)))
    (export "restored-copy" (type (sub resource)))
    (type $error' (record (field "code" string) (field "message" string)
      (field "hint" (option string)) (field "causes" (list string))))
    (export "error" (type $error (eq $error')))))
  (import "lsrun:host/report@0.1.0" (instance $report
    (export "log" (func (param "level" string) (param "message" string)))))
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer $C $pollable (type $pollable))
    (export "pollable" (type $p (eq $pollable)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
  (alias export $types "database" (type $database))
  (alias export $types "restored-copy" (type $copy))
  (alias export $types "error" (type $error))
  (core module $memory
    (memory (export "memory") 1)
    (data (i32.const 16) "infohere")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
  (core instance $memory (instantiate $memory))
  (core func $log (canon lower (func $report "log") (memory (core memory $memory "memory"))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core module $m
    (import "host" "log" (func $log (param i32 i32 i32 i32)))
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "host" "block" (func $block (param i32)))
    (func (export "run") (param i32 i32 i32) (result i32)
      (call $log (i32.const 16) (i32.const 4) (i32.const 20) (i32.const 4))
      (call $block (call $subscribe (i64.const 3600000000000)))
      i32.const 2048))
  (core instance $i (instantiate $m (with "host" (instance
    (export "log" (func $log)) (export "subscribe" (func $subscribe)) (export "block" (func $block))))))
  (func $run (param "database" (option (own $database))) (param "copy" (own $copy)) (result (result (error $error)))
    (canon lift (core func $i "run") (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (component $shim
    (import "database" (type $database (sub resource)))
    (import "copy" (type $copy (sub resource)))
    (type $error' (record (field "code" string) (field "message" string)
      (field "hint" (option string)) (field "causes" (list string))))
    (import "error" (type $error (eq $error')))
    (import "run" (func $run (param "database" (option (own $database))) (param "copy" (own $copy)) (result (result (error $error)))))
    (export $database' "database" (type $database))
    (export $copy' "restored-copy" (type $copy))
    (export $error'' "error" (type $error))
    (export "run" (func $run) (func (param "database" (option (own $database'))) (param "copy" (own $copy')) (result (result (error $error''))))))
  (instance $check (instantiate $shim
    (with "database" (type $database)) (with "copy" (type $copy)) (with "error" (type $error))
    (with "run" (func $run))))
  (export "lsrun:plugin/check@0.1.0" (instance $check)))"#;
    wat::parse_str(wat).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_guest_that_sleeps_is_ended_by_a_signal() {
    let sandbox = two(&[stuck(&[])]);
    std::fs::write(sandbox.path("plugins/holdup.wasm"), sleeper()).unwrap();
    let child = start(&sandbox, &[]);
    until_stuck(&sandbox);
    ended(&sandbox, child, Signal::INT, 130);
}

#[test]
fn a_guest_that_sleeps_is_ended_by_its_own_deadline() {
    let sandbox = two(&[stuck(&[]).with("limits", json!({"timeout": "1s"}))]);
    std::fs::write(sandbox.path("plugins/holdup.wasm"), sleeper()).unwrap();
    let run = Run::from(start(&sandbox, &[]).wait_with_output().unwrap()).expect(32);
    let report = left(&sandbox, &run);
    assert!(report.to_string().contains("ran for longer than 1.0 s"), "{report}");
}

#[test]
fn a_deadline_ends_the_run_and_what_finished_is_reported() {
    for more in [&["--deadline", "15s"][..], &[]] {
        let sandbox = two(&[stuck(&["log info here", "loop"])]);
        if more.is_empty() {
            let text = std::fs::read_to_string(sandbox.path("lsrun.yml")).unwrap();
            sandbox.write("lsrun.yml", &format!("{text}verify: {{deadline: 15s}}\n"));
        }
        let started = Instant::now();
        let run = Run::from(start(&sandbox, more).wait_with_output().unwrap()).expect(124);
        assert!(started.elapsed() < Duration::from_secs(15) + SECONDS);
        let report = left(&sandbox, &run);
        assert!(report.to_string().contains("not finished before the deadline"), "{report}");
        let metrics = std::fs::read_to_string(sandbox.path("metrics.prom")).unwrap();
        let line = "{alias=\"stuck\",outcome=\"inconclusive\"} 1";
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[test]
fn a_litestream_that_ignores_the_signal_does_not_hold_up_the_end() {
    let sandbox = two(&[]);
    // It hangs on the one, whatever the signal, and is litestream for the other.
    let real = crate::support::litestream().display().to_string();
    sandbox.write(
        "litestream",
        &format!(
            "#!/bin/sh\nfor word; do case $word in *.yml) grep -q stuck \"$word\" && stuck=1;; esac; done\n\
             if [ -n \"$stuck\" ]; then trap '' TERM INT; echo >hangs; while :; do sleep 0.1; done; fi\n\
             exec {real} \"$@\"\n"
        ),
    );
    let path = sandbox.path("litestream");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let stderr = std::fs::File::create(sandbox.path("stderr")).unwrap();
    let mut command = sandbox.command(&["verify", "--format", "json", "--jobs", "2"]);
    command
        .env("LSRUN_LITESTREAM", &path)
        .env("LSRUN_ENGINE", "litestream")
        .stdout(Stdio::piped())
        .stderr(stderr);
    command.args(["--junit", "junit.xml", "--prometheus", "metrics.prom"]);
    let child = command.spawn().unwrap();
    wait_until("one is done and one hangs", || {
        sandbox.path("hangs").exists() && said(&sandbox).contains("verified in")
    });
    let started = Instant::now();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let run = Run::from(child.wait_with_output().unwrap()).expect(143);
    assert!(started.elapsed() < SECONDS, "{:?}", started.elapsed());
    let report = run.json();
    let of = |name: &str| {
        report["databases"].as_array().unwrap().iter().find(|it| it["alias"] == name).unwrap()
    };
    assert_eq!(of("good")["outcome"], "verified", "{report}");
    assert_eq!(of("stuck")["outcome"], "inconclusive", "{report}");
    sandbox.lsrun(&["history"]).expect(0).says(&["good"]);
}

#[test]
fn waiting_for_a_lock_ends_with_the_run() {
    // The lock of SQLite, and that of another lsrun which replicates the database.
    for by_sqlite in [true, false] {
        let sandbox = Sandbox::new();
        let connection = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
        let state = sandbox.path(".db.sqlite3-litestream");
        std::fs::create_dir_all(&state).unwrap();
        let folder = std::fs::File::open(&state).unwrap();
        if by_sqlite {
            connection.execute_batch("BEGIN IMMEDIATE; CREATE TABLE held (x)").unwrap();
        } else {
            folder.lock().unwrap();
        }
        let stderr = std::fs::File::create(sandbox.path("stderr")).unwrap();
        let mut command = sandbox.command(&["verify", "--format", "json", "--timeout", "10m"]);
        let child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let state = if by_sqlite { "writing the sentinel" } else { "waiting for the replica" };
        wait_until(state, || said(&sandbox).contains(state));
        let started = Instant::now();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let run = Run::from(child.wait_with_output().unwrap()).expect(130);
        assert!(started.elapsed() < SECONDS, "{:?}", started.elapsed());
        let report = run.json();
        assert_eq!(check(&report, "preflight")["outcome"], "passed", "{report}");
        drop(connection);
    }
}

/// On a disk with room for one copy the other database waits, while the first is stuck.
#[cfg(target_os = "linux")]
#[test]
fn waiting_for_room_ends_with_the_run() {
    use crate::support::wrap;
    let sandbox =
        two(&[stuck(&["log info here", "loop"]).with("databases", json!(["good", "stuck"]))]);
    if !wrap::can_mount(&sandbox) {
        return;
    }
    let mut program = std::process::Command::new("unshare");
    let script = "mount -t tmpfs -o size=14m tmpfs tmp && exec \"$@\"";
    program.args(["-rm", "sh", "-c", script, "sh"]);
    let lsrun = sandbox.command(&["verify", "--format", "json", "--jobs", "2"]);
    let stderr = std::fs::File::create(sandbox.path("stderr")).unwrap();
    let mut command = wrap::behind(program, &lsrun);
    let child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
    wait_until("one is stuck", || said(&sandbox).contains("holdup: here"));
    // With room for its copy the other would be done at that moment.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(said(&sandbox).matches("holdup: here").count(), 1, "{}", said(&sandbox));
    let started = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let run = Run::from(child.wait_with_output().unwrap()).expect(130);
    assert!(started.elapsed() < SECONDS, "{:?}", started.elapsed());
    let report = run.json();
    for database in report["databases"].as_array().unwrap() {
        assert_eq!(database["outcome"], "inconclusive", "{report}");
        assert_eq!(database["error"]["exit_code"], 130, "{report}");
    }
}
