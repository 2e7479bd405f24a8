//! A database of 126 MB: 250,000 rows of 0.4 KB, an index, a foreign key.

use std::path::Path;

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
    let folder = bench.path("large");
    std::fs::create_dir(&folder).unwrap();
    let database = folder.join("db.sqlite3");
    fill(&database, 250_000);
    let socket = folder.join("control.sock");
    let line = format!("socket: {{enabled: true, path: {}}}\n", socket.display());
    std::fs::write(folder.join("lsrun.yml"), format!("{}  {line}", crate::PROJECT)).unwrap();
    let config = format!(
        "{line}dbs: [{{path: {}, replica: {{type: file, path: {}}}}}]\n",
        database.display(),
        folder.join("replica").display()
    );
    std::fs::write(folder.join("daemon.yml"), config).unwrap();
    let _daemon = Daemon::start(bench, &folder, &socket);
    let project = folder.to_str().unwrap().to_owned();
    let verify = |more: &[&str]| {
        let arguments = [&["-C", &project, "verify"], more].concat();
        bench.lsrun(&arguments, &bench.cache);
    };
    println!("\n126 MB: {} bytes", std::fs::metadata(&database).unwrap().len());
    compare_in(
        5,
        "verify of 126 MB (at most 1.0; --fast at most 0.6)",
        vec![
            ("bare: row, sync, restore, all checks", Box::new(|| bare(bench, &folder))),
            ("lsrun verify", Box::new(|| verify(&[]))),
            ("lsrun verify --fast", Box::new(|| verify(&["--fast"]))),
        ],
    );
    drop(_daemon);
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
        ],
    );
}

/// The same steps by bare litestream and SQLite, one after the other.
fn bare(bench: &Bench, folder: &Path) {
    let database = folder.join("db.sqlite3");
    let live = Connection::open(&database).unwrap();
    live.execute_batch("INSERT INTO sentinel VALUES (hex(randomblob(16)))").unwrap();
    let of_live = digest(&live);
    drop(live);
    let (socket, config) = (folder.join("control.sock"), folder.join("daemon.yml"));
    let path = database.to_str().unwrap();
    bench.bare(&["sync", "-wait", "-socket", socket.to_str().unwrap(), path]);
    let restored = folder.join("restored.sqlite3");
    remove(&restored);
    bench.bare(&[
        "restore",
        "-config",
        config.to_str().unwrap(),
        "-o",
        restored.to_str().unwrap(),
        path,
    ]);
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

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let _missing = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}
