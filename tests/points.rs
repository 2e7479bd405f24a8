//! What `lsrun points` finds by looking into the copies: the last point at which something
//! was true, the last good one, and how the tables grew and shrank.

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::{PROJECT, Sandbox, wait_until};

/// A transaction with a file of its own for each SQL, and their TXIDs.
fn transactions(sandbox: &Sandbox, sql: &[&str]) -> Vec<String> {
    for sql in sql {
        sandbox.sql("db.sqlite3", sql);
        sandbox.lsrun(&["replicate", "-once"]).expect(0);
    }
    let listed = sandbox.lsrun(&["points", "--json", "default"]).expect(0).json();
    let points = listed["points"].as_array().unwrap();
    points.iter().map(|point| point["txid"].as_str().unwrap().to_owned()).collect()
}

/// Twelve transactions with a row each, then one that deletes most, and another row.
fn deleted() -> (Sandbox, Vec<String>) {
    let sandbox = Sandbox::new();
    let insert = "INSERT INTO users (name) VALUES ('x')";
    let mut sql = vec![insert; 12];
    sql.extend(["DELETE FROM users WHERE id > 2", insert]);
    let txids = transactions(&sandbox, &sql);
    assert_eq!(txids.len(), 14);
    (sandbox, txids)
}

fn search(sandbox: &Sandbox, words: &[&str]) -> Value {
    sandbox.lsrun(&[&["points", "--json"], words, &["default"]].concat()).expect(0).json()
}

/// Changes a byte of a file, and not its time: that is the time of its transaction.
fn damage(file: &std::path::Path) {
    let time = std::fs::metadata(file).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(file, bytes).unwrap();
    std::fs::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
}

#[test]
fn the_last_point_at_which_something_was_true() {
    let (sandbox, txids) = deleted();
    let sql = "SELECT count(*) >= 4 FROM users";
    let found = search(&sandbox, &["--last-where", sql]);
    assert_eq!(found["found"]["txid"], txids[11], "{found}");
    assert_eq!(found["next"]["txid"], txids[12], "{found}");
    assert!(found["next"]["reason"].as_str().unwrap().contains("returned 0"), "{found}");
    assert_eq!(found["candidates"], 14);
    // The two ends, and halves of what is between them.
    assert!(found["tried"].as_u64().unwrap() <= 6, "{found}");
    assert_eq!((&found["search"], &found["sql"]), (&"last-where".into(), &sql.into()));
    let text = sandbox.lsrun(&["points", "--last-where", sql, "default"]).expect(0);
    let copy = format!("lsrun restore -o restored-copy.sqlite3 -txid {} default", txids[11]);
    let text = text.says(&[
        &format!("the last point at which the SQL is true: TXID {}, written 20", txids[11]),
        &format!("the next one: TXID {}", txids[12]),
        "of 14 points tried",
        " points left",
        &format!("restore it to a new file: {copy}"),
        &format!("restore it in place: lsrun restore -force -txid {} default", txids[11]),
    ]);
    assert!(text.stdout.starts_with("default  file "), "{}", text.stdout);
    // What is advised works.
    for command in found["restore"].as_array().unwrap() {
        let words: Vec<&str> = command.as_str().unwrap().split(' ').skip(1).collect();
        sandbox.lsrun(&words).expect(0);
    }
    for file in ["restored-copy.sqlite3", "db.sqlite3"] {
        assert_eq!(sandbox.integer(file, "SELECT count(*) FROM users"), 15);
    }
    sandbox.assert_clean();
}

#[test]
fn every_boundary_is_found() {
    let sandbox = Sandbox::new();
    let txids = transactions(&sandbox, &["INSERT INTO users (name) VALUES ('x')"; 9]);
    // The first transaction has the users 1 to 4, and each one more.
    for last in 0..8 {
        let sql = format!("SELECT max(id) < {} FROM users", last + 5);
        let found = search(&sandbox, &["--last-where", &sql]);
        assert_eq!(found["found"]["txid"], txids[last], "{found}");
        assert_eq!(found["next"]["txid"], txids[last + 1], "{found}");
    }
}

#[test]
fn where_nothing_has_to_be_searched() {
    let (sandbox, txids) = deleted();
    let newest = search(&sandbox, &["--last-where", "SELECT 1"]);
    assert_eq!(
        (&newest["found"]["txid"], &newest["tried"]),
        (&txids[13].clone().into(), &1.into())
    );
    assert_eq!(newest["next"], Value::Null);
    let run = |sql: &str| sandbox.lsrun(&["points", "--last-where", sql, "default"]);
    run("SELECT 1").expect(0).says(&["the SQL is true at the newest point"]);
    run("SELECT 0")
        .expect(11)
        .says(&["the SQL is true neither at the oldest point of default nor at the newest"]);
    run("SELECT * FROM nope").expect(11).says(&[
        "neither at the oldest point",
        "failed at every point that was tried",
        "no such table: nope",
    ]);
    run("DELETE FROM users").expect(2).says(&["a backup can only be read"]);
    sandbox.lsrun(&["points", "--last-where", "SELECT 1", "--rows"]).expect(2);
    sandbox.assert_clean();
}

#[test]
fn where_the_sql_fails_it_is_false() {
    let sandbox = Sandbox::new();
    let insert = "INSERT INTO users (name) VALUES ('x')";
    let more = "CREATE TABLE orders (id); INSERT INTO orders VALUES (1)";
    let txids = transactions(&sandbox, &[more, insert, insert, "DROP TABLE orders", insert]);
    let sql = "SELECT count(*) FROM orders";
    let found = search(&sandbox, &["--last-where", sql]);
    assert_eq!(found["found"]["txid"], txids[2], "{found}");
    assert!(found["next"]["reason"].as_str().unwrap().contains("no such table"), "{found}");
    assert!(found["sql_failed"].as_u64().unwrap() >= 1, "{found}");
    let text = sandbox.lsrun(&["points", "--last-where", sql, "default"]).expect(0);
    text.says(&["; the SQL failed at ", "which counts as false"]);
}

#[test]
fn a_point_that_cannot_be_restored_is_passed_over() {
    let (sandbox, txids) = deleted();
    // The middle, where the bisection begins.
    let name = format!("replica/ltx/0/{0}-{0}.ltx", txids[7]);
    damage(&sandbox.path(&name));
    // Everything after it needs it: only what is older can be found.
    let run = sandbox.lsrun(&["points", "--json", "--last-where", "SELECT 1", "default"]).expect(0);
    let found = run.json();
    assert_eq!(found["found"]["txid"], txids[6], "{found}");
    assert_eq!(found["left_out"].as_array().unwrap().len(), 7, "{found}");
    run.says(&[&format!("TXID {} is left out, it cannot be used", txids[7])]);
    let text = sandbox.lsrun(&["points", "--last-where", "SELECT 1", "default"]).expect(0);
    text.says(&["the newest point that can be used", "7 points left out"]);
    sandbox.assert_clean();
}

#[test]
fn in_the_middle_neighbours_take_the_place_of_a_point_that_cannot_be_restored() {
    let sandbox = Sandbox::new();
    let insert = "INSERT INTO users (name) VALUES ('x')";
    transactions(&sandbox, &[insert; 9]);
    // What comes later is restored from the compacted file.
    let daemon = Daemon::start(&sandbox, "levels: [{interval: 1s}]");
    wait_until("the transactions are compacted", || {
        sandbox.names("replica/ltx/1").iter().any(|name| name.ends_with("-0000000000000009.ltx"))
    });
    drop(daemon);
    let txids = transactions(&sandbox, &[insert; 4]);
    damage(&sandbox.path(&format!("replica/ltx/0/{0}-{0}.ltx", txids[4])));
    let sql = "SELECT max(id) < 11 FROM users";
    let run = sandbox.lsrun(&["points", "--json", "--last-where", sql, "default"]).expect(0);
    let found = run.json();
    let left_out = found["left_out"].as_array().unwrap();
    assert!(
        !left_out.is_empty()
            && !left_out.iter().any(|it| it["txid"].as_str() < Some(txids[4].as_str())),
        "{found}"
    );
    // Users 4 to 10 are of the first seven, the last three of which cannot be restored.
    assert_eq!(found["found"]["txid"], txids[3], "{found}");
    assert!(found["next"]["txid"].as_str().unwrap() > txids[6].as_str(), "{found}");
    sandbox.assert_clean();
}

#[test]
fn the_last_point_that_is_good() {
    let sandbox = Sandbox::new();
    let rule = "verify: {assertions: {default: [{name: no empty names, sql: \"SELECT count(*) = 0 FROM users WHERE name = ''\"}]}}\n";
    sandbox.write("lsrun.yml", &format!("{PROJECT}{rule}"));
    let insert = "INSERT INTO users (name) VALUES ('x')";
    let mut sql = vec![insert; 6];
    sql.extend(["INSERT INTO users (name) VALUES ('')", insert, insert, insert, insert]);
    let txids = transactions(&sandbox, &sql);
    let found = search(&sandbox, &["--last-good"]);
    assert_eq!(found["found"]["txid"], txids[5], "{found}");
    assert_eq!(found["next"]["txid"], txids[6], "{found}");
    let reason = found["next"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("assertion:no empty names returned 0"), "{found}");
    sandbox.lsrun(&["points", "--last-good", "default"]).expect(0).says(&[
        &format!("the last point at which the checks pass: TXID {}", txids[5]),
        &format!("lsrun restore -o restored-copy.sqlite3 -txid {} default", txids[5]),
    ]);
    // Foreign keys as well, and without a rule the newest is good.
    sandbox.write("lsrun.yml", PROJECT);
    let newest = search(&sandbox, &["--last-good"]);
    assert_eq!(
        (&newest["found"]["txid"], &newest["tried"]),
        (&txids[10].clone().into(), &1.into())
    );
    let keys = "PRAGMA foreign_keys = off; CREATE TABLE orders (user REFERENCES users (id)); INSERT INTO orders VALUES (999)";
    let txids = transactions(&sandbox, &[keys]);
    let found = search(&sandbox, &["--last-good"]);
    assert_eq!(found["found"]["txid"], txids[10], "{found}");
    let reason = found["next"]["reason"].as_str().unwrap();
    assert!(reason.contains("orders: 1 rows refer to missing rows of users"), "{found}");
    // A rule that was never kept.
    sandbox.write("lsrun.yml", &format!("{PROJECT}{}", rule.replace("= 0", "< 0")));
    sandbox.lsrun(&["points", "--last-good", "default"]).expect(11).says(&[
        "no point of default that was tried passes the checks",
        "assertion:no empty names",
    ]);
    sandbox.assert_clean();
}

#[test]
fn how_the_tables_grew_and_shrank() {
    let (sandbox, txids) = deleted();
    sandbox.sql("db.sqlite3", "CREATE TABLE new (a); INSERT INTO new VALUES (1), (2)");
    sandbox.sql("db.sqlite3", "CREATE TABLE \"ev\u{1b}[2Jil\" (a)");
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    let found = search(&sandbox, &["--rows", "--limit", "4"]);
    let points: Vec<&str> =
        found["points"].as_array().unwrap().iter().map(|it| it["txid"].as_str().unwrap()).collect();
    assert_eq!((points.len(), points[0]), (4, txids[0].as_str()), "{found}");
    let table = |name: &str| {
        let tables = found["tables"].as_array().unwrap();
        tables.iter().find(|table| table["table"] == name).unwrap_or_else(|| panic!("{found}"))
    };
    assert_eq!(table("users")["changed"], true);
    assert_eq!(table("users")["rows"][0], 4);
    assert_eq!(table("users")["rows"][3], 3);
    assert_eq!(table("new")["rows"], serde_json::json!([null, null, null, 2]));
    let all = search(&sandbox, &["--rows"]);
    assert_eq!(all["points"].as_array().unwrap().len(), 10, "{all}");
    let text = sandbox.lsrun(&["points", "--rows", "--limit", "3", "default"]).expect(0);
    let text = text.says(&["TABLE", "users *", "new *", "tables changed (*)", "ev\\u{1b}[2Jil"]);
    assert!(!text.stdout.contains('\u{1b}'), "{}", text.stdout);
    let one = search(&sandbox, &["--rows", "--limit", "1"]);
    assert_eq!(one["points"].as_array().unwrap().len(), 1);
    assert_eq!(
        one["tables"].as_array().unwrap().iter().filter(|it| it["changed"] == true).count(),
        0
    );
    sandbox.assert_clean();
}

#[test]
fn by_url_there_is_nothing_to_restore_in_place() {
    let (sandbox, txids) = deleted();
    let url = format!("file://{}", sandbox.path("replica").display());
    std::fs::remove_file(sandbox.path("lsrun.yml")).unwrap();
    let sql = "SELECT count(*) >= 4 FROM users";
    let found = sandbox.lsrun(&["points", "--json", "--last-where", sql, &url]).expect(0).json();
    assert_eq!(found["found"]["txid"], txids[11]);
    assert_eq!(found["restore"].as_array().unwrap().len(), 1, "{found}");
    let command = found["restore"][0].as_str().unwrap().to_owned();
    sandbox.lsrun(&command.split(' ').skip(1).collect::<Vec<_>>()).expect(0);
    assert_eq!(sandbox.integer("restored-copy.sqlite3", "SELECT count(*) FROM users"), 15);
}
