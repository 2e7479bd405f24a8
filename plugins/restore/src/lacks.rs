//! What the current database has and the backup lacks, table by table: both are read
//! while the copy is checked.

use lsrun_plugin::host::sqlite::{Connection, ContentJob, TableContent};
use lsrun_plugin::prelude::*;
use lsrun_plugin::{tables, words};

/// How many tables are named.
const SHOWN: usize = 20;

/// Both being read.
pub(crate) struct Comparison {
    present: Reading,
    restored: Reading,
}

/// A job, and the connection that it needs.
struct Reading(
    ContentJob,
    #[expect(dead_code, reason = "closed at the end of the job")] Connection,
);

impl Comparison {
    /// Starts reading.
    pub(crate) fn start(database: &Database, copy: &RestoredCopy) -> Result<Self, Error> {
        let reading = |connection: Connection| {
            tables::start(&connection, true).map(|job| Reading(job, connection))
        };
        Ok(Self {
            present: sqlite::open(database).and_then(reading)?,
            restored: sqlite::open_copy(copy).and_then(reading)?,
        })
    }

    /// A line for each table in which they differ.
    pub(crate) fn finish(self) -> Result<Vec<String>, Error> {
        let present = tables::contents(&self.present.0)?;
        let restored = tables::contents(&self.restored.0)?;
        let mut lines: Vec<String> = present
            .iter()
            .filter_map(|table| {
                let name = table.table();
                difference(table, restored.iter().find(|other| other.table() == name))
            })
            .collect();
        let missing = restored.iter().filter(|it| {
            let name = it.table();
            !present.iter().any(|table| table.table() == name)
        });
        lines.extend(
            missing.map(|table| {
                format!("{}: missing now, {} in the backup", table.table(), rows(table))
            }),
        );
        if lines.len() > SHOWN {
            let more = lines.len() - SHOWN;
            lines.truncate(SHOWN);
            lines.push(format!("and {}", words::count(more as u64, "more table")));
        }
        Ok(lines)
    }
}

fn difference(present: &TableContent, restored: Option<&TableContent>) -> Option<String> {
    let (name, now) = (present.table(), rows(present));
    let Some(restored) = restored else {
        return Some(format!("{name}: {now} now, missing in the backup"));
    };
    if present.rows() != restored.rows() {
        return Some(format!("{name}: {now} now, {} in the backup", rows(restored)));
    }
    (present.digest() != restored.digest())
        .then(|| format!("{name}: {now} in both, with other values"))
}

/// `1 row`, `60,799 rows`.
fn rows(table: &TableContent) -> String {
    let rows = table.rows();
    format!("{} {}", words::grouped(rows), if rows == 1 { "row" } else { "rows" })
}
