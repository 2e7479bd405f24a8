//! A database of 126 MB: 250,000 rows of 0.4 KB, an index, a foreign key.

use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use crate::{Bench, Daemon, compare_in};

/// Makes a database of about `rows` times 0.5 KB.
pub(crate) fn fill(path: &Path, rows: u32) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = wal;
             CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
             CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers (id), note TEXT NOT NULL);
             CREATE INDEX orders_by_customer ON orders (customer);
             BEGIN;
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
             INSERT INTO customers SELECT i, 'customer ' || i FROM n;
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             INSERT INTO orders SELECT i, 1 + i % 1000, hex(randomblob(200)) FROM n;
             COMMIT;
             CREATE TABLE sentinel (code TEXT);"
        ))
        .unwrap();
}

pub(crate) fn run(bench: &Bench) {
    let (folder, tools) = (bench.path("large"), bench.path("tools"));
    for folder in [&folder, &tools] {
        std::fs::create_dir(folder).unwrap();
    }
    let database = folder.join("db.sqlite3");
    fill(&database, 250_000);
    std::fs::copy(&database, tools.join("db.sqlite3")).unwrap();
    std::fs::write(
        folder.join("lsrun.yml"),
        format!("{}  {}restore: {{keep: 1}}\n", crate::PROJECT, crate::socket_of(&folder)),
    )
    .unwrap();
    let daemons = [Daemon::start(bench, &folder), Daemon::start(bench, &tools)];
    let project = folder.to_str().unwrap().to_owned();
    let verify = |more: &[&str]| {
        let arguments = [&["-C", &project, "verify"], more].concat();
        bench.lsrun(&arguments, &bench.cache);
    };
    println!("\n126 MB: {} bytes", std::fs::metadata(&database).unwrap().len());
    compare_in(
        9,
        "verify of 126 MB (at most 0.5 of the bare tools)",
        vec![
            ("litestream and the sqlite3 shell, step by step", Box::new(|| shell(bench, &tools))),
            ("the same steps with SQLite in one process", Box::new(|| bare(bench, &tools))),
            ("lsrun verify", Box::new(|| verify(&[]))),
            ("lsrun verify --fast", Box::new(|| verify(&["--fast"]))),
        ],
    );
    drop(daemons);
    compare_in(
        5,
        "restore of 126 MB (at most 1.15)",
        vec![
            (
                "litestream restore -integrity-check full",
                Box::new(|| {
                    let output = folder.join("bare.sqlite3");
                    remove(&output);
                    let database = folder.join("db.sqlite3");
                    let config = folder.join("daemon.yml");
                    bench.bare(&[
                        "restore",
                        "-config",
                        config.to_str().unwrap(),
                        "-integrity-check",
                        "full",
                        "-o",
                        output.to_str().unwrap(),
                        database.to_str().unwrap(),
                    ]);
                }),
            ),
            (
                "lsrun restore",
                Box::new(|| {
                    let output = folder.join("lsrun.sqlite3");
                    remove(&output);
                    let output = output.to_str().unwrap();
                    bench
                        .lsrun(&["-C", &project, "restore", "-o", output, "default"], &bench.cache);
                }),
            ),
            (
                "lsrun restore -force, over the database",
                Box::new(|| {
                    bench.lsrun(&["-C", &project, "restore", "-force", "default"], &bench.cache);
                }),
            ),
        ],
    );
}

/// The sqlite3 shell's answer.
fn sqlite3(database: &Path, commands: &[&str]) -> String {
    let output = Command::new("sqlite3").arg("-bail").arg(database).args(commands).output();
    let output = output.expect("the sqlite3 shell is on PATH: install Debian's sqlite3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What people have: the steps by litestream and the sqlite3 shell, one after the
/// other, with a digest of each table on both sides.
fn shell(bench: &Bench, folder: &Path) {
    const DIGEST: [&str; 2] = [".sha3sum customers", ".sha3sum orders"];
    let (database, restored) = (folder.join("db.sqlite3"), folder.join("restored.sqlite3"));
    let insert = "INSERT INTO sentinel VALUES (hex(randomblob(16))) RETURNING code";
    let code = sqlite3(&database, &[insert]);
    let live = sqlite3(&database, &DIGEST);
    replicate_and_restore(bench, folder, &restored);
    let found = format!("SELECT count(*) FROM sentinel WHERE code = '{}'", code.trim_end());
    let checks = [&found, "PRAGMA integrity_check", "PRAGMA foreign_key_check"];
    assert_eq!(sqlite3(&restored, &checks), "1\nok\n");
    sqlite3(&restored, &["SELECT count(*) FROM orders", "SELECT count(*) FROM customers"]);
    assert_eq!(sqlite3(&restored, &DIGEST), live);
    remove(&restored);
}

/// `sync -wait` and `restore`.
fn replicate_and_restore(bench: &Bench, folder: &Path, restored: &Path) {
    let (config, database) = (folder.join("daemon.yml"), folder.join("db.sqlite3"));
    let path = database.to_str().unwrap();
    bench.sync(folder);
    remove(restored);
    bench.bare(&[
        "restore",
        "-config",
        config.to_str().unwrap(),
        "-o",
        restored.to_str().unwrap(),
        path,
    ]);
}

/// The same steps with litestream and one SQLite in this process: faster than what
/// anybody has.
fn bare(bench: &Bench, folder: &Path) {
    let database = folder.join("db.sqlite3");
    let live = Connection::open(&database).unwrap();
    live.execute_batch("INSERT INTO sentinel VALUES (hex(randomblob(16)))").unwrap();
    let of_live = digest(&live);
    drop(live);
    let restored = folder.join("restored.sqlite3");
    replicate_and_restore(bench, folder, &restored);
    let copy = Connection::open(&restored).unwrap();
    let one = |sql: &str| -> String {
        copy.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0))
            .map_or(String::new(), |value| format!("{value:?}"))
    };
    assert_eq!(one("PRAGMA integrity_check"), "Text(\"ok\")");
    assert_eq!(one("PRAGMA foreign_key_check"), "");
    one("SELECT count(*) FROM orders");
    assert_eq!(digest(&copy), of_live);
    drop(copy);
    remove(&restored);
}

fn digest(connection: &Connection) -> Vec<u8> {
    let mut hasher = Sha256::new();
    for table in ["customers", "orders", "sentinel"] {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                match row.get_ref(column).unwrap() {
                    rusqlite::types::ValueRef::Integer(integer) => {
                        hasher.update(integer.to_le_bytes());
                    }
                    rusqlite::types::ValueRef::Text(text) => hasher.update(text),
                    _ => hasher.update([0]),
                }
            }
        }
    }
    hasher.finalize().to_vec()
}

pub(crate) fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let _missing = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}
