//! `lsrun query`: what a backup says at a point, as a table, JSON and CSV, and everything
//! that it must not do.

use std::time::{Duration, Instant};

use crate::support::backups::six_transactions;
use crate::support::{PROJECT, Run, Sandbox};

/// A backup of two states of the rows that mistakes happen to.
fn past_and_present() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.sql(
        "db.sqlite3",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, state TEXT, total REAL);
         INSERT INTO orders VALUES (41, 'paid', 1.5), (42, 'paid', 20), (43, NULL, NULL);",
    );
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    sandbox.sql("db.sqlite3", "UPDATE orders SET state = 'lost'");
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    sandbox
}

/// The TXIDs of all points, oldest first.
fn txids(sandbox: &Sandbox) -> Vec<String> {
    let listed = sandbox.lsrun(&["points", "--json", "default"]).expect(0).json();
    let points = listed["points"].as_array().unwrap();
    points.iter().map(|point| point["txid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_a_row_looked_like() {
    let sandbox = past_and_present();
    let txids = txids(&sandbox);
    let [before, after] = txids.as_slice() else { panic!("{txids:?}") };
    let row = "SELECT * FROM orders WHERE id = 42";
    let now = sandbox.lsrun(&["query", "default", row]).expect(0);
    assert_eq!(now.stdout, "id  state  total\n--  -----  -----\n42  lost    20.0\n(1 row)\n");
    now.says(&[&format!("default at TXID {after}, written 20"), " UTC"]);
    for words in [
        &["query", "--at", before, "default", row][..],
        &["query", "-at", "1", "default", row],
        &["query", "default", row, "--at", before],
    ] {
        let then = sandbox.lsrun(words).expect(0);
        assert!(then.stdout.contains("42  paid    20.0\n"), "{}", then.stdout);
        then.says(&[&format!("at TXID {before}, written 20")]);
    }
    let all = sandbox.lsrun(&["--quiet", "query", "default", "SELECT id, state FROM orders"]);
    assert_eq!(all.expect(0).stderr, "");
    sandbox.assert_clean();
}

#[test]
fn a_point_is_a_time_as_people_write_it() {
    let sandbox = six_transactions();
    let count = |at: &str| sandbox.lsrun(&["query", "--csv", "--at", at, "default", USERS]);
    const USERS: &str = "SELECT count(*) AS n FROM users";
    // Ten hours ago the first, one more each hour.
    assert_eq!(count("7 hours 30 minutes ago").expect(0).stdout, "n\r\n6\r\n");
    assert_eq!(count("7h 30m").expect(0).stdout, "n\r\n6\r\n");
    assert_eq!(count("latest").expect(0).stdout, "n\r\n9\r\n");
    count("in a while").expect(2).says(&["cannot read \"in a while\" as a time"]);
    count("25:99").expect(2);
    count("0").expect(2).says(&["is not a TXID"]);
    count("yesterday").expect(11).says(&["the backup of default begins at 20"]);
    count("999").expect(11).says(&["has no TXID 00000000000003e7", "see `lsrun points default`"]);
    sandbox.assert_clean();
}

#[test]
fn json_and_csv_lose_nothing() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    let sql = "SELECT NULL AS a, '' AS \"b,c\", 9223372036854775807 AS d, x'00ff' AS e, 0.5 AS f, \
               'say \"hi\", ' || char(13, 10) || 'é' AS g, 9e999 AS h, 1.0 AS i";
    let json = sandbox.lsrun(&["query", "--json", "default", sql]).expect(0);
    assert_eq!(json.stdout.lines().count(), 1);
    let json = json.json();
    assert_eq!(json["columns"], serde_json::json!(["a", "b,c", "d", "e", "f", "g", "h", "i"]));
    let row = serde_json::json!([null, "", {"integer": "9223372036854775807"}, {"blob": "00ff"},
        0.5, "say \"hi\", \r\né", {"real": "inf"}, 1.0]);
    assert_eq!(json["rows"], serde_json::json!([row]));
    assert_eq!((&json["command"], &json["alias"]), (&"query".into(), &"default".into()));
    assert_eq!(json["txid"], "0000000000000001");
    assert!(json["timestamp"].as_str().unwrap().starts_with("20"));
    let same = sandbox.lsrun(&["--format", "json", "query", "default", sql]).expect(0).json();
    assert_eq!(same, json);
    let event = sandbox.lsrun(&["--format", "ndjson", "query", "default", sql]).expect(0).stdout;
    let event = event.lines().find(|line| line.contains("\"event\":\"data\"")).unwrap();
    let event: serde_json::Value = serde_json::from_str(event).unwrap();
    let within: serde_json::Value = serde_json::from_str(event["text"].as_str().unwrap()).unwrap();
    assert_eq!(within, json);

    let csv = sandbox.lsrun(&["query", "--csv", "default", sql]).expect(0).stdout;
    let line = "a,\"b,c\",d,e,f,g,h,i\r\n\
                ,\"\",9223372036854775807,00ff,0.5,\"say \"\"hi\"\", \r\né\",inf,1.0\r\n";
    assert_eq!(csv, line);
    let none = sandbox.lsrun(&["query", "--json", "default", "SELECT 1 AS a WHERE 0"]).expect(0);
    assert_eq!(none.json()["rows"], serde_json::json!([]));
    let none = sandbox.lsrun(&["query", "default", "SELECT 1 AS a WHERE 0"]).expect(0);
    assert_eq!(none.stdout, "a\n-\n(0 rows)\n");
    sandbox.lsrun(&["query", "--csv", "--json", "default", sql]).expect(2);
}

#[test]
fn a_table_shows_foreign_text_and_is_not_moved_by_it() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    let sql = "SELECT NULL AS \"a\u{1b}[2J\", 'NULL' AS b, char(27) || '[31m' || char(10) AS c, \
               char(0x202e) AS d, zeroblob(100) AS e, '中文' AS f, \
               printf('%.*c', 5000, 'x') AS g, x'00ff' AS h";
    let run = sandbox.lsrun(&["query", "default", sql]).expect(0);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}", run.stdout);
    assert!(!run.stdout.contains(['\u{1b}', '\u{202e}']), "{}", run.stdout);
    for shown in [
        "NULL  ",
        "  'NULL'  ",
        "\\u{1b}[31m\\n",
        "\\u{202e}",
        "x'00000000000000000000000000000000…' (100 bytes)",
        "中文  ",
        "x…  x'00ff'",
    ] {
        assert!(lines[2].contains(shown), "{shown}: {}", lines[2]);
    }
    assert!(lines[2].len() < 400, "{}", lines[2]);
    let full = sandbox.lsrun(&["query", "--full", "default", sql]).expect(0);
    assert!(full.stdout.contains(&"x".repeat(5000)), "{}", full.stdout);
    assert!(full.stdout.contains(&"00".repeat(100)));
}

#[test]
fn sql_that_is_wrong_or_writes_is_a_usage_error() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    let ask = |sql: &str| sandbox.lsrun(&["query", "default", sql]);
    ask("SELECT * FROM nope").expect(2).says(&["the SQL cannot be run", "no such table: nope"]);
    ask("SELEC 1").expect(2).says(&["the SQL cannot be run", "near \"SELEC\": syntax error"]);
    ask("SELECT 1; SELECT 2").expect(2).says(&["the SQL cannot be run"]);
    for sql in [
        "DELETE FROM users",
        "INSERT INTO users (name) VALUES ('x') RETURNING id",
        "CREATE TABLE t (a)",
        "ATTACH 'x' AS y",
        "PRAGMA journal_mode = delete",
        "VACUUM INTO 'stolen.sqlite3'",
        "SELECT load_extension('x')",
    ] {
        ask(sql).expect(2);
    }
    ask("DELETE FROM users").expect(2).says(&["a backup can only be read"]);
    sandbox.lsrun(&["query", "default", "--", "-- x\nSELECT 1"]).expect(0);
    ask("/* nothing */").expect(2).says(&["this SQL returns nothing", "SELECT"]);
    sandbox.lsrun(&["query", "default"]).expect(2).says(&["\"default\" is not an SQL statement"]);
    sandbox.lsrun(&["query"]).expect(2).says(&["lsrun query needs SQL"]);
    sandbox.lsrun(&["query", "nope", "SELECT 1"]).expect(20);
    assert!(!sandbox.path("stolen.sqlite3").exists());
    assert_eq!(sandbox.integer("db.sqlite3", "SELECT count(*) FROM users"), 3);
    sandbox.assert_clean();
}

#[test]
fn a_statement_without_an_end_ends_at_the_deadline() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    let sql =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let started = Instant::now();
    sandbox.lsrun(&["query", "--deadline", "3s", "default", sql]).expect(124);
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
    sandbox.assert_clean();
}

#[test]
fn by_url_without_a_project() {
    let sandbox = past_and_present();
    let url = format!("file://{}", sandbox.path("replica").display());
    std::fs::remove_file(sandbox.path("lsrun.yml")).unwrap();
    let sql = "SELECT state FROM orders WHERE id = 42";
    let run = sandbox.lsrun(&["query", "--at", "1", &url, sql]).expect(0);
    assert!(run.stdout.contains("paid\n"), "{}", run.stdout);
    let json = sandbox.lsrun(&["query", "--json", &url, sql]).expect(0).json();
    assert_eq!(json["rows"], serde_json::json!([["lost"]]));
    assert!(json.get("alias").is_none(), "{json}");
}

/// Two databases with a backup, and one without.
fn several() -> Sandbox {
    let sandbox = Sandbox::new();
    let more = PROJECT
        .replace("  default: db.sqlite3", "  one: db.sqlite3\n  two: two.sqlite3\n  zero: zero.sqlite3")
        .replace(
            "  - path: default\n    replica: {type: file, path: replica}\n",
            "  - {path: one, replica: {type: file, path: r1}}\n  - {path: two, replica: {type: file, path: r2}}\n  - {path: zero, replica: {type: file, path: r3}}\n",
        );
    sandbox.write("lsrun.yml", &more);
    sandbox.sql(
        "two.sqlite3",
        "PRAGMA journal_mode = wal; CREATE TABLE users (a); INSERT INTO users VALUES (1)",
    );
    for (name, file) in [("r1", "db.sqlite3"), ("r2", "two.sqlite3")] {
        let url = format!("file://{}", sandbox.path(name).display());
        sandbox.lsrun(&["replicate", "-once", file, &url]).expect(0);
    }
    sandbox.sql("zero.sqlite3", "PRAGMA journal_mode = wal; CREATE TABLE users (a)");
    sandbox
}

#[test]
fn several_databases_give_a_result_each_in_their_order() {
    let sandbox = several();
    let sql = "SELECT count(*) AS n FROM users";
    let rows = |run: Run| -> Vec<(String, i64)> {
        let lines = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
        lines
            .map(|line: serde_json::Value| {
                let name = line["alias"].as_str().unwrap().to_owned();
                (name, line["rows"][0][0].as_i64().unwrap())
            })
            .collect()
    };
    let both = [("two".to_owned(), 1), ("one".to_owned(), 3)];
    for jobs in ["1", "4"] {
        let run = sandbox.lsrun(&["query", "--json", "--jobs", jobs, "two", "one", sql]);
        assert_eq!(rows(run.expect(0)), both, "{jobs}");
    }
    let table = sandbox.lsrun(&["query", "two", "one", sql]).expect(0);
    assert_eq!(table.stdout, "n\n-\n1\n(1 row)\nn\n-\n3\n(1 row)\n");
    // One that cannot be asked is said, and the others are asked.
    let all = sandbox.lsrun(&["query", "--json", "--all", sql]).expect(11);
    assert_eq!(all.stdout.lines().count(), 2, "{}", all.stdout);
    all.says(&["no backup of zero yet"]);
    let none = sandbox.lsrun(&["--format", "json", "query", "zero", sql]).expect(11).json();
    assert_eq!(none["databases"][0]["alias"], "zero");
}

/// More than a command may keep, so it can only have gone through.
#[test]
fn more_rows_than_memory_may_hold_go_through() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000) \
               SELECT i, printf('%.*c', 2000, 'x') AS x FROM n";
    for (format, most) in [("--csv", 40_001), ("--json", 1)] {
        let run = sandbox.lsrun(&["query", format, "default", sql]).expect(0);
        assert!(run.stdout.len() > 70 << 20, "{}", run.stdout.len());
        assert_eq!(run.stdout.lines().count(), most);
        assert!(run.stdout.contains("40000,"));
    }
    let table = sandbox.lsrun(&["query", "default", sql]).expect(0);
    assert!(table.stdout.ends_with("(40000 rows)\n"));
    sandbox.assert_clean();
}

#[test]
fn a_result_that_breaks_off_has_no_end() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) \
               SELECT i, json(CASE WHEN i < 50000 THEN '1' ELSE '{' END) AS j FROM n";
    for format in ["--json", "--csv", "--full"] {
        let run = sandbox.lsrun(&["query", format, "default", sql]).expect(2);
        assert!(run.stdout.contains("9999") && run.stdout.len() > 100_000, "{format}");
        assert!(!run.stdout.contains("]}") && !run.stdout.contains("rows)"), "{format}");
        assert!(run.stderr.contains("malformed JSON"), "{}", run.stderr);
    }
    sandbox.assert_clean();
}
