//! Daemons that are stopped, stuck, gone or not found.

use rustix::process::{Pid, Signal, kill_process};

use crate::support::daemon::Daemon;
use crate::support::replicate::{Replicate, lsrun, until_it_answers};
use crate::support::{PROJECT, Sandbox, wait_until};

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
    sandbox.take_the_replica_away();
    let write = "import sqlite3; c = sqlite3.connect('db.sqlite3', timeout=10); c.execute(\"INSERT INTO users (name) VALUES ('late')\"); c.commit()";
    let run = lsrun(&sandbox, &["replicate", "--", "python3", "-c", write]).expect(22);
    run.says(&["they are in the databases, and are replicated when litestream runs again"]);
    sandbox.bring_the_replica_back();
    let running = daemon(&sandbox);
    lsrun(&sandbox, &["verify"]).expect(0);
    running.end(Signal::TERM);
    lsrun(&sandbox, &["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    let late = "SELECT count(*) FROM users WHERE name = 'late'";
    assert_eq!(sandbox.integer("copy.sqlite3", late), 1);
}

/// litestream itself, which lsrun watches without a socket.
#[test]
fn a_daemon_that_is_stuck_and_goes_on_replicates_again() {
    let sandbox = Sandbox::new();
    let running = Daemon::start(&sandbox, "");
    running.signal(Signal::STOP);
    let hint = "it may be stopped or stuck: check its log";
    sandbox.lsrun(&["verify", "--timeout", "2s"]).expect(11).says(&[hint]);
    running.signal(Signal::CONT);
    sandbox.lsrun(&["verify"]).expect(0);
}

#[test]
fn more_time_is_enough_for_a_replica_that_follows_slowly() {
    let sandbox = Sandbox::new();
    let config = format!(
        "dbs:\n- path: {}\n  replica: {{type: file, path: {}, sync-interval: 5s}}\n  monitor-interval: 100ms\n",
        sandbox.path("db.sqlite3").display(),
        sandbox.path("replica").display()
    );
    let _running = Daemon::run(&sandbox, &config, || !sandbox.names("replica/ltx/0").is_empty());
    let hint = "check the daemon's log; allow more time with --timeout";
    // Its next look may be a moment away.
    wait_until("a second is not enough", || {
        let run = sandbox.lsrun(&["verify", "--timeout", "1s"]);
        run.code == 11 && run.stdout.contains(hint)
    });
    sandbox.lsrun(&["verify", "--timeout", "60s"]).expect(0);
}

#[test]
fn the_log_of_a_daemon_says_why_its_replica_lags() {
    let sandbox = Sandbox::new();
    let _running = Daemon::answering(&sandbox, "");
    sandbox.lsrun(&["verify"]).expect(0);
    sandbox.take_the_replica_away();
    sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('later')");
    let run = sandbox.lsrun(&["sync", "-wait", "-timeout", "2", "default"]).expect(11);
    run.says(&["check the daemon's log; its replica may not answer"]);
    let log = std::fs::read_to_string(sandbox.path("daemon.log")).unwrap();
    assert!(log.contains("not a directory"), "{log}");
    sandbox.bring_the_replica_back();
    sandbox.lsrun(&["sync", "-wait", "default"]).expect(0);
    sandbox.lsrun(&["verify"]).expect(0);
}

#[test]
fn a_daemon_is_found_when_it_runs_or_its_socket_is_named() {
    let sandbox = Sandbox::new();
    let hint = "start it with `lsrun replicate`, or name its control socket: -socket PATH";
    for command in ["info", "list"] {
        lsrun(&sandbox, &[command]).expect(22).says(&[hint]);
    }
    let (socket, lines) = Daemon::socket(&sandbox);
    let elsewhere = Daemon::start(&sandbox, &lines);
    wait_until("the socket is there", || socket.exists());
    lsrun(&sandbox, &["info"]).expect(22);
    let socket = socket.to_str().unwrap();
    lsrun(&sandbox, &["info", "-socket", socket]).expect(0).says(&["0.5.17"]);
    drop(elsewhere);
    let running = daemon(&sandbox);
    lsrun(&sandbox, &["info"]).expect(0).says(&["0.5.17"]);
    running.end(Signal::TERM);
}

#[test]
fn an_address_that_is_taken_is_free_again_or_another_one_is_chosen() {
    let sandbox = Sandbox::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let project = |address: &str| {
        sandbox.write("lsrun.yml", &format!("{PROJECT}  addr: '{address}'\n"));
    };
    project(&address.to_string());
    let hint = "another litestream may be running; stop it, or choose another port";
    lsrun(&sandbox, &["replicate", "--", "true"]).expect(20).says(&[hint]);
    project("127.0.0.1:0");
    lsrun(&sandbox, &["replicate", "--", "true"]).expect(0);
    drop(taken);
    project(&address.to_string());
    lsrun(&sandbox, &["replicate", "--", "true"]).expect(0);
}

#[cfg(target_os = "linux")]
#[test]
fn an_application_whose_litestream_has_gone_is_stopped() {
    let sandbox = Sandbox::new();
    let script = "trap 'touch stopped; exit 0' TERM; touch up; while :; do sleep 0.05; done";
    let mut running = Replicate::start(&sandbox, &["--", "sh", "-c", script]);
    wait_until("the application runs", || sandbox.path("up").exists());
    let database = sandbox.path("db.sqlite3");
    let mut found = Vec::new();
    wait_until("litestream has the database", || {
        found = lsrun::testing::running(&database);
        !found.is_empty()
    });
    let pid = Pid::from_raw(found[0].try_into().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let child = &mut running.0;
    wait_until("lsrun ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(22));
    assert!(sandbox.path("stopped").exists(), "the application was not asked to end");
    let log = std::fs::read_to_string(sandbox.path("replicate.log")).unwrap();
    assert!(log.contains("hint: the application is being stopped"), "{log}");
    // Nothing keeps it from being started again.
    lsrun(&sandbox, &["replicate", "--", "true"]).expect(0);
}
