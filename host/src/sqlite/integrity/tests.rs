use std::path::PathBuf;
use std::sync::Arc;

use super::*;

const CONTENT: &str = "
CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT, y INT, z);
CREATE INDEX a_x ON a (x);
CREATE TABLE b (k TEXT PRIMARY KEY, v INT CHECK (v > 0)) WITHOUT ROWID;
CREATE TABLE c (n INT);
CREATE VIRTUAL TABLE words USING fts5(body);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
  INSERT INTO a (x, y, z) SELECT 'text ' || i, i, randomblob(100) FROM n;
INSERT INTO b SELECT x, y FROM a WHERE id < 300;
INSERT INTO c SELECT y FROM a;
INSERT INTO words SELECT x FROM a;
DELETE FROM a WHERE id > 1500;
";

/// A database of this content and what `more` makes of it.
fn database(more: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a copy.sqlite3");
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "page_size", 1024).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.execute_batch(CONTENT).unwrap();
    connection.execute_batch(more).unwrap();
    drop(connection);
    (folder, path)
}

fn never() -> GivenUp {
    Arc::new(|| false)
}

/// Changes the schema as text.
fn schema(sql: &str) -> String {
    format!("PRAGMA writable_schema = on; {sql}; PRAGMA writable_schema = reset;")
}

/// Does `sql` while SQLite does not know of the index.
fn behind_the_index(sql: &str) -> String {
    let out = schema(
        "CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'a_x'; \
         DELETE FROM sqlite_schema WHERE name = 'a_x'",
    );
    let back = schema("INSERT INTO sqlite_schema SELECT * FROM kept");
    format!("{out} {sql}; {back}")
}

fn page_of(path: &Path, sql: &str) -> usize {
    let connection = Connection::open(path).unwrap();
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().try_into().unwrap()
}

fn overwrite(path: &Path, at: usize, with: &[u8]) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at..at + with.len()].copy_from_slice(with);
    std::fs::write(path, bytes).unwrap();
}

/// What `integrity_check` of the whole says, line by line.
fn of_whole(path: &Path) -> Vec<String> {
    let mut problems =
        run(&open(path, &never()).unwrap(), "PRAGMA integrity_check").unwrap().problems;
    problems.sort();
    problems.dedup();
    problems
}

fn of_tables(path: &Path) -> Integrity {
    by_table(&open(path, &never()).unwrap(), Level::Full, &|| open(path, &never())).unwrap()
}

/// By table and the whole beside it finds what the whole at once finds, and it is this.
#[track_caller]
fn found(path: &Path, words: &str) {
    let (whole, tables) = (of_whole(path), of_tables(path));
    assert!(whole.iter().any(|line| line.contains(words)), "{words}: {whole:#?}");
    for line in &whole {
        assert!(tables.problems.contains(line), "{line} is missing in {:#?}", tables.problems);
    }
    assert!(tables.limited.is_empty(), "{:?}", tables.limited);
    assert_eq!(of_copy(path, Level::Full, &never()).unwrap(), tables);
}

#[test]
fn a_good_copy_has_no_problem_and_stays_as_it_is() {
    let (folder, path) = database("");
    let before = std::fs::read(&path).unwrap();
    assert_eq!(of_tables(&path), Integrity::default());
    for level in [Level::Full, Level::Quick] {
        assert_eq!(of_copy(&path, level, &never()).unwrap(), Integrity::default());
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn an_entry_that_an_index_lacks() {
    let (_folder, path) = database(&behind_the_index("INSERT INTO a (id, x) VALUES (5000, 'new')"));
    found(&path, "row 1501 missing from index a_x");
    found(&path, "wrong # of entries in index a_x");
}

#[test]
fn a_row_that_an_index_has_and_the_table_lacks() {
    let (_folder, path) = database(&behind_the_index("DELETE FROM a WHERE id = 7"));
    found(&path, "wrong # of entries in index a_x");
}

#[test]
fn a_value_that_differs_from_its_index() {
    let (_folder, path) = database(&behind_the_index("UPDATE a SET x = 'other' WHERE id = 7"));
    found(&path, "row 7 missing from index a_x");
}

#[test]
fn an_index_that_breaks_its_uniqueness() {
    let unique = "CREATE UNIQUE INDEX c_n ON c (n);";
    let (_folder, path) = database(&format!(
        "{unique} {}",
        schema("UPDATE sqlite_schema SET sql = 'CREATE INDEX c_n ON c (n)' WHERE name = 'c_n'")
    ));
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("INSERT INTO c SELECT n FROM c LIMIT 1").unwrap();
    connection
        .execute_batch(&schema(
            "UPDATE sqlite_schema SET sql = 'CREATE UNIQUE INDEX c_n ON c (n)' WHERE name = 'c_n'",
        ))
        .unwrap();
    drop(connection);
    found(&path, "non-unique entry in index c_n");
}

#[test]
fn a_freelist_that_is_too_short() {
    let (_folder, path) = database("");
    // The number of free pages is at 36.
    overwrite(&path, 36, &1_u32.to_be_bytes());
    found(&path, "reelist");
}

#[test]
fn pages_that_nobody_uses() {
    let (_folder, path) = database("");
    overwrite(&path, 32, &[0; 8]);
    found(&path, "never used");
}

#[test]
fn a_page_that_is_used_twice() {
    let (_folder, path) = database("");
    let connection = Connection::open(&path).unwrap();
    let same = "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema \
        WHERE name = 'a') WHERE name = 'c'";
    connection.execute_batch(&schema(same)).unwrap();
    drop(connection);
    found(&path, "2nd reference to page");
}

#[test]
fn a_page_that_is_overwritten() {
    let (_folder, path) = database("");
    let root = page_of(&path, "SELECT rootpage FROM sqlite_schema WHERE name = 'a_x'");
    overwrite(&path, (root - 1) * 1024, &[0x55; 1024]);
    let whole = of_whole(&path);
    let tables = of_tables(&path).problems;
    assert!(!whole.is_empty());
    for line in whole {
        assert!(tables.contains(&line), "{line}: {tables:#?}");
    }
}

#[test]
fn a_null_where_there_must_be_none() {
    let (_folder, path) = database(&schema(
        "UPDATE sqlite_schema SET sql = 'CREATE TABLE c (n INT NOT NULL)' WHERE name = 'c'",
    ));
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(&schema(
            "UPDATE sqlite_schema SET sql = 'CREATE TABLE c (n INT)' WHERE name = 'c'",
        ))
        .unwrap();
    connection.execute_batch("INSERT INTO c VALUES (NULL)").unwrap();
    connection
        .execute_batch(&schema(
            "UPDATE sqlite_schema SET sql = 'CREATE TABLE c (n INT NOT NULL)' WHERE name = 'c'",
        ))
        .unwrap();
    drop(connection);
    found(&path, "NULL value in c.n");
}

#[test]
fn a_check_that_does_not_hold() {
    let (_folder, path) =
        database("PRAGMA ignore_check_constraints = on; UPDATE b SET v = -1 WHERE k = 'text 7'");
    found(&path, "CHECK constraint failed in b");
    assert_eq!(
        of_copy(&path, Level::Quick, &never()).unwrap().problems,
        ["CHECK constraint failed in b"]
    );
}

/// What the application of the next tests has.
fn of_the_application(path: &Path, sql: &str) {
    use rusqlite::functions::FunctionFlags;
    let connection = Connection::open(path).unwrap();
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    for name in ["MD5", "valid"] {
        connection
            .create_scalar_function(name, 1, flags, |context| {
                let text = context.get_raw(0).as_str_or_null().ok().flatten().unwrap_or("");
                Ok(text.len() as i64 + 1)
            })
            .unwrap();
    }
    connection.create_collation("german", |a, b| b.cmp(a)).unwrap();
    connection.execute_batch(sql).unwrap();
}

const APPLICATION: &str = "
CREATE INDEX a_md5 ON a (MD5(x));
CREATE TABLE checked (x TEXT CHECK (valid(x)), y);
CREATE INDEX checked_y ON checked (y);
CREATE TABLE names (name TEXT COLLATE german PRIMARY KEY, age INT NOT NULL) WITHOUT ROWID;
CREATE TABLE made (x TEXT, y INT NOT NULL AS (MD5(x)), z INT AS (MD5(x)) STORED);
INSERT INTO checked SELECT x, y FROM a WHERE id < 50;
INSERT INTO names SELECT x, y FROM a WHERE id < 500;
INSERT INTO made (x) SELECT x FROM a WHERE id < 50;
";

#[test]
fn what_only_the_application_has_is_no_damage_and_named() {
    let (_folder, path) = database("");
    of_the_application(&path, APPLICATION);
    let before = std::fs::read(&path).unwrap();
    let found = of_copy(&path, Level::Full, &never()).unwrap();
    assert_eq!(found.problems, [""; 0]);
    assert_eq!(
        found.limited,
        [
            "a: quick_check only (unknown function: MD5())",
            "checked: CHECK constraints were not evaluated (unknown function: valid())",
            "made: its pages only (unknown function: MD5())",
            "names: quick_check only (no such collation sequence: german)",
        ]
    );
    assert_eq!(of_tables(&path), found);
    let quick = of_copy(&path, Level::Quick, &never()).unwrap();
    assert_eq!(quick.problems, [""; 0]);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn what_only_the_application_has_hides_no_damage() {
    let (_folder, path) = database("");
    of_the_application(&path, APPLICATION);
    let root = page_of(&path, "SELECT rootpage FROM sqlite_schema WHERE name = 'names'");
    overwrite(&path, (root - 1) * 1024, &[0x55; 1024]);
    let found = of_copy(&path, Level::Full, &never()).unwrap();
    assert!(!found.problems.is_empty(), "{found:?}");
    // In a table that SQLite can check, and in the list of free pages.
    let (_folder, path) = database(&behind_the_index("DELETE FROM a WHERE id = 7"));
    of_the_application(
        &path,
        "CREATE TABLE names (name TEXT COLLATE german); CREATE INDEX n ON names (name)",
    );
    overwrite(&path, 36, &1_u32.to_be_bytes());
    let found = of_copy(&path, Level::Full, &never()).unwrap().problems;
    for words in ["wrong # of entries in index a_x", "reelist"] {
        assert!(found.iter().any(|line| line.contains(words)), "{words}: {found:#?}");
    }
}

#[test]
fn a_module_and_a_tokenizer_that_are_not_here() {
    let (_folder, path) = database("");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(&schema(
            "UPDATE sqlite_schema SET sql = 'CREATE VIRTUAL TABLE words USING vec0(body)' \
             WHERE name = 'words'",
        ))
        .unwrap();
    drop(connection);
    assert_eq!(of_copy(&path, Level::Full, &never()).unwrap(), Integrity::default());
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(&schema(
            "UPDATE sqlite_schema SET sql = 'CREATE VIRTUAL TABLE words USING fts5(body, tokenize=kagome)' \
             WHERE name = 'words'",
        ))
        .unwrap();
    drop(connection);
    let found = of_copy(&path, Level::Full, &never()).unwrap();
    assert_eq!(found.problems, [""; 0]);
    assert!(found.limited.iter().any(|line| line.starts_with("words: ")), "{found:?}");
}

#[test]
fn what_is_no_database_and_what_cannot_be_opened_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let error = of_copy(&path, Level::Full, &never()).unwrap_err();
    assert!(!is_damage(&error), "{error:?}");
    std::fs::write(&path, "this is a text file, longer than a header of SQLite ".repeat(40))
        .unwrap();
    let found = of_copy(&path, Level::Full, &never());
    assert!(found.as_ref().is_ok_and(|it| !it.problems.is_empty()), "{found:?}");
}

#[test]
fn it_ends_when_nobody_wants_it() {
    let (_folder, path) = database("");
    let given_up: GivenUp = Arc::new(|| true);
    let error = of_copy(&path, Level::Full, &given_up).unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::OperationInterrupted));
}

#[test]
fn damaged_pages_are_told_from_data_that_is_wrong() {
    let (_folder, path) = database(&behind_the_index("DELETE FROM a WHERE id = 7"));
    assert!(!of_copy(&path, Level::Full, &never()).unwrap().pages);
    let root = page_of(&path, "SELECT rootpage FROM sqlite_schema WHERE name = 'c'");
    overwrite(&path, (root - 1) * 1024, &[0x55; 1024]);
    for level in [Level::Full, Level::Quick] {
        assert!(of_copy(&path, level, &never()).unwrap().pages);
    }
}

/// Runs one of the tests that are ignored in a process of its own, whose limits are
/// nobody else's.
#[track_caller]
fn alone(name: &str) {
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("sqlite::integrity::tests::{name}"), "--ignored"])
        .args(["--test-threads", "1", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{run:?}");
}

/// It is sound, or could not be checked; never damaged.
#[track_caller]
fn no_damage(result: rusqlite::Result<Integrity>) -> bool {
    match result {
        Ok(found) => {
            assert_eq!(found.problems, [""; 0]);
            true
        }
        Err(error) => {
            assert!(!is_damage(&error), "{error:?}");
            let code = crate::sqlite::errors::explain(&error, "x").code().as_str();
            assert_ne!(code, "damaged", "{error:?}");
            false
        }
    }
}

#[test]
fn running_out_of_descriptors_is_no_damage() {
    alone("child_without_descriptors");
}

#[test]
#[ignore = "run by the one before, alone"]
fn child_without_descriptors() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let (_folder, path) = database("");
    let limit = Rlimit { current: Some(40), maximum: Some(40) };
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut held = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        held.push(file);
    }
    assert!(!no_damage(of_copy(&path, Level::Full, &never())));
    // One more each time, until there are enough.
    loop {
        held.pop().expect("it works with enough of them");
        if no_damage(of_copy(&path, Level::Full, &never())) {
            break;
        }
    }
}

#[test]
fn running_out_of_memory_is_no_damage() {
    alone("child_without_memory");
}

#[test]
#[ignore = "run by the one before, alone"]
fn child_without_memory() {
    let (_folder, path) = database("");
    let holder = Connection::open_in_memory().unwrap();
    let mut outcomes = Vec::new();
    // SQLite takes a limit that is lower than the present one only.
    for limit in (1..80).rev().map(|step| step * 50_000) {
        let sql = format!("PRAGMA hard_heap_limit = {limit}");
        if holder.query_row(&sql, [], |_row| Ok(())).is_err() {
            break;
        }
        outcomes.push(no_damage(of_copy(&path, Level::Full, &never())));
    }
    assert!(outcomes.contains(&true) && outcomes.contains(&false), "{outcomes:?}");
}
