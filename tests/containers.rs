//! A daemon, or an application, in another container: another PID namespace, which the
//! tests make.

#![cfg(target_os = "linux")]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::daemon::Daemon;
use crate::support::load::{self, Writers};
use crate::support::{PROJECT, Run, Sandbox, litestream, wait_until, wrap};

/// `unshare` with a PID namespace of its own, in which nothing of this one is visible.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command
}

/// lsrun in a container of its own.
///
/// The project is named: without root the folders above belong to nobody there.
fn elsewhere(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    wrap::run(unshare(), sandbox.command(arguments).env("LSRUN_PROJECT", sandbox.path("")))
}

fn spawn_elsewhere(sandbox: &Sandbox, arguments: &[&str]) -> Child {
    let mut lsrun = sandbox.command(arguments);
    let mut command = wrap::behind(unshare(), lsrun.env("LSRUN_PROJECT", sandbox.path("")));
    let run = sandbox.path("run");
    std::fs::create_dir_all(&run).unwrap();
    let log = std::fs::File::create(sandbox.path("elsewhere.log")).unwrap();
    command.env("XDG_RUNTIME_DIR", run).stdout(Stdio::null()).stderr(log);
    command.spawn().unwrap()
}

fn said(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path("elsewhere.log")).unwrap()
}

#[test]
fn beside_a_daemon_that_cannot_be_seen_verify_watches_the_replica_and_loses_nothing() {
    let sandbox = Sandbox::empty();
    sandbox.write("lsrun.yml", PROJECT);
    load::create(&sandbox.path("db.sqlite3"));
    let daemon = Daemon::start(&sandbox, "");
    let writers = Writers::start(&sandbox.path("db.sqlite3"), 2, 200);
    for _ in 0..6 {
        let run = elsewhere(&sandbox, &["verify", "--format", "json"]).expect_one_of(&[0, 11]);
        let json = run.json();
        assert_eq!(json["databases"][0]["replication"]["method"], "polling", "{json}");
    }
    writers.end();
    let json = elsewhere(&sandbox, &["verify", "--format", "json"]).expect(0).json();
    assert_eq!(json["databases"][0]["replication"]["method"], "polling", "{json}");
    elsewhere(&sandbox, &["replicate", "-once", "--wait", "1s"])
        .expect(20)
        .says(&["another container"]);
    drop(daemon);
    // It ended without a last sync; what it had not read yet is still in the log.
    sandbox.lsrun(&["verify"]).expect(0);
    let [live, replica, copy] =
        ["db.sqlite3", "replica", "copy.sqlite3"].map(|name| sandbox.path(name));
    let difference = load::restored(litestream(), &live, &replica, &copy);
    assert!(difference.rows > 100 && difference.is_none(), "{difference:?}");
}

#[test]
fn where_nothing_can_be_seen_to_replicate_verify_says_so_and_replicates_nothing() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["verify"]).expect(0);
    let files = sandbox.names("replica/ltx/0");
    let user = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    user.execute("INSERT INTO users (name) VALUES ('mia')", []).unwrap();
    let run = elsewhere(&sandbox, &["verify"]).expect(11);
    run.says(&["in another container", "control socket"]);
    assert_eq!(sandbox.names("replica/ltx/0"), files);
    // An application that does not read all the time is not a daemon.
    elsewhere(&sandbox, &["replicate", "-once"]).expect(0);
    drop(user);
    elsewhere(&sandbox, &["verify"]).expect(0);
}

#[test]
fn a_shared_control_socket_is_found_from_another_container() {
    let sandbox = Sandbox::new();
    let _daemon = Daemon::answering(&sandbox, "");
    let json = elsewhere(&sandbox, &["verify", "--format", "json"]).expect(0).json();
    assert_eq!(json["databases"][0]["replication"]["method"], "socket");
}

#[test]
fn a_deploy_waits_for_the_old_container_and_then_refuses() {
    let sandbox = Sandbox::new();
    let old = Daemon::start(&sandbox, "");
    elsewhere(&sandbox, &["replicate", "--wait", "1s"]).expect(20).says(&[
        "waiting for it to end",
        "another container",
        "stop the other one",
    ]);
    let mut new = spawn_elsewhere(&sandbox, &["replicate", "--wait", "60s", "--", "touch", "up"]);
    wait_until("it waits", || said(&sandbox).contains("waiting for it to end"));
    std::thread::sleep(Duration::from_millis(500));
    assert!(!sandbox.path("up").exists());
    drop(old);
    wait_until("the application ran", || sandbox.path("up").exists());
    wait_until("it ends", || new.try_wait().unwrap().is_some());
    assert!(new.wait().unwrap().success(), "{}", said(&sandbox));
}

#[test]
fn a_database_that_is_replicated_elsewhere_is_not_replaced() {
    let sandbox = Sandbox::new();
    let _daemon = Daemon::start(&sandbox, "");
    let run = elsewhere(&sandbox, &["restore", "-force", "default"]).expect(11);
    run.says(&["is in use", "another container"]);
    assert_eq!(sandbox.integer("db.sqlite3", "SELECT count(*) FROM users"), 3);
}

#[test]
fn a_configuration_of_the_users_own_and_a_url_are_guarded_as_well() {
    let sandbox = Sandbox::new();
    let _daemon = Daemon::start(&sandbox, "");
    let refused = ["two daemons on one database damage its replica"];
    let own = ["replicate", "-config", "daemon.yml", "-once"];
    sandbox.lsrun(&own).expect(20).says(&refused);
    elsewhere(&sandbox, &[&own[..], &["--wait", "0s"]].concat()).expect(20).says(&refused);
    let url = format!("file://{}", sandbox.path("other").display());
    sandbox.lsrun(&["replicate", "db.sqlite3", &url]).expect(20).says(&refused);
    assert!(!sandbox.path("other").exists());
}

#[test]
fn what_can_be_seen_is_refused_at_once_and_waited_for_when_asked() {
    let sandbox = Sandbox::new();
    let old = Daemon::start(&sandbox, "");
    let run = sandbox.lsrun(&["replicate"]).expect(20);
    run.says(&["already replicates default", "--wait 60s"]);
    let waiting = sandbox.command(&["replicate", "-once", "--wait", "60s"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    drop(old);
    assert!(waiting.wait_with_output().unwrap().status.success());
}
