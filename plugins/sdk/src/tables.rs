//! What the tables of two databases are compared by.

use crate::host::sqlite::{Connection, ContentJob, TableContent};
use crate::host::types::Error;
use crate::sql::{Query, text};

/// What belongs to the tools and not to the application is left out. What ANALYZE
/// gathers belongs to the application, and what belongs to virtual tables is in
/// their shadow tables.
const TABLES: &str = "SELECT name FROM pragma_table_list WHERE schema = 'main' \
    AND type IN ('table', 'shadow') AND name <> 'sqlite_schema' \
    AND name NOT IN ('_litestream_seq', '_litestream_lock', '_litestream_verification') \
    ORDER BY name";

/// The application's tables, by name.
pub fn names(connection: &Connection) -> Result<Vec<String>, Error> {
    let rows = connection.rows(TABLES, &[])?;
    rows.iter()
        .map(|row| row.first().map_or(Ok(String::new()), |it| text(it).map(Into::into)))
        .collect()
}

/// Starts reading all of them; see `connection.content`.
pub fn start(connection: &Connection, with_digest: bool) -> Result<ContentJob, Error> {
    connection.content(&names(connection)?, with_digest)
}

/// Waits for all of them, in the order of their names.
pub fn contents(job: &ContentJob) -> Result<Vec<TableContent>, Error> {
    let mut contents = Vec::new();
    while let Some(content) = job.next()? {
        contents.push(content);
    }
    Ok(contents)
}
