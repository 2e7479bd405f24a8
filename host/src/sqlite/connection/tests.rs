use std::path::PathBuf;
use std::time::Duration;

use rusqlite::config::DbConfig;

use super::*;
use crate::path::Sidecar;
use crate::sqlite::integrity::Integrity;
use crate::sqlite::threads::Threads;
use crate::sqlite::value::Value;

fn database() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a database.sqlite3");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY, x);
             INSERT INTO t (x) VALUES (1), (2.5), ('a'), (x'00ff'), (NULL), (CAST(x'ff' AS TEXT));",
        )
        .unwrap();
    (folder, path)
}

/// Those of a run of its own.
fn slots() -> Slots {
    Slots::of(&Threads::default())
}

async fn open(path: &Path, access: Access) -> Result<Connection> {
    let deadline = Instant::now() + Duration::from_secs(20);
    Connection::open(path, access, deadline, Stop::default(), &slots()).await
}

fn statement(sql: &str) -> Statement {
    Statement { sql: sql.into(), parameters: Vec::new() }
}

async fn all(connection: &Connection, sql: &str) -> Result<Vec<Vec<Value>>> {
    let mut rows = connection.query(statement(sql))?;
    let mut found = Vec::new();
    loop {
        let some = rows.next(2).await?;
        if some.is_empty() {
            return Ok(found);
        }
        assert!(some.len() <= 2);
        found.extend(some);
    }
}

#[tokio::test]
async fn every_storage_class_comes_through() {
    let (_folder, path) = database();
    let connection = open(&path, Access::Read).await.unwrap();
    let values: Vec<Value> = all(&connection, "SELECT x FROM t ORDER BY id")
        .await
        .unwrap()
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(
        values,
        [
            Value::Integer(1),
            Value::Real(2.5),
            Value::Text("a".into()),
            Value::Blob(vec![0, 255]),
            Value::Null,
            Value::Blob(vec![255]),
        ]
    );
}

#[tokio::test]
async fn a_reader_cannot_change_anything() {
    let (folder, path) = database();
    let connection = open(&path, Access::Read).await.unwrap();
    let attach = format!("ATTACH '{}' AS y", folder.path().join("y").display());
    for sql in [
        "INSERT INTO t (x) VALUES (1)",
        "DELETE FROM t",
        "CREATE TABLE u (x)",
        "CREATE TEMP TABLE u (x)",
        "PRAGMA journal_mode = delete",
        "PRAGMA user_version = 3",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA writable_schema = 1",
        "PRAGMA temp_store_directory = '/tmp'",
        "SELECT load_extension('x')",
        "VACUUM INTO '/tmp/lsrun-must-not-exist'",
        attach.as_str(),
    ] {
        let error = all(&connection, sql).await.expect_err(sql);
        assert!(["denied", "sqlite"].contains(&error.code().as_str()), "{sql}: {error:?}");
    }
    assert!(!folder.path().join("y").exists());
    let error = connection.transact(vec![statement("SELECT 1")]).await.unwrap_err();
    assert_eq!(error.code().as_str(), "denied");
    for sql in ["PRAGMA integrity_check", "PRAGMA table_info(t)", "SELECT count(*) FROM t"] {
        all(&connection, sql).await.expect(sql);
    }
}

#[tokio::test]
async fn a_reader_takes_no_lock_that_keeps_writers_out() {
    let (_folder, path) = database();
    let connection = open(&path, Access::Read).await.unwrap();
    let application = rusqlite::Connection::open(&path).unwrap();
    for begin in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
        all(&connection, begin).await.expect_err(begin);
        application.execute("INSERT INTO t (x) VALUES (7)", []).expect(begin);
    }
    all(&connection, "BEGIN").await.unwrap();
    all(&connection, "SELECT count(*) FROM t").await.unwrap();
    for sql in ["PRAGMA query_only = 0", "PRAGMA query_only", "PRAGMA temp_store = 1"] {
        assert_eq!(all(&connection, sql).await.unwrap_err().code().as_str(), "denied", "{sql}");
    }
    application.execute("INSERT INTO t (x) VALUES (7)", []).unwrap();
}

#[tokio::test]
async fn a_live_database_is_checked_and_the_guest_has_nothing_of_it() {
    let (_folder, path) = database();
    let application = rusqlite::Connection::open(&path).unwrap();
    application
        .execute_batch(
            "CREATE TABLE c (n INT CHECK (n > 0)); PRAGMA ignore_check_constraints = on;
             INSERT INTO c VALUES (-1); CREATE TABLE words (w TEXT);",
        )
        .unwrap();
    application.create_collation("german", |a, b| a.cmp(b)).unwrap();
    application.execute_batch("CREATE INDEX w ON words (w COLLATE german)").unwrap();
    let connection = open(&path, Access::Read).await.unwrap();
    all(&connection, "BEGIN").await.unwrap();
    let mut job = connection.integrity(Level::Full).unwrap();
    assert_eq!(connection.integrity(Level::Full).err().unwrap().code().as_str(), "busy");
    let found = job.wait().await.unwrap();
    assert_eq!(found.problems, ["CHECK constraint failed in c"]);
    assert_eq!(found.limited, ["words: quick_check only (no such collation sequence: german)"]);
    for (sql, code) in [
        ("SELECT 'a' < 'b' COLLATE german", "sqlite"),
        ("PRAGMA ignore_check_constraints = 1", "denied"),
        ("BEGIN IMMEDIATE", "denied"),
    ] {
        assert_eq!(all(&connection, sql).await.unwrap_err().code().as_str(), code, "{sql}");
    }
    // A job that nobody waits for leaves the connection free.
    drop(connection.integrity(Level::Full).unwrap());
    all(&connection, "SELECT count(*) FROM t").await.unwrap();
}

#[tokio::test]
async fn a_row_and_a_value_are_bounded() {
    let (_folder, path) = database();
    let connection = open(&path, Access::Read).await.unwrap();
    let wide = vec!["randomblob(6000000)"; 20].join(", ");
    for sql in [
        format!("SELECT {wide}"),
        "SELECT length(randomblob(60000000))".into(),
        "SELECT randomblob(16000000), randomblob(16000000)".into(),
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) \
         SELECT group_concat(hex(randomblob(100000))) FROM n"
            .into(),
    ] {
        let error = all(&connection, &sql).await.unwrap_err();
        assert_eq!(error.code().as_str(), "limit", "{}: {error:?}", &sql[..40]);
    }
    let long = format!("SELECT {}1", "1 + ".repeat(300_000));
    assert_eq!(all(&connection, &long).await.unwrap_err().code().as_str(), "limit");
    all(&connection, "SELECT length(randomblob(10000000)), randomblob(10000000)").await.unwrap();
}

/// A sort of more than SQLite may have fails, and fills no disk; in a process of its
/// own, whose limit of memory is nobody else's.
#[test]
fn a_sort_takes_no_disk_and_no_more_memory_than_it_may() {
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite::connection::tests::child_that_sorts", "--ignored"])
        .args(["--test-threads", "1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{run:?}");
}

#[tokio::test]
#[ignore = "run by the one before, alone"]
async fn child_that_sorts() {
    let (_folder, path) = database();
    let holder = rusqlite::Connection::open_in_memory().unwrap();
    holder.query_row("PRAGMA hard_heap_limit = 50000000", [], |_row| Ok(())).unwrap();
    let connection = open(&path, Access::Read).await.unwrap();
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
         SELECT randomblob(100000) AS x FROM n";
    for sql in [
        format!("SELECT length(x) FROM ({rows} ORDER BY x)"),
        format!("SELECT count(DISTINCT x) FROM ({rows})"),
    ] {
        let error = all(&connection, &sql).await.unwrap_err();
        assert_eq!(error.code().as_str(), "limit", "{error:?}");
    }
    let temporary = std::fs::read_dir("/proc/self/fd").unwrap().flatten().filter(|it| {
        std::fs::read_link(it.path()).is_ok_and(|to| to.to_string_lossy().contains("etilqs"))
    });
    assert_eq!(temporary.count(), 0);
    // What is over leaves room for the next.
    all(&connection, "SELECT x FROM t ORDER BY x").await.unwrap();
}

#[tokio::test]
async fn what_the_database_holds_is_read_whatever_its_length() {
    let (_folder, path) = database();
    let application = rusqlite::Connection::open(&path).unwrap();
    application.execute("INSERT INTO t (x) VALUES (randomblob(20000000))", []).unwrap();
    let connection = open(&path, Access::Read).await.unwrap();
    let mut contents = connection.content(vec!["t".into()], true).unwrap();
    assert_eq!(contents.next().await.unwrap().unwrap().rows, 7);
    assert_eq!(contents.next().await.unwrap(), None);
    let found = connection.integrity(Level::Full).unwrap().wait().await.unwrap();
    assert_eq!(found, Integrity::default());
    let error = all(&connection, "SELECT x FROM t").await.unwrap_err();
    assert_eq!(error.code().as_str(), "limit");
}

#[tokio::test]
async fn threads_are_counted_until_they_end() {
    let (_folder, path) = database();
    let slots = slots();
    let deadline = Instant::now() + Duration::from_secs(60);
    for _ in 0..100 {
        Connection::open(&path, Access::Read, deadline, Stop::default(), &slots).await.unwrap();
    }
    assert!(slots.free() <= 16);
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let (_folder, path) = database();
    let connection = open(&path, Access::Write).await.unwrap();
    let changed = connection
        .transact(vec![
            statement("INSERT INTO t (x) VALUES (7)"),
            statement("DELETE FROM t WHERE id = 1"),
        ])
        .await
        .unwrap();
    assert_eq!(changed, 2);
    connection
        .transact(vec![statement("DELETE FROM t"), statement("SELECT * FROM nowhere")])
        .await
        .unwrap_err();
    let count = all(&connection, "SELECT count(*) FROM t").await.unwrap();
    assert_eq!(count, [[Value::Integer(6)]]);
}

#[tokio::test]
async fn one_query_at_a_time_and_a_dropped_one_ends() {
    let (_folder, path) = database();
    let connection = open(&path, Access::Read).await.unwrap();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let mut rows = connection.query(statement(endless)).unwrap();
    assert_eq!(rows.next(1).await.unwrap(), [[Value::Integer(1)]]);
    let second = connection.query(statement("SELECT 1")).err().unwrap();
    assert_eq!(second.code().as_str(), "busy");
    drop(rows);
    assert_eq!(all(&connection, "SELECT 1").await.unwrap(), [[Value::Integer(1)]]);
}

#[tokio::test]
async fn what_is_at_its_end_takes_no_other_turn_away_when_it_is_dropped() {
    let (_folder, path) = database();
    let connection = open(&path, Access::Read).await.unwrap();
    let mut rows = connection.query(statement("SELECT 1")).unwrap();
    assert_eq!(rows.next(1).await.unwrap(), [[Value::Integer(1)]]);
    assert!(rows.next(1).await.unwrap().is_empty());
    let second = connection.query(statement("SELECT 2")).unwrap();
    drop(rows);
    let third = connection.query(statement("SELECT 3")).err().unwrap();
    assert_eq!(third.code().as_str(), "busy");
    drop(second);
    assert_eq!(all(&connection, "SELECT 3").await.unwrap(), [[Value::Integer(3)]]);
}

#[tokio::test]
async fn a_deadline_ends_a_query() {
    let (_folder, path) = database();
    let deadline = Instant::now() + Duration::from_millis(50);
    let (stop, slots) = (Stop::default(), slots());
    let connection = Connection::open(&path, Access::Read, deadline, stop, &slots).await.unwrap();
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let error = all(&connection, endless).await.unwrap_err();
    assert_eq!(error.code().as_str(), "timeout");
}

#[tokio::test]
async fn a_copy_is_read_without_touching_its_folder() {
    let (folder, path) = database();
    let connection = open(&path, Access::Copy).await.unwrap();
    assert_eq!(all(&connection, "SELECT count(*) FROM t").await.unwrap(), [[Value::Integer(6)]]);
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1);
}

#[tokio::test]
async fn a_log_that_was_there_stays() {
    let (_folder, path) = database();
    let log = || std::fs::read(Sidecar::Wal.of(&path)).unwrap_or_default();
    assert!(log().is_empty());
    // Left by one that ended without closing.
    let user = rusqlite::Connection::open(&path).unwrap();
    user.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    user.execute("INSERT INTO t (x) VALUES (7)", []).unwrap();
    drop(user);
    let before = log();
    assert!(!before.is_empty());
    let run = Threads::default();
    let (slots, until) = (Slots::of(&run), Instant::now() + Duration::from_secs(20));
    let connection =
        Connection::open(&path, Access::Read, until, Stop::default(), &slots).await.unwrap();
    let count = all(&connection, "SELECT count(*) FROM t").await.unwrap();
    assert_eq!(count, [[Value::Integer(7)]]);
    drop(connection);
    run.settle(Duration::from_secs(20));
    assert_eq!(log(), before);
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_nothing_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    assert!(open(&path, Access::Write).await.is_err());
    assert!(!path.exists());
    std::fs::write(&path, "this is a text file, longer than the header of SQLite ".repeat(40))
        .unwrap();
    let error = open(&path, Access::Read).await.err().unwrap();
    assert!(error.one_line().contains("not a database"), "{error:?}");
}
