//! Databases that are damaged, or break their own rules.

/// Enough rows for pages that can be overwritten.
pub(crate) const MANY: &str = "
CREATE TABLE big (id INTEGER PRIMARY KEY, x TEXT);
CREATE INDEX big_x ON big (x);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
  INSERT INTO big (x) SELECT 'row ' || i || hex(randomblob(40)) FROM n;
PRAGMA wal_checkpoint(truncate);
";

/// An entry that the index lacks, made as a crash of a bad disk makes it: SQLite knows
/// nothing of it.
pub(crate) const UNINDEXED: &str = "
PRAGMA writable_schema = on;
CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'big_x';
DELETE FROM sqlite_schema WHERE name = 'big_x';
PRAGMA writable_schema = reset;
INSERT INTO big (x) VALUES ('not in the index');
PRAGMA writable_schema = on;
INSERT INTO sqlite_schema SELECT * FROM kept;
PRAGMA writable_schema = reset;
";
