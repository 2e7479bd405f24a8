//! lsrun never damages what it checks: whatever it does while others write, nothing is
//! missing from the backup that litestream itself restores afterwards.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::daemon::Daemon;
use crate::support::load::{self, Writers};
use crate::support::replicate::{Replicate, lsrun, runtime, until_it_answers};
use crate::support::{PROJECT, Sandbox, litestream, wait_until};

/// How long each load runs.
const LOAD: Duration = Duration::from_secs(20);

/// A project whose database is written to.
fn busy() -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write("lsrun.yml", PROJECT);
    load::create(&sandbox.path("db.sqlite3"));
    sandbox
}

/// The backup, as litestream restores it, is the live database.
#[track_caller]
fn nothing_is_lost(sandbox: &Sandbox) {
    let [live, replica, copy] =
        ["db.sqlite3", "replica", "copy.sqlite3"].map(|name| sandbox.path(name));
    let difference = load::restored(litestream(), &live, &replica, &copy);
    assert!(difference.rows > 100 && difference.is_none(), "{difference:?}");
}

/// Runs this again and again beside two writers and a daemon, and then compares.
fn beside_writers(arguments: &[&str], codes: &[i32]) {
    let sandbox = busy();
    let daemon = Replicate::start(&sandbox, &[]);
    until_it_answers(&sandbox);
    let writers = Writers::start(&sandbox.path("db.sqlite3"), 2, 300);
    let until = Instant::now() + LOAD;
    let mut runs = 0;
    while Instant::now() < until || runs < 5 {
        lsrun(&sandbox, arguments).expect_one_of(codes);
        runs += 1;
        std::thread::sleep(Duration::from_millis(500));
    }
    writers.end();
    lsrun(&sandbox, &["sync", "-wait", "default"]).expect(0);
    nothing_is_lost(&sandbox);
    // The first one is litestream's own.
    assert!(load::snapshots(&sandbox.path("replica")) <= 1, "nothing was sent whole");
    lsrun(&sandbox, &["verify"]).expect(0);
    daemon.end(Signal::TERM);
    nothing_is_lost(&sandbox);
}

#[test]
fn verify_beside_busy_writers_loses_nothing() {
    beside_writers(&["verify"], &[0, 11]);
}

#[test]
fn sync_beside_busy_writers_loses_nothing() {
    beside_writers(&["sync", "-wait", "default"], &[0]);
}

#[test]
fn deploys_beside_a_busy_writer_lose_nothing() {
    for with_another in [false, true] {
        let sandbox = busy();
        let database = sandbox.path("db.sqlite3");
        let _another = with_another.then(|| {
            let connection = rusqlite::Connection::open(&database).unwrap();
            let count = "SELECT count(*) FROM rows";
            connection.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap();
            connection
        });
        let writers = Writers::start(&database, 1, 200);
        for signal in [Signal::TERM, Signal::INT, Signal::KILL, Signal::TERM, Signal::KILL] {
            let daemon =
                Replicate::start(&sandbox, &["--", "sh", "-c", "touch up; exec sleep 600"]);
            wait_until("the application runs", || sandbox.path("up").exists());
            std::thread::sleep(Duration::from_millis(700));
            std::fs::remove_file(sandbox.path("up")).unwrap();
            daemon.end(signal);
            wait_until("litestream has gone", || lsrun::testing::running(&database).is_empty());
        }
        let daemon = Replicate::start(&sandbox, &[]);
        until_it_answers(&sandbox);
        writers.end();
        lsrun(&sandbox, &["sync", "-wait", "default"]).expect(0);
        nothing_is_lost(&sandbox);
        daemon.end(Signal::TERM);
    }
}

#[test]
fn restores_over_a_replicated_database_lose_nothing() {
    let sandbox = busy();
    let daemon = Replicate::start(&sandbox, &[]);
    until_it_answers(&sandbox);
    for _ in 0..4 {
        let writers = Writers::start(&sandbox.path("db.sqlite3"), 1, 300);
        std::thread::sleep(Duration::from_millis(700));
        writers.end();
        lsrun(&sandbox, &["sync", "-wait", "default"]).expect(0);
        lsrun(&sandbox, &["restore", "-force", "default"]).expect(0);
        let writers = Writers::start(&sandbox.path("db.sqlite3"), 1, 300);
        std::thread::sleep(Duration::from_millis(700));
        writers.end();
    }
    lsrun(&sandbox, &["sync", "-wait", "default"]).expect(0);
    nothing_is_lost(&sandbox);
    lsrun(&sandbox, &["verify"]).expect(0);
    daemon.end(Signal::TERM);
    nothing_is_lost(&sandbox);
}

/// Stands between lsrun and a daemon's socket, and remembers what is asked.
struct Overheard {
    asked: Arc<Mutex<Vec<(String, serde_json::Value)>>>,
}

impl Overheard {
    fn start(listen: &Path, daemon: &Path) -> Self {
        let listener = UnixListener::bind(listen).unwrap();
        let asked: Arc<Mutex<Vec<_>>> = Arc::default();
        let (remembered, daemon) = (Arc::clone(&asked), daemon.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (remembered, daemon) = (Arc::clone(&remembered), daemon.clone());
                std::thread::spawn(move || hand_on(stream.unwrap(), &daemon, &remembered));
            }
        });
        Self { asked }
    }
}

fn hand_on(
    mut client: UnixStream,
    daemon: &Path,
    remembered: &Mutex<Vec<(String, serde_json::Value)>>,
) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    let (head, body) = loop {
        let count = client.read(&mut buffer).unwrap_or(0);
        if count == 0 {
            return;
        }
        request.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length:")
                .and_then(|it| it.trim().parse().ok())
        });
        if body.len() >= length.unwrap_or(0) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let what = head.lines().next().unwrap_or_default().to_owned();
    let body = serde_json::from_str(&body).unwrap_or_default();
    remembered.lock().unwrap().push((what, body));
    let mut server = UnixStream::connect(daemon).unwrap();
    server.write_all(&request).unwrap();
    let mut answers = server.try_clone().unwrap();
    let mut to = client.try_clone().unwrap();
    let back = std::thread::spawn(move || std::io::copy(&mut answers, &mut to));
    let _closed = std::io::copy(&mut client, &mut server);
    let _closed = server.shutdown(std::net::Shutdown::Both);
    let _ended = back.join();
}

#[test]
fn the_daemon_is_asked_to_sync_by_the_path_alone() {
    let sandbox = Sandbox::new();
    let (socket, lines) = Daemon::socket(&sandbox);
    let _daemon = Daemon::start(&sandbox, &lines);
    wait_until("the socket is there", || socket.exists());
    let between = sandbox.path("between.sock");
    let overheard = Overheard::start(&between, &socket);
    let line = format!("  socket: {{enabled: true, path: {}}}\n", between.display());
    sandbox.write("lsrun.yml", &format!("{PROJECT}{line}"));
    sandbox.lsrun(&["verify"]).expect(0);
    sandbox.lsrun(&["sync", "default"]).expect(0).says(&["txid: "]);
    let json = sandbox.lsrun(&["sync", "-wait", "-json", "-timeout", "20", "default"]).expect(0);
    assert!(json.json()["replica_txid"].as_u64().unwrap() > 0);
    sandbox.lsrun(&["stop", "default"]).expect(0);
    sandbox.lsrun(&["start", "default"]).expect(0);
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    let asked = overheard.asked.lock().unwrap();
    let syncs: Vec<_> = asked.iter().filter(|(what, _)| what.starts_with("POST /sync")).collect();
    assert!(syncs.len() >= 5, "{asked:?}");
    for (_, body) in syncs {
        let keys: Vec<_> = body.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["path"], "{asked:?}");
    }
}

#[test]
fn sync_says_what_is_wrong() {
    let sandbox = Sandbox::new();
    let run = sandbox.lsrun(&["sync", "-wait", "default"]).expect(22);
    run.says(&["no litestream daemon", "replicates default", "lsrun replicate"]);
    sandbox.lsrun(&["sync"]).expect(2).says(&["DATABASE"]);
    sandbox.lsrun(&["sync", "defualt"]).expect(20).says(&["did you mean"]);
    sandbox.lsrun(&["sync", "-timeout", "0", "default"]).expect(2).says(&["greater than 0"]);
    sandbox.lsrun(&["sync", "--help"]).expect(0).says(&["-wait"]);
}

#[test]
fn a_replica_that_is_away_is_a_lag() {
    let sandbox = Sandbox::new();
    let _daemon = Daemon::answering(&sandbox, "");
    sandbox.lsrun(&["verify"]).expect(0);
    sandbox.take_the_replica_away();
    sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('later')");
    let run = sandbox.lsrun(&["sync", "-wait", "-timeout", "2", "default"]).expect(11);
    run.says(&["the replica lags"]);
}

/// Litestream 0.5.17 loses its read lock to a sync with a timeout that checkpoints.
#[cfg(target_os = "linux")]
#[test]
fn a_daemon_without_its_read_lock_is_reported() {
    let sandbox = busy();
    let (socket, lines) = Daemon::socket(&sandbox);
    let config = format!(
        "{lines}\ndbs:\n- path: {}\n  replica: {{type: file, path: {}, sync-interval: 100ms}}\n  monitor-interval: 1h\n  min-checkpoint-page-count: 50\n",
        sandbox.path("db.sqlite3").display(),
        sandbox.path("replica").display()
    );
    let daemon = Daemon::run(&sandbox, &config, || socket.exists());
    sandbox.write("lsrun.yml", &format!("{PROJECT}  {lines}\n"));
    let run = sandbox.lsrun(&["verify"]).expect(0);
    run.says_not("read lock");
    let writers = Writers::start(&sandbox.path("db.sqlite3"), 1, 500);
    wait_until("enough is written for a checkpoint", || {
        std::fs::metadata(sandbox.path("db.sqlite3-wal")).is_ok_and(|it| it.len() > 1_000_000)
    });
    writers.end();
    let sync = std::process::Command::new(litestream())
        .args(["sync", "-wait", "-socket"])
        .arg(&socket)
        .arg(sandbox.path("db.sqlite3"))
        .stdout(Stdio::null())
        .status();
    assert!(sync.unwrap().success());
    let run = sandbox.lsrun(&["verify"]);
    run.says(&["has lost its read lock on default", "Restart the daemon"]);
    drop(daemon);
    std::fs::remove_file(&socket).unwrap();
    let _restarted = Daemon::run(&sandbox, &config, || socket.exists());
    sandbox.lsrun(&["verify"]).expect(0).says_not("read lock");
}

#[test]
fn reset_under_a_running_daemon_is_refused_with_the_way_that_works() {
    let sandbox = Sandbox::new();
    let daemon = Replicate::start(&sandbox, &[]);
    until_it_answers(&sandbox);
    let run = lsrun(&sandbox, &["reset", "default"]).expect(20);
    run.says(&["replicates", "stop the daemon, run lsrun reset", "start the daemon again"]);
    lsrun(&sandbox, &["reset", "-dry-run", "default"]).expect(0);
    daemon.end(Signal::TERM);
    lsrun(&sandbox, &["reset", "default"]).expect(0);
    let daemon = Replicate::start(&sandbox, &[]);
    until_it_answers(&sandbox);
    lsrun(&sandbox, &["verify"]).expect(0).says(&["verified"]);
    daemon.end(Signal::TERM);
}

#[test]
fn a_hang_up_reaches_the_application_and_ends_nothing() {
    let sandbox = Sandbox::new();
    let script =
        "trap 'echo HUP >>signals' HUP; trap 'exit 4' TERM; touch up; while :; do sleep 0.05; done";
    let mut replicate = Replicate::start(&sandbox, &["--", "sh", "-c", script]);
    wait_until("the application runs", || sandbox.path("up").exists());
    for count in 1..=2 {
        kill_process(Pid::from_child(&replicate.0), Signal::HUP).unwrap();
        wait_until("the application has it", || {
            std::fs::read_to_string(sandbox.path("signals"))
                .is_ok_and(|it| it.lines().count() == count)
        });
    }
    lsrun(&sandbox, &["verify"]).expect(0);
    kill_process(Pid::from_child(&replicate.0), Signal::TERM).unwrap();
    let child = &mut replicate.0;
    wait_until("it ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

#[cfg(target_os = "linux")]
#[test]
fn under_nohup_a_hang_up_is_nothing() {
    let sandbox = Sandbox::new();
    let command = sandbox.command(&["replicate"]);
    let mut shell = std::process::Command::new("nohup");
    crate::support::wrap::in_place_of(&mut shell, &command);
    shell.arg(command.get_program()).args(command.get_args());
    shell.env("XDG_RUNTIME_DIR", runtime(&sandbox)).stdout(Stdio::null()).stderr(Stdio::null());
    let daemon = Replicate(shell.spawn().unwrap());
    until_it_answers(&sandbox);
    kill_process(Pid::from_child(&daemon.0), Signal::HUP).unwrap();
    for _ in 0..3 {
        lsrun(&sandbox, &["verify"]).expect(0);
    }
    daemon.end(Signal::TERM);
}

#[test]
fn variables_are_missed_before_anything_is_written() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "lsrun.yml",
        "databases: {default: db.sqlite3}
litestream:
  dbs:
  - path: default
    replica: {type: sftp, host: '127.0.0.1:9', user: u, password: $NOT_SET_HERE, path: p}
",
    );
    sandbox.lsrun(&["verify"]).expect(20).says(&["NOT_SET_HERE"]);
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '_litestream%'";
    assert_eq!(sandbox.integer("db.sqlite3", tables), 0);
}
