//! SQL of a plugin that may only read: whatever it says, the database stays as it is, no
//! other file is read or made, and nothing is loaded.

#![no_main]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use lsrun::testing::fuzz::reading_sql;
use tempfile::TempDir;

/// Words of statements: a byte from 128 on is one of them, any other is itself. A line is a
/// statement.
const WORDS: [&str; 128] = [
    "SELECT ",
    "FROM ",
    "WHERE ",
    "INSERT INTO ",
    "VALUES ",
    "UPDATE ",
    "SET ",
    "DELETE ",
    "DROP ",
    "CREATE ",
    "TABLE ",
    "TEMP ",
    "VIEW ",
    "TRIGGER ",
    "INDEX ",
    "VIRTUAL TABLE ",
    "USING ",
    "fts5(",
    "rtree(",
    "dbstat",
    "ATTACH ",
    "DETACH ",
    "DATABASE ",
    "AS ",
    "'other.db' ",
    "'file:other.db' ",
    "':memory:' ",
    "PRAGMA ",
    "journal_mode ",
    "user_version ",
    "writable_schema ",
    "query_only ",
    "temp_store_directory ",
    "wal_checkpoint ",
    "application_id ",
    "schema_version ",
    "auto_vacuum ",
    "incremental_vacuum ",
    "optimize ",
    "foreign_keys ",
    "recursive_triggers ",
    "mmap_size ",
    "trusted_schema ",
    "cell_size_check ",
    "load_extension(",
    "readfile(",
    "writefile(",
    "fts3_tokenizer(",
    "zeroblob(",
    "randomblob(",
    "printf(",
    "json_each(",
    "pragma_table_info(",
    "sqlite_master ",
    "sqlite_schema ",
    "sqlite_temp_master ",
    "sqlite_sequence ",
    "items ",
    "log ",
    "seen ",
    "words ",
    "boxes ",
    "id ",
    "name ",
    "body ",
    "x ",
    "* ",
    "count(*) ",
    "NULL ",
    "1 ",
    "0 ",
    "-1 ",
    "'a' ",
    "x'00' ",
    "( ",
    ") ",
    ", ",
    "= ",
    ". ",
    "; ",
    "ON ",
    "BEGIN ",
    "END ",
    "IMMEDIATE ",
    "EXCLUSIVE ",
    "COMMIT ",
    "ROLLBACK ",
    "SAVEPOINT s ",
    "RELEASE s ",
    "VACUUM ",
    "INTO ",
    "REINDEX ",
    "ANALYZE ",
    "EXPLAIN ",
    "QUERY PLAN ",
    "WITH ",
    "RECURSIVE ",
    "RETURNING ",
    "UNION ALL ",
    "EXCEPT ",
    "ORDER BY ",
    "LIMIT ",
    "GROUP BY ",
    "HAVING ",
    "JOIN ",
    "LEFT ",
    "OUTER ",
    "EXISTS ",
    "NOT ",
    "IN ",
    "LIKE ",
    "MATCH ",
    "GLOB ",
    "CASE ",
    "WHEN ",
    "THEN ",
    "ELSE ",
    "CAST(",
    "ALTER ",
    "RENAME TO ",
    "ADD COLUMN ",
    "REPLACE INTO ",
    "OR ",
    "CONFLICT ",
    "DO NOTHING ",
    "main.",
    "temp.",
    "off ",
];

const CANARY: &str = "canary-7d1f0b";

/// A folder with a database, another one that nobody names, and what is in both.
static FOLDER: LazyLock<(TempDir, BTreeMap<PathBuf, Vec<u8>>)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| rusqlite::Connection::open(folder.path().join(name)).unwrap();
    open("db.sqlite3")
        .execute_batch(
            "CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, x REAL);
             CREATE TABLE log (body TEXT);
             CREATE TRIGGER t AFTER INSERT ON items BEGIN INSERT INTO log VALUES (new.name); END;
             CREATE VIEW seen AS SELECT name FROM items;
             CREATE TRIGGER v INSTEAD OF INSERT ON seen BEGIN DELETE FROM items; END;
             CREATE VIRTUAL TABLE words USING fts5(body);
             CREATE VIRTUAL TABLE boxes USING rtree(id, a, b);
             INSERT INTO items (name, x) VALUES ('a', 1.5), ('b', 2.5);
             INSERT INTO words VALUES ('some text');
             INSERT INTO boxes VALUES (1, 0, 1);",
        )
        .unwrap();
    open("other.db")
        .execute_batch(&format!(
            "CREATE TABLE items (id, name); INSERT INTO items VALUES (1, '{CANARY}')"
        ))
        .unwrap();
    std::env::set_current_dir(folder.path()).unwrap();
    let content = content(&folder);
    (folder, content)
});

fn content(folder: &TempDir) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let mut text = Vec::new();
    for byte in rest.iter().take(300) {
        match byte.checked_sub(128) {
            Some(word) => text.extend_from_slice(WORDS[usize::from(word)].as_bytes()),
            None => text.push(*byte),
        }
    }
    let text = String::from_utf8_lossy(&text);
    let statements: Vec<&str> = text.lines().take(6).collect();
    let (folder, before) = &*FOLDER;
    let path = folder.path().join("db.sqlite3");
    let given = reading_sql(&path, first % 2 == 1, &statements, Duration::from_millis(500));
    // The fuzzer finds the word, and an error repeats what was asked.
    assert!(text.contains("canary") || !given.iter().any(|one| one.contains(CANARY)), "{text}");
    assert!(!given.iter().any(|one| one.starts_with("changed ")), "{text}\n{given:?}");
    let after = content(folder);
    assert!(&after == before, "{text}\n{:?}", after.keys());
});
