//! Every known fault of a backup, made with the real litestream:
//! what is wrong fails, what cannot be determined is inconclusive, nothing is left behind
//! and the live database keeps what it had.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::support::daemon::Daemon;
use crate::support::s3::{BUCKET, KEY, S3};
use crate::support::stand_in::{altered, stand_in};
use crate::support::{PROJECT, Run, Sandbox, check, wait_until, wrap};

/// No compaction while a test runs: it would make a second copy of what is damaged.
const QUIET: &str = "levels: [{interval: 24h}]\n";

#[track_caller]
fn has_not(json: &serde_json::Value, id: &str) {
    let checks = json["databases"][0]["checks"].as_array().unwrap();
    assert!(checks.iter().all(|check| check["id"] != id), "{id}: {json}");
}

/// Everything that the application has in its database.
fn state(sandbox: &Sandbox) -> Vec<String> {
    let connection = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    let list = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let values = (0..columns).map(|at| row.get_ref(at).map(|it| format!("{it:?}")));
            Ok(values.collect::<rusqlite::Result<Vec<String>>>()?.join(", "))
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    };
    let ours = "FROM sqlite_schema WHERE tbl_name NOT LIKE '\\_litestream\\_%' ESCAPE '\\'";
    let mut all = list(&format!("SELECT type, name, sql {ours} ORDER BY name"));
    let mut names =
        connection.prepare(&format!("SELECT name {ours} AND type = 'table' ORDER BY 1")).unwrap();
    let names = names.query_map([], |row| row.get::<_, String>(0)).unwrap();
    for name in names.map(Result::unwrap) {
        all.push(name.clone());
        all.extend(list(&format!("SELECT * FROM \"{}\"", name.replace('"', "\"\""))));
    }
    all
}

/// Verifies, and sees that nothing is left and nothing has changed.
#[track_caller]
fn verify(sandbox: &Sandbox, code: i32, more: &[&str]) -> serde_json::Value {
    let before = state(sandbox);
    let json =
        sandbox.lsrun(&[&["verify", "--format", "json"][..], more].concat()).expect(code).json();
    assert_eq!(state(sandbox), before, "the live database has changed");
    sandbox.assert_clean();
    let outcome = match code {
        0 => "verified",
        10 | 12 => "failed",
        _ => "inconclusive",
    };
    assert_eq!(json["outcome"], outcome, "{json}");
    json
}

/// What is on the replica, in the order of its transactions.
fn files(sandbox: &Sandbox) -> Vec<PathBuf> {
    let names = sandbox.names("replica/ltx/0");
    names
        .iter()
        .filter(|name| name.ends_with(".ltx"))
        .map(|name| sandbox.path("replica/ltx/0").join(name))
        .collect()
}

/// Starts a daemon with a control socket: what it has replicated, it does not
/// replicate again, so that damage to the replica stays.
fn asked_daemon(sandbox: &Sandbox) -> Daemon {
    let (socket, lines) = Daemon::socket(sandbox);
    let daemon = Daemon::start(sandbox, &format!("{QUIET}{lines}"));
    wait_until("the socket is there", || socket.exists());
    sandbox.write("lsrun.yml", &format!("{PROJECT}  {lines}\n"));
    daemon
}

/// There is one way to restore the backup: what a daemon makes of the first
/// transactions, as soon as it has started, is taken away.
fn one_way(sandbox: &Sandbox) {
    for level in ["replica/ltx/1", "replica/ltx/9"] {
        let made = || sandbox.names(level).into_iter().find(|name| name.ends_with(".ltx"));
        wait_until("the daemon has compacted", || made().is_some());
        std::fs::remove_file(sandbox.path(level).join(made().unwrap())).unwrap();
    }
}

/// A verified backup of several transactions, whose daemon runs on, with
/// [`one_way`] to restore it.
fn replicated() -> (Sandbox, Daemon) {
    let sandbox = Sandbox::new();
    let daemon = asked_daemon(&sandbox);
    one_way(&sandbox);
    for name in ["fay", "gil", "hal"] {
        let before = files(&sandbox).len();
        sandbox.sql("db.sqlite3", &format!("INSERT INTO users (name) VALUES ('{name}')"));
        wait_until("it is replicated", || files(&sandbox).len() > before);
    }
    let json = verify(&sandbox, 0, &[]);
    assert_eq!(json["databases"][0]["replication"]["method"], "socket");
    (sandbox, daemon)
}

/// A backup that was good, is damaged so, and must fail.
#[track_caller]
fn fails(damage: impl Fn(&Sandbox, &[PathBuf])) -> serde_json::Value {
    let (sandbox, _daemon) = replicated();
    let files = files(&sandbox);
    assert!(files.len() >= 4, "{files:?}");
    damage(&sandbox, &files);
    let json = verify(&sandbox, 10, &[]);
    assert_eq!(check(&json, "restore")["outcome"], "failed", "{json}");
    // It does not heal, and is not mistaken the second time.
    verify(&sandbox, 10, &["--fast"]);
    json
}

/// Cut to what `length` makes of its length.
fn cut(file: &Path, length: impl Fn(usize) -> usize) {
    let whole = std::fs::read(file).unwrap();
    std::fs::write(file, &whole[..length(whole.len())]).unwrap();
}

/// One byte of it is another one.
fn flip(file: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = std::fs::read(file).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0xff;
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_file_cut_to_half() {
    fails(|_, files| cut(&files[2], |length| length / 2));
}

#[test]
fn a_file_cut_to_less_than_its_header() {
    fails(|_, files| cut(&files[2], |_| 50));
}

#[test]
fn a_file_cut_to_nothing() {
    fails(|_, files| cut(&files[2], |_| 0));
}

#[test]
fn a_flipped_byte_in_the_pages() {
    fails(|_, files| flip(&files[2], |length| length / 2));
}

#[test]
fn a_flipped_byte_in_the_header() {
    fails(|_, files| flip(&files[2], |_| 20));
}

#[test]
fn a_flipped_byte_in_the_checksum() {
    fails(|_, files| flip(&files[2], |length| length - 1));
}

#[test]
fn a_damaged_snapshot() {
    let sandbox = Sandbox::new();
    let _daemon = asked_daemon(&sandbox);
    let folder = "replica/ltx/9";
    wait_until("there is a snapshot", || !sandbox.names(folder).is_empty());
    verify(&sandbox, 0, &[]);
    let snapshot = sandbox.path(folder).join(&sandbox.names(folder)[0]);
    flip(&snapshot, |length| length / 2);
    let json = verify(&sandbox, 10, &[]);
    assert_eq!(check(&json, "restore")["outcome"], "failed", "{json}");
}

#[test]
fn the_first_file_deleted() {
    fails(|_, files| std::fs::remove_file(&files[0]).unwrap());
}

#[test]
fn a_file_in_the_middle_deleted() {
    fails(|_, files| std::fs::remove_file(&files[2]).unwrap());
}

#[test]
fn the_last_file_deleted() {
    fails(|_, files| std::fs::remove_file(files.last().unwrap()).unwrap());
}

#[test]
fn two_files_swapped() {
    fails(|_, files| {
        let (one, two) = (std::fs::read(&files[1]).unwrap(), std::fs::read(&files[2]).unwrap());
        std::fs::write(&files[1], two).unwrap();
        std::fs::write(&files[2], one).unwrap();
    });
}

#[test]
fn the_replica_wiped_under_a_daemon() {
    fails(|sandbox, _| std::fs::remove_dir_all(sandbox.path("replica")).unwrap());
}

#[test]
fn a_foreign_file_is_ignored() {
    let (sandbox, _daemon) = replicated();
    sandbox.write("replica/ltx/0/notes.txt", "mine");
    sandbox.write("replica/README", "mine");
    verify(&sandbox, 0, &[]);
}

/// Verifies with a project whose replica is that of another database, of `writes`
/// transactions.
fn of_another(writes: usize) -> serde_json::Value {
    let other = Sandbox::new();
    let foreign = asked_daemon(&other);
    for number in 0..writes {
        let before = files(&other).len();
        other.sql("db.sqlite3", &format!("INSERT INTO users (name) VALUES ('{number}')"));
        wait_until("it is replicated", || files(&other).len() > before);
    }
    drop(foreign);
    let (sandbox, _daemon) = replicated();
    let path = format!("path: {}", other.path("replica").display());
    let (_socket, lines) = Daemon::socket(&sandbox);
    sandbox.write("lsrun.yml", &format!("{}  {lines}\n", PROJECT.replace("path: replica", &path)));
    verify(&sandbox, 10, &[])
}

#[test]
fn another_databases_replica_that_is_older() {
    let json = of_another(0);
    let message = check(&json, "restore")["message"].as_str().unwrap();
    assert!(message.contains("but the replica should have"), "{message}");
}

#[test]
fn another_databases_replica_that_is_newer() {
    let json = of_another(12);
    assert_eq!(check(&json, "sentinel")["outcome"], "failed", "{json}");
}

#[test]
fn damage_to_what_one_run_replicates_again_heals_or_fails_and_never_passes_unseen() {
    let sandbox = Sandbox::new();
    for _ in 0..3 {
        verify(&sandbox, 0, &[]);
    }
    std::fs::remove_dir_all(sandbox.path("replica")).unwrap();
    let run = sandbox.lsrun(&["verify"]);
    assert!(run.code == 0 || run.code == 10, "{run:?}");
    if run.code == 0 {
        // Said to be good: then it is.
        sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
        assert_eq!(sandbox.integer("copy.sqlite3", "SELECT count(*) FROM users"), 3);
    }
    sandbox.assert_clean();
}

#[test]
fn the_database_replaced_by_another_one_is_followed() {
    let sandbox = Sandbox::new();
    verify(&sandbox, 0, &[]);
    for name in ["db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm"] {
        let _missing = std::fs::remove_file(sandbox.path(name));
    }
    sandbox.sql("db.sqlite3", "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO users VALUES (7, 'new')");
    let json = verify(&sandbox, 0, &[]);
    assert_eq!(check(&json, "pages")["outcome"], "passed");
}

#[test]
fn a_storage_that_dies_under_a_daemon() {
    let (sandbox, server) = (Sandbox::new(), S3::start("secret"));
    let (socket, lines) = Daemon::socket(&sandbox);
    let replica = format!(
        "{{type: s3, bucket: {BUCKET}, path: shop, endpoint: '{}', sync-interval: 100ms, access-key-id: {KEY}, secret-access-key: secret}}",
        server.endpoint()
    );
    let database = sandbox.path("db.sqlite3");
    let config = format!("{lines}\ndbs:\n- {{path: {}, replica: {replica}}}\n", database.display());
    let _daemon = Daemon::run(&sandbox, &config, || {
        socket.exists() && server.objects().join("shop").is_dir()
    });
    sandbox.write(
        "lsrun.yml",
        &format!("databases: {{default: db.sqlite3}}\nlitestream:\n  {lines}\n  dbs:\n  - {{path: default, replica: {replica}}}\n"),
    );
    verify(&sandbox, 0, &[]);
    let sentinels = "SELECT max(id) FROM _litestream_verification";
    let before = sandbox.integer("db.sqlite3", sentinels);
    drop(server);
    let json = verify(&sandbox, 11, &["--timeout", "3s"]);
    assert_eq!(check(&json, "preflight")["outcome"], "inconclusive");
    assert_eq!(sandbox.integer("db.sqlite3", sentinels), before, "nothing is written");
}

#[test]
fn litestream_killed_in_the_middle_of_a_restore() {
    let sandbox = Sandbox::new();
    sandbox.sql("db.sqlite3", "CREATE TABLE big (x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) INSERT INTO big SELECT randomblob(262144) FROM n");
    verify(&sandbox, 0, &["--fast"]);
    let script = stand_in(
        &sandbox,
        "\"$real\" \"$@\" &
child=$!
while [ ! -s \"$output.tmp\" ]; do kill -0 $child || exit 99; done
kill -9 $child
test -e \"$output\" && exit 98
kill -9 $$",
    );
    let before = state(&sandbox);
    let run: Run = sandbox
        .command(&["verify", "--format", "json"])
        .env("LSRUN_LITESTREAM", &script)
        .env("LSRUN_ENGINE", "litestream")
        .output()
        .unwrap()
        .into();
    // A litestream that was killed says nothing about the backup.
    let json = run.expect(11).json();
    let restore = check(&json, "restore");
    assert_eq!(restore["outcome"], "inconclusive");
    assert!(restore["message"].as_str().unwrap().contains("signal"), "{restore}");
    assert_eq!(state(&sandbox), before);
    sandbox.assert_clean();
    verify(&sandbox, 0, &["--fast"]);
}

/// lsrun in a mount namespace of its own, in which `mount` is the file system of
/// its temporary folder. If the system does not allow this namespace, the
/// folder is one that nobody can write to: then the words differ, and not what is
/// at stake, and the second value is false.
#[cfg(target_os = "linux")]
fn with_temporary(sandbox: &Sandbox, mount: &str, arguments: &[&str]) -> (Run, bool) {
    if !wrap::can_mount(sandbox) {
        let mut command = sandbox.command(arguments);
        let run: Run = command.env("TMPDIR", "/proc").output().unwrap().into();
        return (run.expect(11), false);
    }
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c"]);
    command.arg(format!("mount -t tmpfs -o {mount} tmpfs \"$TMPDIR\" && exec \"$@\"")).arg("sh");
    (wrap::run(command, &sandbox.command(arguments)), true)
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_without_room_for_the_copy() {
    let sandbox = Sandbox::new();
    let before = state(&sandbox);
    let words = ["verify", "--format", "json"];
    let (run, mounted) = with_temporary(&sandbox, "size=4m", &words);
    let run = run.expect(11);
    if mounted {
        let json = run.json();
        let check = check(&json, "restore");
        assert!(check["message"].as_str().unwrap().contains("no room"), "{check}");
        assert!(check["hint"].as_str().unwrap().contains("TMPDIR"), "{check}");
        assert_eq!((&check["code"], &check["kind"]), (&"io".into(), &"backup".into()));
    }
    assert_eq!(state(&sandbox), before);
    sandbox.assert_clean();
}

#[cfg(target_os = "linux")]
#[test]
fn copies_side_by_side_take_turns_where_only_one_has_room() {
    let sandbox = Sandbox::new();
    let names = ["one", "two", "three"];
    let mut project = String::from("litestream:\n  dbs:\n");
    for name in names {
        let file = format!("{name}.sqlite3");
        sandbox.sql(&file, "CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(9000000))");
        project += &format!("  - {{path: {file}, replica: {{type: file, path: r/{name}}}}}\n");
    }
    sandbox.write("lsrun.yml", &project);
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    // Each takes 9 MB, and 18 MB are asked for.
    let words = ["verify", "--jobs", "3", "--fast"];
    let (run, mounted) = with_temporary(&sandbox, "size=30m", &words);
    if mounted {
        run.expect(0).says(&["3 verified"]);
    }
    sandbox.assert_clean();
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_gets_full_during_the_restore() {
    let sandbox = Sandbox::new();
    // What it was once is larger than what it is now.
    sandbox
        .sql("db.sqlite3", "CREATE TABLE big (x); INSERT INTO big VALUES (randomblob(20000000))");
    let json = verify(&sandbox, 0, &["--fast"]);
    let txid = json["databases"][0]["txid"].as_str().unwrap().to_owned();
    sandbox.sql("db.sqlite3", "DELETE FROM big; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
    verify(&sandbox, 0, &["--fast"]);
    let words = ["verify", "--format", "json", "--at", &txid];
    let before = state(&sandbox);
    let (run, mounted) = with_temporary(&sandbox, "size=12m", &words);
    let run = run.expect(11);
    if mounted {
        let json = run.json();
        let message = check(&json, "restore")["message"].as_str().unwrap();
        assert!(message.contains("no space left"), "{message}");
    }
    assert_eq!(state(&sandbox), before);
    sandbox.assert_clean();
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_for_copies_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    let words = ["verify", "--format", "json"];
    let (run, mounted) = with_temporary(&sandbox, "ro", &words);
    let run = run.expect(11);
    if mounted {
        run.says(&["Read-only file system"]);
    }
    sandbox.assert_clean();
}

#[test]
fn a_folder_for_copies_that_is_none() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "");
    let before = state(&sandbox);
    let run: Run =
        sandbox.command(&["verify"]).env("TMPDIR", sandbox.path("file")).output().unwrap().into();
    run.expect(11).says(&["Not a directory"]);
    assert_eq!(state(&sandbox), before);
}

#[test]
fn a_locked_database() {
    let sandbox = Sandbox::new();
    verify(&sandbox, 0, &[]);
    let other = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let json = verify(&sandbox, 11, &["--timeout", "1s"]);
    assert_eq!(check(&json, "sentinel")["outcome"], "inconclusive");
    other.execute_batch("ROLLBACK").unwrap();
    verify(&sandbox, 0, &[]);
}

/// Several at once, each good or not able to tell.
fn at_once(sandbox: &Sandbox) {
    let before = state(sandbox);
    let start = || {
        let mut command = sandbox.command(&["verify", "--format", "json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..3).map(|_| start()).collect();
    for child in children {
        let run = Run::from(child.wait_with_output().unwrap());
        assert!(run.code == 0 || run.code == 11, "{run:?}");
    }
    assert_eq!(state(sandbox), before);
    sandbox.assert_clean();
    verify(sandbox, 0, &[]);
}

#[test]
fn several_at_once_without_a_daemon() {
    at_once(&Sandbox::new());
}

#[test]
fn while_another_one_replicates_without_a_daemon() {
    let sandbox = Sandbox::new();
    verify(&sandbox, 0, &[]);
    let other = std::fs::File::open(sandbox.path(".db.sqlite3-litestream")).unwrap();
    other.lock().unwrap();
    let json = verify(&sandbox, 11, &["--timeout", "1s"]);
    let message = check(&json, "sync")["message"].as_str().unwrap();
    assert!(message.contains("another lsrun replicates default"), "{message}");
    drop(other);
    verify(&sandbox, 0, &[]);
}

#[test]
fn several_at_once_with_a_daemon() {
    let (sandbox, _daemon) = replicated();
    at_once(&sandbox);
}

#[test]
fn a_stopped_daemon_with_a_socket_is_inconclusive() {
    let (sandbox, daemon) = replicated();
    daemon.signal(rustix::process::Signal::STOP);
    let json = verify(&sandbox, 11, &["--timeout", "1s"]);
    assert_eq!(check(&json, "sync")["outcome"], "inconclusive");
    daemon.signal(rustix::process::Signal::CONT);
    verify(&sandbox, 0, &[]);
}

#[test]
fn two_databases_on_one_destination_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.sql("two.sqlite3", "CREATE TABLE t (x)");
    sandbox.write(
        "lsrun.yml",
        "databases: {default: db.sqlite3, two: two.sqlite3}
litestream:
  dbs:
  - {path: default, replica: {type: file, path: replica}}
  - {path: two, replica: {type: file, path: replica}}
",
    );
    let before = state(&sandbox);
    sandbox.lsrun(&["verify"]).expect(20).says(&["default", "two"]);
    assert_eq!(state(&sandbox), before);
    assert!(!sandbox.path("replica").exists());
}

#[test]
fn an_index_that_lacks_a_row_is_seen_by_the_full_check_only() {
    let sandbox = Sandbox::new();
    sandbox.sql(
        "db.sqlite3",
        "CREATE INDEX names ON users (name);
         PRAGMA writable_schema = on;
         UPDATE sqlite_schema SET sql = 'CREATE INDEX names ON users (upper(name))' WHERE name = 'names';
         PRAGMA writable_schema = reset;",
    );
    let connection = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    let quick: String = connection.query_row("PRAGMA quick_check", [], |row| row.get(0)).unwrap();
    assert_eq!(quick, "ok");
    drop(connection);
    // The live database is just so: its backup is a faithful copy.
    let json = verify(&sandbox, 12, &[]);
    let failed = check(&json, "integrity_check");
    assert_eq!(failed["outcome"], "failed");
    assert!(failed["message"].as_str().unwrap().contains("index names"), "{failed}");
    assert_eq!(check(&json, "pages")["outcome"], "passed");
}

#[test]
fn a_row_whose_parent_is_missing() {
    let sandbox = Sandbox::new();
    sandbox.sql(
        "db.sqlite3",
        "PRAGMA foreign_keys = off;
         CREATE TABLE orders (id INTEGER PRIMARY KEY, user INTEGER REFERENCES users (id));
         INSERT INTO orders (user) VALUES (1), (98), (99);",
    );
    let json = verify(&sandbox, 0, &[]);
    let passed = check(&json, "foreign_key_check");
    assert_eq!(passed["outcome"], "passed");
    let message = passed["message"].as_str().unwrap();
    assert!(message.contains("the live database has the same:\norders: 2 rows"), "{message}");
    assert_eq!(check(&json, "integrity_check")["outcome"], "passed");
    verify(&sandbox, 0, &["--skip", "foreign_key_check"]);
}

#[test]
fn a_missing_row_beside_an_intact_sentinel() {
    let json = altered(&Sandbox::new(), "DELETE FROM users WHERE id = 2", None, 10);
    assert_eq!(check(&json, "rows")["outcome"], "failed");
    assert_eq!(check(&json, "content")["outcome"], "failed");
    assert_eq!(check(&json, "schema")["outcome"], "passed");
    assert_eq!(check(&json, "rows")["message"], "users: 2 rows, 3 in the live database");
}

#[test]
fn a_missing_row_beside_a_daemon() {
    let (sandbox, _daemon) = replicated();
    let json = altered(&sandbox, "DELETE FROM users WHERE id = 2", None, 10);
    assert_eq!(json["databases"][0]["replication"]["method"], "socket");
    assert_eq!(check(&json, "rows")["outcome"], "failed");
}

#[test]
fn a_changed_value_beside_an_intact_sentinel() {
    let sandbox = Sandbox::new();
    let json = altered(&sandbox, "UPDATE users SET name = 'Bob' WHERE id = 2", None, 10);
    assert_eq!(check(&json, "rows")["outcome"], "passed");
    assert_eq!(check(&json, "content")["outcome"], "failed");
}

#[test]
fn a_missing_index_and_a_table_too_many() {
    let sandbox = Sandbox::new();
    sandbox.sql("db.sqlite3", "CREATE INDEX names ON users (name)");
    let json = altered(&sandbox, "DROP INDEX names; CREATE TABLE more (x)", None, 10);
    let failed = check(&json, "schema");
    assert_eq!(failed["outcome"], "failed");
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains("index names") && message.contains("table more"), "{message}");
}

#[test]
fn a_difference_to_a_database_that_was_written_to_is_seen_in_its_pages() {
    let sandbox = Sandbox::new();
    let written = Some("INSERT INTO users (name) VALUES ('late')");
    let json = altered(&sandbox, "DELETE FROM users WHERE id = 2", written, 10);
    assert_eq!(check(&json, "pages")["outcome"], "failed");
    // Of the rows alone nobody could tell.
    let rows = check(&json, "rows");
    assert_eq!(rows["outcome"], "inconclusive");
    assert!(rows["message"].as_str().unwrap().contains("meanwhile"), "{rows}");
}

/// Writes some hundred times a second while `work` is done.
///
/// Not as fast as it can: a writer that never pauses makes litestream 0.5.17 itself
/// replicate a damaged database now and then, and verify is right to say so.
fn beside_a_writer(sandbox: &Sandbox, work: impl FnOnce()) {
    let (over, ended) = mpsc::channel::<()>();
    let path = sandbox.path("db.sqlite3");
    let writer = std::thread::spawn(move || {
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        let mut written = 0;
        while ended.recv_timeout(Duration::from_millis(2)) == Err(mpsc::RecvTimeoutError::Timeout) {
            connection.execute_batch("INSERT INTO users (name) VALUES ('busy'); UPDATE users SET name = 'x' WHERE id = 1").unwrap();
            written += 1;
        }
        written
    });
    work();
    drop(over);
    let written = writer.join().unwrap();
    assert!(written > 10, "it was not busy: {written}");
}

/// A healthy backup never fails, however busy the database is.
fn never_fails(sandbox: &Sandbox, times: usize) {
    beside_a_writer(sandbox, || {
        for _ in 0..times {
            let run = sandbox.lsrun(&["verify", "--format", "json"]);
            assert!(run.code == 0 || run.code == 11, "{run:?}");
        }
    });
    sandbox.assert_clean();
    verify(sandbox, 0, &[]);
}

#[test]
fn beside_a_busy_writer_with_a_daemon_that_is_asked() {
    let (sandbox, _daemon) = replicated();
    never_fails(&sandbox, 10);
}

#[cfg(target_os = "linux")]
#[test]
fn beside_a_busy_writer_with_a_daemon_that_is_watched() {
    let sandbox = Sandbox::new();
    let _daemon = Daemon::start(&sandbox, QUIET);
    never_fails(&sandbox, 5);
}

#[test]
fn beside_a_busy_writer_without_a_daemon() {
    never_fails(&Sandbox::new(), 5);
}

#[test]
fn every_kind_of_table_and_value_is_compared() {
    let sandbox = Sandbox::new();
    sandbox.sql(
        "db.sqlite3",
        "CREATE TABLE keyless (x); INSERT INTO keyless VALUES (1e999), (-1e999), (-0.0), (NULL), (CAST(x'ff00fe' AS TEXT)), (x'00ff'), (zeroblob(100000)), (9223372036854775807);
         CREATE TABLE twice (x); INSERT INTO twice VALUES (1), (1), ('1');
         CREATE TABLE exact (id INTEGER PRIMARY KEY, t TEXT, a ANY) STRICT; INSERT INTO exact VALUES (1, 'a', x'01');
         CREATE TABLE \"with \"\"out\" (a TEXT, b INTEGER, PRIMARY KEY (b, a)) WITHOUT ROWID; INSERT INTO \"with \"\"out\" VALUES ('k', 1), ('a', 2);
         CREATE TABLE made (a, b AS (a + 1), c AS (a * 2) STORED); INSERT INTO made VALUES (20);
         CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO counted DEFAULT VALUES;
         CREATE VIRTUAL TABLE words USING fts5(body); INSERT INTO words VALUES ('hello world');
         CREATE VIRTUAL TABLE boxes USING rtree(id, low, high); INSERT INTO boxes VALUES (1, 2.0, 3.0);
         CREATE VIEW seen AS SELECT * FROM users; CREATE TABLE empty (x);
         CREATE TRIGGER t AFTER INSERT ON empty BEGIN DELETE FROM empty; END; ANALYZE;",
    );
    let assertions = "verify: {assertions: {default: [{name: boxes, sql: select count(*) from boxes where low < 2.5}, {name: words, sql: \"select count(*) from words where words match 'hello'\"}]}}";
    sandbox.write("lsrun.yml", &format!("{PROJECT}{assertions}\n"));
    let json = verify(&sandbox, 0, &[]);
    assert_eq!(check(&json, "pages")["outcome"], "passed");
    let json = verify(&sandbox, 0, &["--skip", "pages"]);
    for id in ["schema", "rows", "content", "integrity_check", "foreign_key_check"] {
        assert_eq!(check(&json, id)["outcome"], "passed", "{id}");
    }
}

#[test]
fn checks_are_chosen_and_left_out() {
    let sandbox = Sandbox::new();
    let json = verify(&sandbox, 0, &["--check", "rows", "--check", "schema"]);
    check(&json, "rows");
    check(&json, "schema");
    for id in ["integrity_check", "foreign_key_check", "content", "pages"] {
        has_not(&json, id);
    }
    let json = verify(&sandbox, 0, &["--skip", "integrity_check", "--skip", "content"]);
    check(&json, "foreign_key_check");
    check(&json, "pages");
    has_not(&json, "integrity_check");
    let json = verify(&sandbox, 0, &["--skip", "pages", "--skip", "content"]);
    check(&json, "rows");
    has_not(&json, "pages");
    has_not(&json, "content");
    let json = verify(&sandbox, 0, &["--fast", "--skip", "pages"]);
    check(&json, "rows");
    has_not(&json, "content");
    for option in ["--check", "--skip"] {
        let run = sandbox.lsrun(&["verify", option, "nothing"]).expect(2);
        run.says(&["no check is named 'nothing'", "integrity_check"]);
    }
}

#[test]
fn an_assertion_and_a_plugin_are_chosen_by_name() {
    let sandbox = Sandbox::new();
    sandbox.plugin("row-count");
    let assertion = |name: &str| format!("{{name: {name}, sql: select 1}}");
    let settings = "plugins: {settings: {row-count: {config: {table: users}}}}";
    sandbox.write(
        "lsrun.yml",
        &format!(
            "{PROJECT}{settings}\nverify: {{max_lag: 1h, assertions: {{default: [{}, {}]}}}}\n",
            assertion("one"),
            assertion("two words")
        ),
    );
    let ids = |more: &[&str]| -> Vec<String> {
        let json = verify(&sandbox, 0, more);
        let checks = json["databases"][0]["checks"].as_array().unwrap();
        let ids = checks.iter().map(|check| check["id"].as_str().unwrap().to_owned());
        let always = ["preflight", "sync", "restore", "sentinel"];
        ids.filter(|id| !always.contains(&id.as_str())).collect()
    };
    assert_eq!(ids(&["--check", "assertion:two words"]), ["assertion:two words"]);
    assert_eq!(ids(&["--check", "row-count"]), ["row-count"]);
    assert_eq!(ids(&["--check", "lag", "--check", "rows"]), ["rows", "lag"]);
    assert_eq!(ids(&["--check", "assertions"]).len(), 2);
    let rest = ids(&["--skip", "assertion:one", "--skip", "row-count", "--skip", "lag"]);
    assert!(rest.contains(&"assertion:two words".to_owned()), "{rest:?}");
    assert!(!rest.iter().any(|id| ["assertion:one", "row-count", "lag"].contains(&id.as_str())));
    assert!(!ids(&["--skip", "plugins"]).contains(&"row-count".to_owned()));
    // One that does not exist proves nothing.
    for option in ["--check", "--skip"] {
        let json = verify(&sandbox, 11, &[option, "assertion:typo"]);
        assert_eq!(check(&json, "assertion:typo")["outcome"], "inconclusive");
    }
}

#[test]
fn read_only_writes_nothing() {
    let sandbox = Sandbox::new();
    let daemon = asked_daemon(&sandbox);
    one_way(&sandbox);
    let table = "SELECT count(*) FROM sqlite_schema WHERE name = '_litestream_verification'";
    let json = verify(&sandbox, 0, &["--read-only"]);
    assert_eq!(json["databases"][0]["replication"]["method"], "socket");
    assert_eq!(check(&json, "pages")["outcome"], "passed");
    assert_eq!(sandbox.integer("db.sqlite3", table), 0);
    drop(daemon);
    let backup = files(&sandbox);
    let json = verify(&sandbox, 0, &["--read-only"]);
    assert_eq!(check(&json, "sync")["outcome"], "skipped");
    // The last connection has checkpointed the log and removed it.
    assert_eq!(check(&json, "pages")["outcome"], "skipped");
    assert_eq!(check(&json, "content")["outcome"], "passed");
    assert_eq!(sandbox.integer("db.sqlite3", table), 0);
    assert_eq!(files(&sandbox), backup);
    // Nobody has replicated this, and nobody could have known.
    sandbox.sql("db.sqlite3", "INSERT INTO users (name) VALUES ('late')");
    let json = verify(&sandbox, 11, &["--read-only"]);
    assert_eq!(check(&json, "pages")["outcome"], "skipped");
    assert_eq!(check(&json, "rows")["outcome"], "inconclusive");
    cut(backup.last().unwrap(), |length| length / 2);
    verify(&sandbox, 10, &["--read-only"]);
}

#[test]
fn an_older_point_is_proved() {
    let (sandbox, _daemon) = replicated();
    let at = |json: &serde_json::Value| json["databases"][0]["txid"].as_str().unwrap().to_owned();
    let txid = at(&verify(&sandbox, 0, &[]));
    let time = jiff::Timestamp::now().to_string();
    sandbox.sql("db.sqlite3", "DELETE FROM users");
    let newer = at(&verify(&sandbox, 0, &[]));
    assert!(newer > txid);
    let sentinels = "SELECT count(*) FROM _litestream_verification";
    let before = sandbox.integer("db.sqlite3", sentinels);
    let decimal = u64::from_str_radix(&txid, 16).unwrap().to_string();
    for point in [&txid, &time, &decimal] {
        let json = verify(&sandbox, 0, &["--at", point]);
        match *point == time {
            // The daemon may have written a transaction of its own before that time.
            true => assert!((&txid..&newer).contains(&&at(&json)), "{point}: {json}"),
            false => assert_eq!(at(&json), txid, "{point}"),
        }
        assert_eq!(check(&json, "integrity_check")["outcome"], "passed");
        has_not(&json, "content");
        has_not(&json, "sentinel");
    }
    assert_eq!(sandbox.integer("db.sqlite3", sentinels), before);
    // Not there: that says nothing about what is.
    verify(&sandbox, 11, &["--at", "2001-01-01T00:00:00Z"]);
    verify(&sandbox, 11, &["--at", "yesterday"]);
    sandbox.lsrun(&["verify", "--at", "soon"]).expect(2).says(&["neither a TXID nor a time"]);
    // The live database is not needed.
    std::fs::remove_file(files(&sandbox).first().unwrap()).unwrap();
    sandbox.lsrun(&["verify", "--at", "ffffffff"]).says(&["ffffffff"]);
}

#[test]
fn the_newest_backup_is_proved_where_the_live_database_is_not() {
    let sandbox = Sandbox::new();
    verify(&sandbox, 0, &[]);
    for name in ["db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm"] {
        let _missing = std::fs::remove_file(sandbox.path(name));
    }
    sandbox.lsrun(&["verify"]).expect(11).says(&["there is no file"]);
    let latest = ["verify", "--at", "latest", "--format", "json"];
    let json = sandbox.lsrun(&latest).expect(0).json();
    assert_eq!(json["databases"][0]["txid"], "0000000000000001");
    assert_eq!(check(&json, "integrity_check")["outcome"], "passed");
    assert!(!sandbox.path("db.sqlite3").exists());
    std::fs::remove_dir_all(sandbox.path("replica/ltx")).unwrap();
    let json = sandbox.lsrun(&latest).expect(10).json();
    assert_eq!(check(&json, "restore")["outcome"], "failed");
    sandbox.assert_clean();
}

#[test]
fn the_copy_is_kept_and_said_where() {
    let sandbox = Sandbox::new();
    let run = sandbox.lsrun(&["verify", "--format", "json", "--keep"]).expect(0);
    let json = run.json();
    let kept = PathBuf::from(json["databases"][0]["facts"]["kept"].as_str().unwrap());
    assert_eq!(sandbox.names("tmp").len(), 1, "{:?}", sandbox.names("tmp"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&kept.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(sandbox.integer(kept.to_str().unwrap(), "SELECT count(*) FROM users"), 3);
    sandbox.lsrun(&["verify", "--keep"]).expect(0).says(&["is kept as"]);
}

#[test]
fn limits_fail_the_run_and_do_not_call_the_backup_wrong() {
    let sandbox = Sandbox::new();
    for (limit, id) in [("max_restore", "restore_time"), ("max_lag", "lag")] {
        sandbox.write("lsrun.yml", &format!("{PROJECT}verify: {{{limit}: 1ms}}\n"));
        // lsrun's own reader takes less than that.
        let by_litestream = |words: &[&str]| -> Run {
            let mut command = sandbox.command(words);
            command.env("LSRUN_ENGINE", "litestream").output().unwrap().into()
        };
        let json = by_litestream(&["verify", "--format", "json"]).expect(10).json();
        let failed = check(&json, id);
        assert_eq!(failed["outcome"], "failed");
        assert!(failed["message"].as_str().unwrap().contains(limit), "{failed}");
        assert_eq!(check(&json, "pages")["outcome"], "passed");
        let run = by_litestream(&["verify"]).expect(10).says(&[limit]);
        assert!(!run.stdout.contains("wrong"), "{}", run.stdout);
        sandbox.write("lsrun.yml", &format!("{PROJECT}verify: {{{limit}: 1h}}\n"));
        assert_eq!(check(&verify(&sandbox, 0, &[]), id)["outcome"], "passed");
    }
}
