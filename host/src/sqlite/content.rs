//! What a table holds, as a number that two databases can be compared by: equal
//! for equal rows, whatever the order and the layout of the file. Streaming, in
//! constant memory.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// Rows between two checks of whether the result is still wanted.
const LOOK: u64 = 4096;

/// What a table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableContent {
    /// Its name.
    pub table: String,
    /// How many rows it has.
    pub rows: u64,
    /// 64 hexadecimal digits; none when only counted.
    pub digest: Option<String>,
}

/// Counts the rows of a table, and digests them `with_digest`.
///
/// The digest of a table is the sum of the digests of its rows, so that their
/// order does not matter: what has a key cannot have the same row twice, and what
/// has none has no order either. A row is its stored columns, each as its storage
/// class, its length and its bytes; text is taken as the bytes it is. Generated
/// columns that are computed on reading are left out: they follow from the others,
/// and may need functions that are not here.
pub(super) fn read(
    connection: &Connection,
    table: &str,
    with_digest: bool,
    unwanted: &dyn Fn() -> bool,
) -> rusqlite::Result<TableContent> {
    let quoted = format!("\"{}\"", table.replace('"', "\"\""));
    if !with_digest {
        let sql = format!("SELECT count(*) FROM {quoted}");
        let rows: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        return Ok(TableContent {
            table: table.to_owned(),
            rows: rows.unsigned_abs(),
            digest: None,
        });
    }
    let columns = stored_columns(connection, &quoted)?;
    let sql = format!("SELECT {} FROM {quoted} NOT INDEXED", columns.join(", "));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut sum = [0_u64; 4];
    let mut count = 0;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = Vec::new();
    while let Some(row) = rows.next()? {
        buffer.clear();
        for column in 0..columns.len() {
            append(&mut buffer, row.get_ref(column)?);
        }
        hasher.reset();
        hasher.update(&buffer);
        for (lane, bytes) in sum.iter_mut().zip(hasher.finalize().as_bytes().chunks_exact(8)) {
            let bytes = bytes.try_into().unwrap_or_default();
            *lane = lane.wrapping_add(u64::from_le_bytes(bytes));
        }
        count += 1;
        if count % LOOK == 0 && unwanted() {
            break;
        }
    }
    let digest = sum.iter().map(|lane| format!("{:016x}", lane.swap_bytes())).collect();
    Ok(TableContent { table: table.to_owned(), rows: count, digest: Some(digest) })
}

/// The columns that lie in the file, quoted.
fn stored_columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    // 2 is a generated column that is computed on reading (`PRAGMA table_xinfo`).
    let mut statement = connection.prepare(&format!("PRAGMA table_xinfo({table})"))?;
    let mut columns = Vec::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, hidden): (String, i64) = (row.get("name")?, row.get("hidden")?);
        if hidden != 2 && hidden != 1 {
            columns.push(format!("\"{}\"", name.replace('"', "\"\"")));
        }
    }
    if columns.is_empty() {
        columns.push("NULL".to_owned());
    }
    Ok(columns)
}

fn append(buffer: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => buffer.push(0),
        ValueRef::Integer(integer) => {
            buffer.push(1);
            buffer.extend_from_slice(&integer.to_le_bytes());
        }
        ValueRef::Real(real) => {
            buffer.push(2);
            buffer.extend_from_slice(&real.to_bits().to_le_bytes());
        }
        ValueRef::Text(bytes) => with_length(buffer, 3, bytes),
        ValueRef::Blob(bytes) => with_length(buffer, 4, bytes),
    }
}

fn with_length(buffer: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    buffer.push(kind);
    buffer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    buffer.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(sql: &str, table: &str) -> TableContent {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        read(&connection, table, true, &|| false).unwrap()
    }

    #[test]
    fn order_and_layout_do_not_matter_and_every_value_does() {
        let a = content("CREATE TABLE t (x, y); INSERT INTO t VALUES (1, 'a'), (2, 'b')", "t");
        let b = content(
            "PRAGMA page_size = 8192; CREATE TABLE t (x, y); INSERT INTO t VALUES (2, 'b'), (9, 9), (1, 'a');
             DELETE FROM t WHERE x = 9",
            "t",
        );
        assert_eq!(a, b);
        assert_eq!(a.rows, 2);
        for other in [
            "INSERT INTO t VALUES (1, 'a'), (2, 'c')",
            "INSERT INTO t VALUES (1, 'a')",
            "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (2, 'b')",
            "INSERT INTO t VALUES (1, 'b'), (2, 'a')",
            "INSERT INTO t VALUES (1, 'a'), ('2', 'b')",
            "INSERT INTO t VALUES (1, 'a'), (2, x'62')",
            "INSERT INTO t VALUES (1, 'a'), (2.5, 'b')",
            "INSERT INTO t VALUES (1, 'a'), (2, NULL)",
        ] {
            assert_ne!(a, content(&format!("CREATE TABLE t (x, y); {other}"), "t"), "{other}");
        }
    }

    #[test]
    fn values_cannot_be_shifted_between_columns() {
        let one = content("CREATE TABLE t (x, y); INSERT INTO t VALUES ('ab', 'c')", "t");
        let two = content("CREATE TABLE t (x, y); INSERT INTO t VALUES ('a', 'bc')", "t");
        assert_ne!(one.digest, two.digest);
    }

    #[test]
    fn every_kind_of_table_can_be_read() {
        let sql = "
            CREATE TABLE keyless (x); INSERT INTO keyless VALUES (1e999), (-1e999), (CAST(x'ff00' AS TEXT)), (x'');
            CREATE TABLE strict_one (id INTEGER PRIMARY KEY, t TEXT) STRICT; INSERT INTO strict_one VALUES (1, 'a');
            CREATE TABLE \"without \"\"rowid\" (a TEXT PRIMARY KEY, b) WITHOUT ROWID; INSERT INTO \"without \"\"rowid\" VALUES ('k', 1);
            CREATE TABLE generated (a, b AS (a + 1), c AS (a * 2) STORED); INSERT INTO generated VALUES (20);
            CREATE VIRTUAL TABLE words USING fts5(body); INSERT INTO words VALUES ('hello world');
            CREATE VIRTUAL TABLE boxes USING rtree(id, low, high); INSERT INTO boxes VALUES (1, 2.0, 3.0);";
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        let names: Vec<String> = connection
            .prepare("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow')")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            let content = read(&connection, &name, true, &|| false).unwrap();
            assert_eq!(content.digest.unwrap().len(), 64, "{name}");
            let counted = read(&connection, &name, false, &|| false).unwrap();
            assert_eq!((counted.rows, counted.digest), (content.rows, None), "{name}");
        }
    }
}
