//! What the database that is about to be replaced holds and the restored copy does
//! not, table by table: read on both while the copy is checked.

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
        let only = restored
            .iter()
            .map(TableContent::table)
            .filter(|name| !present.iter().any(|table| table.table() == *name));
        lines.extend(only.map(|name| format!("{name}: only in the restored one")));
        if lines.len() > SHOWN {
            let more = lines.len() - SHOWN;
            lines.truncate(SHOWN);
            lines.push(format!("and {}", words::count(more as u64, "more table")));
        }
        Ok(lines)
    }
}

fn difference(present: &TableContent, restored: Option<&TableContent>) -> Option<String> {
    let (name, rows) = (present.table(), words::count(present.rows(), "row"));
    let Some(restored) = restored else {
        return Some(format!("{name}: {rows}, not in the restored one"));
    };
    let of_restored = restored.rows();
    if present.rows() != of_restored {
        return Some(format!("{name}: {rows}, {of_restored} in the restored one"));
    }
    (present.digest() != restored.digest())
        .then(|| format!("{name}: {rows} in both, with other values"))
}
