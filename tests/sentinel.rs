//! The row that `verify` writes: no code of the schema runs, and no other writer is
//! blocked.

use std::time::{Duration, Instant};

use crate::support::{PROJECT, Sandbox, check};

const PLAIN: &str = "CREATE TABLE _litestream_verification \
    (id INTEGER PRIMARY KEY, code TEXT, created TEXT);";

/// Makes the schema, and verifies while an application writes: it waits for nobody.
fn beside_an_application(sql: &str, code: i32) -> serde_json::Value {
    let sandbox = Sandbox::new();
    sandbox.sql("db.sqlite3", sql);
    let path = sandbox.path("db.sqlite3");
    let (over, ended) = std::sync::mpsc::channel::<()>();
    let application = std::thread::spawn(move || {
        let connection = rusqlite::Connection::open(path).unwrap();
        // What Django and others have.
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        let mut longest = Duration::ZERO;
        while ended
            .recv_timeout(Duration::from_millis(20))
            .is_err_and(|it| it == std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            let began = Instant::now();
            connection.execute("INSERT INTO users (name) VALUES ('x')", []).unwrap();
            longest = longest.max(began.elapsed());
        }
        longest
    });
    let json = sandbox.lsrun(&["verify", "--format", "json"]).expect(code).json();
    drop(over);
    let longest = application.join().unwrap();
    assert!(longest < Duration::from_secs(4), "{longest:?}");
    sandbox.assert_clean();
    json
}

/// No row is written; the reason is `why`, and what the hint says works.
fn refused(sql: &str, why: &str) {
    let json = beside_an_application(sql, 11);
    assert_eq!(json["outcome"], "inconclusive");
    let sentinel = check(&json, "sentinel");
    assert_eq!(sentinel["outcome"], "inconclusive", "{json}");
    let message = sentinel["message"].as_str().unwrap();
    assert!(message.contains(why), "{message}");
    assert!(sentinel["hint"].as_str().unwrap().contains("--read-only"), "{sentinel}");
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["verify"]).expect(0);
    sandbox.sql("db.sqlite3", "DROP TABLE _litestream_verification");
    sandbox.sql("db.sqlite3", sql);
    sandbox.lsrun(&["verify"]).expect(11);
    let json = sandbox.lsrun(&["verify", "--read-only", "--format", "json"]).json();
    assert_ne!(json["outcome"], "failed", "{json}");
}

#[test]
fn a_trigger_that_never_ends_does_not_run() {
    let endless = "CREATE TRIGGER t AFTER INSERT ON _litestream_verification BEGIN \
        INSERT INTO users (name) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
        SELECT 'x' FROM n WHERE i < 0; END;";
    let json = beside_an_application(&format!("{PLAIN}{endless}"), 0);
    assert_eq!(check(&json, "sentinel")["outcome"], "passed");
    assert_eq!(check(&json, "pages")["outcome"], "passed");
    let before = endless.replace("AFTER INSERT", "BEFORE DELETE");
    let old = "INSERT INTO _litestream_verification (code) VALUES ('old');";
    beside_an_application(&format!("{PLAIN}{old}{before}"), 0);
}

#[test]
fn a_row_that_others_refer_to_takes_none_with_it() {
    let sandbox = Sandbox::new();
    sandbox.sql(
        "db.sqlite3",
        &format!(
            "{PLAIN} INSERT INTO _litestream_verification (code) VALUES ('old');
             CREATE TABLE kept (v INTEGER REFERENCES _litestream_verification (id) ON DELETE CASCADE);
             INSERT INTO kept VALUES (1)"
        ),
    );
    sandbox.lsrun(&["verify", "--skip", "foreign_key_check"]).expect(0);
    assert_eq!(sandbox.integer("db.sqlite3", "SELECT count(*) FROM kept"), 1);
}

#[test]
fn a_view_of_the_name_is_not_written_to() {
    let view =
        "CREATE VIEW _litestream_verification AS SELECT 1 AS id, 'x' AS code, 'y' AS created;";
    refused(view, "is a view");
    let trigger = "CREATE TRIGGER t INSTEAD OF INSERT ON _litestream_verification BEGIN \
        INSERT INTO users (name) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
        SELECT 'x' FROM n WHERE i < 0; END;";
    refused(&format!("{view}{trigger}"), "is a view");
}

#[test]
fn what_is_no_plain_table_is_not_written_to() {
    let table = |columns: &str| format!("CREATE TABLE _litestream_verification ({columns});");
    refused("CREATE VIRTUAL TABLE _litestream_verification USING fts5(code, created);", "virtual");
    refused(&table("id INTEGER PRIMARY KEY, code TEXT CHECK (length(code) < 5), created"), "CHECK");
    refused(&table("code TEXT, created TEXT, more AS (upper(code))"), "generated column");
    refused(
        &format!("{PLAIN}CREATE INDEX i ON _litestream_verification (upper(code));"),
        "index on an expression",
    );
}

#[test]
fn a_table_that_takes_no_such_row_is_inconclusive() {
    refused(
        "CREATE TABLE _litestream_verification (id INTEGER PRIMARY KEY);",
        "no row can be written",
    );
    refused(
        "CREATE TABLE _litestream_verification (code TEXT, created TEXT, more TEXT NOT NULL);",
        "no row can be written",
    );
}

#[test]
fn an_application_that_holds_the_lock_for_a_moment_is_waited_for() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("db.sqlite3");
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE; INSERT INTO users (name) VALUES ('x')").unwrap();
    let waiting = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        connection.execute_batch("COMMIT").unwrap();
    });
    sandbox.lsrun(&["verify"]).expect(0);
    waiting.join().unwrap();
}

#[test]
fn a_database_that_becomes_wal_is_told() {
    let sandbox = Sandbox::new();
    sandbox.sql("db.sqlite3", "PRAGMA journal_mode = delete");
    let json = sandbox.lsrun(&["verify", "--format", "json"]).expect(0).json();
    assert_eq!(json["databases"][0]["facts"]["journal_mode_before"], "delete");
    sandbox.sql("db.sqlite3", "PRAGMA journal_mode = delete");
    let run = sandbox.lsrun(&["verify"]).expect(0);
    run.says(&["journal mode delete", "is now in WAL mode"]);
    sandbox.lsrun(&["verify"]).expect(0).says_not("is now in WAL mode");
}

#[test]
fn limits_are_judged_whatever_the_copy_is() {
    let sandbox = Sandbox::new();
    let verify =
        "verify: {max_restore: 1ms, assertions: {default: [{name: a/b~c, sql: select 1}]}}";
    sandbox.write("lsrun.yml", &format!("{PROJECT}{verify}\n"));
    // lsrun's own reader takes less than that.
    let mut command = sandbox.command(&["verify", "--format", "json"]);
    let run: crate::support::Run =
        command.env("LSRUN_ENGINE", "litestream").output().unwrap().into();
    let json = run.expect(10).json();
    assert_eq!(check(&json, "restore_time")["outcome"], "failed");
    assert_eq!(check(&json, "assertion:a/b~c")["outcome"], "passed");
    // A copy that SQLite cannot read.
    let script = crate::support::stand_in::stand_in(
        &sandbox,
        "\"$real\" \"$@\" || exit\nprintf 'no database here' | dd of=\"$output\" conv=notrunc 2>/dev/null",
    );
    let command = sandbox.command(&["verify", "--at", "latest", "--format", "json"]);
    let run: crate::support::Run = crate::support::stand_in::with_litestream(command, &script);
    let json = run.json();
    assert_eq!(check(&json, "restore_time")["outcome"], "failed", "{json}");
    assert_ne!(check(&json, "assertion:a/b~c")["outcome"], "passed", "{json}");
}
