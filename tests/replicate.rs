//! `lsrun replicate` with the real litestream: a supervisor that can be trusted.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::support::gap::{behind_a_gap, has_all};
use crate::support::replicate::{command, lsrun};
use crate::support::{PROJECT, Run, Sandbox, litestream, wait_until};

/// A running `lsrun replicate`. Dropped, it is killed.
struct Replicate {
    child: Child,
}

impl Replicate {
    fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut command = command(sandbox, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().unwrap() }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(mut self) -> Run {
        let read = |stream: &mut dyn Read| {
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        let child = &mut self.child;
        wait_until("lsrun replicate ends", || child.try_wait().unwrap().is_some());
        let stdout = read(self.child.stdout.as_mut().unwrap());
        let stderr = read(self.child.stderr.as_mut().unwrap());
        Run { code: self.child.wait().unwrap().code().unwrap_or(-1), stdout, stderr }
    }
}

impl Drop for Replicate {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn socket_is_there(sandbox: &Sandbox) {
    wait_until("the control socket is there", || {
        let folder = sandbox.path("run/lsrun");
        std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .any(|it| it.path().join("litestream.sock").exists())
    });
}

/// The test's own arguments for an application that runs in `sh`.
fn shell(script: &str) -> Vec<String> {
    ["--", "sh", "-c", script].map(str::to_owned).to_vec()
}

fn with_application(sandbox: &Sandbox, script: &str) -> Run {
    let words = shell(script);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Replicate::start(sandbox, &words).end()
}

#[test]
fn the_applications_own_code_is_returned_and_its_last_write_is_replicated() {
    let sandbox = Sandbox::new();
    // Python is there wherever litestream is fetched through pip.
    sandbox.write(
        "app.py",
        "import sqlite3, sys
connection = sqlite3.connect('db.sqlite3', timeout=10)
connection.execute('INSERT INTO users (name) VALUES (?)', ('last',))
connection.commit()
sys.exit(7)
",
    );
    let script = "exec python3 app.py";
    with_application(&sandbox, script).expect(7);
    assert_eq!(sandbox.integer("db.sqlite3", "SELECT count(*) FROM users"), 4);
    sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    assert_eq!(sandbox.integer("copy.sqlite3", "SELECT count(*) FROM users"), 4);
    assert!(sandbox.names("run").is_empty(), "the socket's folder is gone");
    sandbox.assert_clean();
}

#[test]
fn exec_is_taken_apart_as_litestream_does_it() {
    let sandbox = Sandbox::new();
    for exec in ["-exec", "--exec"] {
        Replicate::start(&sandbox, &[exec, "sh -c 'printf \"%s\" \"a b\" >out; exit 3'"])
            .end()
            .expect(3);
        assert_eq!(std::fs::read_to_string(sandbox.path("out")).unwrap(), "a b");
    }
    sandbox.write("lsrun.yml", &format!("{PROJECT}  exec: sh -c 'exit 5'\n"));
    Replicate::start(&sandbox, &[]).end().expect(5);
    Replicate::start(&sandbox, &["-exec", "a", "--", "b"]).end().expect(2).says(&["twice"]);
    Replicate::start(&sandbox, &["-exec", "no-such-program"])
        .end()
        .expect(2)
        .says(&["no-such-program"]);
}

#[test]
fn the_application_starts_when_the_daemon_answers_and_inherits_no_secret() {
    let sandbox = Sandbox::new();
    let script = "env >environment; ls run/lsrun/*/litestream.sock >sockets";
    with_application(&sandbox, script).expect(0);
    let sockets = std::fs::read_to_string(sandbox.path("sockets")).unwrap();
    assert_eq!(sockets.lines().count(), 1, "{sockets}");
    let environment = std::fs::read_to_string(sandbox.path("environment")).unwrap();
    assert!(!environment.contains("LSRUN_V_"), "{environment}");
}

#[test]
fn verify_and_the_daemon_commands_find_the_daemon() {
    let sandbox = Sandbox::new();
    let daemon = Replicate::start(&sandbox, &[]);
    socket_is_there(&sandbox);
    let json = lsrun(&sandbox, &["verify", "--format", "json"]).expect(0).json();
    assert_eq!(json["databases"][0]["replication"]["method"], "socket");
    let synced = lsrun(&sandbox, &["sync", "default", "-wait", "-json"]).expect(0).json();
    assert!(synced["txid"].as_u64().unwrap() > 0);
    let list = lsrun(&sandbox, &["list", "-json"]).expect(0).json();
    assert_eq!(list["databases"][0]["path"], sandbox.path("db.sqlite3").to_str().unwrap());
    lsrun(&sandbox, &["stop", "default"]).expect(0);
    lsrun(&sandbox, &["start", "default"]).expect(0);
    assert_eq!(lsrun(&sandbox, &["info", "-json"]).expect(0).json()["version"], "0.5.17");
    // A second one is refused, by its process.
    Replicate::start(&sandbox, &[]).end().expect(20).says(&["already"]);
    daemon.signal(Signal::TERM);
    daemon.end().expect(0);
    assert!(sandbox.names("run").is_empty());
    sandbox.assert_clean();
}

#[test]
fn a_daemon_begins_with_what_was_written_while_none_ran() {
    let (sandbox, _user) = behind_a_gap();
    let daemon = Replicate::start(&sandbox, &[]);
    socket_is_there(&sandbox);
    lsrun(&sandbox, &["verify"]).expect(0);
    daemon.signal(Signal::TERM);
    daemon.end().expect(0).says(&["sends the whole database"]);
    has_all(&sandbox);
    let daemon = Replicate::start(&sandbox, &[]);
    socket_is_there(&sandbox);
    daemon.signal(Signal::TERM);
    daemon.end().expect(0).says_not("sends the whole database");
}

#[test]
fn a_signal_reaches_the_application_once_and_its_code_counts() {
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::HUP, "HUP")] {
        let sandbox = Sandbox::new();
        let script = format!(
            "trap 'echo {name} >>signals; exit 4' {name}; touch started; while :; do sleep 0.05; done"
        );
        let words = shell(&script);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let replicate = Replicate::start(&sandbox, &words);
        wait_until("the application runs", || sandbox.path("started").exists());
        replicate.signal(signal);
        replicate.end().expect(4);
        let signals = std::fs::read_to_string(sandbox.path("signals")).unwrap();
        assert_eq!(signals, format!("{name}\n"));
        sandbox.assert_clean();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_lsrun_leaves_neither_litestream_nor_application() {
    let sandbox = Sandbox::new();
    let words = shell("echo $$ >pid.new; mv pid.new pid; while :; do sleep 0.05; done");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut replicate = Replicate::start(&sandbox, &words);
    wait_until("the application runs", || sandbox.path("pid").exists());
    let pid: i32 = std::fs::read_to_string(sandbox.path("pid")).unwrap().trim().parse().unwrap();
    replicate.child.kill().unwrap();
    replicate.child.wait().unwrap();
    let application = Pid::from_raw(pid).unwrap();
    wait_until("the application has gone", || test_kill_process(application).is_err());
    let database = sandbox.path("db.sqlite3");
    wait_until("litestream has gone", || lsrun::testing::running(&database).is_empty());
    // What it left is swept or found dead by the next run.
    lsrun(&sandbox, &["verify"]).expect(0);
    sandbox.assert_clean();
}

#[test]
fn a_last_sync_that_does_not_reach_the_replica_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "lsrun.yml",
        "databases: {default: db.sqlite3}
litestream:
  shutdown-sync-timeout: 1s
  dbs:
  - path: default
    replica: {type: s3, bucket: b, path: p, endpoint: 'http://127.0.0.1:9', access-key-id: a, secret-access-key: b}
",
    );
    let run = with_application(&sandbox, "exit 0").expect(22);
    run.says(&["last changes did not reach the replica: default"]);
    with_application(&sandbox, "exit 7").expect(7).says(&["did not reach the replica"]);
    sandbox.assert_clean();
}

#[test]
fn what_is_taken_is_told_before_anything_starts() {
    let sandbox = Sandbox::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for key in ["addr", "mcp-addr"] {
        sandbox.write("lsrun.yml", &format!("{PROJECT}  {key}: '{address}'\n"));
        Replicate::start(&sandbox, &["--", "touch", "started"])
            .end()
            .expect(20)
            .says(&[key, &address.to_string()]);
    }
    let socket = sandbox.path("control.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let line = format!("  socket: {{enabled: true, path: {}}}\n", socket.display());
    sandbox.write("lsrun.yml", &format!("{PROJECT}{line}"));
    Replicate::start(&sandbox, &["--", "touch", "started"]).end().expect(20).says(&["listens at"]);
    assert!(!sandbox.path("started").exists());
}

#[test]
fn once_replicates_and_ends() {
    let sandbox = Sandbox::new();
    Replicate::start(&sandbox, &["-once"]).end().expect(0);
    assert!(sandbox.path("replica/ltx/0").is_dir());
    Replicate::start(&sandbox, &["-once", "-force-snapshot"]).end().expect(0);
    assert!(sandbox.path("replica/ltx/9").is_dir());
    Replicate::start(&sandbox, &["-force-snapshot"]).end().expect(2).says(&["-once"]);
    sandbox.assert_clean();
}

#[test]
fn restore_if_db_not_exists_goes_through_the_checked_restore() {
    let sandbox = Sandbox::new();
    let run = |script: &str| {
        let mut words = vec!["-restore-if-db-not-exists".to_owned()];
        words.extend(shell(script));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Replicate::start(&sandbox, &words).end()
    };
    // No backup yet, and the database is there.
    run("exit 0").expect(0);
    for name in ["db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm"] {
        let _missing = std::fs::remove_file(sandbox.path(name));
    }
    sandbox.plugin("row-count");
    let settings = |min: u32| {
        format!(
            "{PROJECT}plugins: {{settings: {{row-count: {{config: {{table: users, min: {min}}}}}}}}}\n"
        )
    };
    sandbox.write("lsrun.yml", &settings(100));
    run("touch started").expect(10).says(&["users has 3 rows"]);
    assert!(!sandbox.path("started").exists() && !sandbox.path("db.sqlite3").exists());
    sandbox.write("lsrun.yml", &settings(3));
    let run = run("test -s db.sqlite3").expect(0);
    assert_eq!(run.stdout, "", "stdout is the application's");
    assert_eq!(sandbox.integer("db.sqlite3", "SELECT count(*) FROM users"), 3);
    sandbox.assert_clean();
}

#[test]
fn metrics_and_mcp_answer_with_the_binary_outside_of_path() {
    let sandbox = Sandbox::new();
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (metrics, mcp) = (port(), port());
    sandbox.write("lsrun.yml", &format!("{PROJECT}  addr: '{metrics}'\n  mcp-addr: '{mcp}'\n"));
    let on_path = std::env::var_os("PATH").unwrap();
    let folder = litestream().parent().unwrap();
    assert!(std::env::split_paths(&on_path).all(|it| it != folder));
    let daemon = Replicate::start(&sandbox, &[]);
    socket_is_there(&sandbox);
    wait_until("both ports answer", || {
        TcpStream::connect(metrics).is_ok() && TcpStream::connect(mcp).is_ok()
    });
    let (_, page) = http(metrics, "GET /metrics HTTP/1.1\r\n", "");
    assert!(page.contains("litestream_txid"), "{page}");
    let call = |session: &str, body: &str| {
        let head = format!(
            "POST /mcp HTTP/1.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\n{session}",
            body.len()
        );
        http(mcp, &head, body)
    };
    let (head, _) = call(
        "",
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#,
    );
    let session = head.lines().find(|it| it.to_lowercase().starts_with("mcp-session-id:")).unwrap();
    let session = format!("{session}\r\n");
    let (_, answer) = call(
        &session,
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"litestream_version","arguments":{}}}"#,
    );
    assert!(answer.contains("0.5.17"), "{answer}");
    daemon.signal(Signal::INT);
    daemon.end().expect(0);
}

/// One HTTP request on a connection of its own: head and body of the answer.
fn http(address: std::net::SocketAddr, head: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{head}Host: {address}\r\nConnection: close\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}
