//! Replicas of every kind that is neither a folder nor S3, on real servers. They
//! are fetched from the package registries, so this target is run by name only:
//! `cargo test --test emulators`. See README.md beside this file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod support;

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lsrun::testing::objects::ObjectReplica;

use support::daemon::Daemon;
use support::{Run, Sandbox, litestream, repository, wait_until};

const USERS: &str = "SELECT count(*) FROM users";
/// What a YAML reader would parse.
const PASSWORD: &str = "p: #*'\"w";

/// Runs `setup` for a server and gives its folder.
fn fetch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("emulators").join(name);
    let setup = repository().join("tests/emulators/setup");
    let output = Command::new(setup).arg(name).arg(&folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} cannot be fetched:\n{said}");
    folder
}

/// A script of this folder.
fn script(name: &str) -> PathBuf {
    repository().join("tests/emulators").join(name)
}

/// A port that the system gives. Free again when this returns.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running server. Dropped, it is killed.
struct Server(Child);

impl Server {
    /// Returns when it accepts connections.
    fn start(sandbox: &Sandbox, command: &mut Command, port: u16) -> Self {
        let log = std::fs::File::create(sandbox.path("server.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut server = Self(command.spawn().unwrap());
        wait_until("the server listens", || {
            if let Some(status) = server.0.try_wait().unwrap() {
                let said = std::fs::read_to_string(sandbox.path("server.log")).unwrap();
                panic!("the server ended with {status}:\n{said}");
            }
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Runs a helper to its end.
fn helper(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// lsrun itself reads what litestream wrote, and litestream restores it again.
fn is_read(sandbox: &Sandbox, variables: &[(&str, &str)]) {
    let environment = variables.iter().copied().chain([("HOME", "/nowhere")]).collect();
    let patience = Duration::from_secs(20);
    let store =
        ObjectReplica::of_database(&sandbox.path(""), "default", &environment, patience).unwrap();
    let files = store.list().unwrap();
    assert!(!files.is_empty());
    let copy = sandbox.path("read");
    for file in &files {
        let (level, min, max, size) = file.numbers();
        let content = store.read(file).unwrap();
        assert_eq!((content.len() as u64, file.identity().is_some()), (size, true));
        assert_eq!(store.range(file, 0..4).unwrap(), b"LTX1");
        assert_eq!(store.range(file, size - 9..size).unwrap(), content[content.len() - 9..]);
        let folder = copy.join("ltx").join(level.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{min:016x}-{max:016x}.ltx")), content).unwrap();
    }
    let (lists, gets, ..) = store.traffic();
    assert_eq!((lists, gets), (1, 3 * files.len() as u64));
    let restored = sandbox.path("restored.sqlite3");
    helper(
        Command::new(litestream())
            .args(["restore", "-o"])
            .arg(&restored)
            .arg(format!("file://{}", copy.display())),
    );
    assert_eq!(sandbox.integer("restored.sqlite3", USERS), 3);
    std::fs::remove_dir_all(copy).unwrap();
    std::fs::remove_file(restored).unwrap();
}

/// Once, with a daemon, listed, restored.
fn round_trip(sandbox: &Sandbox, replica: &str, variables: &[(&str, &str)]) {
    sandbox.write(
        "lsrun.yml",
        &format!(
            "databases: {{default: db.sqlite3}}
litestream:
  dbs:
  - path: default
    monitor-interval: 100ms
    replica: {replica}
"
        ),
    );
    let run = |words: &[&str]| {
        let mut command = sandbox.command(words);
        Run::from(command.envs(variables.iter().copied()).output().unwrap())
    };
    let method = |json: &serde_json::Value| {
        json["databases"][0]["replication"]["method"].as_str().unwrap().to_owned()
    };
    run(&["config", "--check"]).expect(0);
    let json = run(&["verify", "--format", "json"]).expect(0).json();
    assert_eq!(method(&json), "once");

    // What `lsrun config` prints is what litestream itself reads.
    let config = run(&["config"]).expect(0).stdout;
    sandbox.write("litestream.yml", &config);
    let listed = Command::new(litestream())
        .args(["ltx", "-json", "-config"])
        .arg(sandbox.path("litestream.yml"))
        .arg(sandbox.path("db.sqlite3"))
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let listed = Run::from(listed).expect(0);
    let start = listed.stdout.find("[\n").or_else(|| listed.stdout.find("[]")).unwrap();
    let files: serde_json::Value = serde_json::from_str(&listed.stdout[start..]).unwrap();
    assert!(!files.as_array().unwrap().is_empty(), "{}", listed.stdout);

    run(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    assert_eq!(sandbox.integer("copy.sqlite3", USERS), 3);

    if cfg!(target_os = "linux") {
        let database = sandbox.path("db.sqlite3");
        let _daemon = Daemon::with(sandbox, &config, variables, || {
            !lsrun::testing::running(&database).is_empty()
        });
        let json = run(&["verify", "--format", "json"]).expect(0).json();
        assert_eq!(method(&json), "polling");
    }
    sandbox.assert_clean();
}

#[test]
fn sftp() {
    let (home, sandbox, port) = (fetch("sftp"), Sandbox::new(), port());
    let folder = sandbox.path("server");
    std::fs::create_dir(&folder).unwrap();
    let mut command = Command::new(home.join("venv/bin/python"));
    command.arg(script("sftp.py")).arg(port.to_string()).arg(&folder).args(["ann", PASSWORD]);
    let _server = Server::start(&sandbox, &mut command, port);
    let key = std::fs::read_to_string(sandbox.path("server.pub")).unwrap();
    let password = PASSWORD.replace('\'', "''");
    let replica = format!(
        "{{type: sftp, host: '127.0.0.1:{port}', user: ann, password: '{password}', path: /backup, host-key: {}}}",
        key.trim()
    );
    round_trip(&sandbox, &replica, &[]);
    assert!(folder.join("backup").is_dir());
}

#[test]
fn webdav() {
    let (home, sandbox, port) = (fetch("webdav"), Sandbox::new(), port());
    let folder = sandbox.path("server");
    std::fs::create_dir(&folder).unwrap();
    let mut command = Command::new(home.join("usr/bin/rclone"));
    command.args(["serve", "webdav"]).arg(&folder).args(["--user", "ann", "--pass", PASSWORD]);
    command.args(["--addr", &format!("127.0.0.1:{port}")]).env("HOME", sandbox.path("tmp"));
    // It must leave nothing in the folder that the test checks.
    command.env("TMPDIR", &folder).env("XDG_CONFIG_HOME", &folder).env("XDG_CACHE_HOME", &folder);
    let _server = Server::start(&sandbox, &mut command, port);
    let password = PASSWORD.replace('\'', "''");
    let replica = format!(
        "{{type: webdav, webdav-url: 'http://127.0.0.1:{port}', webdav-username: ann, webdav-password: '{password}', path: backup}}"
    );
    round_trip(&sandbox, &replica, &[]);
    assert!(folder.join("backup").is_dir());
}

#[test]
fn nats() {
    let (home, sandbox, port) = (fetch("nats"), Sandbox::new(), port());
    let number = port.to_string();
    let mut command = Command::new(home.join("venv/bin/nats-server"));
    command.args(["-a", "127.0.0.1", "-p", &number, "-js", "-sd"]).arg(sandbox.path("server"));
    let _server = Server::start(&sandbox, &mut command, port);
    helper(
        Command::new(home.join("venv/bin/python"))
            .arg(script("nats_store.py"))
            .args([&number, "backups"]),
    );
    let replica = format!("{{type: nats, url: 'nats://127.0.0.1:{port}/backups'}}");
    round_trip(&sandbox, &replica, &[]);
}

#[test]
fn azure() {
    let (home, sandbox, port) = (fetch("azure"), Sandbox::new(), port());
    let (account, key) = ("shop", "bHNydW4ncyBvd24gdGVzdCBrZXksIG5vIHNlY3JldA==");
    let mut command = Command::new(home.join("node_modules/.bin/azurite-blob"));
    command
        .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
        .args(["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--location"])
        .arg(sandbox.path("server"))
        .env("AZURITE_ACCOUNTS", format!("{account}:{key}"));
    let _server = Server::start(&sandbox, &mut command, port);
    let endpoint = format!("http://127.0.0.1:{port}/{account}");
    helper(
        Command::new(home.join("venv/bin/python"))
            .arg(script("azure_container.py"))
            .args([&endpoint, account, key, "backups"]),
    );
    let replica = format!(
        "{{type: abs, account-name: {account}, account-key: $AZURE_KEY, bucket: backups, path: shop, endpoint: '{endpoint}'}}"
    );
    round_trip(&sandbox, &replica, &[("AZURE_KEY", key)]);
    is_read(&sandbox, &[("AZURE_KEY", key)]);
    // A wrong key, and a container that does not exist.
    let failure = |text: &str, key: &str| {
        sandbox.write("lsrun.yml", text);
        let environment = [("AZURE_KEY", key)].into_iter().collect();
        let folder = sandbox.path("");
        let store =
            ObjectReplica::of_database(&folder, "default", &environment, Duration::from_secs(20))
                .unwrap();
        store.list().unwrap_err()
    };
    let text = std::fs::read_to_string(sandbox.path("lsrun.yml")).unwrap();
    let wrong = failure(&text, "d3Jvbmcga2V5");
    assert!(wrong.text.contains("refuses the credentials"), "{wrong:?}");
    let missing = failure(&text.replace("bucket: backups", "bucket: nowhere"), key);
    assert!(missing.text.contains("the bucket does not exist"), "{missing:?}");
    assert_eq!((wrong.code, missing.code), ("unreachable", "unreachable"));
}

#[test]
fn gcs() {
    let (home, sandbox, port) = (fetch("gcs"), Sandbox::new(), port());
    let mut command = Command::new(home.join("venv/bin/gcp-storage-emulator"));
    command.args(["start", "--host=127.0.0.1", &format!("--port={port}")]);
    command.args(["--default-bucket=backups", "--in-memory"]);
    let _server = Server::start(&sandbox, &mut command, port);
    let host = format!("127.0.0.1:{port}");
    let replica = "{type: gs, bucket: backups, path: shop}";
    round_trip(&sandbox, replica, &[("STORAGE_EMULATOR_HOST", &host)]);
    // An emulator has not all that lsrun would ask of Google.
    let environment = [("STORAGE_EMULATOR_HOST", host.as_str())].into_iter().collect();
    let patience = Duration::from_secs(20);
    let store = ObjectReplica::of_database(&sandbox.path(""), "default", &environment, patience);
    assert!(store.err().unwrap().contains("STORAGE_EMULATOR_HOST"));
}
