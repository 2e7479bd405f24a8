//! What lsrun advises, carried out: it leads to the state that it promises.

use rustix::process::Signal;

use crate::support::replicate::{Replicate, lsrun, until_it_answers};
use crate::support::{PROJECT, Sandbox};

/// `lsrun replicate`, which answers.
fn daemon(sandbox: &Sandbox) -> Replicate {
    let daemon = Replicate::start(sandbox, &[]);
    until_it_answers(sandbox);
    daemon
}

#[test]
fn a_daemon_that_was_stopped_for_a_database_is_restarted() {
    let sandbox = Sandbox::new();
    let running = daemon(&sandbox);
    lsrun(&sandbox, &["verify"]).expect(0);
    lsrun(&sandbox, &["stop", "default"]).expect(0);
    sandbox.sql(
        "db.sqlite3",
        "INSERT INTO users (name) VALUES ('unseen'); PRAGMA wal_checkpoint(TRUNCATE);",
    );
    lsrun(&sandbox, &["verify"]).expect(11).says(&["restart the daemon"]);
    running.end(Signal::TERM);
    let running = daemon(&sandbox);
    lsrun(&sandbox, &["verify"]).expect(0);
    running.end(Signal::TERM);
}

#[test]
fn start_is_enough_where_nothing_was_written() {
    let sandbox = Sandbox::new();
    let running = daemon(&sandbox);
    lsrun(&sandbox, &["verify"]).expect(0);
    lsrun(&sandbox, &["stop", "default"]).expect(0);
    lsrun(&sandbox, &["verify"]).expect(11).says(&["lsrun start default is enough only if"]);
    lsrun(&sandbox, &["start", "default"]).expect(0);
    lsrun(&sandbox, &["verify"]).expect(0);
    running.end(Signal::TERM);
}

#[test]
fn where_no_daemon_answers_both_ways_replicate() {
    let sandbox = Sandbox::new();
    let advice = ["lsrun replicate", "lsrun replicate -once"];
    lsrun(&sandbox, &["sync", "default"]).expect(22).says(&advice);
    lsrun(&sandbox, &["replicate", "-once"]).expect(0);
    lsrun(&sandbox, &["verify"]).expect(0);
    let running = daemon(&sandbox);
    lsrun(&sandbox, &["sync", "-wait", "default"]).expect(0);
    lsrun(&sandbox, &["verify"]).expect(0);
    running.end(Signal::TERM);
}

#[test]
fn what_did_not_reach_the_replica_at_the_end_reaches_it_at_the_next_start() {
    let sandbox = Sandbox::new();
    sandbox.write("lsrun.yml", &format!("{PROJECT}  shutdown-sync-timeout: 1s\n"));
    sandbox.lsrun(&["verify"]).expect(0);
    std::fs::rename(sandbox.path("replica"), sandbox.path("away")).unwrap();
    sandbox.write("replica", "not a folder");
    let write = "import sqlite3; c = sqlite3.connect('db.sqlite3', timeout=10); c.execute(\"INSERT INTO users (name) VALUES ('late')\"); c.commit()";
    let run = lsrun(&sandbox, &["replicate", "--", "python3", "-c", write]).expect(22);
    run.says(&["the databases have them; they are replicated when litestream runs again"]);
    std::fs::remove_file(sandbox.path("replica")).unwrap();
    std::fs::rename(sandbox.path("away"), sandbox.path("replica")).unwrap();
    let running = daemon(&sandbox);
    lsrun(&sandbox, &["verify"]).expect(0);
    running.end(Signal::TERM);
    lsrun(&sandbox, &["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    let late = "SELECT count(*) FROM users WHERE name = 'late'";
    assert_eq!(sandbox.integer("copy.sqlite3", late), 1);
}
